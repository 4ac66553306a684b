# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 tokenize: text to ids and back, any bytes, any length.

bytes=$tests/bytes.vocab.txt
vocab=$tests/syllables.vocab.txt

run rwkv7 tokenize --vocab "$bytes" abc
exits 0
silent
out '98 99 100'
given abc
run rwkv7 tokenize --vocab "$bytes"
out '98 99 100'
given abc
run rwkv7 tokenize --vocab "$bytes" -
out '98 99 100'
run rwkv7 tokenize --vocab "$bytes" ''
out ''
run rwkv7 tokenize --vocab "$bytes" -- --count
out '46 46 100 112 118 111 117'
run rwkv7 tokenize --vocab "$bytes" --count abc
out 3
run rwkv7 tokenize --vocab "$bytes" -l "$(printf 'a"\\\n\t\033\302\251z')"
out '98	"a"
35	"\""
93	"\\"
11	"\n"
10	"\t"
28	"\x1b"
195	"\xc2"
170	"\xa9"
123	"z"'

# Complete characters are shown, except invisible and control characters.
printf "1 '\303\244\342\202\254' 5\n2 '\302\2335m' 4\n3 '\342\200\213\357\273\277' 6\n" >shown.vocab.txt
run rwkv7 tokenize --vocab shown.vocab.txt -l "$(printf '\303\244\342\202\254\302\2335m\342\200\213\357\273\277')"
out "$(printf '1\t"\303\244\342\202\254"')
2	\"\\xc2\\x9b5m\"
3	\"\\xe2\\x80\\x8b\\xef\\xbb\\xbf\""

run rwkv7 tokenize --vocab "$bytes" --decode '98 99, 100'
exits 0
silent
text abc
given '98
99,100'
run rwkv7 tokenize --vocab "$bytes" -d
text abc
run rwkv7 tokenize --vocab "$bytes" -d '0 98 0'
silent
text a
run rwkv7 tokenize --vocab "$bytes" -d '98 300 4000000000'
exits 0
text a
err 'rwkv7: skipped 2 ids without text, the first is 300'
run rwkv7 tokenize --vocab "$bytes" -d 300
err 'rwkv7: skipped 1 id without text, the first is 300'
run rwkv7 tokenize --vocab "$bytes" -d '98 x'
exits 2
err_has "expected token ids, found 'x'"
run rwkv7 tokenize --vocab "$bytes" -d '98 4294967296'
exits 2
err_has 'a token id is at most 4294967295'
run rwkv7 tokenize --vocab "$bytes" -d ' -1'
exits 2

# Greedy: the longest token wins, however the input is cut into pieces.
run rwkv7 tokenize --vocab "$vocab" --lines 'thing the '
out '20	"t"
58	"hi"
14	"n"
7	"g"
27	" "
237	"the "'
given 'some under '
run rwkv7 tokenize --vocab "$vocab" --count
out 2
last='pieces'
{
    printf so
    sleep 0.2
    printf 'me un'
    sleep 0.2
    printf 'der '
} | rwkv7 tokenize --vocab "$vocab" --count >"$work/out"
out 2
run rwkv7 tokenize --vocab "$vocab" 'x-'
exits 3
err_has 'no token for byte 0x2d'

# The vocabulary beside a model is found. The built-in vocabulary is only for the built-in model.
mkdir folder
cp "$models/f32_n16.safetensors" folder/my.safetensors
run rwkv7 tokenize --model folder/my.safetensors abc
exits 3
text ''
err_has '^rwkv7: no vocabulary found for folder/my.safetensors; '
cp "$bytes" folder/my.vocab.txt
run rwkv7 tokenize --model folder/my.safetensors abc
out '98 99 100'
run rwkv7 tokenize --model folder abc
out '98 99 100'
run rwkv7 tokenize --model folder/other.safetensors abc
exits 1
text ''
err 'rwkv7: folder/other.safetensors: No such file or directory'
run rwkv7 tokenize --model folder/my.vocab.txt abc
exits 3
text ''

# All bytes survive encoding and decoding; 3 MB are many blocks.
head -c 3000000 /dev/urandom >random
for file in random "$tests/long.vocab.txt"; do
    last="$file and back"
    rwkv7 tokenize --vocab "$tests/long.vocab.txt" <"$file" | rwkv7 tokenize --vocab "$tests/long.vocab.txt" -d >back
    ok 'the same bytes' cmp -s "$file" back
done
if [ -f "$shared/vectors/rwkv_vocab_v20230424.txt" ]; then
    world=$shared/vectors/rwkv_vocab_v20230424.txt
    run rwkv7 tokenize --vocab "$world" 'Hello, wörld 😀'
    out '33155 45 354 9357 2010 33 3319 153 129'
    rwkv7 tokenize --vocab "$world" <random | rwkv7 tokenize --vocab "$world" -d >back
    ok 'the same bytes' cmp -s random back
else
    skip 'the World vocabulary is not here'
fi

# A GPT-NeoX tokenizer.json is detected from the file. A pipe splits words, spaces and special
# tokens.
small=$tests/../neox/small.json
ids='102 252 41 118 667 123 279 0'
run rwkv7 tokenize --vocab "$small" "don't  you<|endoftext|>"
exits 0
out "$ids"
run sh -c 'for part in don "'"'"'" "t " " " "you<|endof" "text|>"; do printf %s "$part"; sleep 0.05; done | rwkv7 tokenize --vocab "$0"' "$small"
out "$ids"
run rwkv7 tokenize --vocab "$small" --decode "$ids"
text "don't  you"

# An installed vocabulary is for models without their own, not for the built-in model.
with_builtin() {
    rwkv7 tokenize 'the theory' </dev/null 2>&1
    rwkv7 run -q -n 8 --temp 0 'Once upon a time' </dev/null 2>&1
}
with_builtin >before
installed=$HOME/.local/share/rwkv7
mkdir -p "$installed" elsewhere
cp "$vocab" "$installed/rwkv_vocab_v20230424.txt"
cp "$models/f32_n16.safetensors" elsewhere/my.safetensors
run rwkv7 tokenize --model elsewhere/my.safetensors 'the '
out 237
with_builtin >behind
if rwkv7 run -q -n 0 hello </dev/null >/dev/null 2>&1; then
    last='the built-in model'
    ok 'the same ids and text with another vocabulary installed' cmp -s before behind
else
    skip 'no model is compiled in'
fi
cp "$bytes" elsewhere/my.vocab.txt
run rwkv7 tokenize --model elsewhere/my.safetensors 'the '
out '117 105 102 33'
rm -r "$installed"
