#!/bin/sh
# Measures what quantization costs: a Markdown table that compares a model in bf16 and all quantized
# types with its float32 form.
#
#   scripts/types_table.sh [MODEL [TEXT...]]
#
# Without MODEL: the model that ships, with 500 held-out stories (scripts/train/make_texts.py,
# python3), and 500 questions for the last column. The program is $RWKV7, else build/rwkv7, built
# where needed.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
model=${1:-$root/models/rwkv7-demo.safetensors}
[ $# -eq 0 ] || shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if [ -z "${RWKV7:-}" ]; then
    "$root/scripts/build.sh" rwkv7_cli
    RWKV7=$root/build/rwkv7
fi
questions=
if [ $# -eq 0 ]; then
    (cd "$root/scripts/train" && python3 -B make_texts.py "$work/texts" --count 500)
    questions=$work/texts/answers.jsonl
    set -- "$work"/texts/*.txt
fi

# value KEY: the number of that key in the JSON on standard input
value() {
    sed -n "s/^.*\"$1\":[[:space:]]*\([^,]*\).*\$/\1/p"
}

"$RWKV7" convert --quiet "$model" "$work/f32" --type f32
echo '| weights | MB | perplexity | KL divergence, mean | p99 | top-1 agreement | answers right |'
echo '|---|---|---|---|---|---|---|'
for type in f32 bf16 $("$RWKV7" run --help | sed -n 's/^ *--type stored|//p' | tr '|' '\n' | sort -r); do
    "$RWKV7" convert --quiet "$model" "$work/$type" --type $type
    result=$("$RWKV7" eval -m "$work/$type" --against "$work/f32" --json "$@")
    right=
    [ -z "$questions" ] || right=$("$RWKV7" eval -m "$work/$type" --task lambada --json "$questions" | value acc)
    for key in perplexity kl_divergence_mean kl_divergence_p99 top_1_agreement; do
        echo "$result" | value $key
    done | xargs printf '%s %s %s %s %s %s %s\n' $type "$(wc -c <"$work/$type")" "${right:--}" |
        awk '{
            printf "| %s | %.3g | %.4f | %.5f | %.4f | %.1f%% | ", $1, $2 / 1e6, $4, $5, $6, 100 * $7
            print $3 == "-" ? "|" : sprintf("%.1f%% |", 100 * $3)
        }'
done
