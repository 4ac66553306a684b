#!/bin/sh
# scripts/build.sh and run.sh on systems without some tools: stubs replace cmake, apt-get, id and
# sudo.
#
#   build_test.sh SCRIPTS
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-build.XXXXXX") || exit 1
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/tree/scripts" "$work/bin"
cp "$1/build.sh" "$1/run.sh" "$work/tree/scripts"
cd "$work/tree" || exit 1
failures=0

# The only programs on PATH.
for program in sh cat chmod dirname env getconf grep mkdir mktemp printf readlink rm sed touch; do
    ln -s "$(command -v $program)" "$work/bin/$program"
done
stub() { # stub NAME: a program of that name, from standard input
    {
        echo '#!/bin/sh'
        cat
    } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
stub cmake <<'END'
[ -e installed ] || { echo 'no compiler'; exit 1; }
mkdir -p build && printf '#!/bin/sh\necho "text: $*"\n' >build/rwkv7 && chmod +x build/rwkv7
END
stub dpkg <<'END'
[ "$2" = gcc ] || [ -e installed ]
END
stub apt-get <<'END'
echo "apt-get $*" >>calls
[ ! -e offline ] || { echo 'E: Failed to fetch http://mirror/x  Could not resolve host'; exit 100; }
[ "$1" = update ] || : >installed
END
stub id <<'END'
cat "${0%/*}/uid"
END
echo 0 >"$work/bin/uid"

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    cat "$work/out" "$work/err"
}
attempt() { # attempt EXPECTED_CODE COMMAND...
    expected=$1
    shift
    last=$*
    PATH=$work/bin "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ $code -eq "$expected" ] || fail "$last: exit code $code, not $expected"
}
says() {
    grep -Fq -e "$1" "$work/err" || fail "$last does not say: $1"
}

command='apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libc6-dev make cmake pkg-config libcjson-dev libutf8proc-dev libedit-dev libmicrohttpd-dev'

attempt 0 scripts/run.sh -h
grep -q 'scripts/run.sh "PROMPT"' "$work/out" || fail 'no help'
attempt 2 scripts/run.sh
[ ! -e build ] && [ ! -e calls ] || fail 'help has built something'

echo 1000 >"$work/bin/uid"
attempt 1 scripts/build.sh
says "As root, please run: $command"
[ "$(grep -c . "$work/err")" -eq 1 ] && [ ! -e calls ] || fail 'one line, and nothing was done'

: >offline
echo 0 >"$work/bin/uid"
attempt 1 scripts/build.sh
says "To be run: $command"
says 'is there a network'
rm offline

# On a terminal the script asks before it installs.
if script --version 2>/dev/null | grep -q util-linux; then
    rm calls
    last='scripts/build.sh on a terminal'
    echo n | script -qec "env -u CI PATH='$work/bin' scripts/build.sh" /dev/null >"$work/err" 2>&1
    says 'Run it? [Y/n]'
    [ ! -e calls ] || fail 'no was the answer'
else
    echo "SKIP: a terminal: script(1) is not util-linux's"
fi

# With sudo, as another user.
stub sudo <<'END'
echo "sudo $1" >>calls
exec "$@"
END
echo 1000 >"$work/bin/uid"
attempt 0 scripts/run.sh hello
says "To be run: sudo sh -c '$command'"
grep -q '^text: run hello$' "$work/out" || fail 'the program was not run'
grep -q '^sudo sh$' calls || fail 'sudo was not used'
rm -f calls
attempt 0 scripts/run.sh hello
[ ! -s "$work/err" ] && [ ! -e calls ] || fail 'nothing was missing, nothing should be said'

# A folder that is not writable. Root may write to any folder, so a file takes its place.
rm -rf build
: >build
attempt 1 scripts/build.sh
says 'This folder cannot be written'
says "cmake -S '$work/tree' -B FOLDER"

# The tests take minutes to build, even if the program is already built.
rm build
attempt 0 scripts/run.sh hello
attempt 0 scripts/build.sh
says 'Building rwkv7 and its tests'

echo "$failures failures"
[ $failures -eq 0 ]
