# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# GGUF files: a model with its own vocabulary is all that is needed.

corpus=$tests/../corpus/gguf
cp "$corpus/ok_model.gguf" model.gguf

run rwkv7 info model.gguf
exits 0
silent
out_has '^format      GGUF, llama\.cpp names, x070$'
out_has '^parameters  37\.7 K \(f32 1\.31 K, f16 5\.63 K, bf16 2\.05 K, q8 20\.5 K, ggml 8\.22 K\)$'
out_has '^vocabulary  model\.gguf: 257 ids, fits$'
out_has '^metadata    general\.architecture: rwkv7$'
out_has '^            tokenizer\.ggml\.tokens: \[257 strings\]$'
run rwkv7 info --json model.gguf
exits 0
out_has '"container":	"GGUF"'
out_has '"ggml":	8224'

run rwkv7 tokenize -m model.gguf "it's"
exits 0
out '106 117 40 116'
run rwkv7 tokenize -m model.gguf --vocab "$tests/syllables.vocab.txt" 'some more '
exits 0
out '254 256'

run rwkv7 run -m model.gguf -q --temp 0 -n 5 'once'
exits 0
ok 'text was written' test -s "$work/out"
run rwkv7 logits model.gguf --tokens 1,2,3,200,256,0 -o chunk.npy
exits 0
run rwkv7 logits model.gguf --tokens 1,2,3,200,256,0 --step -o step.npy
exits 0
ok 'the same logits one by one' cmp -s chunk.npy step.npy
run rwkv7 logits model.gguf --type q4 --tokens 1,2,3,200,256,0 -o q4.npy
exits 0
ok 'other logits in 4 bits' sh -c '! cmp -s chunk.npy q4.npy'
run rwkv7 bench -m model.gguf -p 8 -n 4 -r 1
exits 0
out_has 'q8'

# A folder, and files that are not models.
mkdir folder
mv model.gguf folder/
run rwkv7 run -m folder -q --temp 0 -n 1 'once'
exits 0
run rwkv7 info "$corpus/ok_blocks.gguf"
exits 3
err_has 'not an RWKV model'
run rwkv7 run -m "$corpus/metadata_split.gguf" x
exits 3
err_has 'one of the 2 parts of a split GGUF file'
run rwkv7 tokenize -m "$corpus/ok_tokens.gguf" q
exits 3
err_has 'the vocabulary has no token for byte 0x71'

# Millions of tokens without text are rejected by their count, before memory is allocated.
if command -v python3 >/dev/null; then
    for count in 1048577 3000000 10000000; do
        python3 - $count <<'END'
import struct
import sys
count = int(sys.argv[1])
text = lambda b: struct.pack("<Q", len(b)) + b
with open("empty.gguf", "wb") as f:
    f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + text(b"tokenizer.ggml.model") + struct.pack("<I", 8) + text(b"rwkv"))
    f.write(text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, count) + bytes(8 * count))
END
        for command in info 'run x -m' 'tokenize x -m'; do
            run rwkv7 $command empty.gguf
            exits 3
            err_has "tokenizer.ggml.tokens.*: expected at most [0-9]+ (tokens in 67108864 bytes|strings), found $count"
        done
    done
else
    skip 'no python3, so no millions of tokens'
fi
