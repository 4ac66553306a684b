# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Constraints of run, batch and chat: texts obey them, and errors come before any token, in one line.

model=$models/bf16_n64.safetensors
vocab=$tests/bytes.vocab.txt
constrained() {
    run rwkv7 run -q --seed 4 -n 60 --model "$model" --vocab "$vocab" "$@" </dev/null
}
constrained --regex 'ab?c{2}' hello
ok 'a text of the expression' grep -Eqx 'ab?cc' "$work/out"
constrained --choice only hello
text only
constrained --choice one --choice other hello
ok 'a choice' grep -Eqx 'one|other' "$work/out"
printf 'root ::= "[" item ("," item)* "]"\nitem ::= [0-9] | "x"\n' >list.gbnf
constrained --grammar list.gbnf -n 400 --bias 94=2 hello
ok 'a text of the grammar' grep -Eqx '\[[0-9x](,[0-9x])*\]' "$work/out"
printf '{"type":"object","properties":{"n":{"enum":[7]},"s":{"type":"string","maxLength":4,"pattern":"^[a-z]*$"}},"required":["n","s"],"additionalProperties":false}' >fixed.json
constrained --schema fixed.json hello
ok 'JSON of the schema' python3 -c 'import json,sys; v=json.load(open(sys.argv[1])); assert v["n"] == 7 and len(v["s"]) <= 4, v' "$work/out"
constrained --any-json --bias 94=3,126=3 -n 4000 hello
ok 'JSON' python3 -c 'import json,sys; json.load(open(sys.argv[1]))' "$work/out"

# The same text every time, with stop strings, log probabilities and in a batch.
constrained --regex '[a-z]{20}' hello
cp "$work/out" letters
constrained --regex '[a-z]{20}' --logprobs 2 --json hello
out_has "\"text\":\"$(cat letters)\",\"finish\":\"end\""
printf '{"prompt":"hello","regex":"[a-z]{20}","seed":4}\n{"prompt":"hello","seed":4,"tokens":3}\n{"prompt":"hello","choices":["yes","yes indeed"],"seed":1}\n{"prompt":"hello","schema":{"const":[1]},"seed":1}\n' >lines
run rwkv7 batch -q --model "$model" --vocab "$vocab" lines
exits 0
out_has "\"text\":\"$(cat letters)\",\"finish\":\"end\""
out_has '"line":3,.*"text":"yes( indeed)?","finish":"end"'
out_has '"line":4,.*"text":"[^"]*\[[^"]*1[^"]*\]","finish":"end"'
printf '{"prompt":"hello","seed":4}\n{"prompt":"hello","seed":4,"any_json":false,"tokens":3}\n' >lines
run rwkv7 batch -q --regex '[a-z]{20}' --model "$model" --vocab "$vocab" lines
exits 0
out_has "\"line\":1,\"text\":\"$(cat letters)\""
out_has '"line":2,.*"finish":"length","prompt_tokens":[0-9]+,"tokens":3'

# Errors.
constrained --regex 'a(b' hello
exits 2
err 'rwkv7: regular expression, character 2: this group is not closed'
# The same bytes with every number of threads, alone and in a batch.
printf '{"type":"object","properties":{"list":{"type":"array","items":{"enum":["a","bc",7]},"maxItems":3},"s":{"type":"string","maxLength":9}},"required":["list","s"],"additionalProperties":false}' >several.json
printf '{"prompt":"hello","seed":4}\n{"prompt":"hello","seed":5}\n{"prompt":"you"}\n' >lines
for threads in 1 2; do
    constrained --schema several.json -t "$threads" -n 200 hello
    cp "$work/out" "alone$threads"
    run rwkv7 batch -q -n 200 --model "$model" --vocab "$vocab" --schema several.json --seed 4 -t "$threads" lines
    exits 0
    cp "$work/out" "batch$threads"
done
ok 'one thread and two: the same text' cmp alone1 alone2
ok 'one thread and two: the same batch' python3 -c 'import json, sys
one, two = ([json.loads(line)["text"] for line in open(name)] for name in ("batch1", "batch2"))
assert one == two and one[0] == open("alone1").read(), (one, two)
[json.loads(text) for text in one]'

# In a chat, each answer obeys the schema; /undo and /retry restore what the answer began with.
printf 'hello\n/undo\nhello\nyou\n/undo\n/undo\nhello\nyou\n/retry\n' >typed
given "$(cat typed)"
run rwkv7 chat -q --seed 4 -n 200 --model "$model" --vocab "$vocab" --schema several.json
exits 0
ok 'answers of a chat are JSON' python3 -c 'import json, sys
text, answers = open(sys.argv[1]).read().lstrip(), []
while text:
    answer, end = json.JSONDecoder().raw_decode(text)
    text = text[end:].lstrip()
    answers.append(answer)
assert len(answers) == 6 and all(set(a) == {"list", "s"} for a in answers), answers' "$work/out"

# Messages name what was given: no grammar and no rule if that is an expression.
constrained --regex 'a(?!b)b' hello
exits 2
err 'rwkv7: regular expression: matches no text'
printf '{"enum":[1],"type":"string"}' >void.json
constrained --schema void.json hello
exits 2
err 'rwkv7: void.json: JSON Schema, #: no value satisfies this schema'
printf 'root ::= "a" root' >void.gbnf
constrained --grammar void.gbnf hello
exits 2
err 'rwkv7: void.gbnf: grammar: rule root: matches no text'
constrained --choice a --regex b hello
exits 2
err_has '^rwkv7: --regex and --choice exclude each other$'
printf '{"type":"object","properties":{"a":{"$ref":"#/nowhere"}}}' >bad.json
constrained --schema bad.json hello
exits 2
err_has '^rwkv7: bad.json: '
constrained --schema missing.json hello
exits 1
err_has '^rwkv7: cannot read missing.json: '
: >empty
constrained --schema empty hello
exits 1
err 'rwkv7: empty: expected the text of --schema, found nothing'
head -c 4194305 /dev/zero | tr '\0' ' ' >large
constrained --schema large hello
exits 1
err 'rwkv7: large: expected at most 4 MB for --schema, found more'

# From standard input, a pipe, and after a byte order mark.
constrained --schema fixed.json hello
cp "$work/out" fixed
given "$(cat fixed.json)"
run rwkv7 run -q --seed 4 -n 60 --model "$model" --vocab "$vocab" --schema - hello
text "$(cat fixed)"
mkfifo pipe
{ printf '\357\273\277' && cat fixed.json; } >pipe &
constrained --schema pipe hello
text "$(cat fixed)"
given "$(cat bad.json)"
run rwkv7 run -q --seed 4 -n 60 --model "$model" --vocab "$vocab" --grammar - hello
exits 2
err_has '^rwkv7: standard input: grammar, line 1'
printf 'hello' >prompt
given "$(cat fixed.json)"
run rwkv7 run -q --schema - --prompt-file -
exits 2
err_has '^rwkv7: --schema - and the prompt both read standard input; give one of them a file$'
given "$(cat fixed.json)"
run rwkv7 run -q --grammar - -
exits 2
err_has '^rwkv7: --grammar - and the prompt both read standard input; give one of them a file$'
given "$(cat fixed.json)"
run rwkv7 batch -q --schema -
exits 2
err_has '^rwkv7: --schema - and the requests both read standard input; give one of them a file$'
given "$(cat fixed.json)"
run rwkv7 chat -q --schema -
exits 2
err_has '^rwkv7: --schema - and the messages both read standard input; give one of them a file$'
run rwkv7 run -q --model "$model" --vocab "$vocab" -n 2 --state-out saved hello
run rwkv7 run -q --model "$model" --vocab "$vocab" -n 2 --state-in saved --regex a
exits 2
err_has '^rwkv7: a constraint cannot check a loaded text from its middle; add a prompt$'
printf '{"prompt":"a","regex":"(","id":1}\n{"prompt":"a","regex":"a","choices":["b"]}\n{"prompt":"a","choices":"b"}\n' >lines
run rwkv7 batch -q --model "$model" --vocab "$vocab" lines
exits 1
out_has '"line":1,"id":1,"error":"regular expression, character 1: this group is not closed"'
out_has "\"line\":2,\"error\":\"'regex' and 'choices' exclude each other\""
out_has "\"line\":3,\"error\":\"'choices': expected an array of strings\""
