#!/bin/sh
# Builds into build/ for run.sh and test.sh: quietly when all is well; installs packages when they are what is missing.
#
#   scripts/build.sh [TARGET]     a CMake target; default: everything
#
# All output goes to stderr, for run.sh keeps stdout for the text of the model.
set -eu
cd "$(dirname "$0")/.."
exec </dev/null >&2

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command; what it prints is shown only when it fails.
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log"; return 1; }
}

# Prints those PACKAGEs that QUERY, a question to the package manager, does not find: lacking QUERY PACKAGE...
lacking() {
    query=$1
    shift
    for package; do
        $query "$package" >/dev/null 2>&1 || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        echo "+ $*"
        quietly "$@"
    elif command -v sudo >/dev/null; then
        echo "+ sudo $*"
        quietly sudo "$@"
    else
        echo "As root, please run: $*"
        exit 1
    fi
}

if ! cmake --preset release >"$log" 2>&1; then
    want=
    if command -v apt-get >/dev/null; then
        want=$(lacking "dpkg -L" gcc libc6-dev make cmake pkg-config libcjson-dev libutf8proc-dev libedit-dev)
        install="as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
        [ -z "$want" ] || as_root apt-get update
    elif command -v dnf >/dev/null; then
        want=$(lacking "rpm -q" gcc make cmake pkgconf-pkg-config cjson-devel utf8proc-devel libedit-devel)
        install="as_root dnf install -y"
    elif command -v brew >/dev/null; then
        want=$(lacking "brew list --versions" cmake pkg-config cjson utf8proc)
        install="quietly brew install"
    fi
    if [ -z "$want" ]; then # the reason is another one
        cat "$log"
        exit 1
    fi
    # shellcheck disable=SC2086 # lists of words
    $install $want
    quietly cmake --preset release
fi

[ -x build/rwkv7 ] || echo "Building rwkv7 in build/ ..."
quietly cmake --build build --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)}" ${1:+--target "$1"}
