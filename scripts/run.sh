#!/bin/sh
# Builds rwkv7 where needed, then the model of models/ continues PROMPT.
#
#   scripts/run.sh "PROMPT" [OPTION...]     options are those of `rwkv7 run`, such as --temp 0 or -m MODEL
set -eu
usage() {
    sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "$0"
}
case ${1:-} in
-h | --help)
    usage
    exit
    ;;
esac
if [ $# -eq 0 ]; then
    usage >&2
    exit 2
fi
root=$(dirname "$(readlink -f "$0")")/..
"$root/scripts/build.sh" rwkv7_cli
exec "$root/build/rwkv7" run "$@"
