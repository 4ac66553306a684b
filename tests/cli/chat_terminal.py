#!/usr/bin/env python3
"""rwkv7 chat on a pseudo-terminal: prompt, editing, history, dimmed text, ^C.

    chat_terminal.py EDITING COMMAND...

COMMAND writes only letters and never ends an answer by itself. EDITING is "none" if the program was
built without libedit.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 120  # seconds; emulators are slow


class Terminal:
    edited = False  # True: the program edits lines, so it reads single keys after the prompt

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
        except OSError:  # Linux: the other end is closed
            data = b""
        self.text += data
        return bool(data)

    def expect(self, pattern, what):
        """Reads up to the pattern and drops the text up to its end. Returns the match."""
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
        """Reads until the output ends with the prompt and stays so. Returns the text before it."""
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
    for keys in (b"/system first\r", b"\x1b[A" * 3 + b"\r"):  # then three lines up
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

    # An output cannot replace the history, even if no history exists yet.
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
    os.mkfifo("fifo")
    waiting = Terminal(command + ["--history", "fifo"])
    waiting.expect(rb"fifo: not a history", "a FIFO is refused")
    check(waiting.end("a FIFO for a history") == 1, "with exit code 1")
    # A device as history stores no lines; a dumb terminal gets no escape sequences.
    plain = Terminal(["env", "TERM=dumb"] + command + ["--history", "/dev/null"])
    seen = plain.prompt()
    plain.send(b"/system first\r")
    seen += plain.prompt()
    plain.send(b"/quit\r")
    check(plain.end("/quit") == 0, "a device for a history")
    check(b"first" in seen and b"\x1b" not in seen + plain.text, f"no escape sequences: {seen + plain.text!r}")


PASTE = b"\x1b[200~%s\x1b[201~"


def job_control(command, told):
    """Runs in a child: starts the command in its own process group, as a shell does.

    When the command stops, writes a line to `told` and continues it.
    """
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os._exit(os.waitstatus_to_exitcode(status))
        canonical = bool(termios.tcgetattr(0)[3] & termios.ICANON)
        os.write(told, b"stopped, the terminal makes lines: %d\n" % canonical)
        os.tcsetpgrp(0, child)
        os.kill(child, signal.SIGCONT)


def editor(command):
    """Pasted text, Tab, window sizes that change, ^Z, the default history."""
    typist = Terminal(command)
    typist.expect(rb"\x1b\[\?2004h", "pasted text is to be marked")
    typist.prompt()
    typist.send(PASTE % b"/system one\rtwo\r\t\rthree\r")
    typist.expect(rb"three", "what was pasted is shown")
    check(not typist.read(1), "and is not sent")
    typist.send(b" x\x7f.\x7fy\r")
    typist.expect(rb"\x1b\[\?2004l.*started over, with this system prompt", "one message, and the command answers")
    typist.prompt()
    typist.send(b"/system\r")
    said = typist.prompt()
    check(all(b"2m" + line in said for line in (b"one", b"two", b"three y")), f"all that was pasted is there: {said!r}")
    typist.send(b"\x1b[A\x1b[A\r")
    typist.prompt()
    typist.send(b"/system\r")
    check(b"2mthree y" in typist.prompt(), "it is one line of the history")
    typist.send(PASTE % b"/system A\x03B\x1aC\x1cD\x13E")  # ^C, ^Z, ^\\ and ^S in pasted text send no signals
    typist.expect(rb"A.*B.*C.*D.*E", "control characters in pasted text")
    typist.send(b"\r")
    typist.expect(rb"started over", "a message with control characters")
    typist.prompt()
    typist.send(b"/system\r")
    typist.expect(rb"2mA[^\n]*B[^\n]*C[^\n]*D[^\n]*E", "control characters are part of the text")
    typist.prompt()
    typist.send(b"/system \x16\x03F\r")  # ^V quotes the next key
    typist.expect(rb"started over", "a quoted ^C")
    typist.prompt()
    typist.send(PASTE % b"a\xff\x00b")  # invalid bytes are dropped
    typist.expect(rb"ab", "pasted bytes")
    typist.send(b"\x03")
    typist.prompt()

    typist.send(b"/syst\xe2\x82em broken off \xe2\x82\r")  # incomplete characters
    typist.expect(rb"started over", "a line that ends in half a character")
    typist.prompt()
    typist.send(b"/system\r")
    typist.expect(rb"2mbroken off", "the rest of it is there")
    typist.prompt()

    typist.send(b"/sy\t")
    typist.expect(rb"stem ", "Tab completes a command")
    typist.send(b"abc\r")
    typist.prompt()
    typist.send(b"/s\t")
    typist.expect(rb"system  save  stats\r\n.*/s", "Tab shows what there is")
    typist.send(b"\x03")
    typist.prompt()
    typist.send(b"/think n\t")
    typist.expect(rb"ormal", "Tab completes a word")
    typist.send(b"\x03")
    typist.prompt()
    os.makedirs("deep/er", exist_ok=True)
    open("deep/one.state", "w").close()
    for typed, added in ((b"/save dee\t", rb"p/"), (b"/save deep/o\t", rb"ne\.state"), (b"/load deep/e\t", rb"r/")):
        typist.send(typed)
        typist.expect(added, "Tab completes the name of a file")
        typist.send(b"\x03")
        typist.prompt()

    for columns in (20, 70):
        typist.send(b"/system " + b"abcdefghij" * 4)
        typist.expect(rb"abcdefghij \r?|j$", "a long line")
        while typist.read(0.5):
            pass
        typist.text = b""
        fcntl.ioctl(typist.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        typist.expect(rb"> /system abc", "the line is drawn anew when the window changes")
        typist.send(b"z\r")
        typist.expect(rb"started over", "it is sent")
        typist.prompt()
        typist.send(b"/system\r")
        typist.expect(rb"2m" + b"abcdefghij" * 4 + rb"z\x1b", "the line is what it was")
        typist.prompt()

    for words, answer in ((b"/?", rb"/undo.*/exit"), (b"/help", rb"/undo"), (b"/reset", rb"started over, with the same"),
                          (b"/think off", rb"thinking: off"), (b"/stats", rb"0 messages"), (b"/undo", rb"nothing to undo"),
                          (b"/retry", rb"no message to retry"), (b"/save", rb"needs a file name"), (b"/save there", rb"saved to there"),
                          (b"/load there", rb"0 messages")):
        typist.send(words + b"\r")
        typist.expect(answer, f"{words} answers")
        typist.prompt()
    typist.send(b"/exit\r")
    check(typist.end("/exit") == 0, "/exit ends")
    check(typist.text.endswith(b"\x1b[?2004l"), "pasted text is marked no more")

    state = os.path.join(os.environ["HOME"], ".local/state/rwkv7")
    lines = os.path.join(state, "history")
    check(b"/think" in open(lines, "rb").read(), "lines are kept")
    check(os.stat(lines).st_mode & 0o777 == 0o600 and os.stat(state).st_mode & 0o777 == 0o700, "and are private")
    before = open(lines, "rb").read()
    for option in (["--no-history"], ["--history", ""]):
        secret = Terminal(command + option)
        secret.prompt()
        secret.send(b"/system secret\r")
        secret.prompt()
        secret.send(b"/bye\r")
        check(secret.end("/bye") == 0, "/bye ends")
        check(open(lines, "rb").read() == before, f"{option} keeps no line")

    # Two programs share the file; one ends first. The lines of both are kept.
    first, second = Terminal(command), Terminal(command)
    for who, word in ((first, b"/system mine"), (second, b"/system yours")):
        who.prompt()
        who.send(word + b"\r")
        who.prompt()
    for who in (first, second):
        who.send(b"\x04")
        check(who.end("^D") == 0, "^D ends")
        check(who.text.endswith(b"\x1b[?2004l"), "pasted text is marked no more after ^D")
    kept = open(lines, "rb").read()
    check(b"mine" in kept and b"yours" in kept, "lines of two programs")

    # Another program holds the lock and replaces the file. This one waits, then adds its lines to
    # the new file.
    late = Terminal(command)
    late.prompt()
    late.send(b"/system late\r")
    late.prompt()
    with open(lines, "rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        late.send(b"\x04")
        time.sleep(0.5)
        with open(lines + ".new", "wb") as new:
            new.write(kept + b"/system\\040early\n")
        os.rename(lines + ".new", lines)
    check(late.end("^D") == 0, "^D ends after the lock")
    kept = open(lines, "rb").read()
    check(b"early" in kept and b"late" in kept, "lines of two programs that end at once")

    # A history that belongs to somebody else or is damaged: chat continues without one.
    os.chmod(state, 0o770)
    open_to_all = Terminal(command)
    open_to_all.expect(rb"other users may write", "a folder that others may write to")
    open_to_all.prompt()
    open_to_all.send(b"/quit\r")
    check(open_to_all.end("/quit") == 0 and open(lines, "rb").read() == kept, "no history is kept there")
    os.chmod(state, 0o700)
    with open(lines, "wb") as spoilt:
        spoilt.write(b"no history\n")
    forgetful = Terminal(command)
    forgetful.expect(rb"not a history", "a spoilt history")
    forgetful.prompt()
    forgetful.send(b"/quit\r")
    check(forgetful.end("/quit") == 0 and open(lines, "rb").read() == b"no history\n", "it is left as it is")
    os.remove(lines)

    # ^Z, in a process group like that of a shell.
    read, write = os.pipe()
    os.set_inheritable(write, True)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import chat_terminal as t; t.job_control(sys.argv[3:], int(sys.argv[2]))"
    stopped = Terminal([sys.executable, "-c", script, os.path.dirname(os.path.abspath(__file__)), str(write)] + command)
    os.close(write)
    stopped.prompt()
    stopped.send(b"/system abc")
    stopped.expect(rb"abc", "half a line")
    stopped.send(b"\x1a")
    check(select.select([read], [], [], PATIENCE)[0], "^Z stops the program")
    check(os.read(read, 100) == b"stopped, the terminal makes lines: 1\n", "and the terminal is as it was")
    stopped.expect(rb"\x1b\[\?2004l.*\x1b\[\?2004h.*> /system abc", "the line is drawn anew when the program goes on")
    stopped.send(b"d\r")
    stopped.expect(rb"started over", "it is sent")
    stopped.prompt()
    stopped.send(b"/system\r")
    stopped.expect(rb"2mabcd", "the line is what it was")
    stopped.prompt()
    stopped.send(b"/quit\r")
    check(stopped.end("/quit") == 0, "/quit ends")
    os.close(read)


def main():
    editing, command = sys.argv[1] != "none", sys.argv[2:]
    Terminal.edited = editing
    endless = Terminal(command + ["-n", "-1"])
    endless.expect(rb"/help explains", "the greeting")
    endless.prompt()
    endless.send(b"hello\r")
    endless.expect(rb"hello.*?[a-z]{30}", "an answer that streams")
    endless.send(b"\x03")  # the terminal turns it into SIGINT
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
    endless.expect(rb"undone; 1 message left", "an answer that was stopped can be taken back")
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
        endless.send(b"\0")  # the kernel turns a ^D that was typed during an answer into a NUL
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

    small = Terminal(command[:2])  # without -m: the built-in model, if there is one
    if small.expect(rb"/help explains|no model", "the greeting").group() == b"/help explains":
        small.expect(rb"not a chat model", "what the small model cannot do")
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

    # Reading may finish before ^C arrives; then ^C meets the prompt.
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
    taken = back.expect(rb"reading|undone", "all is read again").group() != b"reading"
    if not taken:
        back.send(b"\x03")
        taken = back.expect(rb"nothing was undone|undone; 1", "^C while it is read").group().endswith(b"1")
    back.prompt()
    back.send(b"/stats\r")
    back.expect(rb"1 message," if taken else rb"2 messages", "all messages are there, but one that was taken back")
    back.prompt()
    back.send(b"\x04")
    check(back.end("^D") == 0, "^D ends with exit code 0")
    os.remove(kept)

    if editing:
        history(command)
        editor(command)
    print("a terminal: all well")


if __name__ == "__main__":
    main()
