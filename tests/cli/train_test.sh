#!/bin/sh
# The tests of scripts/train; needs PyTorch, such as Debian's python3-torch.
#
#   train_test.sh FOLDER
set -eu
cd "$1"
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import numpy, torch' 2>/dev/null; then
        exec "$python" -B test_train.py
    fi
done
echo 'skip the tests of the trainer: no python3 with numpy and torch'
