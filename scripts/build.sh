#!/bin/sh
# Builds into build/ for run.sh and test.sh. Prints nothing on success. If packages are missing, it
# offers to install them.
#
#   scripts/build.sh [TARGET]     a CMake target; default: everything
#
# It names the packages, and on a terminal asks before it installs them, unless CI=true. All output
# goes to stderr, because run.sh writes the generated text to stdout.
set -eu
case ${1:-} in
-h | --help)
    sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "$0"
    exit
    ;;
esac
cd "$(dirname "$0")/.."
ask=no
[ ! -t 0 ] || [ ! -t 2 ] || [ "${CI:-}" = true ] || ask=yes
if [ $ask = no ]; then
    exec </dev/null
fi
exec >&2

if ! mkdir -p build 2>/dev/null || ! touch build/.writable 2>/dev/null; then
    echo "This folder cannot be written, so nothing can be built in it: $PWD"
    echo "Build somewhere else: cmake -S '$PWD' -B FOLDER && cmake --build FOLDER, which makes FOLDER/rwkv7"
    exit 1
fi
rm build/.writable

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command and shows its output only if it fails.
quietly() {
    "$@" >"$log" 2>&1 </dev/null || { cat "$log"; return 1; }
}

# lacking QUERY PACKAGE...: prints the packages for which the command QUERY of the package manager
# fails.
lacking() {
    query=$1
    shift
    for package; do
        $query "$package" >/dev/null 2>&1 || printf '%s ' "$package"
    done
}

# install WHO COMMAND: runs COMMAND as root or as the user, after a message
install() {
    who=$1
    command=$2
    if [ "$who" = root ] && [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing. As root, please run: $command"
            exit 1
        fi
        command="sudo sh -c '$command'"
    fi
    echo "Packages are missing. To be run: $command"
    if [ $ask = yes ]; then
        printf 'Run it? [Y/n] '
        read -r answer || answer=n
        case $answer in
        '' | [yY]*) ;;
        *) exit 1 ;;
        esac
    fi
    # Standard input is kept, because sudo may ask for a password.
    sh -c "$command" >"$log" 2>&1 && return
    cat "$log"
    if grep -qiE 'resolv|unreachable|connect|failed to fetch|unable to fetch|cannot download|timed out' "$log"; then
        echo "The packages could not be fetched: is there a network, and may this machine reach the servers named above?"
    fi
    exit 1
}

if ! cmake --preset release >"$log" 2>&1 </dev/null; then
    want=
    if command -v apt-get >/dev/null; then
        want=$(lacking "dpkg -L" gcc libc6-dev make cmake pkg-config libcjson-dev libutf8proc-dev libedit-dev libmicrohttpd-dev)
        who=root
        install="apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    elif command -v dnf >/dev/null; then
        want=$(lacking "rpm -q" gcc make cmake pkgconf-pkg-config cjson-devel utf8proc-devel libedit-devel libmicrohttpd-devel)
        who=root
        install="dnf install -y"
    elif command -v brew >/dev/null; then
        want=$(lacking "brew list --versions" cmake pkg-config cjson utf8proc)
        who=user
        install="brew install"
    fi
    if [ -z "$want" ]; then # not a missing package
        cat "$log"
        command -v cmake >/dev/null ||
            echo "Please install CMake, a C compiler, make, pkg-config, cJSON and utf8proc; libedit and libmicrohttpd are optional."
        exit 1
    fi
    install "$who" "$install ${want% }"
    quietly cmake --preset release
fi

if [ $# -eq 0 ]; then
    echo 'Building rwkv7 and its tests in build/ ...' # takes minutes, even where run.sh has built rwkv7
elif [ ! -x build/rwkv7 ]; then
    echo 'Building rwkv7 in build/ ...'
fi
quietly cmake --build build --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)}" ${1:+--target "$1"}
