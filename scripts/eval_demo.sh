#!/bin/sh
# Runs the program to measure the accuracy of the model that ships. Prints a Markdown table: right
# answers per task, at the trained size and at 2, 4 and 16 times that size.
#
#   scripts/eval_demo.sh [--count N] [--prompts FILE] [OPTION...]
#
# N: prompts per cell (200). FILE: prompts of scripts/train/make_eval.py; without FILE, new prompts
# are made, which needs python3. OPTIONs are those of `rwkv7 run`, such as -m MODEL. The program is
# $RWKV7 or, if that is not set, build/rwkv7, which is built if needed.
#
# An answer is right if greedy generation gives exactly its text and then ends.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
count=200
prompts=
while [ $# -gt 0 ]; do
    case $1 in
    --count) count=$2 ;;
    --prompts) prompts=$2 ;;
    *) break ;;
    esac
    shift 2
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if [ -z "$prompts" ]; then
    prompts=$work/prompts.tsv
    (cd "$root/scripts/train" && python3 -B make_eval.py "$prompts" --count "$count")
fi
if [ -z "${RWKV7:-}" ]; then
    "$root/scripts/build.sh" rwkv7_cli
    RWKV7=$root/build/rwkv7
fi

while IFS="$(printf '\t')" read -r task times size prompt answer; do
    # Longer than any answer; a text that has not ended by then is wrong.
    given=$(printf '%b' "$prompt" | "$RWKV7" run --no-config --quiet --temp 0 -n 1200 "$@")
    [ "$given" = "$answer" ] && right=1 || right=0
    echo "$task $times $size $right"
done <"$prompts" >"$work/answers"

awk '
    !($1 in seen) { seen[$1]; tasks[++rows] = $1 }
    !($2 in known) { known[$2]; times[++columns] = $2 }
    { size[$1, $2] = $3; right[$1, $2] += $4; all[$1, $2]++ }
    END {
        line = "| task |"; rule = "|---|"
        for (j = 1; j <= columns; j++) { line = line " x" times[j] " |"; rule = rule "---|" }
        print line; print rule
        for (i = 1; i <= rows; i++) {
            line = "| " tasks[i] " |"
            for (j = 1; j <= columns; j++) {
                cell = tasks[i] SUBSEP times[j]
                line = line (cell in all ? sprintf(" %.1f%% (%d)", 100 * right[cell] / all[cell], size[cell]) : "") " |"
            }
            print line
        }
    }' "$work/answers"
