# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Saved states: a resumed text equals one run; the prompt cache avoids evaluating prompts again.

model=$models/bf16_n64.safetensors
vocab=$tests/syllables.vocab.txt
story() {
    run rwkv7 run -q --model "$model" --vocab "$vocab" "$@"
}
# joined N OPTIONS: a run of N tokens, resumed up to 24, gives the text of one run
joined() {
    first=$1
    shift
    story -n 24 --seed 9 "$@" hello
    cp "$work/out" whole
    story -n "$first" --seed 9 "$@" --state-out state hello
    exits 0
    cp "$work/out" parts
    story -n $((24 - first)) "$@" --state-in state
    exits 0
    cat "$work/out" >>parts
    ok "the same text in two parts, the first of $first tokens, with $*" cmp -s parts whole
}
for first in 0 1 7 23 24; do
    joined $first --temp 0
    joined $first
    joined $first --temp 1 --top-p 1 --presence 2 --frequency 1
done
joined 11 --type q8 --temp 0
joined 11 -t 3

# The RNG state is resumed too, unless --seed is given.
story -n 4 --seed 9 --state-out state hello
for seed in '' 9 10 again9; do
    case $seed in
    '') story -n 20 --state-in state ;;
    *) story -n 20 --seed "${seed#again}" --state-in state ;;
    esac
    cp "$work/out" "drawn$seed"
done
differ() {
    ! cmp -s "$1" "$2"
}
ok "a seed is obeyed behind a state" differ drawn drawn9
ok "another seed, another text" differ drawn9 drawn10
ok 'the same seed, the same text' cmp -s drawn9 drawnagain9

# The saved text may end inside a character or a stop string.
bytes() {
    run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --seed 1 "$@"
}
bytes -n 200 hello
cp "$work/out" whole
for first in 20 21 22 23 24 25 26 27 28 29; do
    bytes -n $first --state-out state hello
    cp "$work/out" parts
    run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" -n $((200 - first)) --state-in state
    cat "$work/out" >>parts
    ok "the same bytes, $first tokens first" cmp -s parts whole
done
story --temp 0 -n 16 hello
stop=$(cut -c 8-13 "$work/out") # several tokens
story --temp 0 -n 16 --stop "$stop" hello
cp "$work/out" whole
for first in 1 2 3 4 5 6 7; do
    story --temp 0 -n $first --stop "$stop" --state-out state hello
    cp "$work/out" parts
    if ! cmp -s parts whole; then
        story --temp 0 -n 16 --stop "$stop" --state-in state
        cat "$work/out" >>parts
    fi
    ok "the same end, $first tokens first" cmp -s parts whole
done

# A state saved at a stop string ends before it: without --stop the text continues as in one run,
# and a prompt is evaluated after the text that was shown.
for choice in '--temp 0' '--seed 9 --temp 1 --top-p 1' '--seed 9 --presence 2 --frequency 1'; do
    story $choice -n 24 hello
    cp "$work/out" whole
    for from in 1 4 6 8 9 13; do
        stop=$(cut -c "$from-$((from + 4))" whole)
        story $choice -n 24 --stop "$stop" --state-out state hello
        cp "$work/out" parts
        story ${choice#--seed 9} -n 24 --state-in state
        cat "$work/out" >>parts
        head -c "$(wc -c <whole)" parts >joined
        ok "the same text behind the stop string '$stop', with $choice" cmp -s joined whole
    done
done
letters="--ban $(awk 'BEGIN { for (i = 0; i < 257; i++) if (i < 98 || i > 123) printf "%s%d", i ? "," : "", i }')"
run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --temp 0 $letters -n 40 hello
stop=$(cut -c 5-8 "$work/out")
run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --temp 0 $letters -n 40 --stop "$stop" --state-out state hello
shown=$(cat "$work/out")
run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --temp 0 $letters -n 20 "hello$shown, more"
cp "$work/out" whole
run rwkv7 run -q --model "$model" --vocab "$tests/bytes.vocab.txt" --temp 0 $letters -n 20 --state-in state ', more'
ok 'a prompt goes on behind what was shown' cmp -s "$work/out" whole
run rwkv7 run -q --model "$model" --vocab "$vocab" --temp 0 -n 20 --state-in state
exits 3
err_has '^rwkv7: state: the state was saved with another vocabulary, whose ids have other texts'

# In many steps, into the same file; also after ^C.
story -n 3 --temp 0 --state-out state hello
cp "$work/out" parts
for step in 1 2 3 4 5 6 7; do
    story -n 3 --temp 0 --state-in state --state-out state
    cat "$work/out" >>parts
done
story -n 24 --temp 0 hello
ok 'the same text in eight parts' cmp -s parts "$work/out"
: >"$work/out"
interrupt_at "$work/out" &
run sh -c 'echo $$ >pid; exec rwkv7 run -q -n -1 --ignore-eos --temp 0 --state-out state "$@"' sh --model "$model" \
    --vocab "$vocab" hello
exits 130
wait
cp "$work/out" parts
story --temp 0 --ignore-eos -n 30 --state-in state
cat "$work/out" >>parts
size=$(wc -c <parts)
story --temp 0 --ignore-eos -n $((size + 1)) hello # a token has at least one byte
head -c "$size" "$work/out" >whole
ok 'the text before ^C and behind it' cmp -s parts whole

last='a reader that goes away'
{
    rwkv7 run -q -n -1 --ignore-eos --temp 0 --state-out left --model "$model" --vocab "$vocab" hello 2>"$work/err" </dev/null
    echo $? >code
} | head -c 5 >"$work/out"
code=$(cat code)
exits 0
silent
story --temp 0 --ignore-eos -n 16 --state-in left
exits 0
cp "$work/out" parts
# Before a reader that gets no CPU goes away, the pipe is full: 64 KiB, at least one byte per token.
for tokens in 3000 70000; do
    story --temp 0 --ignore-eos -n $tokens hello
    ! grep -qF "$(cat parts)" "$work/out" || break
done
ok 'the text that would have followed' grep -qF "$(cat parts)" "$work/out"

# A prompt after a state continues the document, without another separator.
story -n 0 --state-out state 'one '
exits 0
text ''
story --temp 0 -n 16 --state-in state 'more'
cp "$work/out" parts
story --temp 0 -n 16 'one more'
ok 'prompts in two parts' cmp -s parts "$work/out"
story -n 0 --no-bos --state-out state
exits 0
story -n 1 --state-in state
exits 2
err_has 'the prompt is empty'

# Rejected files, each with its message; nothing is generated.
refused() { # refused FILE PATTERN
    story --state-in "$1" -n 3 hello
    exits 3
    text ''
    err_has "^rwkv7: $1: .*$2"
}
story -n 3 --state-out state hello
head -c 1000 state >torn
refused torn 'the file is damaged'
for byte in X Y; do # two values, because the byte may already be one of them
    {
        head -c 9000 state
        printf %s "$byte"
        tail -c +9002 state
    } >damaged
    cmp -s state damaged || break
done
refused damaged 'damaged'
printf hello >foreign
refused foreign 'not an rwkv7 state file'
run rwkv7 run -q -n 3 --state-out other hello
if [ "$code" -eq 0 ]; then
    refused other 'a state of (a model with|other weights)'
else
    skip 'no model is built in'
fi
run rwkv7 run -q --model "${model%.safetensors}_st.safetensors" --vocab "$vocab" --state-in state -n 3 hello
exits 0 # the same weights in another file
story -n 3 --type q8 --state-in state hello
exits 3
err_has 'other weights'
story -n 3 --sparse on --state-in state hello
exits 0
story --state-in missing hello
exits 1
err_has '^rwkv7: missing: '
story -n 3 --state-out no/such/folder hello
exits 1
text '' # rejected before any text is written
err_has '^rwkv7: no/such/folder: '
# A path that is not writable or is an input is rejected before anything is generated.
mkdir folder
ln -s nothing link
cp "$model" model
cp "$vocab" vocab
ln model 'another name'
refused_place() { # refused_place FILE CODE REASON
    run rwkv7 run -q --model model --vocab vocab -n 3 --state-out "$1" hello
    exits "$2"
    text ''
    err_has "^rwkv7: $1: $3"
}
for place in folder link /dev/fd/99; do
    refused_place $place 1 'cannot be written'
done
for place in model 'another name' vocab; do
    refused_place "$place" 2 'refusing to overwrite an input file, read as '
done
ok 'the model is as it was' cmp -s model "$model"
rmdir folder
rm link model vocab 'another name'
story --state-in state --prompt-cache cache hello
exits 2
err_has 'exclude each other'

# The prompt cache: the same text; cached prefixes are not evaluated again.
syllables() { # syllables SEED COUNT
    awk -v seed="$1" -v count="$2" 'BEGIN {
        split("ja re mi fo lu na so ve ga qa ", s, " ")
        srand(seed)
        for (i = 0; i < count; i++) printf "%s%s", s[int(rand() * 9) + 1], rand() < 0.3 ? " " : ""
    }'
}
cached() {
    run rwkv7 run --temp 0 -n 12 --model "$model" --vocab "$vocab" --prompt-cache cache "$@"
    exits 0
}
same_text() {
    cp "$work/out" got
    run rwkv7 run -q --temp 0 -n 12 --model "$model" --vocab "$vocab" "$@"
    ok 'the same text as without the cache' cmp -s got "$work/out"
}
known() {
    sed -n 's/^prompt [0-9]* tokens (\([0-9]*\) cached).*/\1/p' "$work/err"
}
total() {
    sed -n 's/^prompt \([0-9]*\) tokens.*/\1/p' "$work/err"
}
syllables 1 1200 >long.txt
cached -f long.txt
ok 'nothing is known at first' [ -z "$(known)" ]
ok 'nobody else may look' [ "$(ls -ld cache | cut -c 1-10)" = drwx------ ]
tokens=$(total)
same_text -f long.txt
cached -f long.txt
ok 'all but one is known' [ "$(known)" -eq $((tokens - 1)) ]
same_text -f long.txt
cached -f long.txt ' mo'
ok 'the beginning is known' [ "$(known)" -eq $((tokens - 1)) ]
same_text -f long.txt ' mo'
question=$(syllables 2 200)
cached -f long.txt "$question"
same_text -f long.txt "$question"
question=$(syllables 3 200)
cached -f long.txt "$question"
ok 'the file is known, the question is not' [ "$(known)" -ge $((tokens - 2)) ]
same_text -f long.txt "$question"
{
    head -c 2000 long.txt
    syllables 4 300
} >fork.txt
cached -f fork.txt
ok 'a part of it is known' [ "$(known)" -gt 256 ]
same_text -f fork.txt
cached hello # too short to be cached
ok 'nothing is known of a short prompt' [ -z "$(known)" ]
cached --type q8 -f long.txt
ok 'nothing is known for other weights' [ -z "$(known)" ]
if has_blas; then
    cached --math blas -f long.txt
    ok 'nothing is known for other math' [ -z "$(known)" ]
fi
cached -t 1 -f long.txt
ok 'but for any number of threads' [ "$(known)" -eq $((tokens - 1)) ]

# Invalid entries are reported and removed. Other files are not touched.
for entry in cache/*.state; do
    head -c 5000 "$entry" >first
    cat first >"$entry"
done
: >cache/notes.txt
: >cache/rwkv7-0badc0de.tmp
touch -t 202001010000 cache/rwkv7-0badc0de.tmp
: >cache/rwkv7-00c0ffee.tmp
cached -f long.txt
ok 'a broken entry is no use' [ -z "$(known)" ]
err_has '^rwkv7: prompt cache: cache/.*damaged; the entry is removed$'
same_text -f long.txt
cached -f long.txt
ok 'it was replaced' [ "$(known)" -eq $((tokens - 1)) ]
ok 'a file of somebody else' [ -e cache/notes.txt ]
ok 'what a writer left' [ ! -e cache/rwkv7-0badc0de.tmp ]
ok 'what a writer still writes' [ -e cache/rwkv7-00c0ffee.tmp ]

# An entry name that is not a regular file is neither read nor written.
for kind in fifo link; do
    rm -f cache/*
    cached -f long.txt
    for entry in cache/*.state; do
        rm "$entry"
        case $kind in
        fifo) mkfifo "$entry" ;;
        link) ln -s "$work/dir/aim" "$entry" ;;
        esac
    done
    : >aim
    cached -f long.txt
    err_has '^rwkv7: prompt cache: cache/.*: not a regular file; state not saved$'
    same_text -f long.txt
    ok 'nothing behind a link' [ ! -s aim ]
done

# The size limit removes the least recently used entries.
rm -rf cache
syllables 5 400 >one.txt
syllables 6 400 >two.txt
cached -f one.txt
one=$(echo cache/*)
touch -t 201901010000 "$one"
for year in 2020 2021; do # names, sizes and times are all that counts
    head -c 450000 /dev/zero >cache/000000000000$year-1000000.state
    touch -t ${year}01010000 cache/000000000000$year-1000000.state
done
cached -f one.txt # used again
ok 'one is known' [ -n "$(known)" ]
cached -f two.txt --prompt-cache-size 1
ok 'the oldest is gone' [ ! -e cache/0000000000002020-1000000.state ]
ok 'the next is not' [ -e cache/0000000000002021-1000000.state ]
ok 'nor what was used again' [ -e "$one" ]
ok 'nor what is new' [ "$(ls cache | wc -l)" -eq 3 ]
cached --prompt-cache-size 0 -f fork.txt
ok 'no room, no entries' [ -z "$(ls cache)" ]
same_text -f fork.txt

# Concurrent processes, on the same and on other prompts, with a small size limit.
rm -rf cache
for i in 1 2 3 4 5 6 7 8; do
    syllables $((i % 3)) 500 >"prompt$i.txt"
    rwkv7 run -q --temp 0 -n 12 --model "$model" --vocab "$vocab" -f "prompt$i.txt" >"want$i" </dev/null
done
for round in 1 2 3; do
    for i in 1 2 3 4 5 6 7 8; do
        rwkv7 run -q -t 1 --temp 0 -n 12 --model "$model" --vocab "$vocab" -f "prompt$i.txt" --prompt-cache cache \
            --prompt-cache-size $((round - 1)) >"got$i" 2>"err$i" </dev/null &
    done
    wait
    last="round $round of eight processes"
    for i in 1 2 3 4 5 6 7 8; do
        ok "the same text, process $i" cmp -s "got$i" "want$i"
        ok "no complaint, process $i" [ ! -s "err$i" ]
    done
done
for entry in cache/*.tmp*; do
    ok 'nothing unfinished' [ ! -e "$entry" ]
done

# A folder that others can write to is rejected: they could replace a state.
for mode in 777 1777 775 757; do
    chmod $mode cache
    run rwkv7 run --model "$model" --vocab "$vocab" --prompt-cache cache -n 1 hello
    exits 1
    text ''
    err 'rwkv7: cannot use cache for the prompt cache: other users may write to it; use chmod go-w'
    given 'hello'
    run rwkv7 chat --model "$model" --vocab "$tests/bytes.vocab.txt" --prompt-cache cache --system hello
    exits 1
    text ''
done
chmod 755 cache
if [ "$(id -u)" -eq 0 ]; then
    mkdir theirs
    chown 12345 theirs
    run rwkv7 run --model "$model" --vocab "$vocab" --prompt-cache theirs -n 1 hello
    exits 1
    err 'rwkv7: cannot use theirs for the prompt cache: it belongs to another user'
    rmdir theirs
else
    skip 'a folder of another user: only root can make one'
fi

# Other users may list the folder but not read the entries.
chmod 755 cache
rm -f cache/*
rwkv7 run -q -n 1 --model "$model" --vocab "$vocab" -f prompt1.txt --prompt-cache cache >"$work/out" </dev/null
ok 'entries' [ -n "$(ls cache/*.state)" ]
ok 'private entries' [ -z "$(find cache -name '*.state' ! -perm 600)" ]

run rwkv7 run --prompt-cache cache/notes/deep --model "$model" --vocab "$vocab" hello
exits 1
err_has '^rwkv7: cannot create cache/notes/deep for the prompt cache'
run rwkv7 run --prompt-cache prompt1.txt --model "$model" --vocab "$vocab" hello
exits 1
err 'rwkv7: cannot use prompt1.txt for the prompt cache: it is not a folder'

# A state reveals the prompt: the file is readable by its owner only, also if it replaces another.
(umask 022 && rwkv7 run -q -n 0 --model "$models/bf16_n64.safetensors" --vocab "$tests/syllables.vocab.txt" \
    --state-out private hello </dev/null)
ok 'a state is private' [ "$(ls -l private | cut -c 1-10)" = -rw------- ]
chmod 644 private
rwkv7 run -q -n 0 --model "$models/bf16_n64.safetensors" --vocab "$tests/syllables.vocab.txt" --state-out private hello </dev/null
ok 'also in the place of another file' [ "$(ls -l private | cut -c 1-10)" = -rw------- ]
