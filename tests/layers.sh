#!/bin/sh
# Checks the #include lines against the layers of docs/ARCHITECTURE.md, and that only src/cli prints or ends the process.
set -eu
cd "$(dirname "$0")/.."
failed=0

# A folder, and the prefixes of the project headers that its files may include.
while read -r layer allowed; do
    for file in src/"$layer"/*.[ch]; do
        if grep -nE '^ *# *include *"' "$file" | grep -vE "\"($allowed)[a-z0-9_]*\.h\""; then
            echo "$file: src/$layer may include only $allowed"
            failed=1
        fi
    done
done <<'END'
base    rwkv7|base/
formats rwkv7|base/|formats/
kernels rwkv7|base/|kernels/
text    rwkv7|base/|text/
weights rwkv7|base/|formats/|kernels/|text/|weights/
arch    rwkv7|base/|formats/|kernels/|weights/|arch/
engine  rwkv7|base/|formats/|kernels/|text/|weights/|arch/|engine/|build_config
matcher rwkv7|base/|text/|matcher/
generate rwkv7|base/|text/|matcher/|generate/
server   rwkv7|base/|generate/|server/|page_policy
cli          rwkv7|base/|generate/|cli/|cli/commands/|cli/io/|cli/options/
cli/commands rwkv7|base/|generate/|server/|cli/|cli/commands/|cli/io/|cli/options/
cli/options  rwkv7|base/|generate/|cli/|cli/commands/|cli/io/|cli/options/
cli/io       rwkv7|base/|generate/|cli/|cli/io/|cli/options/|published_models
END

# The runtime belongs to the engine; the layers below it see only struct compute.
if grep -nE 'struct rwkv7_runtime' src/base/* src/formats/* src/kernels/* src/text/* src/matcher/* src/weights/* src/arch/*; then
    echo 'the runtime is named below src/engine'
    failed=1
fi

# A request is driven by the generator or the scheduler, not by the program.
if grep -nE 'request_(open|clear|begin|feed|feed_tokens|end_prompt|continue_text|pending|evaluated|draw|end) *\(' -r src/cli src/server; then
    echo 'src/cli or src/server drives a request: that belongs to src/generate'
    failed=1
fi

for folder in base formats kernels text matcher weights arch engine generate server; do
    for file in src/"$folder"/*.[ch]; do
        if grep -nE '(^|[^a-z_])(printf|puts|putchar|perror|exit|_exit|abort) *\(|(^|[^a-z_/])(stderr|stdout)[^a-z_]' "$file"; then
            echo "$file: only src/cli may print or end the process"
            failed=1
        fi
    done
done
exit $failed
