#!/bin/sh
# shellcheck disable=SC2034 # names that the case files read
# The command line, tested through real pipes.
#
#   cli.sh CASES COMMAND...     runs tests/cli/CASES.sh against the program that COMMAND starts
#
# In a file of cases, `rwkv7` is that program. `run` runs it and stores its exit code and both
# outputs; the checks after it compare them:
#
#   given 'text'                standard input of the next run; it is empty if not given
#   run rwkv7 tokenize abc
#   exits 0
#   out '98 99 100'             standard output is this and a newline
#   text '98 99 100'            standard output is this, without a newline
#   err 'rwkv7: ...'            standard error is these lines
#   err_has 'PATTERN'           standard error has a line that matches (grep -E); also out_has
#   silent                      standard error is empty
#   ok 'what' COMMAND...        anything else: COMMAND must succeed
#
# Every run has an empty home, no RWKV7_* variables and no config file. Standard error must not
# contain escape codes.
set -u

tests=$(cd "$(dirname "$0")" && pwd)
cases=$1
shift
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-cli.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The program under its own name; COMMAND may start it in an emulator.
mkdir "$work/bin" "$work/home" "$work/config" "$work/dir"
{
    printf '#!/bin/sh\nexec'
    printf " '%s'" "$@"
    printf ' "$@"\n'
} >"$work/bin/rwkv7"
chmod +x "$work/bin/rwkv7"
emulated=$(($# > 1))
for program; do :; done # sets $program to the last word of COMMAND
! grep -Eq "__(asan|tsan)_init" "$program"
sanitized=$?
PATH=$work/bin:$PATH
HOME=$work/home
TERM=xterm
XDG_CONFIG_HOME=$work/config # an empty one: the user's options would change results
export PATH HOME TERM XDG_CONFIG_HOME
unset XDG_DATA_HOME XDG_STATE_HOME RWKV7_MODEL RWKV7_CPU NO_COLOR
cd "$work/dir" || exit 1

models=$tests/../golden/data
weights=$(rwkv7 run --help | sed -n 's/^ *--type //p') # "stored|q8|..."
shared=$tests/../../../shared
checks=0
failures=0

given() {
    printf '%s' "$1" >"$work/in"
}

run() {
    last=$*
    "$@" <"$work/in" >"$work/out" 2>"$work/err"
    code=$?
    : >"$work/in"
    ok 'no escape codes' lacks_escapes "$work/err"
}

fail() {
    failures=$((failures + 1))
    printf '\nFAILED: %s\n  %s\n' "$last" "$*"
    printf '  exit code %s, standard output (first 400 bytes):\n' "$code"
    head -c 400 "$work/out" | sed 's/^/    /'
    printf '\n  standard error:\n'
    head -c 400 "$work/err" | sed 's/^/    /'
}

# ok WHAT COMMAND...
ok() {
    what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

holds() { # holds FILE TEXT
    printf '%s' "$2" | cmp -s - "$1"
}
holds_lines() {
    printf '%s\n' "$2" | cmp -s - "$1"
}
lacks_escapes() {
    ! LC_ALL=C grep -q "$(printf '\033')" "$1"
}

exits() {
    ok "expected exit code $1" [ "$code" -eq "$1" ]
}
out() {
    ok "expected standard output: $1" holds_lines "$work/out" "$1"
}
text() {
    ok "expected standard output, without a newline: $1" holds "$work/out" "$1"
}
err() {
    ok "expected standard error: $1" holds_lines "$work/err" "$1"
}
silent() {
    ok 'expected nothing on standard error' holds "$work/err" ''
}
out_has() {
    ok "expected on standard output: $1" grep -Eq -e "$1" "$work/out"
}
err_has() {
    ok "expected on standard error: $1" grep -Eq -e "$1" "$work/err"
}
# await COMMAND...: repeats it until it succeeds, for up to two minutes; then the next checks fail.
await() {
    tries=0
    until "$@" || [ $tries -eq 1200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}
# interrupt_at FILE: sends SIGINT to the process in the file `pid` as soon as FILE is not empty
interrupt_at() {
    await [ -s "$1" ]
    kill -INT "$(cat pid)"
}
skip() {
    printf 'SKIP: %s\n' "$1"
}
# Whether OpenBLAS can be loaded; if not, prints which cases are skipped.
has_blas() {
    rwkv7 run --quiet -n 0 --math blas x >/dev/null 2>"$work/blas" </dev/null && return
    skip "--math blas: $(cat "$work/blas")"
    return 1
}

# sized FILE BYTES
sized() {
    [ "$(wc -c <"$1")" -eq "$2" ]
}

: >"$work/in"
last='(nothing)'
code=0
# shellcheck source=/dev/null
. "$tests/$cases.sh"
printf '%s: %d checks, %d failures\n' "$cases" "$checks" "$failures"
[ "$checks" -gt 0 ] && [ "$failures" -eq 0 ]
