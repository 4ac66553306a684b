#!/bin/sh
# The arrows of docs/ARCHITECTURE.md, checked against the #include lines: base <- formats, kernels, text <- model <- cli.
# Also that nothing below cli/ prints or ends the process.
set -eu
cd "$(dirname "$0")/.."
failed=0

# folder, and what its files may include between quotation marks
while read -r room allowed; do
    for file in src/"$room"/*.[ch]; do
        if grep -nE '^ *# *include *"' "$file" | grep -vE "\"($allowed)[a-z0-9_]*\.h\""; then
            echo "$file: src/$room may include only $allowed"
            failed=1
        fi
    done
done <<'END'
base    rwkv7|base/
formats rwkv7|base/|formats/
kernels rwkv7|base/|kernels/
text    rwkv7|base/|text/
model   rwkv7|base/|formats/|kernels/|text/|model/|build_config
cli     rwkv7|cli/
END

for file in src/base/*.c src/formats/*.c src/kernels/*.c src/text/*.c src/model/*.c; do
    if grep -nE '(^|[^a-z_])(printf|puts|putchar|perror|exit|_exit|abort) *\(|[^/]stderr' "$file"; then
        echo "$file: only src/cli may print or end the process"
        failed=1
    fi
done
exit $failed
