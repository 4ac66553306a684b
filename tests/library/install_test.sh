#!/bin/sh
# install_test.sh BUILD CMAKE CC DATA: builds the program of docs/LIBRARY.md with the installed
# library, found by pkg-config and by find_package, static and shared.
set -eu
build=$1 cmake=$2 cc=$3 data=$4
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/moved
model=$data/golden/data/bf16_n64.safetensors vocab=$data/cli/syllables.vocab.txt

"$cmake" --install "$build" --prefix "$folder/installed" >/dev/null
mv "$folder/installed" "$prefix" # the installed files must not depend on their first path
set -- "$prefix"/lib*/pkgconfig "$prefix"/lib*/*/pkgconfig
for pkgconfig; do [ -d "$pkgconfig" ] && break; done
lib=$(dirname "$pkgconfig")
export PKG_CONFIG_PATH="$pkgconfig" LD_LIBRARY_PATH="$lib"

# The first block of C in the page is the program.
awk '/^```c$/ { on = 1; next } /^```$/ && on { exit } on' "$here/../../docs/LIBRARY.md" >"$folder/continue.c"
cat >"$folder/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C)
find_package(rwkv7 0.1 REQUIRED)
set(CMAKE_C_STANDARD 11)
foreach(kind rwkv7 shared static)
  add_executable(${kind} continue.c)
  target_link_libraries(${kind} PRIVATE rwkv7::${kind})
endforeach()
EOF

# check PROGRAM: it writes the same text as the other builds
check() {
    text=$("$1" "$model" "$vocab" hello)
    [ ${#text} -gt 10 ] || { echo "$1: hardly any text: '$text'"; exit 1; }
    [ "$text" = "${expected:=$text}" ] || { echo "$1: expected '$expected', found '$text'"; exit 1; }
}

if command -v pkg-config >/dev/null; then
    # pkg-config escapes spaces of paths for the shell, hence eval.
    eval "set -- $(pkg-config --cflags --libs rwkv7)"
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$folder/by_pc" "$folder/continue.c" "$@"
    libraries="$(pkg-config --static --libs-only-l rwkv7 | sed 's/-lrwkv7 //') $(pkg-config --static --libs-only-other rwkv7)"
    eval "set -- $(pkg-config --cflags rwkv7) \"\$lib/librwkv7.a\" $libraries"
    "$cc" -std=c11 -o "$folder/by_pc_static" "$folder/continue.c" "$@"
    check "$folder/by_pc"
    check "$folder/by_pc_static"
else
    echo 'SKIP: no pkg-config'
fi
if ! { "$cmake" -S "$folder" -B "$folder/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" &&
    "$cmake" --build "$folder/build"; } >"$folder/log" 2>&1; then
    cat "$folder/log"
    exit 1
fi
for kind in rwkv7 shared static; do
    check "$folder/build/$kind"
done
if command -v ldd >/dev/null; then
    ldd "$folder/build/shared" | grep -q 'librwkv7\.so\.0' || { echo 'rwkv7::shared does not need librwkv7.so.0'; exit 1; }
    ! ldd "$folder/build/static" | grep -q librwkv7 || { echo 'rwkv7::static needs librwkv7.so'; exit 1; }
fi
