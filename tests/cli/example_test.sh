#!/bin/sh
# example_test.sh COMMAND...: examples/story.c writes text and reports errors.
set -eu
data=$(cd "$(dirname "$0")" && pwd)
model=$data/../golden/data/bf16_n64.safetensors
vocab=$data/syllables.vocab.txt

one=$("$@" "$model" "$vocab" hello)
two=$("$@" "$model" "$vocab" hello)
[ "$one" = "$two" ] || { echo "not the same text twice: '$one', '$two'"; exit 1; }
[ ${#one} -gt 10 ] || { echo "hardly any text: '$one'"; exit 1; }
if message=$("$@" "$vocab" "$vocab" hello 2>&1); then
    echo "a vocabulary was taken for a model"
    exit 1
fi
case $message in
"story: "*) ;;
*) echo "no message: '$message'" && exit 1 ;;
esac
