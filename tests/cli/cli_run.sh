# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 run: prompts, stop strings, sampling, the same text everywhere.

model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt
story() { # with the smallest model and a vocabulary of syllables
    run rwkv7 run --model "$model" --vocab "$vocab" "$@"
}

# The prompt from every source; `greedy` is the text after "hello".
greedy='ju gainemo qa re xe ve re sa luzanu mo be'
story --temp 0 -n 16 hello
exits 0
text "$greedy"
err_has '^prompt [0-9]+ tokens, [0-9.]+ tok/s; generated 16 tokens, [0-9.]+ tok/s, [0-9.]+ GB/s; memory [0-9.]+ .B$'
for arguments in '--prompt-file=hello.txt' '-f hello.txt' '-qf hello.txt' '-vf hello.txt' '-- hello'; do
    printf hello >hello.txt
    story --temp=0 -n16 $arguments
    exits 0
    text "$greedy"
done
# Weights locked in memory, or the error, for an unprivileged user with a low limit.
story --mlock --temp 0 -n 16 hello
if [ "$code" -eq 0 ]; then
    text "$greedy"
else
    exits 1
    err_has 'its weights .* cannot be locked in memory: .*; see ulimit -l$'
fi
for arguments in '' - '--prompt-file -' '-f- -'; do
    given hello
    story --temp 0 -n 16 $arguments
    exits 0
    text "$greedy"
done
given hel
story --temp 0 -n 16 lo
text "$greedy"
printf l >l.txt
given hel
story --temp 0 -n 16 -f l.txt o
text "$greedy"
last='closed standard input'
ok 'the prompt alone' [ "$(rwkv7 run -qm "$model" --vocab "$vocab" --temp 0 -n 16 hello <&-)" = "$greedy" ]
printf hello >--help
story --temp 0 -n 16 -f --help
text "$greedy"
story -n 1 -- -n
exits 3
err_has 'no token for byte 0x2d' # read as text; the vocabulary has no '-'
story -f missing.txt
exits 1
err 'rwkv7: cannot read missing.txt: No such file or directory'
story -f .
exits 1
err_has '^rwkv7: cannot read .: '
story --echo --temp 0 -n 16 hello
text "hello$greedy"

# No prompt: starts from the document separator; without one it is an error.
story -n 3
exits 0
err_has '^prompt 1 token[;,]'
story -n 3 --no-bos
exits 2
err_has 'the prompt is empty'
story -n 0 hello
exits 0
text ''
err_has '^prompt [0-9]+ tokens, [0-9.]+ tok/s; memory [0-9.]+ .B$'

# --quiet and --verbose.
story -q --temp 0 -n 16 hello
silent
story -v --temp 0 -n 1 hello
err_has "^model .*bf16_n64.*; vocabulary .*syllables.*; kernels [a-z0-9]+, threads [1-9]"
story -t 2 -v -n 1 hello
err_has 'threads 2$'

# End of the text: --tokens, stop strings across tokens, banned and ignored end-of-text tokens.
story -q --temp 0 -n 5 hello
text 'ju gainemo '
story -q --temp 0 --stop aine hello
text 'ju g'
story -q --temp 0 --stop nothing --stop 'mo q' -n 16 hello
text 'ju gaine'
story -q --temp 0 --stop '\x71' -n 16 hello
text 'ju gainemo '
story -q --temp 0 --stop 'mo nothing' -n 16 hello
text "$greedy"
story --temp 0 -n 60 'some rain, then more'
err_has 'generated [1-5][0-9] tokens' # the model ends the text
story --bias 0=1000 hello
text ''
err_has '; generated 0 tokens: the model ended the text at once'
story --temp 0 -n 60 --ignore-eos 'some rain, then more'
err_has 'generated 60 tokens'
first=$(rwkv7 tokenize --vocab "$vocab" 'ju ')
story -q --temp 0 -n 1 --ban "$first" hello
ok 'another token' [ "$(cat "$work/out")" != 'ju ' ]
story -q --temp 0 -n 2 --bias "$first=100" hello
text 'ju ju '
story --ban 9999 hello
exits 2
err_has '9999'

# Sampling: a seed repeats the text, and a random one is shown so that it can be repeated.
story -q --seed 7 -n 20 hello
cp "$work/out" first
story --seed 7 -n 20 hello
ok 'the same text' cmp -s "$work/out" first
err_has '; seed 7$'
story -q --seed 8 -n 20 hello
ok 'another text' [ "$(cat "$work/out")" != "$(cat first)" ]
story -n 20 hello
cp "$work/out" first
story --seed "$(sed -n 's/.*; seed //p' "$work/err")" -n 20 hello
ok 'the same text' cmp -s "$work/out" first
story -q --top-k 1 -n 16 hello
text "$greedy"
story -q --min-p 1 -n 16 hello
text "$greedy"
for p in 0 0.000001; do
    story -q --top-p $p -n 16 hello
    text "$greedy"
done
story -q --temp 0 --frequency 100 --presence 100 -n 200 hello
ok 'penalties change the text' [ "$(head -c ${#greedy} "$work/out")" != "$greedy" ]

# The same text on every tier of kernels and with every number of threads.
tiers=$(rwkv7 --version | sed -n 's/^kernels: .*(here: \(.*\)),.*/\1/p')
for checkpoint in bf16_n64 bf16_n64_st; do
    for threads in 1 2 3; do
        for tier in $tiers; do
            run env RWKV7_CPU="$tier" rwkv7 run -qt $threads --model "$models/$checkpoint.safetensors" --vocab "$vocab" \
                --seed 3 -n 40 'one more'
            [ -f "same" ] || cp "$work/out" same
            ok "the same text, $tier" cmp -s "$work/out" same
        done
    done
done
for type in f32 f16 bf16; do
    story --type $type hello
    exits 2
    err "rwkv7: --type needs one of $weights, not '$type'
Try 'rwkv7 help run'."
done
story --cpu z80 hello
exits 2
err_has "'z80'"

# Text is valid UTF-8, whatever bytes the model chooses.
run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --seed 1 -n 300 hello
exits 0
ok 'valid UTF-8' iconv -f UTF-8 -t UTF-8 "$work/out" >"$work/converted"

# Padding rows, here 156 of 257, are often the most likely and never drawn.
head -n 100 "$vocab" >short.txt
for temp in 0 3; do
    run rwkv7 run --model "$model" --vocab short.txt --json --logprobs 1 --ignore-eos -n 200 --temp $temp --seed 1 hello
    exits 0
    drawn=$(grep -o '"id":[0-9]*,"text":"[^"]*","logprob":[-0-9.]*,"top"' "$work/out" | grep -o '"id":[0-9]*' | cut -d : -f 2)
    ok '200 tokens' [ "$(echo "$drawn" | wc -l)" -eq 200 ]
    ok 'ids of the vocabulary' [ "$(echo "$drawn" | sort -n | tail -n 1)" -le 100 ]
    ok 'likelier padding' grep -q '"top":\[{"id":1[0-9][0-9],' "$work/out"
done

# A model whose vocabulary gives id 0 a text: no token is put before the prompt.
if [ -d "$shared/vectors/reverse" ]; then
    given 12345,
    run rwkv7 run -m "$shared/vectors/reverse/reverse_rwkv7_L4_D32.safetensors" \
        --vocab "$shared/vectors/reverse/reverse_vocab.txt" --temp 0 --stop '#'
    exits 0
    text 54321
    err_has '^prompt 6 tokens'
else
    skip 'the reversal model is not here'
fi
