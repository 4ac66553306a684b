#!/usr/bin/env python3
"""Readers of the output that are slow, stop or go away, and FIFOs without a reader.

A saved state ends where the written text ends, no output is lost while somebody reads it, and an
interrupt ends the program.

    readers.py PROGRAM MODEL VOCABULARY BYTES

Runs in an empty folder. BYTES is a vocabulary with one token per byte.
"""
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

from blocked import PATIENCE, await_full, check, ends, fill, waiting

F_SETPIPE_SZ = 1031  # Linux only


def small_pipe():
    """Returns a pipe; on Linux it has 4 KiB, so one write fills it."""
    read, write = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    return read, write


def read_all(fd):
    data = b""
    while part := os.read(fd, 4096):
        data += part
    os.close(fd)
    return data


def output(command, data=b""):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout


def await_state(process, *states):
    """Waits until the process stays in one of these states of /proc and uses no CPU time.

    Without /proc it waits for 0.7 seconds.
    """
    before, since, begin = None, time.time(), time.time()
    while time.time() - begin < PATIENCE and process.poll() is None:
        now = b"" if sys.platform != "linux" else open(f"/proc/{process.pid}/stat", "rb").read().rsplit(b")", 1)[1]
        if now != before or (now and now.split()[0].decode() not in states):
            before, since = now, time.time()
        if time.time() - since > 0.7:
            return
        time.sleep(0.05)


def stop_reading(process, read):
    """Closes the reading end while the program is stopped. Returns the number of unread bytes."""
    process.send_signal(signal.SIGSTOP)
    await_state(process, "T")
    count = waiting(read)
    os.close(read)
    process.send_signal(signal.SIGCONT)
    return count


def run_keeps(run, draw):
    """The saved state continues the written text like one longer run.

    draw: sampling options of the first run.
    """
    whole = output([*run, *draw, "-n", "400", "hello"])
    for number in (signal.SIGINT, signal.SIGTERM, None):
        for first in (0, 1, 100):  # bytes read before the interruption
            read, write = small_pipe()
            process = subprocess.Popen([*run, *draw, "-n", "-1", "--state-out", "kept", "hello"], stdin=subprocess.DEVNULL, stdout=write,
                                       stderr=subprocess.PIPE)
            os.close(write)
            text = b""
            while len(text) < first:
                text += os.read(read, first - len(text))
            await_full(read, process)
            if number:
                process.send_signal(number)
                ends(process, f"run into a small pipe, and {number.name}")
                text += read_all(read)
            else:
                text = whole[:len(text) + stop_reading(process, read)]
                process.wait(PATIENCE)
                check(process.returncode == 0, "the reader of run goes away", process)
            how = f"{draw}, {number.name if number else 'no reader'}, {first} bytes read before"
            check(len(text) > first, f"{how}: text: {text!r}")
            check(whole.startswith(text), f"{how}: the text is that of the longer run: {text!r}")
            rest = output([*run, *draw[2:], "-n", "20", "--state-in", "kept"])  # a seed would restart the random numbers
            check(rest and whole.startswith(text + rest), f"{how}: the state ends where the text does: {text!r}, then {rest!r}")
            os.remove("kept")


def chat_keeps(chat):
    """If the reader stops or goes away, the saved answer has the length of what was written."""
    for number in (signal.SIGTERM, None):
        read, write = small_pipe()
        process = subprocess.Popen([*chat, "-n", "4000", "--state-out", "talk"], stdin=subprocess.PIPE, stdout=write)
        os.close(write)
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        count = len(os.read(read, 1)) + len(os.read(read, 1))
        await_full(read, process)
        if number:
            process.send_signal(number)
            ends(process, "a chat whose reader stops")
            count += len(read_all(read))
        else:
            count += stop_reading(process, read)
            process.wait(PATIENCE)
            check(process.returncode == 0, "the reader of chat goes away", process)
        process.stdin.close()
        output([*chat, "-n", str(count), "--state-out", "same"], b"hello\n")
        then = [output([*chat, "-n", "20", "--state-in", state], b"again\n") for state in ("talk", "same")]
        check(then[0] == then[1] != b"", f"chat goes on behind {count} bytes that were written: {then}")
        os.remove("talk")


def json_or_no_state(run):
    """The state is saved after the JSON, and only if the JSON was written."""
    with open("kept", "wb") as old:
        old.write(b"old")
    command = [*run, "-n", "3", "--json", "--state-out", "kept", "hello"]
    said = b"rwkv7: the JSON could not be written; state not saved\n"
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    check(process.returncode == 0 and process.stderr == said, f"JSON without a reader: {process}")
    read, write = os.pipe()
    fill(write)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    await_state(process, "S")
    process.send_signal(signal.SIGINT)
    ends(process, "JSON whose reader does not read")
    check(process.stderr.read() == said, "it says that no state is kept")
    os.close(read)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            process = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, check=False)
        check(process.returncode == 1 and process.stderr.count(b"\n") == 1, f"JSON to a full disk: {process}")
    with open("kept", "rb") as old:
        check(old.read() == b"old", "the old state stays")
    text = json.loads(output(command))["text"]
    check(text + output([*run, "-n", "3", "--state-in", "kept"]).decode() == output([*run, "-n", "6", "hello"]).decode(),
          "JSON that was written, and its state")
    os.remove("kept")


def slow_reader(command, expected):
    """All output arrives, although standard output is a non-blocking pipe."""
    read, write = small_pipe()
    os.set_blocking(write, False)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    await_full(read, process)
    data = read_all(read)
    process.wait(PATIENCE)
    check(process.returncode == 0, f"{command[1]} to a slow reader: {process.stderr.read()!r}", process)
    check(same(data, expected), f"{command[1]}: all arrives: {len(data)} bytes of {len(expected)}")


def same(a, b):
    """Compares without the durations in the results of batch."""
    if not a.startswith(b"{"):
        return a == b
    lists = [[{k: v for k, v in json.loads(line).items() if not k.endswith("seconds")} for line in text.splitlines()] for text in (a, b)]
    return lists[0] == lists[1]


def interrupted(command, what, data=None):
    process = subprocess.Popen(command, stdin=subprocess.PIPE if data else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    if data:
        process.stdin.write(data)
        process.stdin.flush()
    await_state(process, "S")
    process.send_signal(signal.SIGINT)
    ends(process, what)


def fifos(program, options, run, batch):
    """The program waits until a FIFO has a reader; an interrupt ends the wait."""
    for name in ("pipe", "late"):
        os.mkfifo(name)
    interrupted([*run, "-n", "3", "-f", "pipe"], "the prompt is a FIFO without a writer")
    interrupted([program, "chat", *options, "--template", "pipe"], "the template is a FIFO without a writer", b"hello\n")
    interrupted([program, "eval", *options, "pipe"], "the text of eval is a FIFO without a writer")
    interrupted([*batch, "pipe"], "the lines are a FIFO without a writer")
    interrupted([*batch, "-o", "pipe", "two"], "the results go to a FIFO without a reader")
    interrupted([*run, "-n", "3", "--state-out", "pipe", "hello"], "the state goes to a FIFO without a reader")
    interrupted([program, "logits", *options[:2], "--tokens", "1", "-o", "pipe"], "the logits go to a FIFO without a reader")

    # A signal just before the FIFO is opened counts, too.
    if os.path.exists("early_signal.so"):
        environment = dict(os.environ, LD_PRELOAD="./early_signal.so")
        for command in ([*run, "-n", "3", "-f", "pipe"], [program, "eval", *options, "pipe"], [*batch, "-o", "pipe", "two"],
                        [program, "chat", *options, "--template", "pipe"],
                        [*run, "-n", "3", "--state-out", "pipe", "hello"],
                        [program, "chat", "-q", *options, "--state-out", "pipe"],
                        [program, "logits", *options[:2], "--tokens", "1", "-o", "pipe"]):
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
            ends(process, f"{command[1]}, and a signal before a FIFO is opened")

    # A reader that comes later gets everything.
    process = subprocess.Popen([*run, "--temp", "0", "-n", "9", "-f", "late"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    await_state(process, "S")
    with open("late", "wb") as late:
        late.write(b"hel")
        late.flush()
        await_state(process, "S")
        late.write(b"lo")
    check(process.stdout.read() == output([*run, "--temp", "0", "-n", "9", "hello"]), "a prompt that comes late")
    process.wait(PATIENCE)
    process = subprocess.Popen([*batch, "-o", "late", "two"])
    await_state(process, "S")
    with open("late", "rb") as late:
        got = late.read()
    process.wait(PATIENCE)
    check(process.returncode == 0 and same(got, output([*batch, "two"])), f"results that are read late: {got!r}")


    # The same for a state, which equals the one in a file.
    subprocess.run([*run, "--seed", "1", "-n", "3", "--state-out", "state", "hello"], stdout=subprocess.DEVNULL, check=True)
    process = subprocess.Popen([*run, "--seed", "1", "-n", "3", "--state-out", "late", "hello"], stdout=subprocess.DEVNULL)
    with open("late", "rb") as late:
        got = late.read()
    process.wait(PATIENCE)
    with open("state", "rb") as state:
        check(process.returncode == 0 and got == state.read(), "a state that is read from a FIFO")


def resume(batch):
    """An interrupt while --resume compares lines with results leaves the file unchanged."""
    with open("results", "wb") as results:
        results.write(output([*batch, "two"]))
    with open("results", "rb") as results:
        before = results.read()
    os.mkfifo("lines")
    process = subprocess.Popen([*batch, "--resume", "-o", "results", "lines"], stderr=subprocess.PIPE)
    with open("lines", "wb") as lines, open("two", "rb") as two:
        lines.write(two.readline())
        lines.flush()
        begin = time.time()
        while waiting(lines.fileno()) > 0 and time.time() - begin < PATIENCE:
            time.sleep(0.05)
        await_state(process, "S")
        process.send_signal(signal.SIGINT)
        ends(process, "an interrupted --resume")
    with open("results", "rb") as results:
        check(results.read() == before, "results that were not compared stay")


def main():
    program, options = sys.argv[1], ["--model", sys.argv[2], "--vocab", sys.argv[3]]
    run = [program, "run", "-q", "--ignore-eos", *options]
    batch = [program, "batch", "-q", "--temp", "0", "--ignore-eos", *options]
    with open("two", "w") as lines:
        lines.write('{"prompt":"hello","tokens":20}\n{"prompt":"he","tokens":30}\n')
    with open("many", "w") as lines:
        lines.write('{"prompt":"hello","tokens":9}\n' * 60)
    run_keeps(run, ["--seed", "3"])
    run_keeps(run, ["--seed", "4", "--temp", "0"])
    letters = ["--bias", ",".join(f"{i}=100" for i in range(98, 124))]
    chat_keeps([program, "chat", "-q", "--temp", "0", *letters, "--model", sys.argv[2], "--vocab", sys.argv[4]])
    json_or_no_state([*run, "--temp", "0"])
    ids = ["logits", sys.argv[2], "--tokens", ",".join("1234" * 20), "-o"]
    output([program, *ids, "array"])
    with open("array", "rb") as array:
        expected = array.read()
    slow_reader([program, *ids, "/dev/stdout"], expected)
    slow_reader([program, *ids, "-"], expected)
    lines = output([*batch, "many"])
    slow_reader([*batch, "-o", "/dev/stdout", "many"], lines)
    slow_reader([*batch, "many"], lines)
    fifos(program, options, run, batch)
    resume(batch)
    print("readers: all well")


main()
