# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# --speculate and --draft-model: the same bytes, whatever is guessed.

vocab=$tests/syllables.vocab.txt
# texts MODEL OPTION...: the JSON without times and counts, and the state.
texts() {
    model=$models/$1.safetensors
    shift
    rwkv7 run --model "$model" --vocab "$vocab" -n 60 --seed 3 --ignore-eos --logprobs 2 --json --state-out state \
        "$@" 'helo helo' </dev/null 2>messages |
        sed 's/"steps":[0-9]*,"drafted":[0-9]*,"accepted":[0-9]*,//; s/"prompt_seconds":[^,]*,"seconds":[^,}]*//'
    cksum <state
}

for name in bf16_n64 f16_deep x060_bf16 x052_f32 x040_f32; do
    for temp in 0 0.7; do
        texts "$name" --temp "$temp" --frequency 0.3 --speculate off >want 2>&1
        grep -q '"text"' want || continue # the vocabulary does not fit this model
        for how in auto 1 4 63; do
            texts "$name" --temp "$temp" --frequency 0.3 --speculate "$how" >got
            ok "$name, temperature $temp, $how" cmp -s want got
        done
        texts "$name" --temp "$temp" --frequency 0.3 --speculate 5 --draft-model "$models/$name.safetensors" >got
        ok "$name, temperature $temp, a draft model" cmp -s want got
    done
done

# The model guesses itself: nearly all guesses are right, and the summary says so.
run rwkv7 run --model "$models/bf16_n64.safetensors" --vocab "$vocab" --temp 0 -n 60 --ignore-eos \
    --speculate 5 --draft-model "$models/bf16_n64.safetensors" hello
exits 0
err_has '[3-6]\.[0-9]* tokens per step, drafted [0-9]*, accepted [0-9]*'

# In batches.
for how in off auto 5; do
    for parallel in 1 3; do
        printf '{"prompt":"helo","temp":0,"tokens":30}\n{"prompt":"mu mu","seed":1,"tokens":40}\n{"prompt":"ha","seed":2,"tokens":9,"stop":["e"]}\n' |
            rwkv7 batch --model "$models/bf16_n64.safetensors" --vocab "$vocab" --speculate "$how" --parallel "$parallel" 2>/dev/null |
            sed 's/,"prompt_seconds".*//' >"batch-$how-$parallel"
        ok "batch, $how, $parallel" cmp -s batch-off-1 "batch-$how-$parallel"
    done
done
ok 'a batch has results' grep -q '"text"' batch-off-1

# Under a schema, an expression and choices, with penalties and stop strings, and in batches.
vocab=$tests/bytes.vocab.txt
printf '{"type":"object","properties":{"number":{"enum":[7]},"s":{"type":"string","maxLength":4,"pattern":"^[a-z]*$"},"list":{"type":"array","items":{"type":"boolean"},"minItems":3,"maxItems":6}},"required":["number","s","list"],"additionalProperties":false}' >form.json
constraint() {
    for temp in 0 0.7; do
        texts bf16_n64 --temp "$temp" --speculate off "$@" >want
        ok "$*, temperature $temp: a text" grep -q '"text":".' want
        for how in auto 1 5 63; do
            texts bf16_n64 --temp "$temp" --speculate "$how" "$@" >got
            ok "$*, temperature $temp, $how" cmp -s want got
        done
    done
}
constraint --schema form.json
constraint --schema form.json --presence 0.4 --frequency 0.3 --stop 'false'
constraint --regex '(number [0-9]{2}, ){4}end'
constraint --choice 'one of these' --choice 'or that'
for how in off auto 5; do
    for parallel in 1 3; do
        printf '{"prompt":"helo","temp":0,"schema":%s}\n{"prompt":"mu mu","seed":1,"tokens":40}\n{"prompt":"ha","seed":2,"regex":"(ab?c ){9}","stop":["bc ac"]}\n{"prompt":"ha","seed":3,"choices":["yes","yes indeed"]}\n' "$(cat form.json)" |
            rwkv7 batch --model "$models/bf16_n64.safetensors" --vocab "$vocab" --speculate "$how" --parallel "$parallel" 2>/dev/null |
            sed 's/,"prompt_seconds".*//' >"forms-$how-$parallel"
        ok "batch with constraints, $how, $parallel" cmp -s forms-off-1 "forms-$how-$parallel"
    done
done
ok 'all lines of the batch have texts' test "$(grep -c '"text"' forms-off-1)" = 4

run rwkv7 run --speculate 64 x
exits 2
err_has '^rwkv7: --speculate: expected auto, off or a number from 0 to 63, found .64.$'
run rwkv7 run --math fast --speculate 3 x
exits 2
err_has '^rwkv7: --speculate needs --math exact: other math would change the text$'
run rwkv7 run --model "$models/bf16_n64.safetensors" --vocab "$vocab" --draft-model "$models/x060_bf16.safetensors" x
exits 3
err_has 'expected a draft model with [0-9]* tokens, found [0-9]*$'
