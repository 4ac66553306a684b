#!/usr/bin/env bash
# Unpacks the C library, cJSON, utf8proc and OpenBLAS for aarch64 into FOLDER, from the Debian or
# Ubuntu mirrors of this system. Nothing is installed, and apt's own lists do not change: apt gets a
# private state folder of an empty arm64 machine, and dpkg unpacks the packages that it selects.
#
#   .ci/aarch64-sysroot.sh FOLDER     then: cmake --preset aarch64 with RWKV7_SYSROOT=FOLDER in the environment
set -euo pipefail

sysroot=${1:?usage: aarch64-sysroot.sh FOLDER}
if [ -f "$sysroot/.complete" ]; then
    exit 0
fi
mkdir -p "$sysroot"
sysroot=$(cd "$sysroot" && pwd)

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial"
touch "$state/state/status"
apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$state/state" -o Dir::State::status="$state/state/status" -o Dir::Cache="$state/cache" "$@"
}
apt update
apt install --yes --no-install-recommends --download-only \
    libc6-dev libopenblas0-pthread libcjson-dev libutf8proc-dev
for package in "$state"/cache/archives/*.deb; do
    dpkg -x "$package" "$sysroot"
done
# This link is normally made by update-alternatives when the package is installed.
ln -sfn openblas-pthread/libopenblas.so.0 "$sysroot/usr/lib/aarch64-linux-gnu/"
if [ ! -e "$sysroot/lib/ld-linux-aarch64.so.1" ]; then # packages with only /usr/lib
    ln -sfn usr/lib "$sysroot/lib"
fi
touch "$sysroot/.complete"
