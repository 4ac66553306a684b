#!/bin/sh
# Random texts of 3,000 random schemas must be valid for ajv; the official test suite must be met. Both are fetched,
# with pinned versions, so this runs with RWKV7_TEST_CLIENTS=all only; the suite also if RWKV7_JSON_SCHEMA_SUITE names
# a copy. Says what it skips without node, npm or a network.
# Usage: ajv_test.sh TOOL WORK_FOLDER
set -eu
tool=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
suite_commit=44401e0c046704b476ec9d2e2fccdaee618f259d
suite=${RWKV7_JSON_SCHEMA_SUITE:-$work/JSON-Schema-Test-Suite-$suite_commit}

if [ "${RWKV7_TEST_CLIENTS:-}" != all ]; then
    echo 'SKIP: ajv is asked with RWKV7_TEST_CLIENTS=all'
    [ -n "${RWKV7_JSON_SCHEMA_SUITE:-}" ] || { echo 'SKIP: and so is the official test suite' && exit 0; }
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo 'SKIP: node and npm are not installed'
    exit 0
fi
if [ "${RWKV7_TEST_CLIENTS:-}" = all ]; then
    mkdir -p "$work"
    if [ ! -d "$work/node_modules/ajv-formats" ] &&
        ! timeout 120 npm install --prefix "$work" --no-audit --no-fund ajv@8.20.0 ajv-formats@3.0.1 >"$work/npm.log" 2>&1; then
        echo 'SKIP: ajv cannot be fetched'
    else
        node "$here/ajv.mjs" "$tool" "$work" 3000
    fi
fi

if [ ! -d "$suite/tests/draft7" ] && { ! command -v curl >/dev/null || ! timeout 120 curl -fsSL \
    "https://github.com/json-schema-org/JSON-Schema-Test-Suite/archive/$suite_commit.tar.gz" -o "$work/suite.tar.gz" ||
    ! tar -xzf "$work/suite.tar.gz" -C "$work"; }; then
    echo 'SKIP: the official test suite cannot be fetched (set RWKV7_JSON_SCHEMA_SUITE to a copy)'
else
    node "$here/suite.mjs" "$tool" "$suite"
fi
