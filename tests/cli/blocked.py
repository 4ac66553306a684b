#!/usr/bin/env python3
"""Sends signals to a program that is blocked: its reader does not read, or its input does not come.

The program must end with exit code 130 and save its state.

    blocked.py PROGRAM MODEL VOCABULARY BYTES

Runs in an empty folder. BYTES is a vocabulary with one token per byte.
"""
import array
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time

PATIENCE = 120  # seconds; emulators are slow


def waiting(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def await_full(fd, process):
    """Waits until the pipe has data and its size stays the same: the program is blocked."""
    before, since, begin = 0, time.time(), time.time()
    while time.time() - begin < PATIENCE and process.poll() is None:
        now = waiting(fd)
        if now != before:
            before, since = now, time.time()
        if now > 0 and time.time() - since > 0.7:
            return
        time.sleep(0.05)


def fill(fd):
    """Writes to a pipe until it is full."""
    os.set_blocking(fd, False)
    try:
        while os.write(fd, b"x"):
            pass
    except BlockingIOError:
        os.set_blocking(fd, True)


def check(condition, what, process=None):
    if not condition:
        sys.exit(f"FAILED: {what}" + (f": exit code {process.returncode}" if process else ""))


def ends(process, what):
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        sys.exit(f"FAILED: {what}: the program does not end")
    check(process.returncode == 130, what, process)


def main():
    program, options = sys.argv[1], ["--model", sys.argv[2], "--vocab", sys.argv[3]]
    run = [program, "run", "-n", "-1", "--ignore-eos", *options, "--state-out", "kept", "hello"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        read, write = os.pipe()
        process = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        await_full(read, process)
        process.send_signal(number)
        ends(process, f"run | less, and {number.name}")
        said = process.stderr.read()
        check(b"cannot" not in said and said.startswith(b"prompt 4 tokens"), f"run says {said!r}")
        check(os.path.exists("kept"), f"the state is kept after {number.name}")
        os.remove("kept")
        os.close(read)

    # The same when nobody reads standard error: the program does not wait to write its messages,
    # and still saves the state.
    with open("lines", "w") as lines:
        lines.write('{"prompt":"hello","tokens":200}\n' * 1000)
    batch = [program, "batch", "--ignore-eos", *options, "lines"]
    for number in (signal.SIGINT, signal.SIGTERM):
        for command in (run, batch):
            read, full = os.pipe()
            fill(full)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=full)
            os.close(full)
            check(process.stdout.read(1), "text")
            process.send_signal(number)
            ends(process, f"{command[1]}, whose messages nobody reads, and {number.name}")
            os.close(read)
        check(os.path.exists("kept"), f"the state is kept after {number.name}")
        os.remove("kept")

    read, write = os.pipe()
    process = subprocess.Popen([*batch, "-q"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    await_full(read, process)
    process.send_signal(signal.SIGTERM)
    ends(process, "batch to a reader that does not read")
    check(process.stderr.read() == b"", "batch says nothing")
    os.close(read)

    os.mkfifo("fifo")
    with open("ids", "w") as ids:
        ids.write("1 2 3 4 " * 1000)
    read = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    process = subprocess.Popen([program, "logits", sys.argv[2], "--tokens", "@ids", "--step", "-o", "fifo"])
    await_full(read, process)
    process.send_signal(signal.SIGINT)
    ends(process, "logits into a FIFO")
    os.close(read)

    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen([program, "chat", "-q", "-n", "3", "--model", sys.argv[2],
                                    "--vocab", sys.argv[4], "--state-out", "talk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        check(select.select([process.stdout], [], [], PATIENCE)[0], "an answer")
        process.send_signal(number)  # standard input stays open
        ends(process, f"piped chat and {number.name}")
        check(os.path.exists("talk"), "the conversation is kept")
        os.remove("talk")
    print("signals: all well")


if __name__ == "__main__":
    main()
