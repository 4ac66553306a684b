#!/bin/sh
# Downloads an RWKV-7 checkpoint of the author, and the World vocabulary, to the folder where rwkv7 looks for them.
# `rwkv7 pull` runs it.
#
#   scripts/get-model.sh SIZE [OPTION...]
#
#   SIZE               0.1b, 0.4b, ...; `--list` shows all
#   --file REPO/FILE   instead of SIZE: any file of a repository of the author
#   --dir DIR          folder; default: $XDG_DATA_HOME/rwkv7, or ~/.local/share/rwkv7
#   --base URL         of the repositories; default: RWKV7_MODEL_BASE, or https://huggingface.co/BlinkDL
#   --vocab-base URL   of the vocabulary; default: RWKV7_VOCAB_BASE, or its repository on GitHub
#   --with PROGRAM     curl or wget; default: the first that is installed
#
# The same command resumes an interrupted download. The expected checksum comes from the
# server (the Git LFS pointer of the file, or FILE.sha256). Without one, a message says so, and only
# the size is checked, by curl or wget. The checksum of the vocabulary is fixed. A file gets its
# name when it is complete. Only the path of the model is written to standard output.
set -eu

# name, repository, file, parameters in millions
models=$(grep -v '^#' "$(dirname "$0")/models.txt")
vocab=rwkv_vocab_v20230424.txt
vocab_sha=e6dee3d4e31b4d5c40ac99508ac6c701ceef4bed681bf2167ce9a908552bca89
base=${RWKV7_MODEL_BASE:-https://huggingface.co/BlinkDL}
vocab_base=${RWKV7_VOCAB_BASE:-https://raw.githubusercontent.com/BlinkDL/ChatRWKV/main/tokenizer}
folder=
program=
size=
chosen=

say() {
    echo "get-model.sh: $*" >&2
}
die() { # die CODE MESSAGE
    code=$1
    shift
    say "$*"
    exit "$code"
}
list() {
    echo "$models" | awk 'NF { printf "%-11s %5.1f GB  %s/%s\n", $1, $4 * 2e-3, $2, $3 }'
}
usage() {
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --list)
        list
        exit 0
        ;;
    --file | --dir | --base | --vocab-base | --with)
        [ $# -gt 1 ] || die 2 "$1 needs a value"
        case $1 in
        --file) chosen=$2 ;;
        --dir) folder=$2 ;;
        --base) base=$2 ;;
        --vocab-base) vocab_base=$2 ;;
        --with) program=$2 ;;
        esac
        shift
        ;;
    -*) die 2 "unknown option '$1'; see --help" ;;
    *)
        [ -z "$size" ] || die 2 "expected one model, found '$size' and '$1'"
        size=$1
        ;;
    esac
    shift
done

if [ -n "$size" ] && [ -z "$chosen" ]; then
    chosen=$(echo "$models" | awk -v size="$size" 'NF && $1 == tolower(size) { print $2 "/" $3 }')
    [ -n "$chosen" ] || die 2 "unknown model '$size'; expected one of $(echo "$models" | awk 'NF { printf "%s%s", n++ ? " " : "", $1 }')"
elif [ -z "$chosen" ] || [ -n "$size" ]; then
    usage >&2
    exit 2
fi
case $chosen in
*..* | /* | */ | */*/*) die 2 "--file: expected REPOSITORY/FILE, found '$chosen'" ;;
*/*) ;;
*) die 2 "--file: expected REPOSITORY/FILE, found '$chosen'" ;;
esac

if [ -z "$program" ]; then
    for candidate in curl wget; do
        if [ -z "$program" ] && command -v "$candidate" >/dev/null; then program=$candidate; fi
    done
    [ -n "$program" ] || die 1 'neither curl nor wget is installed'
fi
case $program in
curl | wget) ;;
*) die 2 "--with: expected curl or wget, found '$program'" ;;
esac
if [ -z "$folder" ]; then
    case ${XDG_DATA_HOME:-} in # the XDG specification says to ignore relative paths
    /*) folder=$XDG_DATA_HOME/rwkv7 ;;
    *)
        [ -n "${HOME:-}" ] || die 1 'neither XDG_DATA_HOME nor HOME says where to: set one of them, or give --dir'
        folder=$HOME/.local/share/rwkv7
        ;;
    esac
fi

sha256() { # sha256 FILE
    if command -v sha256sum >/dev/null; then
        sha256sum <"$1"
    elif command -v shasum >/dev/null; then
        shasum -a 256 <"$1"
    else
        openssl dgst -sha256 -r <"$1"
    fi | cut -d' ' -f1
}

# Prints at most 4 KB of a text on the server; nothing if it does not exist.
text() { # text URL
    case $program in
    curl) curl -fsSL --retry 2 "$1" 2>/dev/null ;;
    wget) wget -q --tries=3 -O - "$1" 2>/dev/null ;;
    esac | head -c 4096 | tr -d '\000' || :
}

# Downloads the rest of URL to FILE.
get_rest() { # get_rest URL FILE
    case $program in
    curl)
        if [ -t 2 ]; then
            curl -fL --retry 3 --progress-bar -C - -o "$2" "$1"
        else
            curl -fsL --retry 3 -C - -o "$2" "$1"
        fi
        ;;
    wget)
        if [ -t 2 ]; then
            wget -q --show-progress --tries=4 -c -O "$2" "$1"
        else
            wget -q --tries=4 -c -O "$2" "$1"
        fi
        ;;
    esac
}

# Prints what an exit code of the program means.
reason() { # reason CODE
    case $program:$1 in
    curl:6) echo 'the name of the server cannot be resolved; is there a network?' ;;
    curl:7 | wget:4) echo 'the server cannot be reached; is there a network?' ;;
    curl:22 | wget:8) echo 'the server has no such file; --list, --file and --base choose others' ;;
    curl:28) echo 'the server did not answer in time' ;;
    curl:35 | curl:60 | wget:5) echo 'no secure connection to the server' ;;
    *) echo "$program ended with exit code $1" ;;
    esac
}

# Downloads a file and checks its checksum and size ("": unknown). On failure the script ends with a message.
get() { # get URL FILE SHA256 BYTES
    part=$2.part
    if [ -f "$2" ]; then
        if [ -z "$3" ] || [ "$(sha256 "$2")" = "$3" ]; then
            say "$2 is already there"
            return
        fi
        die 1 "$2 exists, but differs from the server's file; move it away"
    fi
    have=$(if [ -f "$part" ]; then wc -c <"$part" | tr -d ' '; else echo 0; fi)
    if [ -n "$4" ]; then
        [ "$have" -le "$4" ] || { rm "$part" && have=0; }
        room=$(df -Pk "$(dirname "$2")" | awk 'NR == 2 { print $4 }')
        [ "$room" -ge $((($4 - have) / 1024)) ] ||
            die 1 "$(dirname "$2"): expected $((($4 - have) / 1024)) kB of free space, found $room kB"
    fi
    if [ -z "$4" ] || [ "$have" -ne "$4" ]; then
        [ "$have" -eq 0 ] || say "continuing after $have bytes"
        code=0
        get_rest "$1" "$part" || code=$?
        # 33: the server cannot send a part of a file; 22: perhaps nothing is left to download
        if [ "$program" = curl ] && [ "$have" -gt 0 ] &&
            { [ "$code" -eq 33 ] || { [ "$code" -eq 22 ] && [ -z "$4" ]; }; }; then
            say 'the server cannot resume downloads; starting over'
            rm -f "$part"
            code=0
            get_rest "$1" "$part" || code=$?
        fi
        if [ "$code" -ne 0 ]; then
            [ -s "$part" ] || rm -f "$part"
            if [ -f "$part" ]; then
                die 1 "$1: download interrupted ($program: exit code $code); run the same command to resume it"
            fi
            die 1 "$1: cannot be downloaded: $(reason "$code")"
        fi
    fi
    if [ -n "$3" ]; then
        found=$(sha256 "$part")
        if [ "$found" != "$3" ]; then
            rm "$part"
            die 1 "$1: expected the checksum $3, found $found; removed the file, run the same command again"
        fi
    else
        say "$1: the server states no checksum; only the size was checked"
    fi
    mv "$part" "$2"
    say "$2 is complete"
}

mkdir -p "$folder"
[ -f "$folder/$vocab" ] || get "$vocab_base/$vocab" "$folder/$vocab" "$vocab_sha" ''

repository=${chosen%%/*}
file=${chosen#*/}
pointer=$(text "$base/$repository/raw/main/$file")
case $pointer in
'version https://git-lfs'*)
    sha=$(echo "$pointer" | sed -n 's/^oid sha256:\([0-9a-f]\{64\}\)$/\1/p')
    bytes=$(echo "$pointer" | sed -n 's/^size \([0-9][0-9]*\)$/\1/p')
    ;;
*)
    sha=$(text "$base/$repository/resolve/main/$file.sha256" | sed -n '1s/^\([0-9a-f]\{64\}\).*/\1/p')
    bytes=
    ;;
esac
get "$base/$repository/resolve/main/$file" "$folder/$file" "$sha" "$bytes"
echo "$folder/$file"
