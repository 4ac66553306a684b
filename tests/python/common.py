"""What the tests of the Python package share. tests.cmake sets the environment."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ["RWKV7_PROGRAM"]
MODEL = os.path.join(ROOT, "models", "rwkv7-demo.safetensors")
PACKAGE = os.path.join(ROOT, "python")
sys.path.insert(0, PACKAGE)


def program(*arguments, input=b""):
    """What `rwkv7 ARGUMENTS` writes to standard output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RWKV7_MODEL", "RWKV7_CPU")}
    result = subprocess.run([PROGRAM, arguments[0], "--no-config", *arguments[1:]], input=input, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{arguments}: exit code {result.returncode}: {result.stderr.decode()}")
    return result.stdout
