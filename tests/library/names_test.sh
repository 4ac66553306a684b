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
    # what sanitizers and coverage put into every library is theirs
    grep -vE '^(_|\.)' "$folder/$kind" >"$folder/names" || true
    if ! cmp -s "$folder/header" "$folder/names"; then
        echo "the $kind library (>) exports other names than $header declares (<):"
        diff "$folder/header" "$folder/names" || true
        exit 1
    fi
done
