# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 logits: a complete NumPy file or none.

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
ok 'no temporary file' [ "$(echo *)" = a.npy ]
ok 'usual permissions' [ "$(ls -l a.npy | cut -c1-10)" = "$(: >b.npy && ls -l b.npy | cut -c1-10)" ]

# The same bytes from a file, from standard input, token by token, to standard output, and with
# other threads and kernels.
echo '1 2
3' >ids
run rwkv7 logits --model "$model" --tokens @ids -o b.npy
ok 'the same' cmp -s a.npy b.npy
given '1,2,3'
run rwkv7 logits "$model" --tokens @- -o b.npy
ok 'the same' cmp -s a.npy b.npy
run rwkv7 logits "$model" --tokens 1,2,3 -o -
ok 'the same' cmp -s a.npy "$work/out"
run rwkv7 logits "$model" --tokens ' 1 ,
2, 3 ' -o b.npy
ok 'the same' cmp -s a.npy b.npy
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
if has_blas; then
    run rwkv7 logits "$model" --tokens @ids --math blas -o b.npy
    exits 0
    ok 'header and numbers' sized b.npy $((128 + 700 * 61 * 4))
fi

# Errors leave no file.
rm ./*.npy
run rwkv7 logits "$model" -o a.npy
exits 2
err_has 'no token ids given: use --tokens'
run rwkv7 logits "$model" --tokens 1
exits 2
err_has 'no output file: use -o FILE'
run rwkv7 logits "$model" --tokens 1,61 -o a.npy
exits 2
err 'rwkv7: token id 61 at position 1: expected an id from 0 to 60'
run rwkv7 logits "$model" --tokens 1,x -o a.npy
exits 2
err_has "^rwkv7: --tokens: expected token ids, found 'x'"
for list in '1,,2' '1, ,2' '1,' ',1' ','; do
    run rwkv7 logits "$model" --tokens "$list" -o none.npy
    exits 2
    err 'rwkv7: --tokens: expected a token id before and after each comma'
done
run rwkv7 logits "$model" --tokens ' ' -o none.npy
exits 2
err_has 'expected token ids, found none'
run rwkv7 logits "$model" --tokens @missing -o a.npy
exits 1
err 'rwkv7: cannot read missing: No such file or directory'
run rwkv7 logits "$model" --tokens 1 -o missing/a.npy
exits 1
err 'rwkv7: missing/a.npy: cannot be written: No such file or directory'
ok 'no file' [ "$(echo *)" = ids ]

# An existing file is replaced completely or not at all.
echo old >a.npy
run rwkv7 logits "$model" --tokens 99 -o a.npy
exits 2
ok 'the old one' [ "$(cat a.npy)" = old ]

# Output names that are not regular files.
run rwkv7 logits "$model" --tokens 1,2,3 -o whole.npy
echo mine >a.npy.part
mkdir folder
ln -s ../a.npy folder/link
run rwkv7 logits "$model" --tokens 1,2,3 -o folder/link
exits 0
ok 'the link is still one' [ -L folder/link ]
ok 'the file behind it' cmp -s a.npy whole.npy
ok 'the file of somebody else' [ "$(cat a.npy.part)" = mine ]
run rwkv7 logits "$model" --tokens 1 -o folder
exits 1
err 'rwkv7: folder: cannot be written: Is a directory'
ln -s nothing broken
run rwkv7 logits "$model" --tokens 1 -o broken
exits 1
err 'rwkv7: broken: cannot be written: No such file or directory'
for stdout in /dev/stdout /dev/fd/1; do
    run rwkv7 logits "$model" --tokens 1,2,3 -o $stdout
    exits 0
    ok "$stdout" cmp -s "$work/out" whole.npy
    last="logits -o $stdout | cat"
    rwkv7 logits "$model" --tokens 1,2,3 -o $stdout | cat >"$work/out"
    ok "$stdout, a pipe" cmp -s "$work/out" whole.npy
done
mkfifo fifo
cat fifo >from_fifo &
run rwkv7 logits "$model" --tokens 1,2,3 -o fifo
exits 0
wait
ok 'through a FIFO' cmp -s from_fifo whole.npy
ok 'the FIFO is still one' [ -p fifo ]
