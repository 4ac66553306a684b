# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Full disks, closed pipes, ^C, long prompts, terminals.

# File names without spaces, even if the path of the checkout has some: argument lists are split
# below.
ln -s "$models/bf16_n64.safetensors" model.safetensors
ln -s "$tests/syllables.vocab.txt" vocab.txt
model=model.safetensors
vocab=vocab.txt

if [ -c /dev/full ]; then
    for arguments in "run -q --temp 0 --model $model --vocab $vocab hello" '--version' 'help' "info $model" \
        "tokenize --vocab $vocab hello" "logits $model --tokens 1,2,3 -o -" "logits $model --tokens 1,2,3 -o /dev/full"; do
        last="rwkv7 $arguments >/dev/full"
        rwkv7 $arguments >/dev/full 2>"$work/err" </dev/null
        code=$?
        exits 1
        err_has '^rwkv7: (cannot write to standard output|/dev/full: cannot be written): No space left on device$'
        ok 'one line' [ "$(wc -l <"$work/err")" -eq 1 ]
    done
else
    skip 'there is no /dev/full'
fi

# Closed pipe: no message, exit code 0.
last='rwkv7 run | head -c 1'
{
    rwkv7 run -n -1 --ignore-eos --model "$model" --vocab "$vocab" hello </dev/null 2>"$work/err"
    echo $? >code
} | head -c 1 >"$work/out"
code=$(cat code)
exits 0
silent
ok 'one byte' sized "$work/out" 1

# The summary starts on a new line if text and summary go to the same file.
last='rwkv7 run >log 2>&1'
rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello </dev/null >log 2>&1
code=$?
exits 0
ok 'the text has its line' [ "$(head -n 1 log)" = 'ju gai' ]
ok 'and the summary its own' [ "$(sed -n '2s/^prompt 4 tokens.*/well/p' log)" = well ]
rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello </dev/null 2>&1 | cat >log
ok 'through a pipe too' [ "$(head -n 1 log)" = 'ju gai' ]
run rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello
text 'ju gai'
err_has '^prompt 4 tokens'

# ^C after the first text: that text, the summary, exit code 130. The test signals the process id in
# `pid`.
: >"$work/out"
interrupt_at "$work/out" &
run sh -c 'echo $$ >pid; exec rwkv7 run -n -1 --ignore-eos "$@"' sh --model "$model" --vocab "$vocab" hello
exits 130
ok 'the text so far' [ -s "$work/out" ]
err_has '^prompt [0-9]+ tokens.*; generated [0-9]+ tokens?'
wait

last='^C while waiting for standard input'
mkfifo fifo
sleep 600 >fifo &
sleeper=$!
: >"$work/err"
interrupt_at "$work/err" & # --verbose writes to it when everything is open
sh -c 'echo $$ >pid; exec rwkv7 run -v "$@"' sh --model "$model" --vocab "$vocab" <fifo >"$work/out" 2>"$work/err"
code=$?
kill $sleeper
wait
exits 130
text ''
err_has '^prompt 0 tokens'

last='^C while waiting for the writer of a pipe'
: >"$work/err"
interrupt_at "$work/err" &
sh -c 'echo $$ >pid; exec rwkv7 run -v "$@"' sh --model "$model" --vocab "$vocab" -f fifo </dev/null >"$work/out" 2>"$work/err"
code=$?
wait
exits 130

# A limit on the size of files is like a full disk.
run sh -c 'ulimit -f 1; exec rwkv7 run -q -n 0 --state-out state "$@"' sh --model "$model" --vocab "$vocab" hello
exits 1
err 'rwkv7: state: cannot be written: File too large'
ok 'no temporary file' [ "$(echo rwkv7-*.tmp)" = 'rwkv7-*.tmp' ]

# Limits on memory and processes, with a timeout.
if [ $emulated -eq 1 ] || [ $sanitized -eq 1 ]; then
    skip 'limits on memory and processes: an emulator or a sanitizer needs more'
elif ! command -v timeout >/dev/null; then
    skip 'limits on memory and processes: no timeout'
else
    limited() { # limited MEGABYTES ARGUMENT...
        run sh -c 'ulimit -v "${1}000"; shift; exec timeout -s KILL 240 rwkv7 "$@"' sh "$@"
    }
    limited 100 --version
    exits 0
    out_has '^rwkv7 [0-9]'
    limited 100 run -q -n 3 --temp 0 --model "$model" --vocab "$vocab" hello
    exits 0
    text 'ju gai'
    silent
    limited 100 run -q -n 1 --math blas --model "$model" --vocab "$vocab" hello
    exits 1
    err 'rwkv7: out of memory for OpenBLAS: the address space of this process is limited'
    if has_blas; then # OpenBLAS allocates a buffer per thread
        limited 300 run -q -n 1 -t 2 --math blas --model "$model" --vocab "$vocab" 'hello, hello, hello'
        exits 1
        err 'rwkv7: out of memory for the buffers of OpenBLAS'
        limited 1500 run -q -n 1 -t 2 --math blas --model "$model" --vocab "$vocab" 'hello, hello, hello'
        exits 0
    fi
    # A process that must not start threads. Root always may, so root changes to another user.
    set -- timeout -s KILL 240
    [ "$(id -u)" -ne 0 ] || set -- "$@" setpriv --reuid=23456 --clear-groups
    set -- "$@" sh -c '(ulimit -u 1) 2>/dev/null && ulimit -u 1 || ulimit -p 1; exec "$@"' sh "$program"
    if "$@" tokenize --vocab "$vocab" hello >/dev/null 2>&1 </dev/null; then
        run "$@" --version
        exits 0
        out_has 'threads: 1$'
        run "$@" run -q -n 3 --temp 0 --model "$model" --vocab "$vocab" hello
        exits 0
        text 'ju gai'
        run "$@" run -q -n 3 -t 2 --model "$model" --vocab "$vocab" hello
        exits 1
        err 'rwkv7: cannot start thread 2 of 2'
    else
        skip 'a limit on processes: cannot be set, or another user may not read this folder'
    fi
fi

# OpenBLAS is missing or invalid.
if [ "$(uname)" = Linux ]; then
    mkdir broken
    : >broken/libopenblas.so.0
    : >broken/libopenblasp.so.0
    LD_LIBRARY_PATH=$PWD/broken${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    run rwkv7 run -q -n 1 --math blas --model "$model" --vocab "$vocab" hello
    unset LD_LIBRARY_PATH
    exits 2
    err_has '^rwkv7: cannot load OpenBLAS for math blas: .*libopenblas.so.0: file too short \(package libopenblas0 '
else
    skip 'a broken OpenBLAS: cannot be put in its place here'
fi

# A signal that ends the program leaves no partial array.
yes '1 2 3 4 5 6 7 8' | head -n 10000 >ids
writing() { # the output has a temporary name or, on Linux, none
    [ "$(echo rwkv7-*.tmp)" != 'rwkv7-*.tmp' ] || [ -n "$(find "/proc/$(cat pid)/fd" -lname '*(deleted)' 2>/dev/null)" ]
}
for signal in INT TERM HUP KILL; do
    {
        await writing
        kill -$signal "$(cat pid)"
    } &
    run sh -c 'echo $$ >pid; exec rwkv7 logits "$@"' sh --model "$model" --tokens @ids --step -o array.npy
    [ $signal = KILL ] && exits 137 || exits 130
    ok "no file after SIG$signal" [ ! -e array.npy ]
    if [ $signal != KILL ] || [ "$(uname)" = Linux ]; then # elsewhere the temporary name remains
        ok "no temporary file after SIG$signal" [ "$(echo rwkv7-*.tmp)" = 'rwkv7-*.tmp' ]
    fi
    wait
done

# 20 MB of prompt take no more memory than 20 bytes. Tokens of 1000 bytes keep it short.
if [ $emulated -eq 0 ]; then
    peak() { # megabytes, of the last run
        sed -n 's/.*; memory \([0-9]*\)[0-9.]* MB.*/\1/p' "$work/err"
    }
    given aaaaaaaaaaaaaaaaaaaa
    run rwkv7 run -n 0 --model "$models/f32_n16.safetensors" --vocab "$tests/long.vocab.txt"
    small=$(peak)
    yes aaaaaaaaaaaaaaaaaaa | tr '\n' a | head -c 20000000 >"$work/in"
    run rwkv7 run -n 0 --model "$models/f32_n16.safetensors" --vocab "$tests/long.vocab.txt"
    exits 0
    err_has '^prompt 20001 tokens'
    ok "memory, $small MB before, $(peak) MB now" [ "$(peak)" -lt $((small + 12)) ]
else
    skip 'a prompt of 20 MB under an emulator'
fi

# On a terminal: a newline after the text, a dimmed summary unless NO_COLOR.
on_terminal() {
    last="$* on a terminal"
    script -qec "$*" /dev/null </dev/null 2>/dev/null | tr -d '\r' >"$work/out"
    code=0
}
escape=$(printf '\033')
if script --version 2>/dev/null | grep -q util-linux; then
    on_terminal rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello
    out_has '^ju gai$'
    out_has "^$escape\[2mprompt .*$escape\[0m$"
    on_terminal "rwkv7 run --temp 0 -n 3 --model $model --vocab $vocab hello | cat >text"
    ok 'the summary begins a line, whatever the pipe showed' [ -z "$(head -n 1 "$work/out")" ]
    on_terminal "rwkv7 run --temp 0 -n 3 --model $model --vocab $vocab hello >text"
    ok 'nothing was shown' [ -n "$(head -n 1 "$work/out")" ]
    on_terminal "rwkv7 run -q --temp 0 -n 3 --model $model --vocab $vocab hello | cat >text"
    text ''
    # Standard input stays open until the program reports that it is waiting for input.
    cat >waits <<EOF
{ tries=0; until grep -q '[s]tandard input' shown || [ \$tries -eq 1200 ]; do sleep 0.1; tries=\$((tries + 1)); done; } |
    rwkv7 run --temp 0 -n 3 --model $model --vocab $vocab hello
EOF
    last='a terminal, and a pipe that stays open'
    script -qefc 'sh waits' shown </dev/null >/dev/null 2>&1
    tr -d '\r' <shown >"$work/out"
    out_has '^rwkv7: reading standard input as the first part'
    out_has '^ju gai$'
    on_terminal NO_COLOR=1 rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello
    out_has '^ju gai$'
    ok 'no colours' lacks_escapes "$work/out"
    on_terminal TERM=dumb rwkv7 run --temp 0 -n 3 --model "$model" --vocab "$vocab" hello
    ok 'no escape codes' lacks_escapes "$work/out"
    on_terminal rwkv7 logits "$model" --tokens 1 -o -
    out_has 'to a terminal'
else
    skip "script(1) is not util-linux's"
fi

# A model truncated while in use is reported, whichever thread faults.
if [ $emulated -eq 0 ]; then
    for threads in 1 2 3 3 3; do
        cp "$model" cut.safetensors
        : >"$work/out"
        {
            await [ -s "$work/out" ]
            : >cut.safetensors
        } &
        run rwkv7 run -t $threads -n -1 --ignore-eos --model cut.safetensors --vocab "$vocab" hello
        exits 1
        err 'rwkv7: a mapped file was truncated, or could not be read'
        wait
    done
else
    skip 'SIGBUS under an emulator'
fi

# A stack that is too small is reported, or enlarged if allowed.
if [ $emulated -eq 1 ] || [ $sanitized -eq 1 ]; then
    skip 'limits on the stack: an emulator or a sanitizer needs more'
else
    for size in 32 64; do
        run sh -c 'ulimit -s "$1"; shift; exec rwkv7 "$@"' sh $size run -q -n 1 --model "$model" --vocab "$vocab" hello
        exits 1
        err "rwkv7: stack limit: expected at least 256 KiB, found $size; raise it with ulimit -s"
        run sh -c 'ulimit -S -s "$1"; shift; exec rwkv7 "$@"' sh $size run -q -n 1 --model "$model" --vocab "$vocab" hello
        exits 0
    done
    run sh -c 'ulimit -s 256; exec rwkv7 run -q -n 1 "$@"' sh --type q4 --model "$model" --vocab "$vocab" hello
    exits 0
fi

# A signal while the program waits for its reader or for input.
if command -v python3 >/dev/null; then
    mkdir signals
    run sh -c 'cd signals && exec python3 "$@"' sh "$tests/blocked.py" rwkv7 \
        "$models/bf16_n64.safetensors" "$tests/syllables.vocab.txt" "$tests/bytes.vocab.txt"
    exits 0
    out 'signals: all well'
    mkdir readers
    if [ -z "${EARLY_SIGNAL:-}" ] || [ $sanitized -eq 1 ]; then
        skip 'a signal just before a FIFO is opened: cannot be put between here'
    else
        cp "$EARLY_SIGNAL" readers/early_signal.so # a path with a space would be two
    fi
    run sh -c 'cd readers && exec python3 "$@"' sh "$tests/readers.py" rwkv7 \
        "$models/bf16_n64.safetensors" "$tests/syllables.vocab.txt" "$tests/bytes.vocab.txt"
    exits 0
    out 'readers: all well'
else
    skip 'no python3, so no reader that stops or goes away'
fi
