# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 bench: that it measures, in three forms. How fast is another question.

model=$models/bf16_fla.safetensors

run rwkv7 bench --model "$model" -p 8,16 -n 4 -r 2 --context 3 -t 1,2
exits 0
silent
out_has '^model +.*bf16_fla'
out_has '^kernels +[a-z0-9]+, exact math; [0-9.]+ KB read per token$'
for threads in 1 2; do
    out_has "^ +$threads +prefill +8 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$"
    out_has "^ +$threads +prefill +16 "
    out_has "^ +$threads +decode +4 .*[0-9]% of [0-9.]+ \([0-9.]+\)$"
done

run rwkv7 bench --model "$model" -p 0 -n 4 -r 1 -t 1 --csv
exits 0
silent
ok 'a header and a line' [ "$(wc -l <"$work/out")" -eq 2 ]
ok 'as many fields in both' awk -F, 'NR == 1 { n = NF } NF != n { exit 1 }' "$work/out"
out_has ',exact,1,decode,4,0,1,'

run rwkv7 bench --model "$model" -p 8 -n 0 -r 3 -t 1 --json
exits 0
silent
out_has '"repetitions":	3,'
out_has '"test":	"prefill",'
ok 'one result' [ "$(grep -c '"test"' "$work/out")" -eq 1 ]

run rwkv7 bench --model "$model" --type q4 -p 8 -n 4 -r 1 -t 2
exits 0
silent
out_has '^model .*q8 .*q4 '
out_has '^ +2 +decode +4 .* (0\.[0-9]+|1\.00) +[0-9.]+ +[0-9]+% of '
run rwkv7 bench --model "$model" --type f16
exits 2
err_has "opened as one of $(echo "$weights" | sed 's/|/\\|/g')$"
run rwkv7 bench --model "$model" --ffn-density 0.5
exits 2
err_has '--ffn-density needs --shape'

run rwkv7 bench --shape 0.1B --model "$model"
exits 2
err_has "^rwkv7: two models: '.*bf16_fla.safetensors' and --shape 0.1B"
run rwkv7 bench --shape 13B
exits 2
err_has '^rwkv7: --shape needs one of 0.1b\|.*, not .13B'

run rwkv7 bench --json --csv
exits 2
err_has 'exclude each other'
run rwkv7 bench --model missing
exits 1
text ''
err 'rwkv7: missing: No such file or directory'
