# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Tools in chat: calls are lines of valid JSON, the next messages are their results.

ln -s "$models/bf16_n64.safetensors" model.safetensors
ln -s "$tests/bytes.vocab.txt" vocab.txt
options="--model model.safetensors --vocab vocab.txt --template g1 --seed 5 --temp 2 --top-p 1"
cat >tools.json <<'END'
[{"type": "function", "function": {"name": "clock", "description": "the time of day", "parameters": {
    "type": "object", "properties": {"zone": {"enum": ["utc", "local"]}, "day": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["zone", "day"], "additionalProperties": false}}},
 {"name": "now"}]
END
cat >valid.py <<'END'
import json, sys
calls = [json.loads(line) for line in open(sys.argv[1])]
assert len(calls) == int(sys.argv[2]), calls
for call in calls:
    assert list(call) == ["name", "arguments"], call
    if call["name"] == "clock":
        assert list(call["arguments"]) == ["zone", "day"] and call["arguments"]["zone"] in ("utc", "local") and 1 <= call["arguments"]["day"] <= 9
    else:
        assert call == {"name": "now", "arguments": {}}, call
END
chat() { # standard input by given
    run rwkv7 chat -q $options --tools tools.json "$@"
}

given 'hello
'
chat --tool-choice clock
exits 0
silent
ok 'one valid call' python3 valid.py "$work/out" 1
cp "$work/out" call
for speculate in 0 8; do
    given 'hello
'
    chat --tool-choice clock --speculate $speculate
    ok 'the same bytes with guesses' cmp "$work/out" call
done

# Without an end of text, the model goes on with calls.
given 'hello
'
chat --tool-choice required --bias 11=9,61=9 -n 400 --seed 6
exits 0
ok 'several calls' [ "$(wc -l <"$work/out")" -gt 1 ]
head -n 2 "$work/out" >two
ok 'valid calls' python3 valid.py two 2

# The answer after the result is that of `run` after the same text, whose white space before the call is not shown.
prompt="System: You can call functions. Between <tools> and </tools>, each line describes one of them:
<tools>
{\"type\": \"function\", \"function\": {\"name\": \"clock\", \"description\": \"the time of day\", \"parameters\": {\"type\": \"object\", \"properties\": {\"zone\": {\"enum\": [\"utc\", \"local\"]}, \"day\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 9}}, \"required\": [\"zone\", \"day\"], \"additionalProperties\": false}}}
{\"type\": \"function\", \"function\": {\"name\": \"now\"}}
</tools>
To call a function, answer with its name and its arguments in this form:
<tool_call>
{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}
</tool_call>

User: hello

Assistant:"
letters=$(awk 'BEGIN { for (i = 0; i < 257; i++) if (i < 98 || i > 123) printf "%s%d", i ? "," : "", i }')
given 'hello
12:00
'
chat --tool-choice clock -n 400
exits 0
ok 'the call' [ "$(head -n 1 "$work/out")" = "$(cat call)" ]
chat_state() { # chat_state MESSAGE OPTION...: one message of a conversation whose state is kept in a file
    given "$1
"
    shift
    run rwkv7 chat -q --model model.safetensors --vocab vocab.txt --template g1 --seed 5 --tools tools.json "$@"
}
chat_state hello --temp 2 --top-p 1 --tool-choice clock --state-out talk.state
ok 'the call' cmp "$work/out" call
chat_state 12:00 --temp 0 --ban "$letters" -n 12 --state-in talk.state
exits 0
cp "$work/out" answer
ok 'an answer' [ "$(wc -c <answer)" -eq 13 ]
found=no
for gap in '' ' ' '
' '

'; do
    rwkv7 run -q --model model.safetensors --vocab vocab.txt --temp 0 --ban "$letters" -n 12 --presence 0.5 --frequency 0.5 "$prompt$gap<tool_call>
$(cat call)
</tool_call>

User: <tool_response>
12:00
</tool_response>

Assistant:" </dev/null >expected
    printf '\n' >>expected
    cmp -s expected answer && found=yes
done
ok 'the prompt of the result' [ $found = yes ]

# As many results as calls; a result may look like a command or be empty. After /undo, they are awaited again.
given 'hello
/a

what?
'
chat --tool-choice now -n 60
exits 0
silent
head -n 1 "$work/out" >one
ok 'one call' python3 valid.py one 1
ok 'what follows the result is a message' [ "$(tail -n 1 "$work/out")" = "$(cat one)" ]
given 'hello
12:00
/undo
13:00
'
chat --tool-choice now -n 60
exits 0
ok 'the other result is no message' [ "$(grep -c '^{"name": "now"' "$work/out")" -eq 1 ]

# A truncated call is no JSON, and waits for no result.
given 'hello
/undo
hello
'
chat --tool-choice clock -n 40
exits 0
ok 'half a call, twice' [ "$(grep -c '^{"name": "clock", [^}]*$' "$work/out")" -eq 2 ]

# Thoughts come before a call.
given 'hello
'
chat --tool-choice now --think empty
exits 0
text '{"name": "now", "arguments": {}}
'

# Errors.
chat --regex a
exits 2
err_has '^rwkv7: --tools and a constraint of the whole answer exclude each other$'
run rwkv7 chat -q --tools -
exits 2
err_has '^rwkv7: --tools - and the messages both read standard input; give one of them a file$'
chat --tool-choice other
exits 2
err_has "^rwkv7: --tool-choice needs auto, required or the name of a tool, not 'other'$"
bad() { # bad FILE-CONTENT CODE MESSAGE
    printf '%s' "$1" >bad.json
    run rwkv7 chat -q $options --tools bad.json
    exits "$2"
    err "rwkv7: bad.json: $3"
}
bad '[1' 2 'expected a JSON array of tools, found something else at byte 1'
bad '[] x' 2 'expected a JSON array of tools, found something else at byte 3'
bad '[]' 2 'expected at least one tool'
bad '{}' 2 'tools: expected a list of tools'
bad '[{"name": "a\u0000"}]' 2 '\u0000 is not supported'
bad '[{"name": "a", "parameters": {"properties": {"x": {"uniqueItems": true}}}}]' 2 \
    'tools[0].parameters: JSON Schema, #/properties/x/uniqueItems: uniqueItems is not supported'
bad '' 1 'expected the text of --tools, found nothing'
mkfifo pipe
cat tools.json >pipe &
given 'hello
'
run rwkv7 chat -q $options --tools pipe --tool-choice clock
ok 'tools from a pipe' cmp "$work/out" call
run rwkv7 chat -q $options --tools missing.json
exits 1
err_has '^rwkv7: cannot read missing.json: '
