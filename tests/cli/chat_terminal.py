#!/usr/bin/env python3
"""rwkv7 chat at a terminal of its own: prompt, editing, history, dimmed text, ^C.

    chat_terminal.py EDITING COMMAND...     a command that writes only letters and never ends an answer by itself;
                                            EDITING is "none" when it was built without libedit
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

PATIENCE = 120  # seconds; emulators are slow


class Terminal:
    edited = False  # the program edits lines, so it takes keys as they are typed once it has prompted for them

    def __init__(self, command, ignored=None):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.environ.pop("NO_COLOR", None)
            os.execvp(command[0], command)

    def read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # how Linux says that the other end is closed
            data = b""
        self.text += data
        return bool(data)

    def expect(self, pattern, what):
        """Reads until the pattern is there and forgets what it has matched. Returns the match."""
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            match = re.search(pattern, self.text, re.S)
            if match:
                self.text = self.text[match.end():]
                return match
            if not self.read(1) and os.waitpid(self.pid, os.WNOHANG)[0]:
                break
        sys.exit(f"FAILED: {what}: expected {pattern!r}, got {self.text[-400:]!r}")

    def prompt(self, what="the prompt"):
        """Reads until the prompt is the last thing, and stays so. Returns what was before it."""
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            quiet = not self.read(0.3)
            if self.edited and self.text.endswith(b"> "):
                canonical = termios.tcgetattr(self.fd)[3] & termios.ICANON
                check(not canonical, "the prompt is shown when the terminal is set up for it, not before")
            if quiet and self.text.endswith(b"> "):
                text, self.text = self.text, b""
                return text
            if quiet and os.waitpid(self.pid, os.WNOHANG)[0]:
                break
        sys.exit(f"FAILED: {what}: expected the prompt, got {self.text[-400:]!r}")

    def send(self, keys):
        os.write(self.fd, keys)

    def end(self, what):
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            self.read(0.1)
        sys.exit(f"FAILED: {what}: the program does not end")


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def history(command):
    for keys in (b"/system first\r", b"\x1b[A" * 3 + b"\r"):  # the second time by three lines up
        typist = Terminal(command + ["--history", "lines"])
        typist.prompt()
        typist.send(keys)
        typist.prompt()
        typist.send(b"/system\r")
        typist.expect(rb"2mfirst", "a line of the history")
        typist.prompt()
        typist.send(b"/quit\r")
        check(typist.end("/quit") == 0, "/quit ends with exit code 0")
        mode = os.stat("lines").st_mode & 0o777
        check(mode == 0o600, "a history is private, also in the place of one that was not")
        os.chmod("lines", 0o644)

    # Another output in its place, also where there is no history yet.
    for lines in ("lines", "fresh"):
        greedy = Terminal(command + ["--history", lines, "--state-out", lines])
        greedy.expect(rb"refusing to overwrite an input file, read as " + lines.encode(), "a history is an input")
        check(greedy.end("a state for a history") == 2, "with exit code 2")
    check(b"first" in open("lines", "rb").read(), "the history stays")
    check(os.stat("fresh").st_mode & 0o777 == 0o600, "a history is private from the beginning")

    with open("notes", "w") as notes:
        notes.write("no history\n")
    careless = Terminal(command + ["--history", "notes"])
    careless.expect(rb"notes: not a history", "a file that is no history is refused")
    check(careless.end("another file for a history") == 1, "with exit code 1")
    with open("notes") as notes:
        check(notes.read() == "no history\n", "and stays as it is")


def main():
    editing, command = sys.argv[1] != "none", sys.argv[2:]
    Terminal.edited = editing
    endless = Terminal(command + ["-n", "-1"])
    endless.expect(rb"/help explains", "the greeting")
    endless.prompt()
    endless.send(b"hello\r")
    endless.expect(rb"hello.*?[a-z]{30}", "an answer that streams")
    endless.send(b"\x03")  # the terminal makes SIGINT of it
    endless.expect(rb"stopped", "^C stops the answer, and the program goes on")
    endless.prompt()
    endless.send(b"again\r")
    endless.expect(rb"again.*?[a-z]{30}", "another answer")
    os.kill(endless.pid, signal.SIGINT)
    endless.expect(rb"stopped", "SIGINT stops the answer")
    endless.prompt()
    endless.send(b"half a line\x03")
    endless.expect(rb"/quit ends", "^C drops a line")
    endless.prompt()
    endless.send(b"/stats\r")
    endless.expect(rb"2 messages", "the line that was dropped was not sent")
    endless.prompt()
    endless.send(b"/undo\r")
    endless.expect(rb"taken back; 1 before", "an answer that was stopped can be taken back")
    endless.prompt()

    if editing:
        for keys in (b"/systex\x08m ab\x7fc\r", b"/system b\r", b"\x1b[A\x1b[A\r", b"/system\r"):
            endless.send(keys)  # backspaces of both kinds, and two lines up
            seen = endless.prompt()
        check(b"\x1b[2mac\x1b[0m" in seen, f"the line was edited and is in the history: {seen!r}")
        endless.send("/system \u00e4\u20acx\x7f\r".encode())
        endless.prompt()
        endless.send(b"/system\r")
        endless.expect("2m\u00e4\u20ac\x1b".encode(), "characters of several bytes")
        endless.prompt()
        endless.send(b"\0")  # also what the kernel makes of a ^D that was typed during an answer
    endless.send(b"\x04")
    check(endless.end("^D") == 0, "^D ends with exit code 0")

    thinker = Terminal(command + ["-n", "5", "--think", "short"])
    thinker.prompt()
    thinker.send(b"one \\\r")
    thinker.expect(rb"\| ", "the prompt for more lines")
    thinker.send(b"two\r")
    thinker.expect(rb"<think[a-z]{5}", "an answer of five letters")
    thinker.expect(rb"stopped after 5 tokens", "and why it ends")
    thinker.prompt()
    thinker.send(b"/quit\r")
    check(thinker.end("/quit") == 0, "/quit ends with exit code 0")

    small = Terminal(command[:2])  # no model named: the one that ships, if it was compiled in
    if small.expect(rb"/help explains|no model", "the greeting").group() == b"/help explains":
        small.expect(rb"not trained to talk", "what the small model cannot do")
        small.prompt()
        small.send(b"\x04")
        check(small.end("^D") == 0, "^D ends with exit code 0")

    kept = "terminal.state"
    for how in ("SIGTERM at the prompt", "SIGTERM while it answers", "a closed terminal", "a closed terminal, and nohup"):
        nohup = how.endswith("nohup")
        if nohup and not editing:
            continue
        told = Terminal(command + ["--state-out", kept], signal.SIGHUP if nohup else None)
        told.prompt()
        told.send(b"/system abc\r")
        told.prompt()
        if how == "SIGTERM while it answers":
            told.send(b"hello\r")
            told.expect(rb"hello\r\n.*[a-z]{20}", "an answer")
        if how.startswith("a closed terminal"):
            os.close(told.fd)
            code = os.waitstatus_to_exitcode(os.waitpid(told.pid, 0)[1])
        else:
            os.kill(told.pid, signal.SIGTERM)
            code = told.end(how)
        check(code == 130, f"{how} ends with exit code 130, not {code}")
        check(os.path.exists(kept), f"{how}: the conversation is kept")
        os.remove(kept)

    # How long reading takes is not known: ^C may come too late, and finds the prompt.
    hasty = Terminal(command + ["-t", "1", "--system", "rule " * 20000, "--state-out", kept])
    begun = hasty.expect(rb"reading|/help explains", "a long beginning").group() != b"reading"
    if not begun:
        hasty.send(b"\x03")
        begun = hasty.expect(rb"rwkv7: |/help explains", "^C while the beginning is read").group() != b"rwkv7: "
    if begun:
        hasty.prompt()
        hasty.send(b"\x04")
    code = hasty.end("^C while the beginning is read")
    check(code == (0 if begun else 130), f"^C while the beginning is read ends with exit code 130, not {code}")
    check(os.path.exists(kept) == begun, "a conversation that has not begun is not kept")

    subprocess.run(command + ["-q", "-n", "5", "--state-out", kept], input=b"rule " * 20000 + b"\nlast\n",
                   stdout=subprocess.DEVNULL, check=True)
    back = Terminal(command + ["--state-in", kept])
    back.prompt()
    back.send(b"/undo\r")
    taken = back.expect(rb"reading|taken back", "all is read again").group() != b"reading"
    if not taken:
        back.send(b"\x03")
        taken = back.expect(rb"nothing is taken back|taken back; 1", "^C while it is read").group().endswith(b"1")
    back.prompt()
    back.send(b"/stats\r")
    back.expect(rb"1 message," if taken else rb"2 messages", "all messages are there, but one that was taken back")
    back.prompt()
    back.send(b"\x04")
    check(back.end("^D") == 0, "^D ends with exit code 0")
    os.remove(kept)

    if editing:
        history(command)
    print("a terminal: all well")


main()
