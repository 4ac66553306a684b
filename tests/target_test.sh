#!/bin/sh
# Checks which compiler flags and machines cmake/Target.cmake and src/base/target.h reject, and
# which they accept.
#
#   target_test.sh CMAKE COMPILER
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cmake=$1
compiler=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-target.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failures=0

# refused SENTENCE COMMAND...: COMMAND must fail and print SENTENCE; line breaks do not count.
refused() {
    sentence=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "FAILED, went through: $*"
    elif tr -s ' \n' ' ' <"$work/log" | grep -Fq -e "$sentence"; then
        return
    else
        echo "FAILED, expected '$sentence' of: $*"
        cat "$work/log"
    fi
    failures=$((failures + 1))
}
passes() {
    "$@" >"$work/log" 2>&1 && return
    echo "FAILED: $*"
    cat "$work/log"
    failures=$((failures + 1))
}

# The check alone, as a script.
check() {
    "$cmake" "$@" -P "$root/cmake/Target.cmake"
}
for flag in -Ofast -ffast-math -funsafe-math-optimizations -fassociative-math -freciprocal-math -ffinite-math-only \
    -fno-signed-zeros -fapprox-func -fno-honor-nans -ffp-model=fast -fsingle-precision-constant -mfpmath=sse,387 \
    -mdaz-ftz -fdenormal-fp-math=positive-zero; do
    refused "must not have $flag" check "-DCMAKE_C_FLAGS=-O2 $flag -g"
done
refused 'must not have -Ofast' check -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-Ofast
refused 'must not have -Ofast' check '-DCMAKE_CONFIGURATION_TYPES=Debug;Release' -DCMAKE_C_FLAGS_RELEASE=-Ofast
refused 'must not have -ffast-math' check -DCMAKE_EXE_LINKER_FLAGS=-ffast-math
refused 'Big-endian machines are not supported' check -DCMAKE_C_BYTE_ORDER=BIG_ENDIAN
refused '32-bit systems are not supported' check -DCMAKE_SIZEOF_VOID_P=4
passes check -DCMAKE_C_FLAGS='-O3 -march=native -fno-fast-math -ffp-model=precise -flto' -DCMAKE_SIZEOF_VOID_P=8 \
    -DCMAKE_C_BYTE_ORDER=LITTLE_ENDIAN

# A complete configuration, as a user runs it: with flags from the environment, and for other
# machines.
configure() {
    rm -rf "$work/build"
    CFLAGS=${CFLAGS_WANTED:-} "$cmake" -S "$root" -B "$work/build" "$@"
}
CFLAGS_WANTED=-ffast-math
refused 'must not have -ffast-math' configure "-DCMAKE_C_COMPILER=$compiler"
CFLAGS_WANTED=
if command -v clang >/dev/null; then # clang can compile for other machines without their headers
    for target in 's390x-linux-gnu Big-endian machines' 'i686-linux-gnu 32-bit systems'; do
        refused "${target#* } are not supported" configure -DCMAKE_C_COMPILER=clang -DCMAKE_SYSTEM_NAME=Linux \
            "-DCMAKE_C_COMPILER_TARGET=${target%% *}" -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY
    done
else
    echo 'SKIP: configuring for other machines: no clang'
fi

# The compiler reports the same errors, wherever the flags come from.
compile() {
    "$compiler" -std=c11 "-I$root/src" "-I$root/include" "$@" -fsyntax-only "$root/src/text/sampler.c"
}
passes compile -O2
for flag in -Ofast -ffast-math -ffinite-math-only; do
    refused 'would differ' compile $flag
done

echo "$failures failures"
[ $failures -eq 0 ]
