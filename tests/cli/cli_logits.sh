# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 logits: a NumPy file, whole or not at all.

model=$models/f32_n32.safetensors # 61 rows

header() { # of FILE, without its magic
    head -c 128 "$1" | LC_ALL=C tr -cd '[:print:]' | sed 's/^NUMPYv*//; s/ *$//'
}

run rwkv7 logits "$model" --tokens 1,2,3 -o a.npy
exits 0
text ''
silent
ok 'header and numbers' sized a.npy $((128 + 3 * 61 * 4))
ok 'shape' [ "$(header a.npy)" = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 61), }" ]
ok 'no temporary file' [ ! -e a.npy.part ]
ok 'usual permissions' [ "$(ls -l a.npy | cut -c1-10)" = "$(: >b.npy && ls -l b.npy | cut -c1-10)" ]

# From a file, from standard input, token by token, to standard output, with other threads and kernels: the same bytes.
echo '1 2
3' >ids
run rwkv7 logits --model "$model" --tokens @ids -o b.npy
ok 'the same' cmp -s a.npy b.npy
given '1,2,3'
run rwkv7 logits "$model" --tokens @- -o b.npy
ok 'the same' cmp -s a.npy b.npy
run rwkv7 logits "$model" --tokens 1,2,3 -o -
ok 'the same' cmp -s a.npy "$work/out"
i=0
while [ $i -lt 700 ]; do # more than a chunk
    echo $((i * 7919 % 61))
    i=$((i + 1))
done >ids
run rwkv7 logits "$model" --tokens @ids -o a.npy
exits 0
ok 'header and numbers' sized a.npy $((128 + 700 * 61 * 4))
run rwkv7 logits "$model" --tokens @ids --step -t 1 -o b.npy
ok 'the same' cmp -s a.npy b.npy
run rwkv7 logits "$model" --tokens @ids --cpu ref -t 3 -o b.npy
ok 'the same' cmp -s a.npy b.npy
run rwkv7 logits "$model" --tokens @ids --math blas -o b.npy
exits 0
ok 'header and numbers' sized b.npy $((128 + 700 * 61 * 4))

# Mistakes leave no file.
rm ./*.npy
run rwkv7 logits "$model" -o a.npy
exits 2
err_has 'which tokens'
run rwkv7 logits "$model" --tokens 1
exits 2
err_has 'Give -o FILE'
run rwkv7 logits "$model" --tokens 1,61 -o a.npy
exits 2
err 'rwkv7: token id 61 at position 1: the model has the ids 0 to 60'
run rwkv7 logits "$model" --tokens 1,x -o a.npy
exits 2
err_has "^rwkv7: --tokens: expected token ids, found 'x'"
run rwkv7 logits "$model" --tokens , -o a.npy
exits 2
err_has 'there are no token ids'
run rwkv7 logits "$model" --tokens @missing -o a.npy
exits 1
err 'rwkv7: cannot read missing: No such file or directory'
run rwkv7 logits "$model" --tokens 1 -o missing/a.npy
exits 1
err 'rwkv7: cannot write missing/a.npy: No such file or directory'
ok 'no file' [ "$(echo ./*.npy*)" = './*.npy*' ]

# A result that was there is replaced as a whole or not at all.
echo old >a.npy
run rwkv7 logits "$model" --tokens 99 -o a.npy
exits 2
ok 'the old one' [ "$(cat a.npy)" = old ]
