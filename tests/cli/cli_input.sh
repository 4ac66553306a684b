# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Prompts: byte order marks, UTF-16, trailing white space, implicit standard input; in every
# command.

ln -s "$models/f32_n16.safetensors" model.safetensors
ln -s "$tests/bytes.vocab.txt" vocab.txt
with='-m model.safetensors --vocab vocab.txt'
spaced='rwkv7: the prompt ends in white space, which changes the text that follows; --strip removes it'
printf '\357\273\277' >mark

# fed TEXT: checks that this was the prompt, byte by byte
fed() {
    exits 0
    text "$1"
    err_has "^prompt $((${#1} + 1)) token" # and token 0
}

# A byte order mark at the start of a text is skipped, from any source; elsewhere it is text.
printf '\357\273\277ab' >marked
cp marked "$work/in"
run rwkv7 run $with -n 0 --echo
fed ab
run rwkv7 run $with -n 0 --echo -f marked
fed ab
run rwkv7 run $with -n 0 --echo "$(cat marked)"
fed ab
cp marked "$work/in"
run rwkv7 run $with -n 0 --echo -f marked "$(cat marked)"
fed ababab
run sh -c '(printf "\\357"; sleep 0.2; printf "\\273"; sleep 0.2; printf "\\277"; sleep 0.2; printf ab) | rwkv7 run "$@"' sh $with -n 0 --echo
fed ab
cp mark "$work/in"
run rwkv7 run $with -n 0 --echo
exits 0
text ''
printf '\357\273' >"$work/in"
run rwkv7 tokenize --vocab vocab.txt
out '240 188'
printf 'a\357\273\277' >"$work/in"
run rwkv7 tokenize --vocab vocab.txt
out '98 240 188 192'
cp marked "$work/in"
run rwkv7 tokenize --vocab vocab.txt
out '98 99'
run rwkv7 tokenize --vocab vocab.txt "$(cat marked)"
out '98 99'
{
    cat mark
    printf '98 99'
} >ids
cp ids "$work/in"
run rwkv7 tokenize --vocab vocab.txt --decode
text ab
run rwkv7 logits model.safetensors --tokens @ids -o logits.npy
exits 0
{
    cat mark
    printf '{"prompt": "ab", "tokens": 0}\n'
} >"$work/in"
run rwkv7 batch $with
exits 0
out_has '^\{"line":1,"text":"","finish":"length","prompt_tokens":3,'
{
    cat mark
    printf '{"text": "ab cd"}\n'
} >line.jsonl
run rwkv7 eval $with --task lambada line.jsonl
exits 0
run rwkv7 eval $with marked
exits 0
out_has '^bytes +2$'
cp marked "$work/in"
run rwkv7 chat $with -n 1 --temp 0
cp "$work/out" answer
given 'ab'
run rwkv7 chat $with -n 1 --temp 0
ok 'the same answer' cmp -s "$work/out" answer
run rwkv7 chat $with -n 0 --state-out a.state --system "$(cat marked)"
run rwkv7 chat $with -n 0 --state-out b.state --system ab
ok 'the same system prompt' cmp -s a.state b.state

# UTF-16 is rejected in both byte orders.
printf 'a\0b\0' >text16
for marks in '\377\376' '\376\377'; do
    {
        printf "$marks"
        cat text16
    } >wide
    refused() { # refused NAME COMMAND...
        name=$1
        shift
        cp wide "$work/in"
        run "$@"
        exits 1
        text ''
        err_has "^rwkv7: $name: expected UTF-8, found UTF-16; convert it with iconv -f UTF-16 -t UTF-8\$"
    }
    refused 'standard input' rwkv7 run $with -n 0 --echo
    refused wide rwkv7 run $with -N -n 0 --echo -f wide
    refused 'standard input' rwkv7 tokenize --vocab vocab.txt
    refused 'standard input' rwkv7 tokenize --vocab vocab.txt --decode
    refused wide rwkv7 logits model.safetensors --tokens @wide -o logits.npy
    refused wide rwkv7 eval $with wide
    refused wide rwkv7 eval $with --task choices wide
    refused wide rwkv7 batch -q $with wide
    refused 'standard input' rwkv7 chat $with
done
run sh -c '(printf "\\377"; sleep 0.2; printf "\\376a") | rwkv7 tokenize --vocab vocab.txt'
err_has 'found UTF-16'
printf '\377a' >"$work/in" # no mark
run rwkv7 tokenize --vocab vocab.txt
out '256 98'

# White space at the end of a prompt is reported; --strip removes it.
for space in '\n' '\r\n' ' ' '\t\v\f' ' \n\n'; do
    printf "a b$space" >"$work/in"
    cp "$work/in" prompt
    run rwkv7 run $with -q -n 0 --echo
    ok 'the prompt as it is' cmp -s prompt "$work/out"
    err "$spaced"
    run rwkv7 run $with -q -n 0 --echo -f prompt --no-stdin
    err "$spaced"
    cp prompt "$work/in"
    run rwkv7 run $with -q -n 0 --echo --strip
    text 'a b'
    silent
    run rwkv7 run $with -q -n 0 --echo --strip -f prompt 'c '
    text "$(cat prompt; echo c)"
    silent
done
run rwkv7 run $with -q -n 0 --echo 'a '
err "$spaced"
given ' a'
run rwkv7 run $with -q -n 0 --echo --strip
text ' a'
silent
# More white space than one read returns, with and without text after it.
spaces=$(printf '%70000s' '')
given "a$spaces"
run rwkv7 run $with -n 0 --echo --strip
fed a
given "a${spaces}b$spaces"
run rwkv7 run $with -n 0 --echo --strip
fed "a${spaces}b"
given "$spaces"
run rwkv7 run $with -n 0 --echo --strip
exits 0
text ''
# With --strip the text equals that of a prompt without white space.
run rwkv7 run $with -q -n 8 --temp 0 ab
cp "$work/out" answer
given 'ab
'
run rwkv7 run $with -q -n 8 --temp 0 --strip
ok 'the same text' cmp -s "$work/out" answer
printf '%s\n' '{"prompt": "a"}' '{"prompt": "a \n"}' '{"prompt": "a", "strip": true}' '{"prompt": "a\n", "strip": true}' >prompts
run rwkv7 batch $with -q -n 0 prompts
exits 0
err 'rwkv7: 1 of 4 prompts end in white space, which changes the texts that follow; --strip removes it'
ok 'prompts of two and four tokens' [ "$(sed 's/.*"prompt_tokens":\([0-9]*\).*/\1/' "$work/out" | tr '\n' ' ')" = '2 4 2 2 ' ]
run rwkv7 batch $with -q -n 0 --strip prompts
silent

# Standard input is read without being named, with a notice; --no-stdin skips it.
given 'abc'
run rwkv7 run $with -q -n 0 --echo d
text abcd
err 'rwkv7: read 3 bytes of standard input before the prompt; --no-stdin skips it'
given 'c'
printf d >prompt
run rwkv7 run $with -q -n 0 --echo -f prompt
text cd
err 'rwkv7: read 1 byte of standard input before the prompt; --no-stdin skips it'
for option in --no-stdin -N; do
    given 'abc'
    run rwkv7 run $with -q $option -n 0 --echo d
    text d
    silent
done
run rwkv7 run $with -q -n 0 --echo d # no standard input
silent
given 'abc'
run rwkv7 run $with -q -n 0 --echo
silent
given 'abc'
run rwkv7 run $with -q -n 0 --echo -f - d # named with -f -
text abcd
silent
printf '%s\n' one two three >lines
run sh -c 'while read -r line; do rwkv7 run "$@" -n 0 --echo -N "$line"; echo; done <lines' sh $with -q
out 'one
two
three'
silent
run sh -c 'while read -r line; do rwkv7 run "$@" -n 0 --echo "$line"; done <lines' sh $with -q
text 'two
three
one'
err 'rwkv7: read 10 bytes of standard input before the prompt; --no-stdin skips it'
for arguments in - '-f -' '-f- -'; do
    run rwkv7 run $with -N $arguments
    exits 2
    err_has '^rwkv7: - means standard input, which --no-stdin excludes$'
done
