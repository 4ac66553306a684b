#!/usr/bin/env python3
"""Runs the commands that the pages show and compares what they print.

    commands.py ROOT COMMAND...     pages are the .md files below ROOT; COMMAND starts the program `rwkv7`

```console   a session, which is run: `$ ` begins a command, what follows is all that the terminal shows. `...` stands for
             any text. White space is compared as one space, so long lines may be wrapped. A command goes on in lines
             that begin with `> `, after a backslash, and up to the last line of a here-document. Every command must
             end with exit code 0, unless the next one is `echo $?`.
```sh        commands that are not run, because they need a large model, a network, or root; they are listed.

All blocks of a page run in one shell, on a terminal, in a temporary folder with a copy of models/.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile

from markdown import blocks, pages, read_lines

PATIENCE = 300  # seconds without any output, after which a command is taken to hang


def parse(first, lines):
    """The commands of a block: [line number, command, expected output]."""
    commands = []
    here = None  # last line of the here-document that is open
    for number, line in enumerate(lines, first):
        if here is not None or (commands and not commands[-1][2] and commands[-1][1].endswith("\\")):
            commands[-1][1] += "\n" + line
        elif line.startswith("> ") and commands and not commands[-1][2]:
            commands[-1][1] += "\n" + line[2:]
        elif line.startswith("$ "):
            commands.append([number, line[2:], ""])
        elif commands:
            commands[-1][2] += line + "\n"
            continue
        else:
            raise SystemExit(f"line {number}: a console block begins with a command: '$ '")
        if here is not None:
            here = None if line == here else here
        elif found := re.search(r"<<\s*'?(\w+)'?", line):
            here = found[1]
    return commands


def pattern(expected):
    """Matches what a terminal shows: any text for '...', any white space for white space."""
    texts = [r"\s+".join(re.escape(word) for word in text.split()) for text in expected.split("...")]
    return re.compile(r"\s*" + r".*?".join(rf"\s*{text}\s*" if text else r"\s*" for text in texts) + r"\s*", re.DOTALL)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def converse(script, folder, environment):
    """Yields what each command of the script printed, and its exit code, which the script prints behind the character \\x1e."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(["sh", script], stdin=end, stdout=end, stderr=end, cwd=folder, env=environment, start_new_session=True)
    os.close(end)
    data = b""
    try:
        while True:
            while (match := re.match(rb"(.*?)\x1e(\d+)\r?\n", data, re.DOTALL)) is None:
                if not select.select([terminal], [], [], PATIENCE)[0]:
                    yield data.decode(errors="replace"), None
                    return
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # Linux: the other end is closed
                    piece = b""
                if not piece:
                    return
                data += piece
            yield match[1].decode(errors="replace").replace("\r\n", "\n"), int(match[2])
            data = data[match.end():]
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def check_page(page, name, bin_folder, root):
    """Runs one page; returns (commands run, failures, lines of blocks that were not run)."""
    commands, left = [], []
    text = read_lines(page)
    for number, line in enumerate(text, 1):
        if line.startswith("    $ "):
            raise SystemExit(f"line {number}: commands belong into a block, ```console or ```sh")
    for language, first, lines in blocks(text):
        if language == "console":
            commands += parse(first, lines)
        elif language == "sh":
            left += [(first + i, line) for i, line in enumerate(lines) if line and not line.startswith("#")]
    if not commands:
        return 0, 0, left
    failures = 0
    work = tempfile.mkdtemp(prefix="rwkv7 docs.")
    try:
        folder = os.path.join(work, "a folder")
        shutil.copytree(os.path.join(root, "models"), os.path.join(folder, "models"))
        os.mkdir(os.path.join(work, "home"))
        script = os.path.join(work, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write("code=0\n")
            for _, command, _ in commands:
                file.write(f"(exit $code)\neval {quoted(command)}\ncode=$?\nprintf '\\036%d\\n' $code\n")
        environment = {"PATH": bin_folder + ":" + os.environ["PATH"], "HOME": os.path.join(work, "home"), "TERM": "dumb", "LC_ALL": "C"}
        for name_kept in ("TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "QEMU_CPU"):
            if name_kept in os.environ:
                environment[name_kept] = os.environ[name_kept]
        done = 0
        for (line, command, expected), (printed, code) in zip(commands, converse(script, folder, environment)):
            done += 1
            follows = commands[done][1] if done < len(commands) else ""
            why = None
            if code is None:
                why = f"hangs: nothing printed for {PATIENCE} seconds"
            elif code != 0 and not re.match(r"echo .*\$\?", follows):
                why = f"exit code {code}"
            elif not pattern(expected).fullmatch(printed):
                why = "other output than the page shows"
            if why is not None:
                failures += 1
                print(f"FAILED: {name}:{line}: {why}\n$ {command}\n--- the page\n{expected}--- the program\n{printed}---")
        if done < len(commands):
            failures += 1
            print(f"FAILED: {name}:{commands[done][0]}: the shell ended before this command")
    finally:
        shutil.rmtree(work)
    return len(commands), failures, left


def main():
    root, program = sys.argv[1], [os.path.abspath(w) if os.path.exists(w) else w for w in sys.argv[2:]]
    bin_folder = tempfile.mkdtemp(prefix="rwkv7 bin.")
    total = failures = 0
    skipped = []
    try:
        path = os.path.join(bin_folder, "rwkv7")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec " + " ".join(map(quoted, program)) + ' "$@"\n')
        os.chmod(path, 0o755)
        for page in pages(root):
            name = os.path.relpath(page, root)
            try:
                done, failed, left = check_page(page, name, bin_folder, root)
            except SystemExit as error:
                raise SystemExit(f"{name}: {error}")
            total += done
            failures += failed
            skipped += [f"{name}:{line}: {command}" for line, command in left]
    finally:
        shutil.rmtree(bin_folder)
    print("NOT RUN (large model, network or root):")
    print("\n".join("  " + line for line in skipped))
    print(f"{total} commands, {failures} failures")
    sys.exit(failures > 0 or total == 0)


if __name__ == "__main__":
    main()
