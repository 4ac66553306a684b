# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 bench: the three output formats; speeds are not checked.

model=$models/bf16_fla.safetensors

run rwkv7 bench --model "$model" -p 8,16 -n 4 -r 2 --context 3 -t 1,2
exits 0
silent
out_has '^model +.*bf16_fla'
out_has '^kernels +[a-z0-9]+, exact math; [0-9.]+ KB read per token$'
out_has '^weights +in the mapped file; ffn.value by row$'
for threads in 1 2; do
    out_has "^ +$threads +prefill +8 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$"
    out_has "^ +$threads +prefill +16 "
    out_has "^ +$threads +decode +4 .*[0-9]% of [0-9.]+ \([0-9.]+\)$"
done

# Where the weights are: of a converted file, of one that is quantized while loading.
run rwkv7 convert --type q8 "$model" "$work/q8.st"
exits 0
run rwkv7 bench --model "$work/q8.st" -p 0 -n 2 -r 1 -t 1
exits 0
out_has '^weights +in the mapped file; ffn.value by column$'
run rwkv7 bench --model "$model" --type q8 --sparse off -p 0 -n 2 -r 1 -t 1
exits 0
out_has '^weights +in memory; ffn.value by row$'

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
err_has "expected one of $(echo "$weights" | sed 's/|/\\|/g') for a checkpoint"
run rwkv7 bench --model "$model" --ffn-density 0.5
exits 2
err_has '--ffn-density needs --shape'

run rwkv7 bench --shape 0.1B --model "$model"
exits 2
err_has "^rwkv7: two models: '.*bf16_fla.safetensors' and --shape 0.1B"
run rwkv7 bench --shape 13B
exits 2
err_has '^rwkv7: --shape needs one of 0.1b\|.*, not .13B'

# Without a model: the table of all published sizes. A budget of 0 measures only the memory.
run rwkv7 bench --budget 0
exits 0
silent
out_has '^rwkv7 [0-9.]+, [0-9]{4}-[0-9]{2}-[0-9]{2}$'
out_has '^CPU +[^ ]'
out_has '^threads +[0-9]+ on [0-9]+ cores?; [a-z0-9]+ kernels, exact math$'
out_has '^memory +[0-9.]+ GB \([0-9.]+ GB free\); read bandwidth [0-9.]+ GB/s$'
out_has '^RWKV-7 +bf16 +q8 +q6 +q4$'
for size in 0.1b 0.4b 1.5b 2.9b 7.2b; do
    out_has "^$size( +(~[0-9.]+ +100%|needs [0-9.]+ GB)){4}$"
done
out_has '^~ the limit: the memory bandwidth divided by the bytes that a token reads$'
ok 'lines of 80 columns' awk 'length > 80 { exit 1 }' "$work/out"
ok 'one version' [ "$(grep -c '^RWKV-' "$work/out")" -eq 1 ]

run rwkv7 bench --sizes all --type q4 --budget 0
exits 0
silent
out_has '^RWKV-4 +q4$'
out_has '^rwkv4-14b +(~[0-9.]+ +100%|needs [0-9.]+ GB)$'
out_has '^0.1b +~'

# CSV and JSON agree; the bytes per token equal those of a model of that shape.
cat >table.py <<'END'
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1])))
table = json.load(open(sys.argv[2]))
assert len(rows) == len(table["sizes"]) == int(sys.argv[3]), len(rows)
assert None not in rows[0] and None not in rows[0].values()
read = table["machine_bytes_per_second"]
for row, size in zip(rows, table["sizes"]):
    for name in "shape", "version", "type":
        assert row[name] == size[name], (row, size)
    for name in "parameters", "memory_bytes", "bytes_per_token":
        assert float(row[name]) == size[name] > 0, (row, size)
    assert not size["measured"] and "computed_from" not in size and row["measured"] == "0"
    assert size["fits"] == (size["memory_bytes"] < table["memory_bytes"])
    limit = read / size["bytes_per_token"]
    assert abs(size["decode_limit_tokens_per_second"] / limit - 1) < 1e-6
    if size["fits"]:
        assert abs(size["decode_tokens_per_second"] / limit - 1) < 1e-6
    else:
        assert "decode_tokens_per_second" not in size and row["decode_tok_s"] == ""
bytes = {(s["shape"], s["type"]): s["bytes_per_token"] for s in table["sizes"]}
assert bytes["0.1b", "bf16"] > bytes["0.1b", "q8"] > bytes["0.1b", "q6"] > bytes["0.1b", "q4"]
assert bytes["7.2b", "q4"] < bytes["7.2b", "bf16"] / 3
END
run rwkv7 bench --budget 0 --json
exits 0
cp "$work/out" table.json
run rwkv7 bench --budget 0 --csv
exits 0
ok 'CSV and JSON' python3 table.py "$work/out" table.json 20
# With half of the hidden units zero, fewer bytes are read.
run rwkv7 bench --budget 0 --ffn-density 0.2 --json
exits 0
ok 'fewer bytes' python3 -c '
import json, sys
dense, sparse = (json.load(open(f))["sizes"] for f in sys.argv[1:])
assert all(s["bytes_per_token"] < d["bytes_per_token"] for s, d in zip(sparse, dense))' table.json "$work/out"

# A budget of two seconds measures some cells and computes the others; a slow machine measures none.
run rwkv7 bench --type q4 --budget 2 -p 8 -n 2 -r 1 --json
exits 0
silent
ok 'measured or computed' python3 -c '
import json, sys
sizes = json.load(open(sys.argv[1]))["sizes"]
measured = {s["shape"]: s for s in sizes if s["measured"]}
for s in sizes:
    assert s["type"] == "q4" and not (s["measured"] and "computed_from" in s)
    if s["measured"]:
        assert s["decode_tokens_per_second"] > 0 and s["prefill_tokens_per_second"] > 0 and s["read_share"] > 0
    elif s["fits"] and measured:
        assert s["computed_from"] in measured and 0 < s["read_share"] <= 1 and s["prefill_tokens_per_second"] > 0' "$work/out"

# Sizes without enough memory are computed or left out; a bandwidth probe of the full size is optional.
if [ "$emulated" -eq 1 ] || [ "$sanitized" -eq 1 ]; then
    skip 'limits on memory: an emulator or a sanitizer needs more'
else
    run sh -c 'ulimit -v 250000; exec rwkv7 bench --budget 3 -p 8 -n 2 -r 1 -t 1'
    exits 0
    silent
    out_has '^7.2b '
fi

# The plot is well-formed XML, with a dot or a line per cell that fits and text for the others.
run rwkv7 bench --budget 0 --plot plot.svg
exits 0
silent
ok 'SVG' python3 -c '
import sys, xml.etree.ElementTree as xml
root = xml.parse("plot.svg").getroot()
assert root.tag == "{http://www.w3.org/2000/svg}svg"
words = ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]
for word in "tokens per second", "model size, parameters", "bf16", "q4", "0.1b", "7.2b":
    assert word in words, word
assert any("GB/s" in w for w in words)
dots = len(list(root.iter("{http://www.w3.org/2000/svg}circle")))
lacks = len([w for w in words if w.startswith("needs ")])
assert dots - 5 + lacks == 20, (dots, lacks)'
run rwkv7 bench --budget 0 --plot -
exits 2
text ''
err "rwkv7: cannot write the plot to '-': use /dev/stdout, or ./- for a file of that name
Try 'rwkv7 help bench'."
ok 'no file of that name' [ ! -e ./- ]
run rwkv7 bench --budget 0 --plot missing/plot.svg
exits 1
text ''
err_has '^rwkv7: missing/plot.svg: '

# After ^C the table has the cells measured so far. Skipped in emulators, which handle signals
# themselves.
catches_sigterm() { # the program: the shell that starts it catches the signal, too
    [ "$(cat /proc/$job/comm)" = rwkv7 ] &&
        [ $((0x$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/$job/status) & 0x4000)) -ne 0 ]
}
rwkv7 bench --budget 600 --type q4 --plot interrupted.svg --json >"$work/out" 2>"$work/err" &
job=$!
await catches_sigterm
kill -TERM $job
wait $job
code=$?
last='rwkv7 bench, told to end'
if [ "$emulated" -eq 0 ]; then
    exits 130
    err 'rwkv7: interrupted; plot not written'
    out_has '"interrupted":	true,'
fi
ok 'no plot' [ ! -e interrupted.svg ]

RWKV7_MODEL=$model run rwkv7 bench -p 8 -n 0 -r 1 -t 1
exits 0
out_has '^model +.*bf16_fla'
RWKV7_MODEL=$model run rwkv7 bench --sizes rwkv7 --budget 0
exits 0
out_has '^RWKV-7 '
run rwkv7 bench --model "$model" --sizes all
exits 2
err_has "^rwkv7: two things to measure: '.*bf16_fla.safetensors' and the table of --sizes or --plot"
run rwkv7 bench --shape 0.1b --plot plot.svg
exits 2
err_has '^rwkv7: --plot draws the table of all sizes: leave out --shape'
run rwkv7 bench --shape 0.1b --sizes all
exits 2
err_has '^rwkv7: two things to measure: --sizes and --shape 0.1b'
run rwkv7 bench --draft-acceptance 0.8
exits 2
err_has '^rwkv7: --draft-acceptance measures one model: use -m or --shape'
run rwkv7 bench --model "$model" --draft-acceptance 0.8 --tokens 0
exits 2
err_has '^rwkv7: --draft-acceptance decodes --tokens N, found 0'
run rwkv7 bench --model "$model" --draft-acceptance 0.8 --csv
exits 2
err_has '^rwkv7: --draft-acceptance prints a table: leave out --json and --csv'
run rwkv7 bench -t 1,2
exits 2
err_has 'expected one number'
run rwkv7 bench --context 5
exits 2
err_has '--context needs -m or --shape'
run rwkv7 bench -n 0
exits 2
err_has 'at least 1 for the table'

run rwkv7 bench --json --csv
exits 2
err_has 'exclude each other'
run rwkv7 bench --model missing
exits 1
text ''
err 'rwkv7: missing: No such file or directory'
