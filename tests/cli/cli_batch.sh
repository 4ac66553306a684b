# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 batch: each prompt gets the same text as alone.

model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt
batch() {
    run rwkv7 batch --model "$model" --vocab "$vocab" "$@"
}
alone() {
    rwkv7 run -q --model "$model" --vocab "$vocab" "$@" </dev/null
}
# Removes what differs from run to run.
texts() {
    sed 's/,"prompt_seconds".*/}/; s/,"fingerprint":"[^"]*"}$/}/' "$1"
}

# The same texts as `run`, with any --parallel, in the order of the lines.
{
    printf '{"prompt":"hello","temp":0,"tokens":16}\n'
    printf '{"prompt":"halo","temp":0,"tokens":3,"id":"b"}\n'
    printf '{"prompt":"mu","tokens":40,"seed":7,"temp":1.5,"top_p":0.9,"presence":0.5}\r\n'
    printf '{"prompt":"","seed":8,"tokens":1,"id":[4]}\n'
    printf ' {"prompt":"hello","temp":0,"tokens":16,"stop":["xe","qa"]} \n'
    printf '{"prompt":"hello","temp":0,"tokens":0}' # no newline
} >six.jsonl
{
    printf '{"line":1,"text":"%s","finish":"length","prompt_tokens":4,"tokens":16}\n' "$(alone --temp 0 -n 16 hello)"
    printf '{"line":2,"id":"b","text":"%s","finish":"length","prompt_tokens":3,"tokens":3}\n' "$(alone --temp 0 -n 3 halo)"
    printf '{"line":3,"text":"%s","finish":"length","prompt_tokens":2,"tokens":40,"seed":7}\n' \
        "$(alone --seed 7 --temp 1.5 --top-p 0.9 --presence 0.5 -n 40 mu)"
    printf '{"line":4,"id":[4],"text":"%s","finish":"length","prompt_tokens":1,"tokens":1,"seed":8}\n' \
        "$(alone --seed 8 -n 1 '')"
    printf '{"line":5,"text":"%s","finish":"stop","prompt_tokens":4,"tokens":%d}\n' \
        "$(alone --temp 0 -n 16 --stop qa hello)" 6
    printf '{"line":6,"text":"","finish":"length","prompt_tokens":4,"tokens":0}\n'
} >want
for arguments in '' '--parallel 1' '--parallel 2' '-t 1' '-t 3 --cpu ref' '--type stored'; do
    batch $arguments six.jsonl
    exits 0
    texts "$work/out" >got
    ok "the texts with '$arguments'" cmp -s got want
    err_has '^batch 6 prompts, [0-9]+ tokens; generated 66 tokens, '
done
cp six.jsonl "$work/in"
batch -q
exits 0
silent
texts "$work/out" >got
ok 'the texts from standard input' cmp -s got want

# Options of the command are the defaults of each line.
printf '{"prompt":"hello"}\n{"prompt":"hello","tokens":2}\n' >two.jsonl
batch --temp 0 -n 16 two.jsonl
out_has "\"text\":\"$(alone --temp 0 -n 16 hello)\""
out_has "\"text\":\"$(alone --temp 0 -n 2 hello)\""
batch --seed 5 -n 9 two.jsonl
out_has "\"text\":\"$(alone --seed 5 -n 9 hello)\".*\"seed\":5,"
out_has "\"text\":\"$(alone --seed 6 -n 2 hello)\".*\"seed\":6,"

batch --seed 18446744073709551614 -n 2 two.jsonl
out_has '"seed":18446744073709551615,' # all digits

# Log probabilities are those of `run`.
printf '{"prompt":"hello","temp":0,"tokens":3,"logprobs":2}\n{"prompt":"hello","temp":0,"tokens":3}\n' >probable.jsonl
batch probable.jsonl
exits 0
sed -n '1s/.*"logprobs":\(.*\),"prompt_seconds.*/\1/p' "$work/out" >got
alone --temp 0 -n 3 --json --logprobs 2 hello | sed 's/.*"logprobs":\(\[{.*}\]\).*/\1/' >want_probable
ok 'log probabilities' cmp -s got want_probable
ok 'there are some' grep -q logprob got
ok 'only where they are asked for' [ "$(grep -c logprobs "$work/out")" = 1 ]

# An invalid line gives an error result; the other lines are processed.
{
    printf 'hello\n'
    printf '\n'
    printf '[1]\n'
    printf '{"prompt":3}\n'
    printf '{"prompt":"hello","id":5,"tokens":2} x\n'
    printf '{"prompt":"hello","id":6,"token":2}\n'
    printf '{"prompt":"hello","tokens":1.5}\n'
    printf '{"prompt":"hello","temp":-1}\n'
    printf '{"prompt":"hello","stop":""}\n'
    printf '{"prompt":"hello","stop":[1]}\n'
    printf '{"prompt":"hello","temp":0,"temp":1}\n'
    printf '{"prompt":"hello","seed":-1}\n'
    printf '{"prompt":"hello","ignore_eos":1}\n'
    printf '{"prompt":"hel\\u0000lo"}\n'
    printf '{"prompt":"?"}\n'
    printf '{"prompt":"","no_bos":true}\n'
    printf '{"prompt":"hello","model":"x"}\n'
    printf '{"prompt":"hel\000lo"}\n'
    printf '{"prompt":"hello"}\000\n'
    printf '{"prompt":"hello","temp":0,"tokens":16}\n'
} >bad.jsonl
{
    printf '{"line":1,"error":"expected one JSON object, found something else at byte 0"}\n'
    printf '{"line":3,"error":"expected a JSON object"}\n'
    printf '{"line":4,"error":"expected a string '"'prompt'"'"}\n'
    printf '{"line":5,"id":5,"error":"expected one JSON object, found something else at byte 37"}\n'
    printf '{"line":6,"id":6,"error":"unknown member '"'token'"'"}\n'
    printf '{"line":7,"error":"%s: expected a whole number from -1 to 2147483647"}\n' "'tokens'"
    printf '{"line":8,"error":"%s: expected a number from 0 to 100"}\n' "'temp'"
    printf '{"line":9,"error":"%s: expected strings that are not empty"}\n' "'stop'"
    printf '{"line":10,"error":"%s: expected strings that are not empty"}\n' "'stop'"
    printf '{"line":11,"error":"duplicate member %s"}\n' "'temp'"
    printf '{"line":12,"error":"%s: expected a whole number from 0 to 2^53 - 1"}\n' "'seed'"
    printf '{"line":13,"error":"%s: expected true or false"}\n' "'ignore_eos'"
    printf '{"line":14,"error":"\\\\u0000 is not supported"}\n'
    printf '{"line":15,"error":"the vocabulary has no token for byte 0x3f at offset 0 of the text"}\n'
    printf '{"line":16,"error":"the prompt is empty and the vocabulary has no begin-of-document token"}\n'
    printf '{"line":17,"error":"unknown member '"'model'"'"}\n'
    printf '{"line":18,"error":"\\\\u0000 is not supported"}\n'
    printf '{"line":19,"error":"expected one JSON object, found something else at byte 18"}\n'
    sed -n '1s/"line":1,/"line":20,/p' want
} >want_bad
batch bad.jsonl
exits 1
texts "$work/out" >got
ok 'an error for each bad line' cmp -s got want_bad
err_has '^rwkv7: 18 of 19 lines failed$'

# Errors that lenient JSON parsers accept. Results are valid JSON for any input.
{
    printf '{"prompt":"hello","prompt":"halo"}\n'
    printf '{"prompt":"hello","id":1,"id":2}\n'
    printf '{"prompt":"hello","seed":9007199254740992}\n'
    printf '{"prompt":"hello","id":"\377"}\n'
    printf '{"prompt":"hello","%059d\303\244":1}\n' 0
    printf '{"prompt":"hello","max_tokens":5}\n'
} >strange.jsonl
{
    printf '{"line":1,"error":"duplicate member %s"}\n' "'prompt'"
    printf '{"line":2,"id":1,"error":"duplicate member %s"}\n' "'id'"
    printf '{"line":3,"error":"%s: expected a whole number from 0 to 2^53 - 1"}\n' "'seed'"
    printf '{"line":4,"error":"expected UTF-8, found something else at byte 24"}\n'
    printf '{"line":5,"error":"unknown member '"'%059d?'"'"}\n' 0
    printf '{"line":6,"error":"unknown member %s; did you mean %s?"}\n' "'max_tokens'" "'tokens'"
} >want_strange
batch strange.jsonl
exits 1
texts "$work/out" >got
ok 'an error for each' cmp -s got want_strange

# Numbers in an id keep all digits.
for id in 1234567890123456789 1000000000000000 -0.10 1e400 '{"1":[{"2":"\"3"},1E+20,4.50],"5":"6"}' '"1"'; do
    printf '%s\n' '{"tokens":1,"prompt":"hello","stop":["\"-1","2"],"id":'"$id"'}' >"$work/in"
    batch
    exits 0
    ok "the id $id" grep -Fq "\"id\":$id,\"text\"" "$work/out"
done

batch --ban 99999999 two.jsonl
exits 2
text ''
ok 'said once' [ "$(wc -l <"$work/err")" -eq 1 ]
batch /dev/null
exits 0
text ''
batch missing.jsonl
exits 1
err 'rwkv7: cannot read missing.jsonl: No such file or directory'
batch .
exits 1
err_has '^rwkv7: cannot read .: '

# Results in a file are never overwritten; --resume appends, also after a partial line.
batch -q -o results six.jsonl
exits 0
text ''
texts results >got
ok 'the texts in a file' cmp -s got want
batch -o results six.jsonl
exits 1
err 'rwkv7: results: not empty; use --resume to continue it'
batch --resume six.jsonl
exits 2
for bytes in 0 10 $(head -n 2 results | wc -c) $(($(head -n 4 results | wc -c) + 20)) $(($(wc -c <results) - 1)); do
    head -c "$bytes" results >part
    batch --resume -o part six.jsonl
    exits 0
    texts part >got
    ok "the same texts after $bytes bytes" cmp -s got want
done
batch -q --resume -o part six.jsonl
exits 0
texts part >got
ok 'nothing is done twice' cmp -s got want
refused() { # refused FILE INPUT MESSAGE: FILE cannot be resumed and is not changed
    cp "$1" kept
    batch --temp 0 --resume -o "$1" "$2"
    exits 3
    err "rwkv7: $1: cannot be resumed: $3"
    ok 'and that file stays' cmp -s kept "$1"
}
for other in 'something else\n' 'something else' '{"lines":1' '\0\n' '{"line":1\0\0,\0' '\0\0\0' '{"line":1,"user":"torn, of ano' '{"line":1,"us' \
    '{"line": 1' '{"line":1,"text":"x","finish":"stop","text":"' '{"line":1,"text":"x","note":1,"fin' '{"line":0,"text":"x'; do
    printf "$other" >other
    refused other two.jsonl 'its line 1: expected the result of line 1 of the input, found something else'
done
for other in '{"line":2}\n' '{"line":2}' '{"line":2,"text":"of another program"}' '{"line":2}\0\0'; do
    printf "$other" >other
    refused other two.jsonl 'its line 1: expected the result of line 1 of the input, found that of line 2'
done
# A partial result is truncated, whatever it contains and wherever it ends.
for own in '{"line":1,"text":"x\\"y","finish":"stop","prompt_tokens":1,"tok' '{"line":1,"id":{"text":["a b",1]},"err' \
    '{"line":1,"text":"x","logprobs":[{"id":1,"text":"a"},{"top":' '{"line":1,"text":"x","seconds":0.1,"fingerprint":"0123'; do
    printf '%s' "$own" >other
    batch -q --temp 0 -n 2 --resume -o other two.jsonl
    exits 0
    ok 'it is done again' [ "$(wc -l <other)" -eq 2 ]
done
printf '{"line":1,"text":"","finish":"length"}\n' >other
refused other two.jsonl 'its line 1 has no fingerprint; an older version of this program wrote it'
printf '{"line":1,"text":"of another program"}' >other # also without a newline
refused other two.jsonl 'its line 1 has no fingerprint; an older version of this program wrote it'

# Results of other lines, models or options are rejected; the message names the first such line.
batch -q --temp 0 -n 2 -o pair two.jsonl
exits 0
cp pair original
for line in 1 2 3; do # a line is inserted before it
    sed "${line}i{\"prompt\":\"mu\"}" two.jsonl >inserted.jsonl
    [ $line -lt 3 ] || printf '{"prompt":"mu"}\n' >>inserted.jsonl
    batch --temp 0 -n 2 --resume -o pair inserted.jsonl
    if [ $line -lt 3 ]; then
        exits 3
        err "rwkv7: pair: cannot be resumed: its line $line was made from another line $line of the input"
        ok 'and that file stays' cmp -s pair original
    else
        exits 0
        ok 'the line behind them is done' [ "$(wc -l <pair)" -eq 3 ]
    fi
done
cp original pair
head -n 1 two.jsonl >one_line.jsonl
batch --temp 0 -n 2 --resume -o pair one_line.jsonl
exits 3
err 'rwkv7: pair: cannot be resumed: it has more results than the input has lines, expected 1, found line 2'
{ head -n 1 original && printf '{"line":1,"text":"of another program"}'; } >pair
batch --temp 0 -n 2 --resume -o pair two.jsonl
exits 3
err 'rwkv7: pair: cannot be resumed: its line 2: expected the result of line 2 of the input, found that of line 1'
ok 'and that line stays' grep -q 'of another program' pair
{ cat original && printf '{"line":3}'; } >pair
cp pair kept
batch --temp 0 -n 2 --resume -o pair two.jsonl
exits 3
ok 'nor is one behind the last line of the input cut off' cmp -s pair kept
for end in '' '\0\0\0'; do # only the newline is missing
    { head -c $(($(wc -c <original) - 1)) original && printf "$end"; } >pair
    batch -q --temp 0 -n 2 --resume -o pair two.jsonl
    exits 0
    ok 'a result without its newline is kept as it is' cmp -s pair original
done
cp "$models/f32_n16.safetensors" other.safetensors
another='another model, vocabulary or state, other options or another version of this program'
for arguments in '--temp 1' '--temp 0 --seed 1' '--temp 0 -n 3' '--temp 0 --stop x' '--temp 0 --ban 3' '--temp 0 --bias 3=1' \
    '--temp 0 --top-p 0.5' '--temp 0 --math fast' '--temp 0 --logprobs 1' '--temp 0 --ignore-eos' '--temp 0 --type q8' \
    '--temp 0 --no-bos' '--temp 0 -m other.safetensors'; do
    batch -n 2 $arguments --resume -o pair two.jsonl
    exits 3
    err "rwkv7: pair: cannot be resumed: its line 1 was made with $another"
    ok "that file stays with $arguments" cmp -s pair original
done
for arguments in '--parallel 2' '-t 2' '--cpu ref' '-q' '--sparse off'; do
    batch -n 2 --temp 0 $arguments --resume -o pair two.jsonl
    exits 0
    ok "that file stays with $arguments" cmp -s pair original
done
sed 's/$/\r/; s/^/ /' two.jsonl >spaces.jsonl
batch -n 2 --temp 0 --resume -o pair spaces.jsonl
exits 0
batch -q --seed 1 -n 2 -o seeded two.jsonl
for seed in 2 ''; do
    batch ${seed:+--seed $seed} -n 2 --resume -o seeded two.jsonl
    exits 3
    err "rwkv7: seeded: cannot be resumed: its line 1 was made with $another"
done

# After a power failure: a partial line and NULs. Errors already in the file count at the end.
for tail in '\0\0\0\0' '{"line":2,"te\0\0' '{"li\0\0\0' '{"line":2,"text":"'; do
    { head -n 1 original && printf "$tail"; } >pair
    batch --temp 0 -n 2 --resume -o pair two.jsonl
    exits 0
    texts pair >got
    texts original >whole
    ok "the same texts behind $tail" cmp -s got whole
done
printf 'no JSON\n{"prompt":"hello","temp":0}\n' >half_bad.jsonl
batch -q -n 2 -o with_error half_bad.jsonl
exits 1
for lines in 1 2; do
    head -n $lines with_error >part
    batch -q -n 2 --resume -o part half_bad.jsonl
    exits 1
    err 'rwkv7: 1 of 2 lines failed'
done

# Lines have a length limit. Running out of memory is an error, not end of file; no result is lost.
if [ $emulated -eq 1 ] || [ $sanitized -eq 1 ]; then
    skip 'limits on memory: an emulator or a sanitizer needs more'
else
    cp original pair
    head -c 300000000 /dev/zero | tr '\0' ' ' >>pair
    size=$(wc -c <pair)
    run sh -c 'ulimit -v 150000; exec rwkv7 batch "$@"' sh -m "$model" --vocab "$vocab" --temp 0 -n 2 --resume -o pair two.jsonl
    exits 1
    err 'rwkv7: out of memory for a line of pair'
    ok 'nothing is cut' sized pair "$size"
    rm pair
    { cat two.jsonl && head -c 70000000 /dev/zero | tr '\0' ' ' && printf '\n' && cat two.jsonl; } >long.jsonl
    batch -q -n 2 --temp 0 long.jsonl
    exits 1
    ok 'an error for that line, and the others' [ "$(grep -c '"text"' "$work/out")" -eq 4 ]
    out_has '^{"line":3,"error":"the line is longer than 67108864 bytes",'
    rm long.jsonl
fi
printf '{"prompt":"hello"}' >one.jsonl
cp one.jsonl kept
ln -s one.jsonl link.jsonl
for arguments in '-o one.jsonl one.jsonl' '--resume -o link.jsonl one.jsonl' '-o one.jsonl ./link.jsonl'; do
    batch $arguments
    exits 2
    err_has '^rwkv7: .*: refusing to overwrite an input file, read as .*$'
    ok 'the input stays' cmp -s kept one.jsonl
done
batch -q --temp 0 -n 16 -o - one.jsonl
exits 0
out_has "^{\"line\":1,\"text\":\"$(alone --temp 0 -n 16 hello)\","
ok 'no file of that name' [ ! -e ./- ]
batch --resume -o - one.jsonl
exits 2

# Blank lines count and have no results.
printf '\n{"prompt":"hello","temp":0,"tokens":16}\n \t\r\n{"prompt":"halo","temp":0,"tokens":3,"id":"b"}\n\n' >blanks.jsonl
{
    sed -n '1s/"line":1,/"line":2,/p' want
    sed -n '2s/"line":2,/"line":4,/p' want
} >want_blanks
rm -f part
for lines in 0 1; do
    batch --resume -o part blanks.jsonl
    exits 0
    texts part >got
    ok "$lines results were there" cmp -s got want_blanks
    head -n 1 part >first && mv first part
done
mkfifo pipe
batch --resume -o pipe six.jsonl
exits 1
err 'rwkv7: pipe: cannot be resumed: not a regular file'

# Results in a FIFO, more than it buffers: writing waits for a reader and fails when it leaves.
run timeout 1 rwkv7 batch -m "$model" --vocab "$vocab" -o pipe six.jsonl # nothing else ends it
exits 124
rwkv7 batch -q -m "$model" --vocab "$vocab" -o pipe six.jsonl </dev/null &
cat pipe >from_pipe
ok 'the program ends' wait $!
texts from_pipe >got
ok 'the texts through a FIFO' cmp -s got want
i=0
while [ $i -lt 200 ]; do
    printf '{"prompt":"hello","tokens":1,"id":"%01000d"}\n' $i
    i=$((i + 1))
done >long_ids.jsonl
head -n 1 pipe >from_pipe &
run timeout 300 rwkv7 batch -q -m "$model" --vocab "$vocab" -o pipe long_ids.jsonl
wait
exits 1
err 'rwkv7: cannot write to pipe: Broken pipe'

# A failure before the first line leaves no file.
for arguments in '-m missing.safetensors' '--ban 99999999' '--state-in missing'; do
    batch $arguments -o never six.jsonl
    ok "fails with $arguments" [ "$code" -ne 0 ]
    ok "no file with $arguments" [ ! -e never ]
    batch $arguments --resume -o never six.jsonl
    ok "no file with $arguments --resume" [ ! -e never ]
done
batch -q -o never /dev/null
exits 0
ok 'no lines, no results, but a file' sized never 0

# With standard error or standard input closed, messages and results do not get mixed up.
head -n 2 six.jsonl >some_lines
last='2>&-'
rwkv7 batch -m "$model" --vocab "$vocab" -o unmixed some_lines </dev/null >"$work/out" 2>&-
code=$?
exits 0
ok 'results only' [ "$(grep -c '^{"line":.*}$' unmixed)" -eq "$(wc -l <unmixed)" ]
last='<&-'
rwkv7 batch -m "$model" --vocab "$vocab" -o unread <&- >"$work/out" 2>"$work/err"
code=$?
exits 1
err 'rwkv7: cannot read standard input: Bad file descriptor'
last='>&-'
rwkv7 batch -m "$model" --vocab "$vocab" some_lines </dev/null >&- 2>"$work/err"
code=$?
exits 1
err_has '^rwkv7: cannot write to standard output: Bad file descriptor$'

# Two programs cannot write to the same file.
mkfifo slow
rwkv7 batch -q -m "$model" --vocab "$vocab" -o shared slow &
first=$!
exec 3>slow
printf '{"prompt":"hello","tokens":1}\n' >&3
await [ -s shared ] # it has a result, so the file is locked
batch --resume -o shared six.jsonl
exits 1
err 'rwkv7: shared: locked by another program that is writing to it'
exec 3>&-
wait $first
# Results that another program wrote just before the lock are not overwritten.
if [ -z "${LAST_WRITER:-}" ] || [ $sanitized -eq 1 ]; then
    skip 'a writer just before the lock: cannot be put between here'
else
    cp "$LAST_WRITER" last_writer.so # a path with a space would be two
    run env LD_PRELOAD=./last_writer.so rwkv7 batch -q -m "$model" --vocab "$vocab" -o contested six.jsonl
    exits 1
    err 'rwkv7: contested: not empty; use --resume to continue it'
    ok 'the line of the other one stays' holds_lines contested 'of another'
fi
if [ -w /dev/full ]; then
    batch -q -o /dev/full six.jsonl
    exits 1
    err 'rwkv7: cannot write to /dev/full: No space left on device'
fi

# Each result is written at once: a program may wait for it before it sends the next line.
mkfifo lines answers
rwkv7 batch -q --model "$model" --vocab "$vocab" lines >answers 2>/dev/null &
exec 4<answers
exec 3>lines
count=0
while [ $count -lt 3 ]; do
    printf '{"prompt":"hello","temp":0,"tokens":%d}\n' $((count + 1)) >&3
    read -r answer <&4
    case $answer in
        *'"tokens":'$((count + 1))*) count=$((count + 1)) ;;
        *) break ;;
    esac
done
exec 3>&-
last='a dialogue'
ok 'an answer to each line before the next' [ "$count" -eq 3 ]
ok 'the end of the input is the end' wait $!
exec 4<&-

# The reader closes the pipe: only complete lines are written.
i=0
while [ $i -lt 200 ]; do
    printf '{"prompt":"hello"}\n'
    i=$((i + 1))
done >many.jsonl
last='a reader that leaves'
ok 'ends quietly' [ "$(rwkv7 batch -m "$model" --vocab "$vocab" many.jsonl 2>&1 | head -n 1 | grep -c '"line":1,')" = 1 ]

# ^C: only complete lines are written; --resume does the rest.
interrupt_at stopped &
run sh -c 'echo $$ >pid; exec rwkv7 batch -n 2000 --ignore-eos "$@"' sh -m "$model" --vocab "$vocab" --seed 1 -o stopped \
    many.jsonl
wait
exits 130
err_has '^batch [0-9]+ prompts, '
ok 'leaves whole lines' [ "$(tail -n 1 stopped | grep -c '}$')" = 1 ]
lines=$(wc -l <stopped)
ok 'not all of them' [ "$lines" -lt 200 ]
head -n $((lines + 1)) many.jsonl >some.jsonl
batch -n 2000 --ignore-eos --seed 1 --resume -o stopped some.jsonl
exits 0
err_has "^batch 1 prompt \($lines already done\), "
