# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 pull from a server on loopback, and short names of downloaded models. get_model_test.sh
# tests download errors.

RWKV7_PULL=$tests/../../scripts/get-model.sh
export RWKV7_PULL
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY RWKV7_MODEL_BASE RWKV7_VOCAB_BASE

names=$(grep -v '^#' "$tests/../../scripts/models.txt" | awk '{ printf "%s%s", n++ ? "|" : "", $1 }')
run rwkv7 pull
exits 2
err "rwkv7: no model given: expected one of $names
Try 'rwkv7 help pull'."
run rwkv7 pull 5b
exits 2
err "rwkv7: pull needs one of $names, not '5b'
Try 'rwkv7 help pull'."
run rwkv7 pull 0.1b 0.4b
exits 2
run rwkv7 pull --list 0.1b
exits 2
run rwkv7 pull --list
exits 0
silent
ok 'every model is listed' [ "$(wc -l <"$work/out")" -eq "$(echo "$names" | tr '|' '\n' | wc -l)" ]
out_has '^0\.4b .* GB  rwkv7-g1/'
run env RWKV7_PULL="$work/none.sh" rwkv7 pull 0.1b
exits 1
err "rwkv7: cannot read $work/none.sh: No such file or directory; it is installed with the program"
run env RWKV7_PULL="$work" rwkv7 pull 0.1b
exits 1
err "rwkv7: cannot read $work: Is a directory; it is installed with the program"

# Without RWKV7_PULL: the script of the prefix that the program is in, or of its source tree.
if [ -L /proc/self/exe ] && [ "$emulated" -eq 0 ]; then
    mkdir -p moved/bin moved/share/rwkv7 tree/build tree/scripts
    cp "$program" moved/bin
    cp "$program" tree/build
    touch tree/build/CMakeCache.txt
    echo 'echo installed "$@"' >moved/share/rwkv7/get-model.sh
    echo 'echo source tree "$@"' >tree/scripts/get-model.sh
    run env -u RWKV7_PULL moved/bin/rwkv7 pull 0.1b
    exits 0
    out 'installed 0.1b'
    run env -u RWKV7_PULL tree/build/rwkv7 pull 0.1b
    exits 0
    out 'source tree 0.1b'
    rm tree/build/CMakeCache.txt # now it is not a build folder
    run env -u RWKV7_PULL tree/build/rwkv7 pull 0.1b
    ok 'not from a folder that is no build folder' [ "$(cat "$work/out")" != 'source tree 0.1b' ]
else
    skip 'no /proc/self/exe, or an emulator'
fi

run env -u HOME -u XDG_DATA_HOME rwkv7 pull 0.1b
exits 1
err 'get-model.sh: neither XDG_DATA_HOME nor HOME says where to: set one of them, or give --dir'
# Without network, and without curl and wget.
run env RWKV7_VOCAB_BASE=http://127.0.0.1:1 rwkv7 pull 0.1b
exits 1
if command -v curl >/dev/null; then
    err 'get-model.sh: http://127.0.0.1:1/rwkv_vocab_v20230424.txt: cannot be downloaded: the server cannot be reached; is there a network?'
fi
mkdir few
for tool in sh awk grep dirname cat tr; do
    ln -s "$(command -v $tool)" few/$tool
done
run env PATH="$work/dir/few" "$work/bin/rwkv7" pull 0.1b
exits 1
err 'get-model.sh: neither curl nor wget is installed'

# A short name that was not downloaded, a file of that name, a downloaded one.
for command in 'info 0.1b' 'run -m 0.1b x' 'eval --against 0.1b x' 'convert 0.1b new.st'; do
    # shellcheck disable=SC2086 # several words
    run rwkv7 $command
    exits 3
    err "rwkv7: model '0.1b' is not downloaded; run rwkv7 pull 0.1b"
done
cp "$models/f32_n16.safetensors" 0.1b
run rwkv7 info 0.1b
exits 0
rm 0.1b

python=$(command -v python3)
if [ -n "$python" ] && command -v curl >/dev/null && command -v sha256sum >/dev/null; then
    served=$work/served/rwkv7-g1/resolve/main
    folder=$HOME/.local/share/rwkv7
    mkdir -p "$served" "$folder"
    name=$(awk '$1 == "0.1b" { print $3 }' "$tests/../../scripts/models.txt")
    cp "$models/f32_n16.safetensors" "$served/$name"
    (cd "$served" && sha256sum "$name" >"$name.sha256")
    cp "$tests/bytes.vocab.txt" "$folder/rwkv_vocab_v20230424.txt" # an existing file is not checked
    "$python" "$tests/range_server.py" "$work/served" >"$work/port" 2>/dev/null &
    server=$!
    await [ -s "$work/port" ]
    RWKV7_MODEL_BASE=http://127.0.0.1:$(cat "$work/port")/good
    export RWKV7_MODEL_BASE
    run rwkv7 pull 0.1B
    exits 0
    out "$folder/$name"
    ok 'the file' cmp -s "$folder/$name" "$served/$name"
    kill "$server"
    for command in 'info 0.1b' 'info -m 0.1B' 'run -q -n 1 -m 0.1b x' 'convert -q 0.1b new.st'; do
        # shellcheck disable=SC2086 # several words
        run rwkv7 $command
        exits 0
    done
    run env RWKV7_MODEL=0.1b rwkv7 info
    exits 0
    out_has "$name"
    # A model with a short name is an input, too.
    run rwkv7 convert "$models/f32_n16.safetensors" "$folder/$name" --vocab "$tests/bytes.vocab.txt"
    exits 0
    run rwkv7 convert 0.1b "$folder/$name"
    exits 2
    run rwkv7 run -n 1 -m 0.1b --state-out "$folder/$name" x
    exits 2
else
    skip 'no python3, curl or sha256sum'
fi
