#!/bin/sh
# names_test.sh NM HEADER STATIC SHARED: both libraries export the functions of the header, and nothing else.
set -eu
nm=$1 header=$2 static=$3 shared=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

tr '\n' ' ' <"$header" | grep -o 'RWKV7_API [^;]*;' | grep -o 'rwkv7_[a-z0-9_]*(' | tr -d '(' | sort -u >"$folder/header"
"$nm" -g --defined-only "$static" | awk 'NF == 3 { print $3 }' | sort -u >"$folder/static"
"$nm" -D --defined-only "$shared" | awk 'NF == 3 { print $3 }' | sort -u >"$folder/shared"
[ "$(wc -l <"$folder/header")" -gt 60 ] || { echo "too few functions in $header"; exit 1; }
for kind in static shared; do
    # Sanitizers and coverage add names that begin with an underscore or a dot.
    sed '/^[_.]/d' "$folder/$kind" >"$folder/names"
    if ! diff "$folder/header" "$folder/names" >"$folder/difference"; then
        echo "the $kind library (>) exports other names than $header declares (<):"
        cat "$folder/difference"
        exit 1
    fi
done
