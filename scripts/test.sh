#!/bin/sh
# Builds everything and runs all tests.
#
#   scripts/test.sh [OPTION...]     options are those of ctest, such as -R tokenizer
set -eu
case ${1:-} in
-h | --help)
    sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "$0"
    exit
    ;;
esac
root=$(dirname "$0")/..
"$root/scripts/build.sh"
# Many tests wait for programs, pipes and timers, so two run on each processor.
exec ctest --test-dir "$root/build" --output-on-failure --no-tests=error \
    --parallel "${CTEST_PARALLEL_LEVEL:-$((2 * $(getconf _NPROCESSORS_ONLN)))}" "$@"
