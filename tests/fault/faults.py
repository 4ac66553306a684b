#!/usr/bin/env python3
"""Fault injection into every command, like SQLite's tests.

    faults.py HOOK PROGRAM [CASE... | I/N]

Runs all cases, the named ones, or every N-th one from the I-th.

For each case, kind of call and way to fail, the n-th call fails: n = 1, 2, ... until a run makes
fewer than n calls. HOOK (hook.c) injects the faults, into calls of all libraries. After every run:

  * with exit code 0, outputs equal those of a run without faults; optional outputs (prompt cache,
    history) may be missing if stderr says so;
  * otherwise, the exit code is 1 and stderr has one line;
  * inputs are unchanged; outputs are absent, old or new; there is no other file.

Then the process is killed at the n-th call that writes, or in the middle of the n-th write. Outputs
must be as above, and the same command without a fault must then succeed. Nothing depends on time:
the n-th call is the same in every run.

If there are many calls, only some are tried, so that everything takes about a minute.
RWKV7_FAULTS=all tries every call (about an hour).
"""
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
KINDS = ["alloc", "thread", "read", "write", "open", "sync", "rename", "link", "map", "truncate", "status"]  # as in hook.c
EVERYTHING = os.environ.get("RWKV7_FAULTS") == "all"
PATIENCE = 120  # seconds per run; a run takes about 0.01 s, so a longer one hangs

EIO, EINTR, ENOMEM, EAGAIN, EMFILE, ENOSPC = "5", "4", "12", "11", "24", "28"
# Kind of call, how it fails (see hook.c), and the largest number of calls that are tried.
FAULTS = [
    ("alloc", ENOMEM, 50), ("alloc", "+" + ENOMEM, 20), ("thread", EAGAIN, 4),
    ("read", EIO, 12), ("read", EINTR, 6), ("read", "short", 8),
    ("write", ENOSPC, 8), ("write", "+" + ENOSPC, 4), ("write", EINTR, 6), ("write", "short", 6),
    ("open", EMFILE, 14), ("open", "+" + EMFILE, 8), ("open", EINTR, 6),
    ("sync", EIO, 6), ("rename", EIO, 6), ("link", ENOSPC, 6), ("map", ENOMEM, 8), ("map", "+" + ENOMEM, 6),
    ("truncate", EIO, 4), ("status", EIO, 14),
]
KILLS = [("write", "kill", 6), ("write", "tear", 8), ("open", "kill", 8), ("sync", "kill", 6), ("rename", "kill", 6),
         ("link", "kill", 6), ("truncate", "kill", 4), ("alloc", "kill", 4)]


class Case:
    """A command that runs in its own folder, beside a folder with its inputs.

    before      files that exist when it starts
    outputs     names of files that it writes, each complete or not at all
    log         a file that it appends lines to
    optional    files and folders that it may fail to write, with a message
    again       options of the run after a kill, which completes the log
    loads       a command that opens the file named last; an output that is neither old nor new must
                pass it
    goes_on     the command continues after a failure, so there may be several messages
    config      the user's config file is read
    frail       allocations do not fail, because libedit and ncurses do not survive that:
                they crash, end the process, or forget the binding of the return key
    """

    def __init__(self, name, args, stdin=b"", before=None, outputs=(), log=None, optional=(), again=(), terminal=None,
                 loads=None, goes_on=False, frail=False, config=False):
        self.name, self.args, self.stdin, self.before = name, args, stdin, before or {}
        self.outputs, self.log, self.optional, self.again, self.terminal = outputs, log, optional, list(again), terminal
        self.loads, self.goes_on, self.frail, self.config = loads, goes_on, frail, config
        self.writes = bool(outputs or log or optional)


class Run:
    def __init__(self, code, out, err, files, counts):
        self.code, self.out, self.err, self.files, self.counts = code, out, err, files, counts
        self.faulted = counts[-1] == 1


def neutral(data):
    """Replaces what may differ between runs: durations, and the number of threads that started."""
    data = re.sub(rb"(threads: |MB with )\d+", rb"\1N", data)
    data = re.sub(rb'(buffers of up to |"work_bytes":\s*)[0-9.]+( [KMG]B)?', rb"\1N\2", data)
    return re.sub(rb'("(?:prompt_)?seconds":\s*)[0-9.e+-]+', rb"\1T", data)


def read_tree(folder):
    files = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, folder)] = neutral(file.read())
    return files


class Bench:
    def __init__(self, hook, program, work):
        self.hook, self.program, self.work = hook, program, work
        self.inputs, self.folder = os.path.join(work, "in"), os.path.join(work, "out")
        self.counts = os.path.join(work, "counts")
        with open(self.counts, "wb") as file:
            file.write(bytes(4 * (len(KINDS) + 1)))
        self.failures = self.runs = 0

    def start(self, files):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        for name, data in files.items():
            os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
            with open(os.path.join(self.folder, name), "wb") as file:
                file.write(data)

    def run(self, case, fault=None, extra=()):
        """Runs the command in the folder as it is. fault: KIND:N:HOW."""
        environment = {"HOME": self.work, "PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        if case.config:
            environment["XDG_CONFIG_HOME"] = os.path.join(self.inputs, "config")
        if fault:
            environment.update(RWKV7_FAULT=fault, RWKV7_FAULT_COUNTS=self.counts, LD_PRELOAD=self.hook)
        command = [self.program] + [a.replace("IN/", self.inputs + "/") for a in case.args] + list(extra)
        self.runs += 1
        with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            typed.write(case.stdin)
            typed.seek(0)
            if case.terminal is not None:
                master, slave = pty.openpty()
                os.write(master, case.terminal)
                typed, shown = slave, slave
            else:
                shown = out
            try:
                code = subprocess.run(command, stdin=typed, stdout=shown, stderr=err, cwd=self.folder, env=environment,
                                      timeout=PATIENCE, start_new_session=True, check=False).returncode
            except subprocess.TimeoutExpired:
                code = "no end"
            if case.terminal is not None:
                os.close(slave)
                os.close(master)
            out.seek(0)
            err.seek(0)
            with open(self.counts, "rb") as file:
                counts = struct.unpack(f"{len(KINDS) + 1}I", file.read())
            return Run(code, neutral(out.read()), err.read(), read_tree(self.folder), counts)

    def complain(self, case, fault, run, what):
        self.failures += 1
        if self.failures <= 200:
            print(f"FAILED: {case.name}, {fault}: {what}\n  exit code {run.code}, stderr {run.err[:300]!r}")
            sys.stdout.flush()

    def check_files(self, case, fault, run, good, killed):
        """Checks the files after a run with a fault."""
        for name, data in run.files.items():
            if data in (case.before.get(name), good.files.get(name)):
                continue
            if killed and re.fullmatch(r"(.*/)?rwkv7-[0-9a-f]{8}\.tmp", name):
                continue  # a temporary name, just before the rename
            if case.loads and name in case.outputs and self.loads(case, name):
                continue
            if name == case.log and name in good.files and self.is_part(data, good.files[name], killed):
                continue
            self.complain(case, fault, run, f"{name} is neither old nor new, or should not be there ({len(data)} bytes)")
        for name, data in case.before.items():
            if name not in run.files:
                self.complain(case, fault, run, f"{name} is lost")

    def loads(self, case, name):
        return self.run(Case("loading", case.loads + [name])).code == 0

    @staticmethod
    def is_part(data, whole, torn):
        """Whether data are the first lines of the log; the last one may be incomplete."""
        lines, expected = data.split(b"\n"), whole.split(b"\n")
        full = lines[:-1] == expected[:len(lines) - 1]
        return full and (lines[-1] == b"" or expected[len(lines) - 1].startswith(lines[-1].split(b'"prompt_seconds')[0]))

    def check(self, case, fault, run, good):
        self.check_files(case, fault, run, good, False)
        if run.code == 0:
            missing = [n for n in good.files if run.files.get(n) != good.files[n]]
            unsaid = [n for n in missing if not n.startswith(tuple(case.optional)) or not run.err] if missing else []
            if case.optional == () and missing or unsaid:
                self.complain(case, fault, run, f"exit code 0 without {', '.join(missing)}")
            if run.out != good.out:
                self.complain(case, fault, run, f"exit code 0 and another output: {run.out[:200]!r}")
        elif case.frail and run.code == 130 and fault.startswith("read:"):
            pass  # a terminal that cannot be read counts as hung up
        elif run.code != 1:
            self.complain(case, fault, run, "exit code 1 expected")
        elif not self.is_message(case, run.err, good.err):
            self.complain(case, fault, run, "one line expected on stderr")

    @staticmethod
    def is_message(case, text, notes):
        lines = text.split(b"\n")
        said = [line for line in lines[:-1] if line not in notes.split(b"\n")]  # new messages
        said = [line for line in said if not (case.optional and line.startswith(b"rwkv7: prompt cache: "))]
        if case.frail:  # ncurses prints messages of its own
            said = [line for line in said if line.startswith(b"rwkv7: ")]
        whole = lines[-1] == b"" and all(line.startswith(b"rwkv7: ") for line in said)
        return whole and (len(said) == 1 or (case.goes_on and said != []))

    def places(self, count, limit):
        """Returns 1 .. count or a sample of it, then a number that no call reaches."""
        if EVERYTHING or count <= limit:
            return list(range(1, count + 2))
        return sorted({1 + i * (count - 1) // (limit - 1) for i in range(limit)}) + [count + 1]

    def loop(self, case, kind, how, limit, good):
        for n in self.places(good.counts[KINDS.index(kind)], limit):
            fault = f"{kind}:{n}:{how}"
            self.start(case.before)
            run = self.run(case, fault)
            if how not in ("kill", "tear"):
                self.check(case, fault, run, good)
                continue
            if run.code not in (-signal.SIGKILL, 0):
                self.complain(case, fault, run, "it should have been killed")
            self.check_files(case, fault, run, good, True)
            second = self.run(case, None, case.again)
            wrong = [name for name in [*case.outputs, *(case.again and [case.log])] if second.files.get(name) != good.files[name]]
            if second.code != 0 or wrong or (not case.log and second.out != good.out):
                self.complain(case, fault + ", then once more", second, f"expected exit code 0; differs: {wrong}")

    def all_of(self, case):
        stamps = self.stamps()
        self.start(case.before)
        plain = self.run(case)
        self.start(case.before)
        good = self.run(case, "none:0:0")
        if good.code == 77:
            print("skip: this system does not let a process trap its own system calls (seccomp)")
            sys.exit(0)
        if good.code != 0 or (plain.code, plain.out, plain.files) != (good.code, good.out, good.files):
            self.complain(case, "no fault", good, f"expected exit code 0 and equal runs, found {plain.code}: {plain.err[:200]!r}")
            return
        for name in case.outputs:
            if name not in good.files:
                self.complain(case, "no fault", good, f"no {name}")
        for kind, how, limit in FAULTS + (KILLS if case.writes else []):
            if not (case.frail and kind == "alloc"):
                self.loop(case, kind, how, limit, good)
        if self.stamps() != stamps:
            print(f"FAILED: {case.name}: an input has changed")
            self.failures += 1

    def stamps(self):
        found = {}
        for base, _, names in os.walk(self.inputs):
            for name in names:
                st = os.stat(os.path.join(base, name))
                found[os.path.join(base, name)] = (st.st_ino, st.st_size, st.st_mtime_ns)
        return found

    def make(self, args, stdin=b""):
        """Makes files for other cases, without faults. Returns the names of the new files."""
        self.start({})
        run = self.run(Case("preparation", args, stdin))
        if run.code != 0:
            sys.exit(f"FAILED: preparing: {args}: {run.err!r}")
        return read_raw(self.folder)


def read_raw(folder):
    files = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, folder)] = file.read()
    return files



PROMPTS = b"".join(b'{"id": %d, "prompt": "%s", "tokens": %d}\n' % (i, b"ab" * (i + 1), i % 3 + 2) for i in range(5))
CHOICES = b'{"context": "ab", "choices": ["a", "ba"], "answer": 1}\n' * 2
LAMBADA = b'{"text": "ab ab ba"}\n{"text": "ba ab ab"}\n'
LETTERS = [b"\n"] + [bytes([c]) for c in range(0x20, 0x7e)]  # one token each, for a model of 96
TALK = b"hello\n/think short\nagain\n/undo\n/retry\n/save talk.state\nbye\n"
CONFIG = b"# as a user may write it\nmodel = %(in)s/model.st\nvocab = \"%(in)s/vocab.txt\"\nthreads = 1\n[run]\ntokens = 5\ntemp = 0\nquiet\n"
COMMON = ["--vocab", "IN/vocab.txt", "-t", "1"]
MODEL = ["-m", "IN/model.st"] + COMMON
WRITE = MODEL + ["-q", "-n", "6", "--seed", "7"]


def prepare(bench):
    """Makes the inputs of all cases."""
    model = os.path.join(TESTS, "golden/data/bf16_fla.safetensors")
    vocab = b"".join(b"%d %s 1\n" % (i + 1, repr(c.decode()).encode()) for i, c in enumerate(LETTERS))
    files = {"vocab.txt": vocab, "prompt.txt": b"a file\n", "ids.txt": b"1,2,3\n", "text.txt": b"ab ba " * 30,
             "choices.jsonl": CHOICES, "lambada.jsonl": LAMBADA, "prompts.jsonl": PROMPTS,
             "folder/rwkv_vocab_v20230424.txt": vocab, "config/rwkv7/config": CONFIG % {b"in": bench.inputs.encode()}}
    for folder in ("folder", "config/rwkv7"):
        os.makedirs(os.path.join(bench.inputs, folder))
    for name in ("model.st", "folder/model.safetensors"):
        shutil.copy(model, os.path.join(bench.inputs, name))
    for name, data in files.items():
        with open(os.path.join(bench.inputs, name), "wb") as file:
            file.write(data)
    states = bench.make(["run"] + WRITE + ["--state-out", "run.state", "abc"])
    states.update(bench.make(["chat"] + WRITE, TALK))
    for name, data in states.items():
        with open(os.path.join(bench.inputs, name), "wb") as file:
            file.write(data)


def cases(bench):
    old = b"an old file\n"
    long = " abc" * 40  # more tokens than the smallest distance between two cached states
    keep = ["run"] + WRITE + ["--prompt-cache", "cache", long]
    cached = bench.make(keep)
    some = bench.make(["batch"] + WRITE + ["-o", "results", "IN/prompts.jsonl"])
    half = {"results": some["results"][:len(some["results"]) * 2 // 3]}
    load = ["chat"] + WRITE + ["--state-in"]
    lines = {"lines": b"_HiStOrY_V2_\n" + b"".join(b"/system\\040%d\n" % i for i in range(300))}
    typed = b"/system abc\n/system b\n/quit\n"
    return [
        Case("version", ["--version"]),
        Case("help", ["help", "run"]),
        Case("completions", ["completions", "bash"]),
        Case("tokenize", ["tokenize", "--vocab", "IN/vocab.txt", "-l", "abc"]),
        Case("tokenize-stdin", ["tokenize", "--vocab", "IN/vocab.txt"], b"ab ba"),
        Case("decode", ["tokenize", "--vocab", "IN/vocab.txt", "-d", "34 35"]),
        Case("info", ["info"] + MODEL[:4]),
        Case("info-json", ["info", "--json", "IN/folder"]),
        Case("info-tensors", ["info", "--tensors", "--json", "IN/model.st"]),
        Case("builtin", ["run", "-t", "1", "-q", "-n", "3", "--seed", "1", "Once"]),
        Case("run-folder", ["run", "-m", "IN/folder", "-t", "1", "-n", "4", "--temp", "0", "-q", "ab"]),
        Case("run-config", ["run", "ab"], config=True),
        Case("run-json", ["run"] + WRITE + ["--json", "--logprobs", "2", "-f", "IN/prompt.txt", "abc"], b"before "),
        Case("run-threads", ["run"] + WRITE + ["-t", "3", "--type", "q8", "abc"]),
        Case("run-state", ["run"] + WRITE + ["--state-in", "IN/run.state", "--state-out", "kept"], outputs=["kept"]),
        Case("run-state-old", ["run"] + WRITE + ["--state-out", "kept", "abc"], before={"kept": old}, outputs=["kept"]),
        Case("cache-new", keep, optional=["cache/"]),
        Case("cache-old", keep, before=cached, optional=["cache/"]),
        Case("batch", ["batch"] + WRITE + ["--logprobs", "1", "IN/prompts.jsonl"]),
        Case("batch-out", ["batch"] + WRITE + ["-o", "results", "IN/prompts.jsonl"], log="results", again=["--resume"]),
        Case("batch-resume", ["batch"] + WRITE + ["--resume", "-o", "results", "IN/prompts.jsonl"], before=half,
             log="results"),
        Case("chat", ["chat"] + WRITE + ["--system", "be", "--state-out", "kept"], TALK, outputs=["kept", "talk.state"],
             loads=load, goes_on=True),
        Case("chat-old", ["chat"] + WRITE + ["--state-in", "IN/talk.state", "--state-out", "kept"], b"ab\n/undo\n/undo\n",
             before={"kept": old}, outputs=["kept"], loads=load, goes_on=True),
        Case("chat-terminal", ["chat"] + WRITE + ["--history", "lines"], terminal=typed, optional=["lines"], log="lines",
             goes_on=True, frail=True),
        Case("chat-history", ["chat"] + WRITE + ["--history", "lines"], terminal=b"/system cd\n/quit\n", before=lines,
             optional=["lines"], log="lines", goes_on=True, frail=True),
        Case("convert", ["convert", "-q"] + COMMON + ["IN/model.st", "new.st"], outputs=["new.st"]),
        Case("convert-old", ["convert", "-q", "--type", "q8"] + COMMON + ["IN/folder", "new.st"], before={"new.st": old},
             outputs=["new.st"]),
        Case("eval", ["eval", "-q"] + MODEL + ["--json", "IN/text.txt"]),
        Case("eval-against", ["eval", "-q"] + MODEL + ["--against", "IN/folder", "-"], b"ab ba ab"),
        Case("eval-lambada", ["eval", "-q"] + MODEL + ["--task", "lambada", "IN/lambada.jsonl"]),
        Case("eval-choices", ["eval", "-q"] + MODEL + ["--task", "choices", "--json", "IN/choices.jsonl"]),
        Case("logits", ["logits", "-m", "IN/model.st", "-t", "1", "--tokens", "@IN/ids.txt", "-o", "new.npy"],
             outputs=["new.npy"]),
        Case("logits-pipe", ["logits", "-m", "IN/model.st", "-t", "1", "--tokens", "1,2", "--type", "q4", "-o", "-"]),
    ]


def main():
    if sys.platform != "linux":
        print("skip: faults are made in ways of Linux")
        return
    hook, program, chosen = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    with open(program, "rb") as file:
        if b"__asan_init" in file.read():
            print("skip: AddressSanitizer has an allocator of its own")
            return
    with tempfile.TemporaryDirectory(prefix="rwkv7-fault.") as work:
        bench = Bench(hook, program, work)
        prepare(bench)
        everything = cases(bench)
        if chosen and "/" in chosen[0]:
            first, step = map(int, chosen[0].split("/"))
            chosen = [case.name for case in everything[first - 1::step]]
        for case in everything:
            if not chosen or case.name in chosen:
                before = bench.runs
                bench.all_of(case)
                print(f"{case.name}: {bench.runs - before} runs")
    print(f"{bench.runs} runs, {bench.failures} failures")
    sys.exit(bench.failures > 0)


main()
