#!/usr/bin/env python3
"""Runs COMMAND with standard output on a terminal and writes what the terminal got, byte by byte:  on_pty.py [-e] COMMAND...

-e: standard error too. Standard input stays as it is. The exit code is that of the command.
"""
import os
import pty
import subprocess
import sys
import termios

words = sys.argv[1:]
both = words[0] == "-e"
terminal, end = pty.openpty()
settings = termios.tcgetattr(end)
settings[1] &= ~termios.OPOST  # newlines stay unchanged
termios.tcsetattr(end, termios.TCSANOW, settings)
process = subprocess.Popen(words[both:], stdout=end, stderr=end if both else None)
os.close(end)
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:  # Linux: the other end is closed
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.stdout.flush()
sys.exit(process.wait())
