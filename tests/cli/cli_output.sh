# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Output of rwkv7 run besides the text: --json, --logprobs, --stats.

model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt
story() {
    run rwkv7 run --model "$model" --vocab "$vocab" "$@"
}
story -q --temp 0 -n 16 hello
cp "$work/out" plain
story --temp 0 -n 16 --json hello
exits 0
silent
ok 'one line' [ "$(wc -l <"$work/out")" -eq 1 ]
out_has "^\{\"text\":\"$(cat plain)\",\"finish\":\"length\",\"prompt_tokens\":[0-9]+,\"known_tokens\":0,\"tokens\":16,\"steps\":[0-9]+,\"drafted\":[0-9]+,\"accepted\":[0-9]+,\"prompt_seconds\":[0-9.e-]+,\"seconds\":[0-9.e-]+\}$"
story --json --seed 18446744073709551615 -n 1 hello
out_has '"seed":18446744073709551615,'
stop=$(cut -c 8-13 plain)
story --temp 0 --json --stop "$stop" hello
out_has "^\{\"text\":\"$(cut -c 1-7 plain)\",\"finish\":\"stop\","
story --temp 0 --json -n 60 'some rain, then more'
out_has '"finish":"end"'
story --json -n 0 hello
out_has '^\{"text":"","finish":"length",.*"tokens":0,'
story --json --echo hello
exits 2
err_has 'exclude each other'
story --logprobs 3 hello
exits 2
err_has '^rwkv7: --logprobs needs --json$'
story --logprobs 101 --json hello
exits 2

# The probabilities match the logits; the greedy token is the most likely one.
story --temp 0 -n 4 --json --logprobs 3 hello
exits 0
if command -v python3 >/dev/null; then
    cp "$work/out" told
    ids=$(rwkv7 tokenize --vocab "$vocab" hello)
    drawn=$(python3 -c 'import json, sys; print(*(t["id"] for t in json.load(sys.stdin)["logprobs"]))' <told)
    rwkv7 logits "$model" --tokens "0 $ids $drawn" -o logits.npy
    last='--logprobs against rwkv7 logits'
    cat >check.py <<'END'
import json, math, struct
told = json.load(open("told"))["logprobs"]
data = open("logits.npy", "rb").read()
count, vocab = eval(data[10:10 + struct.unpack("<H", data[8:10])[0]])["shape"]
rows = struct.unpack(f"<{count * vocab}f", data[-4 * count * vocab:])
for i, token in enumerate(told):
    at = count - len(told) - 1 + i
    row = rows[at * vocab:(at + 1) * vocab]
    most = max(row)
    log_sum = most + math.log(sum(math.exp(x - most) for x in row))
    best = sorted(range(vocab), key=lambda j: (-row[j], j))[:3]
    assert [t["id"] for t in token["top"]] == best, (token, best)
    assert token["id"] == best[0] and token["text"] == token["top"][0]["text"]
    for t in [token] + token["top"]:
        assert abs(t["logprob"] - (row[t["id"]] - log_sum)) < 1e-6, t
END
    ok 'the same numbers' python3 check.py
else
    skip 'no python3 to read JSON with'
fi
run rwkv7 run --model "$model" --vocab "$tests/bytes.vocab.txt" --seed 1 -n 50 --json --logprobs 100 hello
exits 0
ok 'valid UTF-8' iconv -f UTF-8 -t UTF-8 "$work/out" >"$work/converted"

story --stats -n 8 --ignore-eos hello
exits 0
err_has '^loading     [0-9.]+ s, weights '
err_has '^prompt      [0-9]+ tokens, 0 of them cached; '
err_has '^first token '
err_has '^each token  median [0-9.]+ ms, p95 [0-9.]+ ms, max [0-9.]+ ms; reads '
err_has '^state       [0-9.]+ KB, after [0-9]+ tokens; memory '
ok 'no usual line' [ "$(grep -c '^prompt [0-9]' "$work/err")" -eq 0 ]
