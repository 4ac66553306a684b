# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Finding models and vocabularies, and rejecting other files.

model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt

run rwkv7 info "$model"
exits 0
silent
out_has '^format +safetensors, BlinkDL'
out_has '^parameters .*bf16'
out_has '^layers +3$'
out_has '^channels +128: 2 heads of 64$'
out_has '^tokens +257$'
out_has '^tensors +102$'
run rwkv7 info "$models/f32_n32.safetensors"
out_has '^tensors +72, 3 of them not used$'

run rwkv7 info "$model" --vocab "$vocab"
out_has '^vocabulary .*: 257 ids, fits$'

run rwkv7 info --json --vocab "$vocab" --model "$model"
exits 0
silent
out_has '"layers":	3,'
out_has '"fits":	true'
out_has '"step_bytes":	[1-9]'

run rwkv7 info missing.safetensors
exits 1
text ''
err 'rwkv7: missing.safetensors: No such file or directory'

# Files passed as a model by mistake are recognized.
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n' >lfs.safetensors
printf '<!DOCTYPE html><html></html>' >html.safetensors
printf 'PK\003\004................archive/data.pkl' >model.pth
printf 'GGUF\003\000\000\000' >model.gguf
: >empty.safetensors
head -c 5000 "$model" >cut.safetensors
for bad in 'lfs.safetensors LFS' 'html.safetensors web.page' 'model.pth ZIP' 'model.gguf GGUF' 'empty.safetensors empty' \
    'cut.safetensors truncated'; do
    run rwkv7 info "${bad% *}"
    exits 3
    text ''
    err_has "^rwkv7: ${bad% *}: .*${bad#* }"
done
run rwkv7 info /dev/null
exits 1
err_has '^rwkv7: /dev/null: expected a regular file'
rm -f ./*.safetensors model.*

# The model: an argument, -m, RWKV7_MODEL.
run env RWKV7_MODEL=missing rwkv7 info "$model"
exits 0
run env RWKV7_MODEL=missing rwkv7 info --model "$model"
exits 0
run env RWKV7_MODEL="$model" rwkv7 info
exits 0
out_has bf16_n64
run rwkv7 info --json
cp "$work/out" unset
run env RWKV7_MODEL= RWKV7_CPU= rwkv7 info --json
ok 'an empty variable is one that is not set' cmp -s unset "$work/out"
rm unset
run env RWKV7_MODEL=missing rwkv7 info
exits 1
err 'rwkv7: missing: No such file or directory'

# The vocabulary: each place is preferred to the next, so they are emptied in turn.
found() { # found PATTERN
    run rwkv7 info model.safetensors
    out_has "^vocabulary +$1: "
}
mkdir -p data/rwkv7
cp "$model" model.safetensors
cp "$vocab" model.vocab.txt
cp "$vocab" rwkv_vocab_v20230424.txt
cp "$vocab" data/rwkv7/rwkv_vocab_v20230424.txt
XDG_DATA_HOME=$work/dir/data
export XDG_DATA_HOME
found 'model.vocab.txt'
mv model.vocab.txt my-vocab.txt
found './rwkv_vocab_v20230424.txt'
rm rwkv_vocab_v20230424.txt
found './my-vocab.txt'
cp my-vocab.txt other-vocab.txt
run rwkv7 run --tokens 1 --model model.safetensors x
exits 3
err_has '^rwkv7: . holds several vocabularies; choose one with --vocab'
rm ./*-vocab.txt
found "$XDG_DATA_HOME/rwkv7/rwkv_vocab_v20230424.txt"
unset XDG_DATA_HOME
mkdir -p "$HOME/.local/share"
mv data/rwkv7 "$HOME/.local/share/"
found "$HOME/.local/share/rwkv7/rwkv_vocab_v20230424.txt"
rm -r "$HOME/.local"
mkdir folder
mv model.safetensors folder/
cp "$vocab" folder/a.vocab.txt
run rwkv7 info folder
exits 0
out_has '^vocabulary +folder/a.vocab.txt: '
# World's vocabulary is not used if the folder has another kind of tokenizer, unless named.
rm folder/a.vocab.txt
mkdir -p data/rwkv7
cp "$vocab" data/rwkv7/rwkv_vocab_v20230424.txt
: >folder/vocab.json
for given in folder folder/model.safetensors; do
    run rwkv7 run -n 1 -m "$given" hello
    exits 3
    text ''
    err 'rwkv7: folder/vocab.json: unsupported kind of tokenizer; name a vocabulary with --vocab'
done
run rwkv7 info folder --vocab "$vocab"
out_has 'ids, fits$'
rm -r folder

# A model's folder that cannot be listed may contain a vocabulary, so no other is used; the user's
# folder may be unreadable. Root can list everything, so root changes to another user, who cannot
# read $work or absolute paths into it.
mkdir folder
cp "$model" folder/model.safetensors
cp "$vocab" folder/my-vocab.txt
set -- "$program"
[ "$(id -u)" -ne 0 ] || set -- setpriv --reuid=23456 --clear-groups "$program"
if [ $emulated -eq 1 ] || ! "$@" --version >/dev/null 2>&1 </dev/null; then
    skip 'a folder that cannot be listed: an emulator, no setpriv, or a program that only root can reach'
else
    run "$@" tokenize -m folder/model.safetensors hello
    exits 0
    chmod 711 folder
    [ "$(id -u)" -eq 0 ] || chmod 311 folder
    for given in folder folder/model.safetensors; do
        run env XDG_DATA_HOME="$work/dir/data" "$@" tokenize -m "$given" hello
        exits 1
        text ''
        err 'rwkv7: folder: Permission denied'
    done
    run "$@" info folder/model.safetensors
    exits 1
    run "$@" convert folder/model.safetensors /dev/null
    exits 1
    err 'rwkv7: folder: Permission denied'
    chmod 755 folder
    rm folder/my-vocab.txt
    mkdir closed
    chmod 0 closed
    run env XDG_DATA_HOME="$work/dir/closed" "$@" tokenize -m folder/model.safetensors hello
    exits 3
    err_has '^rwkv7: no vocabulary found for folder/model.safetensors; '
    rmdir closed
fi
rm -r folder data

# The scale of the in-context learning rate: shown, and kept by a conversion.
run rwkv7 info "$models/f32_rate2.safetensors"
exits 0
out_has '^rate scale  2$'
run rwkv7 info --json "$model" --rate-scale 1.5
exits 0
out_has '"rate_scale":	1.5,'
run rwkv7 convert -q "$model" scaled.st --rate-scale 2
exits 0
run rwkv7 info scaled.st
out_has '^rate scale  2$'
run rwkv7 logits "$model" --rate-scale 2 --tokens 1,2,3 -o given.npy
exits 0
run rwkv7 logits scaled.st --tokens 1,2,3 -o kept.npy
exits 0
ok 'the same logits, given or kept' cmp -s given.npy kept.npy
run rwkv7 info "$models/x060_bf16.safetensors" --rate-scale 2
exits 2
err_has 'rate scale: RWKV-6 has no in-context learning rate$'

# No vocabulary, an invalid one, one of another model.
run rwkv7 run --model "$model" x
exits 3
text ''
err_has 'no vocabulary found for .*; put rwkv_vocab_v20230424.txt (.*) beside it, or name one with --vocab$'
run rwkv7 run --model "$model" --vocab missing.txt x
exits 1
err 'rwkv7: missing.txt: No such file or directory'
printf "1 'a' 1\n2 'b' 2\n" >wrong.txt
run rwkv7 run --model "$model" --vocab wrong.txt x
exits 3
err_has '^rwkv7: wrong.txt:2: '
run rwkv7 run --model "$models/f32_n32.safetensors" --vocab "$vocab" x
exits 3
text ''
err_has '^rwkv7: .*syllables.vocab.txt: the vocabulary does not belong to this model: .*61'
run rwkv7 info --vocab "$vocab" "$models/f32_n32.safetensors"
exits 0
out_has '^vocabulary  .*syllables.vocab.txt: the vocabulary does not belong to this model: .*256.*61'
run rwkv7 info --vocab wrong.txt "$model"
exits 0
out_has '^vocabulary  wrong.txt:2: '

# Every command reports deviations in an accepted file: here a model without ln0.
if command -v python3 >/dev/null; then
    cat >drop.py <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header, body, at = json.loads(data[8:8 + size]), b"", 0
for name in list(header):
    if name == "__metadata__" or name.startswith("blocks.0.ln0."):
        del header[name]
        continue
    begin, end = header[name]["data_offsets"]
    header[name]["data_offsets"] = at, at + end - begin
    at += end - begin
    body += data[8 + size + begin:8 + size + end]
text = json.dumps(header).encode()
open("odd.st", "wb").write(struct.pack("<Q", len(text)) + text + body)
END
    python3 drop.py "$model"
    note='odd.st: no ln0 found; the embedding is assumed to be normalized'
    run rwkv7 info odd.st
    exits 0
    out_has "^note  *$note\$"
    err "rwkv7: $note"
    run rwkv7 info --json odd.st
    out_has "\"$note\""
    run rwkv7 run -n 1 --model odd.st --vocab "$vocab" hello
    exits 0
    err_has "^rwkv7: $note\$"
    run rwkv7 convert odd.st even.st
    exits 0
    err_has "^rwkv7: $note\$"
    run rwkv7 info even.st
    exits 0
    silent
else
    skip 'no python3, so no odd checkpoint'
fi

# Control characters in names (C0, C1 as bytes or characters) do not reach the terminal.
lacks_controls() {
    ! LC_ALL=C tr -d '\n' <"$1" | LC_ALL=C grep -q "$(printf '[\001-\037\177\233]')"
}
for name in "$(printf 'c0\033[31m')" "$(printf 'c1\23331m')" "$(printf 'c1\302\23331m')"; do
    run rwkv7 info "$name"
    exits 1
    ok 'no control characters' lacks_controls "$work/err"
    cp "$model" "$name" 2>/dev/null || continue # a file system may refuse it
    run rwkv7 info "$name"
    exits 0
    ok 'no control characters' lacks_controls "$work/out"
    run rwkv7 run -v -n 1 --model "$name" --vocab "$vocab" hello
    ok 'no control characters' lacks_controls "$work/err"
    run rwkv7 bench --model "$name" -p 1 -n 1 -r 1
    ok 'no control characters' lacks_controls "$work/out"
    rm "$name"
done

# The built-in model, if it was compiled in.
if rwkv7 info >/dev/null 2>&1; then
    run rwkv7 info
    out_has '^vocabulary .*, fits$'
    run rwkv7 run --tokens 8 --temp 0 'Once upon a time'
    exits 0
    ok 'some text' [ -s "$work/out" ]
else
    run rwkv7 run x
    exits 3
    err_has '^rwkv7: no model: '
fi
