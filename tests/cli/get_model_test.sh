#!/bin/sh
# scripts/get-model.sh with a web server on loopback: complete, broken and missing downloads, wrong
# checksums.
#
#   get_model_test.sh SCRIPT
set -u

script=$1
tests=$(cd "$(dirname "$0")" && pwd)
for needed in python3 sha256sum; do
    if ! command -v "$needed" >/dev/null; then
        echo "skip: there is no $needed"
        exit 0
    fi
done
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-get.XXXXXX") || exit 1
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
unset RWKV7_MODEL_BASE RWKV7_VOCAB_BASE XDG_DATA_HOME http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
HOME=$work/home
export HOME

# The files on the server: one repository in the layout of Hugging Face, and a few wrong files.
served=$work/served
model=rwkv7-g1d-0.1b-20260129-ctx8192.pth
repository=$served/rwkv7-g1
mkdir -p "$repository/resolve/main" "$repository/raw/main"
put() { # put NAME CHECKSUM BYTES: a file of random bytes and its pointer
    head -c 300000 /dev/urandom >"$repository/resolve/main/$1"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' \
        "${2:-$(sha256sum <"$repository/resolve/main/$1" | cut -d' ' -f1)}" "${3:-300000}" >"$repository/raw/main/$1"
}
put "$model"
put wrong.pth 0000000000000000000000000000000000000000000000000000000000000000
put huge.pth '' 999999999999999999
put beside.pth
rm "$repository/raw/main/beside.pth"
(cd "$repository/resolve/main" && sha256sum beside.pth >beside.pth.sha256)
put unknown.pth
rm "$repository/raw/main/unknown.pth"

python3 "$tests/range_server.py" "$served" >"$work/port" 2>"$work/server" &
server=$!
tries=0
while [ ! -s "$work/port" ] && [ $tries -lt 1200 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
url=http://127.0.0.1:$(cat "$work/port")

checks=0
failures=0
check() { # check WHAT COMMAND...
    what=$1
    shift
    checks=$((checks + 1))
    if ! "$@"; then
        failures=$((failures + 1))
        echo "FAILED: $program: $what; exit code $code; standard output and error:"
        sed 's/^/    /' "$work/out" "$work/err"
    fi
}
get() { # get MODE ARGUMENT...: runs the script; MODE is the behaviour of the server
    mode=$1
    shift
    RWKV7_MODEL_BASE=$url/$mode "$script" --with "$program" "$@" >"$work/out" 2>"$work/err"
    code=$?
}
says() {
    grep -q -e "$1" "$work/err"
}
here() { # here NAME: the file is complete and no partial file remains
    cmp -s "$repository/resolve/main/$1" "$folder/$1" && [ ! -e "$folder/$1.part" ]
}
gone() {
    [ ! -e "$folder/$1" ] && [ ! -e "$folder/$1.part" ]
}
half() { # half NAME: writes the partial file of an interrupted download
    head -c 150000 "$repository/resolve/main/$1" >"$folder/$1.part"
}

cases() {
    folder=$work/$program
    mkdir "$folder"
    echo 'not looked at once it is there' >"$folder/rwkv_vocab_v20230424.txt"

    get good --dir "$folder" 0.1B
    check 'a whole download' [ $code -eq 0 ]
    check 'the file' here "$model"
    check 'its path' [ "$(cat "$work/out")" = "$folder/$model" ]
    check 'without a word about sums' sh -c "! grep -q checksum '$work/err'"
    get good --dir "$folder" 0.1b
    check 'twice' [ $code -eq 0 ]
    check 'the second time there is nothing to do' says 'is already there'
    echo more >>"$folder/$model"
    get good --dir "$folder" 0.1b
    check 'another file of that name' [ $code -eq 1 ]
    check 'is not replaced' says "differs from the server's file"
    rm "$folder/$model"

    half "$model"
    : >"$served/log"
    get good --dir "$folder" 0.1b
    check 'a resumed download' [ $code -eq 0 ]
    check 'the file, of two parts' here "$model"
    check 'only the rest is asked for' grep -q 'bytes=150000-$' "$served/log"
    rm "$folder/$model"
    cp "$repository/resolve/main/$model" "$folder/$model.part"
    get good --dir "$folder" 0.1b
    check 'a part that is all of it' here "$model"
    rm "$folder/$model"
    { cat "$repository/resolve/main/$model" && echo more; } >"$folder/$model.part"
    get good --dir "$folder" 0.1b
    check 'a part that is too long' here "$model"
    rm "$folder/$model"

    get broken --dir "$folder" 0.1b # curl and wget may try again by themselves
    if [ $code -ne 0 ]; then
        check 'a broken download says what to do' says 'run the same command to resume it'
        check 'and keeps what there is' [ -s "$folder/$model.part" ]
        get broken --dir "$folder" 0.1b
    fi
    check 'a broken download, and the rest of it' [ $code -eq 0 ]
    check 'are the file' here "$model"

    get good --dir "$folder" --file rwkv7-g1/missing.pth
    check 'a file that is not there' [ $code -eq 1 ]
    check 'is said' says 'missing.pth: cannot be downloaded'
    check 'and leaves nothing' gone missing.pth
    get good --dir "$folder" world-0.1b
    check 'a repository that is not there' [ $code -eq 1 ]
    get good --dir "$folder" --file rwkv7-g1/wrong.pth
    check 'a wrong checksum' [ $code -eq 1 ]
    check 'is said' says 'expected the checksum 0000.*, found '
    check 'and leaves nothing' gone wrong.pth
    get good --dir "$folder" --file rwkv7-g1/huge.pth
    check 'no room' [ $code -eq 1 ]
    check 'is said before' says 'expected [0-9]* kB of free space, found'
    get good --dir "$folder" --file rwkv7-g1/beside.pth
    check 'a checksum in a file' here beside.pth
    check 'is used' sh -c "! grep -q 'no checksum' '$work/err'"
    get good --dir "$folder" --file rwkv7-g1/unknown.pth
    check 'no checksum' here unknown.pth
    check 'is said' says 'states no checksum; only the size was checked'

    # The vocabulary, whose checksum is fixed, and the user's data folder.
    echo "1 'a' 1" >"$served/rwkv_vocab_v20230424.txt"
    get good --vocab-base "$url/good" 0.1b
    check 'another vocabulary' [ $code -eq 1 ]
    check 'is refused' says 'rwkv_vocab_v20230424.txt: expected the checksum e6dee3d4'
    check 'and not kept' [ ! -e "$HOME/.local/share/rwkv7/rwkv_vocab_v20230424.txt" ]
    real=$tests/../../../shared/vectors/rwkv_vocab_v20230424.txt
    if [ -r "$real" ]; then
        cat "$real" >"$served/rwkv_vocab_v20230424.txt"
        XDG_DATA_HOME=$work/data-$program
        export XDG_DATA_HOME
        get good --vocab-base "$url/good" 0.1b
        unset XDG_DATA_HOME
        folder=$work/data-$program/rwkv7
        check 'both' [ $code -eq 0 ]
        check 'the model' here "$model"
        check 'the vocabulary' cmp -s "$real" "$folder/rwkv_vocab_v20230424.txt"
    else
        echo "skip $real: not on this machine"
    fi
}

for program in curl wget; do
    if command -v "$program" >/dev/null; then
        cases
        rm -rf "$HOME"
    else
        echo "skip: there is no $program"
    fi
done

if command -v curl >/dev/null; then
    program=curl
    folder=$work/whole
    mkdir "$folder"
    : >"$folder/rwkv_vocab_v20230424.txt"
    half "$model"
    get whole --dir "$folder" 0.1b
    check 'a server that cannot resume' [ $code -eq 0 ]
    check 'is asked for all of it' here "$model"
    cp "$repository/resolve/main/unknown.pth" "$folder/unknown.pth.part"
    get good --dir "$folder" --file rwkv7-g1/unknown.pth
    check 'a part that is all of it, of a file whose size is not known' here unknown.pth
fi

program=none
for misuse in '' 5b '0.1b 0.4b' '--dir' '--file x' '--file ../x' '--file a/b/c' '0.1b --file a/b' '--with ftp 0.1b' '--unknown'; do
    # shellcheck disable=SC2086 # several arguments
    "$script" $misuse >"$work/out" 2>"$work/err" </dev/null
    code=$?
    check "get-model.sh $misuse" [ $code -eq 2 ]
done
"$script" --list >"$work/out" 2>"$work/err"
code=$?
check 'the list' grep -q '^13.3b  *26.5 GB  rwkv7-g1/' "$work/out"
"$script" --help >"$work/out" 2>"$work/err"
check 'the help' grep -q 'get-model.sh SIZE' "$work/out"

echo "get_model: $checks checks, $failures failures"
[ $failures -eq 0 ]
