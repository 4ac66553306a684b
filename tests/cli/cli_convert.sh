# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 convert: the new file gives the same logits, needs no other file and is never partial.

vocab=$tests/syllables.vocab.txt
ids=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20

alone() { # the folder has only these files
    ok "only: $*" [ "$(echo ./*)" = "$*" ]
}

# Converted files give the same logits, bit by bit, as the original, stored or quantized on load.
for model in bf16_n64 bf16_n64_st f32_n32 bf16_fla_fused; do
    for type in $(echo "$weights" | tr '|' ' '); do
        run rwkv7 convert "$models/$model.safetensors" out.safetensors --type $type -q
        exits 0
        text ''
        run rwkv7 logits "$models/$model.safetensors" --type $type --tokens $ids -o a.npy
        run rwkv7 logits out.safetensors --tokens $ids -o b.npy
        ok "logits of $model as $type" cmp -s a.npy b.npy
        run rwkv7 logits out.safetensors --step -t 1 --tokens $ids -o b.npy
        ok "logits of $model as $type, token by token" cmp -s a.npy b.npy
    done
done
for type in f32 f16 bf16; do
    run rwkv7 convert "$models/bf16_n64.safetensors" out.safetensors --type $type -q
    exits 0
    run rwkv7 info out.safetensors --json
    out_has "\"$type\":	[1-9]"
    out_has '"copied_bytes":	0,'
done
rm -f ./*

# The vocabulary is stored: that beside the model, that of --vocab, or the checkpoint's own.
cp "$models/bf16_n64.safetensors" model.safetensors
cp "$vocab" model.vocab.txt
run rwkv7 convert model.safetensors small.safetensors --type q4
exits 0
text ''
err_has '^small\.safetensors: [0-9]+ KB in [0-9.]+ s$'
odd=$(printf 'odd\n\033[31mname')
run rwkv7 convert model.safetensors "$odd"
exits 0
err_has '^odd\\n\\x1b\[31mname: [0-9.]+ .B in'
rm "$odd"
run rwkv7 run -m model.safetensors --type q4 --temp 0 -n 20 'some more '
cp "$work/out" wanted
rm model.vocab.txt
run rwkv7 run -m small.safetensors --temp 0 -n 20 'some more '
exits 0
ok 'the same text' cmp -s wanted "$work/out"
run rwkv7 info small.safetensors
exits 0
out_has '^parameters .*f32 .*bf16 .*q8 .*q4 '
out_has '^vocabulary +small\.safetensors: 257 ids, fits$'
out_has 'memory .* \(0 B copied\)'
out_has 'rwkv7\.types: matrices q4, low-rank factors q8, head q8, embedding bf16, vectors f32$'
ok 'not one line for each matrix' [ "$(grep -c packed "$work/out")" -eq 0 ]
run rwkv7 convert small.safetensors same.safetensors
exits 0
ok 'the same file' cmp -s small.safetensors same.safetensors
run rwkv7 convert model.safetensors same.safetensors --type q4 --vocab "$vocab"
ok 'the same file' cmp -s small.safetensors same.safetensors
ln small.safetensors link.safetensors
for out in small.safetensors ./small.safetensors link.safetensors /dev/fd/9; do
    run rwkv7 convert small.safetensors $out 9<>small.safetensors
    exits 2
    err_has "^rwkv7: .*: refusing to overwrite an input file, read as small.safetensors$"
done
ok 'as it was' cmp -s small.safetensors same.safetensors
rm link.safetensors
rm -f same.safetensors wanted

# Other inputs are not overwritten either: files of a folder or index, the vocabulary.
mkdir d
cp model.safetensors d/part.safetensors
cp "$vocab" d/part.vocab.txt
{
    printf '{"weight_map":{'
    rwkv7 info --tensors model.safetensors | sed -n 's/^  \([^ ]*\) .*/"\1":"part.safetensors"/p' | paste -sd, -
    printf '}}'
} >d/model.safetensors.index.json
for case in 'd d/part.safetensors' 'd d/model.safetensors.index.json' 'd d/part.vocab.txt' \
    'd/part.safetensors d/part.vocab.txt'; do
    # shellcheck disable=SC2086 # two words
    run rwkv7 convert $case --type q4
    exits 2
    err_has "^rwkv7: ${case#* }: refusing to overwrite an input file, read as ${case#* }$"
done
run rwkv7 convert model.safetensors d/part.vocab.txt --vocab d/part.vocab.txt
exits 2
ok 'as they were' cmp -s model.safetensors d/part.safetensors
ok 'as they were' cmp -s "$vocab" d/part.vocab.txt
run rwkv7 convert d small.safetensors --type q4
exits 0
rm -r d

# Without a matching vocabulary the output has none; a note says so.
run rwkv7 convert "$models/f32_n32.safetensors" none.safetensors
exits 0
err_has 'no matching vocabulary found'
run rwkv7 info none.safetensors
exits 0
rm -f none.safetensors

# Several candidates are an error.
mkdir d
cp model.safetensors d
cp "$vocab" d/a.vocab.txt
cp "$vocab" d/b.vocab.txt
run rwkv7 convert d/model.safetensors none.safetensors
exits 3
err 'rwkv7: d holds several vocabularies; choose one with --vocab'
ok 'no file' [ ! -e none.safetensors ]
rm -r d

# A folder that cannot be read is an error.
mkdir d
cp model.safetensors d/my.safetensors
ln -s my.vocab.txt d/my.vocab.txt
run rwkv7 convert d/my.safetensors none.safetensors
exits 1
err_has '^rwkv7: d/my\.vocab\.txt: '
ok 'no file' [ ! -e none.safetensors ]
rm -r d

# A failed conversion leaves no file and does not change an existing one.
cp small.safetensors out
run rwkv7 convert small.safetensors out --type q8
exits 2
err_has '^rwkv7: small\.safetensors: already quantized; convert from the original'
run rwkv7 run -m small.safetensors --type q8 x
exits 2
err_has 'already quantized to q4'
run rwkv7 convert model.safetensors out --vocab "$tests/long.vocab.txt"
exits 3
run rwkv7 convert model.safetensors out --vocab missing
exits 1
err 'rwkv7: cannot read missing: No such file or directory'
run rwkv7 convert missing out
exits 1
head -c 100000 model.safetensors >./cut
run rwkv7 convert cut out
exits 3
run rwkv7 convert model.safetensors out --type q0
exits 2
run rwkv7 convert model.safetensors out --lora-alpha 16
exits 2
err_has '^rwkv7: --lora-alpha needs --lora FILE$'
run rwkv7 convert model.safetensors out --lora-init init.pth
exits 2
err_has '^rwkv7: --lora-init needs --lora FILE$'
run rwkv7 convert model.safetensors
exits 2
err_has 'expected two operands, IN and OUT'
run rwkv7 convert model.safetensors out third
exits 2
run rwkv7 convert model.safetensors dir/out
exits 1
rm cut
ok 'the old file' cmp -s small.safetensors out
alone ./model.safetensors ./out ./small.safetensors

# A full disk, simulated by a limit on file sizes.
run sh -c 'trap "" XFSZ; ulimit -f 100; rwkv7 convert model.safetensors out --type bf16'
exits 1
err_has '^rwkv7: out: cannot be written: '
ok 'the old file' cmp -s small.safetensors out
if [ -w /dev/full ]; then
    run rwkv7 convert model.safetensors /dev/full
    exits 1
    err_has 'No space left'
fi
alone ./model.safetensors ./out ./small.safetensors

# Errors of LoRA options, which leave no file. The library's tests check the merging.
while read -r status message file; do
    run rwkv7 convert "$models/f32_n16.safetensors" out.safetensors --lora "$file" --lora-alpha 8
    exits "$status"
    err_has "$message"
    ok 'no file' [ ! -e out.safetensors ]
done <<END
1 missing.pth:.No.such.file missing.pth
3 ok_torch.pth:.not.a.LoRA.file $tests/../corpus/pth/ok_torch.pth
END

# An endless vocabulary file is rejected.
mkfifo endless
yes >endless 2>/dev/null &
run rwkv7 convert "$models/bf16_n64.safetensors" fed.safetensors --vocab endless
exits 3
err 'rwkv7: endless: expected a vocabulary of at most 67108864 bytes'
ok 'no file' [ ! -e fed.safetensors ]
wait

# - is standard output, not a file of that name.
rwkv7 convert -q "$models/f32_n16.safetensors" dash.st >/dev/null 2>&1
run rwkv7 convert -q "$models/f32_n16.safetensors" -
exits 0
ok 'the same file on standard output' cmp -s dash.st "$work/out"
ok 'no file called -' [ ! -e ./- ]
