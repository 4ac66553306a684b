# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Accuracy of the built-in model: twelve held-out prompts of each task, in demo_prompts.tsv, which
# scripts/train/make_eval.py wrote (--seed suite --count 12 --times 1). The engine computes the same
# bits everywhere, so the answers do not depend on the machine. scripts/eval_demo.sh without
# --prompts measures more.

root=$tests/../..
model=$root/models/rwkv7-demo.safetensors
vocab=$root/models/rwkv7-demo.vocab.txt
export RWKV7=rwkv7

# at_least PERCENT TASK...: in the table on standard output
at_least() {
    least=$1
    shift
    for task; do
        ok "$task: at least $least% right" awk -v task="$task" -v least="$least" \
            '$2 == task { found = 1; good = $4 + 0 >= least } END { exit !(found && good) }' "$work/out"
    done
}

if [ $emulated -eq 0 ]; then
    run sh "$root/scripts/eval_demo.sh" --prompts "$tests/demo_prompts.tsv" -m "$model" --vocab "$vocab"
    exits 0
    silent
    at_least 90 recall far cups swaps perm parity copy sort story
else
    skip 'what the model can do: too slow in an emulator, and no different there'
fi

# A wrong answer counts as wrong, and so does one that does not end.
printf 'cups\t1\t2\tCups: 3, ball 2, swap 1 2, swap 1 3.\\nQ: ball\\nA:\t 2\n' >prompts.tsv
printf 'story\t1\t2\tStory: Ben was in the park.\\nQ: Where is Ben?\\nA:\t in\n' >>prompts.tsv
run sh "$root/scripts/eval_demo.sh" --prompts prompts.tsv -m "$model" --vocab "$vocab"
exits 0
out '| task | x1 |
|---|---|
| cups | 0.0% (2) |
| story | 0.0% (2) |'

# The text itself, to the last token.
run rwkv7 run -m "$model" --vocab "$vocab" --quiet --temp 0 -n 40 'Once upon a time'
exits 0
text ' Dora was in the cellar. She was excited. Felix was in the cellar. Somebody had left a brown hat in the cellar. Somebody had left a yellow mirror in the cellar. Felix was excited.'
