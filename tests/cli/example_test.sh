#!/bin/sh
# example_test.sh NAME COMMAND...: the program of examples/NAME.c writes text, the same twice, and reports errors.
set -eu
data=$(cd "$(dirname "$0")" && pwd)
model=$data/../golden/data/bf16_n64.safetensors
name=$1 schema=
shift
vocab=$data/syllables.vocab.txt
if [ "$name" = fields ]; then
    vocab=$data/bytes.vocab.txt # the others have no brackets
    schema=$(mktemp "${TMPDIR:-/tmp}/rwkv7-example.XXXXXX")
    trap 'rm -f "$schema"' EXIT
    printf '{"type": "object", "properties": {"who": {"enum": ["ba", "bo"]}, "n": {"type": "integer", "minimum": 10,
        "maximum": 99}}, "required": ["who", "n"], "additionalProperties": false}' >"$schema"
fi

one=$("$@" "$model" "$vocab" ${schema:+"$schema"} hello)
two=$("$@" "$model" "$vocab" ${schema:+"$schema"} hello)
[ "$one" = "$two" ] || { echo "not the same text twice: '$one', '$two'"; exit 1; }
[ ${#one} -gt 10 ] || { echo "hardly any text: '$one'"; exit 1; }
if message=$("$@" "$vocab" "$vocab" ${schema:+"$schema"} hello 2>&1); then
    echo "a vocabulary was taken for a model"
    exit 1
fi
case $message in
"$name: "*) ;;
*) echo "no message: '$message'" && exit 1 ;;
esac
[ "$name" = fields ] || exit 0

if ! printf '%s' "$one" | tr -d ' \n\t' | grep -Eqx '\{"who":"b[ao]","n":[1-9][0-9]\}'; then
    echo "not the JSON of the schema: '$one'"
    exit 1
fi
printf '{"type": "text"}' >"$schema"
if message=$("$@" "$model" "$vocab" "$schema" hello 2>&1); then
    echo "a schema with an unknown type was accepted"
    exit 1
fi
case $message in
"fields: JSON Schema, #/type: not a type: "*) ;;
*) echo "another message: '$message'" && exit 1 ;;
esac
