"""scripts/wheel.py: the wheel has the same bytes each time, its record is right, and it works alone."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

from common import ROOT, program

PROMPT = "Once upon a time"
CODE = f"""
import os, sys
sys.path.insert(0, sys.argv[1])
import rwkv7
print(os.path.dirname(os.path.dirname(rwkv7.__file__)))
print(rwkv7.Model().generate({PROMPT!r}, seed=10, max_tokens=20).text(), end="")
with open("/proc/self/maps") as maps:
    print("".join(line.split(None, 5)[-1] for line in maps if "rwkv7" in line or "cjson" in line or "utf8proc" in line), file=sys.stderr)
"""


class WheelTest(unittest.TestCase):
    def test_wheel(self):
        with tempfile.TemporaryDirectory() as folder:
            wheels = []
            for name in ("a", "b"):
                os.mkdir(os.path.join(folder, name))
                library = shutil.copy(os.environ["RWKV7_WHEEL_LIBRARY"], os.path.join(folder, name))
                command = [sys.executable, "-B", os.path.join(ROOT, "scripts", "wheel.py"), library, os.path.join(folder, name)]
                path = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
                with open(path, "rb") as file:
                    wheels.append(file.read())
            self.assertEqual(wheels[0], wheels[1])

            installed = os.path.join(folder, "installed")
            with zipfile.ZipFile(path) as archive:
                archive.extractall(installed)
                names = archive.namelist()
            record = next(name for name in names if name.endswith("/RECORD"))
            with open(os.path.join(installed, record), encoding="utf-8") as file:
                entries = [line.split(",") for line in file.read().split()]
            self.assertEqual(sorted(names), sorted(entry[0] for entry in entries))
            for name, digest, size in entries:
                if name != record:
                    with open(os.path.join(installed, name), "rb") as file:
                        data = file.read()
                    expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
                    self.assertEqual((digest, size), ("sha256=" + expected, str(len(data))))

            # Without the environment and in another folder. All libraries come from the wheel.
            result = subprocess.run([sys.executable, "-I", "-B", "-c", CODE, installed], cwd="/", env={}, check=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            text = program("run", "-q", "-N", "--seed", "10", "-n", "20", PROMPT)
            self.assertEqual(result.stdout, installed.encode() + b"\n" + text)
            libraries = set(result.stderr.decode().splitlines()) - {""}
            self.assertGreater(len(libraries), 0)
            for path in libraries:
                self.assertTrue(path.startswith(installed), path)


if __name__ == "__main__":
    unittest.main()
