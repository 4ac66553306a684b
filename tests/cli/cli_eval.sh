# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 eval: the numbers of the float64 oracle (make_eval_expected.py); invalid texts and tasks.

data=$tests/eval
model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt
size=$(wc -c <"$model")
head -c $((size - 20000)) "$model" >other.safetensors
head -c 20000 /dev/zero >>other.safetensors

# near KEY TOLERANCE: compares a number of the JSON output with expected.tsv; relative tolerance
near() {
    got=$(sed -n "s/^.*\"${1#*.}\":[[:space:]]*\([^,]*\).*\$/\1/p" "$work/out")
    want=$(awk -v key="$1" '$1 == key { print $2 }' "$data/expected.tsv")
    ok "expected $1 near $want, found $got" awk -v got="$got" -v want="$want" -v part="$2" 'BEGIN {
        if (got == "" || want == "" || got - want > part * want || want - got > part * want) exit 1
    }'
}

run rwkv7 eval -m "$model" --vocab "$vocab" --against other.safetensors --json "$data/text.txt"
exits 0
silent
near text.tokens 0
near text.bytes 0
near text.loss 1e-6
near text.bits_per_byte 1e-6
near text.perplexity 1e-6
near text.reference_perplexity 1e-6
near text.kl_divergence_mean 1e-5
near text.kl_divergence_p99 0.006
near text.kl_divergence_max 1e-5
near text.top_1_agreement 1e-6
cp "$work/out" whole

# The same numbers for every source of the text, thread count and kernel tier.
if [ $emulated -eq 0 ]; then
    cp "$data/text.txt" "$work/in"
    run rwkv7 eval -m "$model" --vocab "$vocab" --against other.safetensors --json -t 1 --cpu ref -
    ok 'the same' cmp -s whole "$work/out"
    run rwkv7 eval -m "$model" --vocab "$vocab" "$data/text.txt"
    exits 0
    out_has '^tokens +1400$'
    out_has '^perplexity +5311\.'
    ok 'nothing to compare' [ "$(wc -l <"$work/out")" -eq 5 ]
    run rwkv7 eval -m "$model" --vocab "$vocab" --against "$model" "$data/text.txt"
    out_has '^KL divergence, max +0\.000e\+00$'
    out_has '^top-1 agreement +100\.000%$'
    run rwkv7 eval -m "$model" --vocab "$vocab" "$data/text.txt" "$data/text.txt"
    out_has '^tokens +2800$'
    out_has '^perplexity +5311\.'
    run rwkv7 eval -m "$model" --vocab "$vocab" --no-bos "$data/text.txt"
    out_has '^tokens +1399$'
    run rwkv7 eval -m "$model" --vocab "$vocab" --type q8 --against "$model" --json "$data/text.txt"
    near text.perplexity 0.02
    number() { # number KEY FILE
        sed -n "s/^.*\"$1\":[[:space:]]*\([^,]*\).*\$/\1/p" "$2"
    }
    ok 'the other model keeps the type of its file' \
        [ "$(number reference_perplexity "$work/out")" = "$(number perplexity whole)" ]
    ok 'and this one does not' [ "$(number perplexity "$work/out")" != "$(number perplexity whole)" ]
else
    skip 'a text of 1400 tokens by every way under an emulator'
fi

run rwkv7 eval -m "$model" --vocab "$vocab" --task lambada --json "$data/lambada.jsonl"
exits 0
silent
near lambada.perplexity 1e-5
near lambada.acc 1e-6
near lambada.bits_per_byte 1e-6
run rwkv7 eval -m "$model" --vocab "$vocab" --task choices --json "$data/choices.jsonl"
exits 0
near choices.acc 1e-6
near choices.acc_norm 1e-6
near choices.bits_per_byte 1e-6
run rwkv7 eval -m "$model" --vocab "$vocab" --task choices "$data/choices.jsonl"
out_has '^examples +30$'
out_has '^acc_norm +43\.33%$'

# By hand: a model of zeros gives each of its 300 tokens the same probability. Each byte is a token,
# so n bytes have log p = -n ln 300, and one byte has log2 300 = 8.22882 bits.
small=$models/f32_n16.safetensors
header=$(od -An -tu8 -N8 "$small" | tr -d ' ')
head -c $((header + 8)) "$small" >uniform.safetensors
head -c $(($(wc -c <"$small") - header - 8)) /dev/zero >>uniform.safetensors
uniform() { # uniform TASK FILE OPTION...
    task=$1 file=$2
    shift 2
    run rwkv7 eval -m uniform.safetensors --vocab "$tests/bytes.vocab.txt" --task "$task" "$@" "$file"
    exits 0
    silent
    out_has '^bits per byte +8\.22882$'
}
# acc_norm divides by characters without the leading space. Bytes and characters of each choice:
#   8/7 3/2
#   5/2 4/3  per byte, the first would win
#   2/1 3/3  with the space, the first would win
#   4/3 3/2  without all spaces, the second would win
cat >hand.jsonl <<'END'
{"context": "a", "choices": [" abcdefg", " ab"], "answer": 1}
{"context": "a", "choices": [" \u00e9\u00e9", " abc"], "answer": 1}
{"context": "a", "choices": [" a", "bcd"], "answer": 1}
{"context": "a", "choices": ["  ab", " cd"], "answer": 0}
END
uniform choices hand.jsonl
out_has '^acc +50\.00%$'
out_has '^acc_norm +75\.00%$'
printf '{"text": "ab cd"}\n{"text": "ab c"}\n' >hand.jsonl
uniform lambada hand.jsonl
out_has '^perplexity +1558845\.7' # 300 ^ 2.5
out_has '^acc +0\.00%$'
printf abcd >hand.txt
uniform text hand.txt
out_has '^bytes +4$'
uniform text hand.txt --no-bos # the first byte is not predicted
out_has '^tokens +3$'
out_has '^bytes +3$'
uniform text hand.txt --no-bos hand.txt
out_has '^bytes +6$'

# Mistakes.
run rwkv7 eval -m "$model" --vocab "$vocab"
exits 2
err_has '^rwkv7: expected a FILE'
run rwkv7 eval -m "$model" --vocab "$vocab" --task lambada --against "$model" "$data/lambada.jsonl"
exits 2
err_has 'compares predictions of texts'
run rwkv7 eval -m "$model" --vocab "$vocab" missing
exits 1
err 'rwkv7: cannot read missing: No such file or directory'
run rwkv7 eval -m "$model" --vocab "$vocab" --task lambada missing
exits 1
err 'rwkv7: cannot read missing: No such file or directory'
: >empty
run rwkv7 eval -m "$model" --vocab "$vocab" empty
exits 1
err 'rwkv7: nothing to predict in the input'
run rwkv7 eval -m "$model" --vocab "$vocab" --against "$models/f32_n16.safetensors" "$data/text.txt"
exits 3
err_has 'expected a vocabulary of 257 tokens, as in the other model, found 300$'
bad() { # bad TASK LINE PATTERN
    printf '\n%s\n' "$2" >bad.jsonl
    run rwkv7 eval -m "$model" --vocab "$vocab" --task "$1" bad.jsonl
    exits 1
    text ''
    err_has "^rwkv7: bad.jsonl:2: $3"
}
bad lambada '{"text": "some more"' 'expected one JSON object'
bad lambada '{"text": "some more"} xyz' 'expected one JSON object, found something else at byte 22$'
bad lambada '{"text": "some\u0000 more"}' '.u0000 is not supported$'
bad lambada '{"text": "some more", "text": "some less"}' "duplicate member 'text'$"
bad choices '{"context": "a", "choices": ["a", "b"], "answer": 0, "answer": 1}' "duplicate member 'answer'$"
bad lambada '{"text": "word"}' 'expected .*space before the last word'
bad lambada '["some more"]' 'expected'
bad lambada '{"text": "some MORE"}' '.*no token'
bad choices '{"context": "a", "choices": ["a"], "answer": 0}' 'expected'
bad choices '{"context": "a", "choices": ["a", "b"], "answer": 2}' 'expected'
bad choices '{"context": "a", "choices": ["a", "b"], "answer": 0.5}' 'expected'
bad choices '{"context": "a", "choices": ["a", ""], "answer": 0}' 'expected choices that are strings with text'
bad choices '{"context": "a", "choices": ["a", " "], "answer": 0}' 'expected choices that are strings with text'
printf '{"context": "", "choices": ["a", "b"], "answer": 0}' >bad.jsonl
run rwkv7 eval -m "$model" --vocab "$vocab" --no-bos --task choices bad.jsonl
exits 1
err_has 'expected text before the prediction, found none'

# Lines have a length limit. Running out of memory is an error, so no partial accuracy is printed.
head -n 3 "$data/lambada.jsonl" >long.jsonl
head -c 70000000 /dev/zero | tr '\0' ' ' >>long.jsonl
run rwkv7 eval -m "$model" --vocab "$vocab" --task lambada long.jsonl
exits 1
text ''
err 'rwkv7: long.jsonl:4: the line is longer than 67108864 bytes'
if [ $emulated -eq 1 ] || [ $sanitized -eq 1 ]; then
    skip 'limits on memory: an emulator or a sanitizer needs more'
else
    for limit in 80000 90000 100000 110000 120000; do # what else is needed differs between machines
        run sh -c 'ulimit -v $1; shift; exec rwkv7 eval -m "$@" --task lambada long.jsonl' sh $limit "$model" --vocab "$vocab"
        exits 1
        text ''
        err_has '^rwkv7: (out of memory for |long\.jsonl:4: the line is longer)'
    done
fi
rm long.jsonl
run rwkv7 eval -m "$model" --vocab "$vocab" --task lambada .
exits 1
err 'rwkv7: cannot read .: Is a directory'
