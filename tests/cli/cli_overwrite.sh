# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# No output overwrites an input: every output with every input, also under other names.

cp "$models/f32_n16.safetensors" model.st
cp "$models/f32_n16.state.safetensors" tuned.st
cp "$tests/bytes.vocab.txt" vocab.txt
printf 'hello' >notes
printf '1,2,3' >ids
printf '{"prompt":"hello"}\n' >lines.jsonl
printf 'hello\n' >messages
printf 'User: {user}\n\nAssistant: {answer}\n' >template.txt

# A folder with two shards, which must be separate files, and a vocabulary.
mkdir folder
rwkv7 convert -q --vocab vocab.txt model.st whole.st
cp vocab.txt folder/a.vocab.txt
cp model.st folder/model-1.safetensors
{
    printf '{"weight_map":{'
    rwkv7 info --tensors model.st | sed -n 's/^  \([^ ]*\) .*/"\1":"model-1.safetensors"/p' | paste -sd, -
    printf '}}'
} >folder/model.safetensors.index.json

# An adapter: zeroes for one matrix of [48, 48].
mkdir adapter
{
    header='{"blocks.0.att.key.lora_A":{"dtype":"F32","shape":[1,48],"data_offsets":[0,192]},"blocks.0.att.key.lora_B":{"dtype":"F32","shape":[48,1],"data_offsets":[192,384]}}  '
    # shellcheck disable=SC2059 # the length, in octal
    printf "$(printf '\\%03o' "${#header}")\\0\\0\\0\\0\\0\\0\\0$header"
    head -c 384 /dev/zero
} >adapter/adapter_model.safetensors
cp adapter/adapter_model.safetensors lora.st
cp lora.st first.st
printf '{"peft_type":"LORA","lora_alpha":1}' >adapter/adapter_config.json

# refused FILE COMMAND...: a command that would overwrite FILE. Standard input is a file, too.
refused() {
    input=$1
    shift
    cp "$input" before
    inode=$(ls -i "$input")
    last=$*
    "$@" <messages >"$work/out" 2>"$work/err"
    code=$?
    exits 2
    text ''
    ok 'one line' [ "$(wc -l <"$work/err")" -eq 1 ]
    err_has '^rwkv7: .*: refusing to overwrite an input file, read as .+$'
    ok "$input holds what it held" cmp -s before "$input"
    ok "$input is the same file" [ "$(ls -i "$input")" = "$inode" ]
}

talk="--vocab vocab.txt -q -n 2"
m='-m model.st'
# The input, and the command up to its output.
while read -r input command; do
    # shellcheck disable=SC2086 # words
    refused "$input" rwkv7 $command "$input"
done <<END
model.st                            run $m $talk hello --state-out
model.st                            chat $m $talk --state-out
model.st                            logits $m --tokens 1 -o
model.st                            batch $m $talk lines.jsonl -o
model.st                            convert model.st
whole.st                            run -m whole.st -q -n 2 hello --state-out
folder/model-1.safetensors          run -m folder $talk hello --state-out
folder/model-1.safetensors          chat -m folder $talk --state-out
folder/model-1.safetensors          logits folder --tokens 1 -o
folder/model-1.safetensors          convert folder
folder/model.safetensors.index.json run -m folder $talk hello --state-out
folder/model.safetensors.index.json chat -m folder $talk --state-out
folder/model.safetensors.index.json logits folder --tokens 1 -o
folder/model.safetensors.index.json convert folder/model.safetensors.index.json
vocab.txt                           run $m $talk hello --state-out
vocab.txt                           chat $m $talk --state-out
vocab.txt                           batch $m $talk lines.jsonl -o
vocab.txt                           convert --vocab vocab.txt model.st
folder/a.vocab.txt                  run -m folder -q -n 2 hello --state-out
folder/a.vocab.txt                  chat folder -q -n 2 --state-out
folder/a.vocab.txt                  convert folder
folder/a.vocab.txt                  convert folder/model-1.safetensors
tuned.st                            run $m $talk --state tuned.st hello --state-out
tuned.st                            chat $m $talk --state tuned.st --state-out
tuned.st                            logits $m --state tuned.st --tokens 1 -o
tuned.st                            batch $m $talk --state tuned.st lines.jsonl -o
template.txt                        chat $m $talk --template template.txt --state-out
notes                               run $m $talk -f notes --state-out
messages                            run $m $talk --state-out
messages                            run $m $talk - --state-out
messages                            chat $m $talk --state-out
messages                            batch $m $talk -o
messages                            batch $m $talk - -o
ids                                 logits $m --tokens @ids -o
lines.jsonl                         batch $m $talk lines.jsonl -o
lines.jsonl                         batch $m $talk lines.jsonl --resume -o
lora.st                             convert model.st --lora lora.st --lora-alpha 1
first.st                            convert model.st --lora lora.st --lora-init first.st --lora-alpha 1
adapter/adapter_model.safetensors   convert model.st --lora adapter
adapter/adapter_config.json         convert model.st --lora adapter
END

# Files of the model are inputs also if the command does not read them: vocabularies, config files.
mkdir full
cp whole.st full/model.safetensors
cp model.st plain.st
cp vocab.txt plain.vocab.txt
for name in a.vocab.txt rwkv_vocab_v20230424.txt tokenizer.json chat_template.jinja; do
    cp vocab.txt "full/$name"
done
printf '{"vocab_size":256}' >full/config.json
printf '{"chat_template":"none"}' >full/tokenizer_config.json
printf 'User: {user}\n\nAssistant: {answer}\n' >full/chat_template.jinja
for name in a.vocab.txt rwkv_vocab_v20230424.txt tokenizer.json config.json tokenizer_config.json chat_template.jinja; do
    refused "full/$name" rwkv7 logits -m full --tokens 1 -o "full/$name"
    refused "full/$name" rwkv7 logits full/model.safetensors --tokens 1 -o "full/$name"
    # shellcheck disable=SC2086
    refused "full/$name" rwkv7 run -m full $talk hello --state-out "full/$name"
    refused "full/$name" rwkv7 convert full "full/$name"
done
refused plain.vocab.txt rwkv7 logits -m plain.st --tokens 1 -o plain.vocab.txt
# shellcheck disable=SC2086
refused plain.vocab.txt rwkv7 run -m plain.st $talk hello --state-out plain.vocab.txt
printf '{}' >config.json # of another program: not read for a model in one file
run rwkv7 logits -m plain.st --tokens 1 -o config.json
exits 0
rm -r full plain.st plain.vocab.txt config.json

# Batch never overwrites a file that is not empty; this is checked first.
for input in folder/model-1.safetensors folder/model.safetensors.index.json folder/a.vocab.txt; do
    for resume in '' --resume; do
        cp "$input" before
        # shellcheck disable=SC2086
        run rwkv7 batch -m folder -q -n 2 $resume -o $input lines.jsonl
        ok 'refused' [ "$code" -ne 0 ]
        err_has "^rwkv7: $input: (cannot be resumed|refusing to overwrite an input file)|^rwkv7: $input: not empty"
        ok "$input holds what it held" cmp -s before "$input"
    done
done

# Ids from standard input, and a model of the environment.
printf '1 2' >messages
refused messages rwkv7 logits -m model.st --tokens @- -o messages
refused model.st env RWKV7_MODEL=model.st rwkv7 logits --tokens 1 -o model.st

# Under another name: a path, a link, a link to a link, a descriptor.
ln notes hard
ln -s notes soft
ln -s soft softer
for name in ./notes "$PWD/notes" hard soft softer folder/../notes; do
    # shellcheck disable=SC2086
    refused notes rwkv7 run $m $talk -f notes --state-out "$name"
    # shellcheck disable=SC2086
    refused notes rwkv7 run $m $talk -f "$name" --state-out notes
done
ok 'the link is one' [ -h soft ]
for name in /dev/fd/9 /dev/stdin; do
    [ -e /dev/fd ] || continue
    # shellcheck disable=SC2016
    refused model.st sh -c 'rwkv7 logits -m model.st --tokens 1 -o "$1" 9<>model.st <model.st' sh $name
done
rm hard soft softer

# /save in the middle of a conversation, which continues.
for input in model.st vocab.txt folder/model-1.safetensors tuned.st; do
    case $input in
    folder*) from='-m folder' ;;
    tuned*) from="$m --state tuned.st" ;;
    *) from=$m ;;
    esac
    cp "$input" before
    printf '/save %s\n/save kept\n' "$input" >messages
    last="/save $input"
    # shellcheck disable=SC2086
    rwkv7 chat $from $talk <messages >"$work/out" 2>"$work/err"
    code=$?
    exits 2
    err "rwkv7: $input: refusing to overwrite an input file, read as $input"
    ok "$input holds what it held" cmp -s before "$input"
    ok 'the next one is kept' [ -s kept ]
    rm kept
done
printf '/save messages\nhello\n' >messages
cp messages before
# shellcheck disable=SC2086
run sh -c 'exec rwkv7 chat "$@" <messages' sh $m $talk
exits 2
err 'rwkv7: messages: refusing to overwrite an input file, read as standard input'
ok 'the messages stay' cmp -s before messages

# Standard output that is an input would never end; if all is read first, it is appended to.
refused_append() {
    cp lines.jsonl before
    last=$*
    (
        ulimit -f 2000 # ends it if it was not rejected
        "$@" <lines.jsonl >>lines.jsonl 2>"$work/err"
    )
    code=$?
    exits 2
    err_has '^rwkv7: standard output: refusing to overwrite an input file, read as (standard input|lines.jsonl)$'
    ok 'nothing is appended' cmp -s before lines.jsonl
}
# shellcheck disable=SC2086
{
    refused_append rwkv7 batch $m $talk
    refused_append rwkv7 batch $m $talk lines.jsonl
    refused_append rwkv7 tokenize --vocab vocab.txt
    refused_append rwkv7 run $m $talk --echo
    refused_append rwkv7 run $m $talk --echo -f lines.jsonl
}
# Standard output must not be a file of the model, which is memory-mapped.
cp model.st mine.st
for command in 'info -m mine.st' 'info --json mine.st' 'logits -m mine.st --tokens 1 -o -' 'chat -q -m mine.st --vocab vocab.txt' \
    'run -q -m mine.st --vocab vocab.txt -n 3 hi' 'bench -m mine.st -p 1 -n 1 -r 1' 'eval -m mine.st --vocab vocab.txt notes'; do
    given ''
    # shellcheck disable=SC2086
    run sh -c 'exec rwkv7 "$@" >>mine.st' sh $command
    exits 2
    err_has 'mine.st: refusing to read a file that standard output or standard error goes to|refusing to overwrite an input file, read as mine.st'
    ok "the model stays: $command" cmp -s mine.st model.st
done
given 'hello
'
# shellcheck disable=SC2086
run sh -c 'exec rwkv7 chat "$@" <"$0" >>"$0"' lines.jsonl $m $talk -q
exits 2
err_has '^rwkv7: standard output: refusing to overwrite an input file, read as standard input$'

# Two outputs in one file: the one written last would replace the other.
# shellcheck disable=SC2086
{
    run sh -c 'exec rwkv7 run "$@" --state-out both >both' sh $m $talk hello
    exits 2
    err 'rwkv7: both: refusing to replace a file that standard output or standard error goes to'
    run sh -c 'exec rwkv7 logits "$@" --tokens 1 -o both 2>both' sh $m
    exits 2
    ok 'told on standard error' grep -q 'refusing to replace' both
}

cp notes before
# shellcheck disable=SC2086
run sh -c 'exec rwkv7 run "$@" -f notes >>notes' sh $m $talk --temp 0
exits 0
ok 'a prompt may grow' sh -c 'head -c 5 notes | cmp -s - before && [ "$(wc -c <notes)" -gt 5 ]'
cp before notes

# Devices and pipes are not inputs to protect; a file that is read completely first may be replaced.
mkfifo pipe
# shellcheck disable=SC2086
{
    run rwkv7 run $m $talk -f /dev/null --state-out /dev/null hello
    exits 0
    rwkv7 run $m $talk hello --state-out one </dev/null >/dev/null
    run rwkv7 run $m $talk --state-in one --state-out one
    exits 0
    silent
    given '/load one
/save one
/load one'
    run rwkv7 chat $m $talk --state-in one --state-out one
    exits 0
    silent
    cat pipe >copy &
    run rwkv7 run $m $talk hello --state-out pipe
    wait
    exits 0
    ok 'through a pipe' [ -s copy ]
}
