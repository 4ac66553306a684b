#!/usr/bin/env python3
"""Mutation tests: changes the program in one place at a time and checks whether a test fails.

    scripts/mutate.py                                   100 mutants, seed 1, of FOLDERS below
    scripts/mutate.py --seed 7 --count 40 src/text src/kernels/types.c
    scripts/mutate.py --show --count 1000 src/text      only lists them
    scripts/mutate.py --only src/text/trie.c:84:17 src/text/trie.c
                                                        all mutants of that place

Works in a copy of the tree, one mutant after the other: in the folder --work, which is kept between
runs, or in a temporary folder. A mutant is one changed operator, constant, condition, statement or
pair of arguments. It is

    invalid     if it does not compile
    same code   if its objects are equal to the original's: it is equivalent
    killed      if a test of its file (TESTS below) fails or exceeds the time limit
    survived    if no test fails; with --confirm, the other tests run, too

The same seed, count, paths and sources give the same mutants. Needs Python, cmake and ninja; uses
ccache if it is installed. docs/TESTING.md lists the mutants that survived, and why.
"""
import argparse
import collections
import hashlib
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

FOLDERS = [f"src/{name}" for name in ("kernels", "weights", "arch", "engine", "generate", "formats", "text")]
# Path pattern and the fast tests of the files it matches, the most likely to fail first. The first
# match counts; the tests are built and run one after the other.
TESTS = [(re.compile(path), tests.split()) for path, tests in [
    (r"kernels/(cpu|kernels|tuning)", "test_cpu test_tuning test_choices test_kernels test_quants"),
    (r"kernels/types", "test_quantize test_quants test_packing test_convert"),
    (r"kernels/(columns|lanes_columns|quants_columns)", "test_columns test_packing test_quants"),
    (r"kernels/", "test_kernels test_quants test_columns test_golden"),
    (r"weights/(quantize|columns|validate)", "test_quantize test_packing test_convert test_choices"),
    (r"weights/convert", "test_convert test_lora test_facts"),
    (r"weights/(fingerprint|finite)", "test_fingerprint test_weights test_float_env"),
    (r"weights/(names|sources|bind)", "test_variants test_weights test_opens test_convert test_facts test_golden"),
    (r"weights/", "test_weights test_packing test_variants test_facts"),
    (r"arch/(config|unsupported|arch)", "test_variants test_facts test_weights test_opens test_batch"),
    (r"arch/rwkv[456]", "test_golden test_variants test_batch test_weights"),
    (r"arch/", "test_batch test_weights test_golden test_loop test_variants"),
    (r"engine/state_file", "fuzz_state test_generator_state test_fingerprint"),
    (r"engine/tuned_state", "test_tuned_state fuzz_tuned test_generator_state"),
    (r"engine/", "test_batch test_loop test_weights test_choices test_tuned_state test_variants test_facts"),
    (r"generate/(prompt_cache|reading|prompt|mark)", "test_prompt_cache test_generator test_generator_state"),
    (r"generate/(scheduler|request)", "test_scheduler test_generator test_generator_state"),
    (r"generate/(conv|saved)", "test_conversation fuzz_conversation"),
    (r"generate/chat", "test_chat_template test_conversation"),
    (r"generate/", "test_generator test_generator_state test_prompt_cache test_conversation"),
    (r"formats/(gguf|ggml)", "test_gguf fuzz_gguf test_convert test_sparse"),
    (r"formats/(pth|pickle|zip|strided)", "test_pth fuzz_pth test_variants test_sparse"),
    (r"formats/lora", "test_lora fuzz_lora"),
    (r"formats/tensors", "test_safetensors test_gguf test_prefix test_variants fuzz_safetensors"),
    (r"formats/packed", "test_convert test_packing fuzz_safetensors"),
    (r"formats/config", "test_facts test_conventions"),
    (r"formats/(shards|folder|json|reader|snippet)", "test_variants test_safetensors fuzz_shards test_facts fuzz_safetensors"),
    (r"formats/", "test_safetensors test_prefix test_variants test_conventions fuzz_safetensors"),
    (r"text/(bpe|tokenizer_json)", "fuzz_tokenizer_json test_bpe"),
    (r"text/stream", "test_stream fuzz_stream test_generator"),
    (r"text/sampler", "test_sampler test_sampler_memory fuzz_sampler test_limits test_generator"),
    (r"text/", "test_tokenizer test_vocab fuzz_tokenizer fuzz_vocab"),
]]


def tests_of(path):
    return next(tests for pattern, tests in TESTS if pattern.search(path))


ENVIRONMENT = {"RWKV7_TEST_BRIEF": "1"}  # fewer combinations in test_golden and test_try
TEST_LIMIT = 90  # seconds for one test; finds endless loops
MEMORY_LIMIT = 6 << 30  # bytes of a test program, for loops that allocate
# Tests that --confirm omits: no mutant affects them (scripts, source rules), or they take long
# (faults).
UNCONCERNED = r"^(faults.*|layers|target|build_script|compare|get_model|train|cli_demo|cli_completions)$"

TOKEN = re.compile(r"""
    (?P<skip>/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:\\\n|[^\n])* | \s+)
  | (?P<number>(?:0[xX][0-9a-fA-F.]+(?:[pP][+-]?\d+)?|\d[\d.]*(?:[eE][+-]?\d+)?)[uUlLfF]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<operator><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|/=|%=|&=|\|=|\^=|.)
""", re.X | re.S | re.M)
OPERATORS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+": "-", "-": "+",
             "*": "/", "/": "*", "%": "*", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "+=": "-=", "-=": "+=", "*=": "/=",
             "|=": "&=", "&=": "|=", "++": "--", "--": "++"}
UNARY = {"+", "-", "*", "&"}  # binary only after an operand
TYPES = {"int", "char", "float", "double", "void", "long", "short", "unsigned", "bool", "size_t", "uint8_t", "uint16_t", "uint32_t",
         "uint64_t", "int8_t", "int16_t", "int32_t", "int64_t", "const", "static", "struct", "enum", "return", "sizeof", "FILE"}

# Functions that free. Without the call there is a leak, which only the stage `sanitize` of .ci/run
# detects.
FREES = re.compile(r"(\w+_)?(free|close|clear)|va_end|pthread_\w+_destroy")
# Functions whose first two arguments can be swapped without effect.
COMMUTE = {"mem_alloc", "size_add", "size_mul"}
KEYWORDS = {"if", "for", "while", "do", "switch", "case", "default", "else", "goto"}

Token = collections.namedtuple("Token", "kind text begin end")
Mutant = collections.namedtuple("Mutant", "path line column begin end new what")


def tokens_of(text):
    return [Token(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text) if m.lastgroup != "skip"]


def closing(tokens, i):
    """The index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        depth += tokens[j].text in ("(", "[", "{")
        depth -= tokens[j].text in (")", "]", "}")
        if depth == 0:
            return j
    return None


def arguments(tokens, i, end):
    """The first and last tokens of the arguments between the brackets i and end."""
    parts, depth, begin = [], 0, i + 1
    for j in range(i + 1, end + 1):
        if (tokens[j].text == "," and depth == 0) or j == end:
            if j > begin:
                parts.append((begin, j - 1))
            begin = j + 1
        depth += tokens[j].text in ("(", "[", "{")
        depth -= tokens[j].text in (")", "]", "}")
    return parts


def is_cast(tokens, i):
    """Whether the parenthesis before the name at i is a cast, `(type)name`, not an `if (...)`."""
    if tokens[i - 1].text != ")":
        return False
    depth, j = 0, i - 1
    while j >= 0:
        depth += tokens[j].text == ")"
        depth -= tokens[j].text == "("
        if depth == 0:
            break
        j -= 1
    return tokens[j - 1].text not in ("if", "for", "while")


def changes(text):
    """All mutants: (begin, end, new text, description)."""
    tokens, braces, brackets = tokens_of(text), 0, 0
    for i, t in enumerate(tokens):
        before = tokens[i - 1] if i > 0 else Token("", "", 0, 0)
        braces += (t.text == "{") - (t.text == "}")
        brackets += (t.text == "(") - (t.text == ")")
        if braces == 0:
            continue  # declarations only
        if t.kind == "operator" and t.text in OPERATORS:
            operand = before.kind in ("name", "number") and before.text not in TYPES or before.text in (")", "]")
            if t.text not in UNARY or (operand and not (t.text in "*&" and tokens[i + 1].text in (")", "const", ","))):
                yield t.begin, t.end, OPERATORS[t.text], "operator"
        elif t.kind == "number":
            number = re.fullmatch(r"(\d+)([uUlL]*)", t.text)
            if number:
                for step in (1, -1):
                    if int(number[1]) + step >= 0:
                        yield t.begin, t.end, f"{int(number[1]) + step}{number[2]}", "constant"
        elif t.kind == "name" and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            end = closing(tokens, i + 1)
            if end is None:
                continue
            if t.text == "if":
                inside = text[tokens[i + 1].end:tokens[end].begin]
                yield tokens[i + 1].end, tokens[end].begin, f"!({inside})", "condition"
            elif t.text not in ("for", "while", "switch", "sizeof", "return"):
                parts = arguments(tokens, i + 1, end)
                for (a, b), (c, d) in zip(parts, parts[1:]):
                    first, second = text[tokens[a].begin:tokens[b].end], text[tokens[c].begin:tokens[d].end]
                    between = text[tokens[b].end:tokens[c].begin]
                    if first != second and not (t.text in COMMUTE and a == parts[0][0]):
                        yield tokens[a].begin, tokens[d].end, second + between + first, "arguments"
        if before.text in (";", "{", "}", ")", "else") and t.kind == "name" and t.text not in KEYWORDS and t.text not in TYPES:
            j = i
            while j < len(tokens) and tokens[j].text not in (";", "{", "}"):
                j += 1
            # An assignment, a call or a jump; not the parts of `for (...; i++)`.
            is_declaration = tokens[i + 1].kind == "name" or tokens[i + 1].text == "*"
            if FREES.fullmatch(t.text):
                continue
            if j < len(tokens) and tokens[j].text == ";" and not is_declaration and brackets == 0 and not is_cast(tokens, i):
                yield t.begin, tokens[j].begin, "", "statement"


def mutants_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    for begin, end, new, what in changes(text):
        line = text.count("\n", 0, begin) + 1
        column = begin - (text.rfind("\n", 0, begin) + 1) + 1
        yield Mutant(path, line, column, begin, end, new, what)


class Copy:
    """The tree in which the mutants are built."""

    def __init__(self, source, work):
        self.root = os.path.join(work, "rwkv7")
        self.build = os.path.join(self.root, "build")
        os.makedirs(self.root, exist_ok=True)
        listed = self.run(["git", "-C", source, "ls-files", "-z", "-co", "--exclude-standard"])
        if listed.returncode != 0:
            sys.exit("mutate: the tree is not a git checkout")
        for name in filter(None, listed.stdout.split("\0")):
            here, there = os.path.join(source, name), os.path.join(self.root, name)
            if not os.path.exists(here):
                continue
            if os.path.exists(there) and self.read(here) == self.read(there):
                continue
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copy2(here, there)
            os.utime(there)
        shared = os.path.join(source, "..", "shared")
        if os.path.isdir(shared) and not os.path.lexists(os.path.join(work, "shared")):
            os.symlink(os.path.realpath(shared), os.path.join(work, "shared"))
        options = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        # -O1, because the kernel files take most of the build time; the results have the same bits.
        made = self.run(["cmake", "-S", self.root, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Mutant",
                         "-DCMAKE_C_FLAGS_MUTANT=-O1 -DNDEBUG", f"-DRWKV7_TEST_LIMIT={TEST_LIMIT}", *options])
        if made.returncode != 0:
            sys.exit(made.stdout)

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    @staticmethod
    def run(command, **more):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              env={**os.environ, **ENVIRONMENT}, check=False, **more)

    def make(self, jobs, targets):
        return self.run(["cmake", "--build", self.build, "-j", str(jobs), "--target", *targets])

    def test(self, tests):
        """Returns the first of these tests (or of all) that fails, or None."""
        which = ["-R", "^(" + "|".join(tests) + ")$"] if tests else ["-E", UNCONCERNED]
        done = self.run(["ctest", "--test-dir", self.build, "--stop-on-failure", *which],
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT)))
        if done.returncode == 0:
            return None
        failed = re.search(r"Test +#\d+: (\S+) \.*\s*\*\*\*(\w+)", done.stdout)
        return f"{failed[1]} ({failed[2].lower()})" if failed else "ctest"

    def compiled(self):
        """The sources and headers that the build reads."""
        listed = self.run(["ninja", "-C", self.build, "-t", "deps"]).stdout
        return {os.path.relpath(os.path.join(self.build, line.strip()), self.root)
                for line in listed.splitlines() if line.startswith("    ")}

    def objects(self):
        """A hash of all objects of the library."""
        total = hashlib.sha256()
        for folder, _, names in sorted(os.walk(os.path.join(self.build, "CMakeFiles", "rwkv7_objects.dir"))):
            for name in sorted(n for n in names if n.endswith(".o")):
                total.update(self.read(os.path.join(folder, name)))
        return total.hexdigest()


def targets_of(tests):
    return sorted({"rwkv7_cli" if t.startswith("cli_") else t for t in tests})


def describe(copy, m):
    with open(os.path.join(copy, m.path), encoding="utf-8") as file:
        text = file.read()
    old = " ".join(text[m.begin:m.end].split())
    new = " ".join(m.new.split())
    return f"{m.path}:{m.line}:{m.column}: {m.what}: {old!r} -> {new!r}"


def try_mutant(copy, m, original, jobs, confirm):
    """Returns the outcome of a mutant and the test that killed it."""
    tests = tests_of(m.path)
    path = os.path.join(copy.root, m.path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:m.begin] + m.new + text[m.end:])
    try:
        # Building the first test compiles all objects; each further test only links.
        for at, test in enumerate(tests):
            if copy.make(jobs, targets_of([test])).returncode != 0:
                return "invalid", ""
            if at == 0 and copy.objects() == original:
                return "same code", ""
            failed = copy.test([test])
            if failed:
                return "killed", failed
        failed = None
        if confirm:
            failed = "all" if copy.make(jobs, ["all"]).returncode != 0 else copy.test([])
        return ("killed", failed) if failed else ("survived", "")
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def choose(root, paths, args, compiled=None):
    """Chooses up to `count` mutants of each folder or file of `paths`; only of the files in `compiled`, if given."""
    seed, count, only, skip = args.seed, args.count, args.only, args.skip
    generator = random.Random(seed)
    chosen = []
    for at, path in enumerate(paths):
        files = [path] if os.path.isfile(os.path.join(root, path)) else sorted(
            os.path.join(path, name) for name in os.listdir(os.path.join(root, path)))
        files = [f for f in files if f.endswith((".c", ".h")) and not (skip and re.search(skip, f))]
        every = [m for f in files if compiled is None or f in compiled for m in mutants_of(root, f)]
        if only:
            chosen += [m for m in every if f"{m.path}:{m.line}:{m.column}" in only or f"{m.path}:{m.line}" in only]
            continue
        share = count * (at + 1) // len(paths) - count * at // len(paths)
        chosen += sorted(generator.sample(every, min(share, len(every))))
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=FOLDERS, help="folders or files; default: all of FOLDERS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="of a build; tests run one after the other")
    parser.add_argument("--work", help="folder of the copy, kept for the next run")
    parser.add_argument("--confirm", action="store_true", help="whoever survives meets all tests")
    parser.add_argument("--only", action="append", help="FILE:LINE or FILE:LINE:COLUMN")
    parser.add_argument("--skip", help="regular expression of paths, for what this CPU cannot run: amx")
    parser.add_argument("--show", action="store_true", help="list the mutants and do nothing")
    args = parser.parse_args()
    source = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    paths = [os.path.relpath(os.path.realpath(os.path.join(source, p)), source) for p in args.paths]
    for path in paths:
        if path not in FOLDERS and os.path.dirname(path) not in FOLDERS:
            sys.exit(f"mutate: {path}: expected one of {', '.join(FOLDERS)}, or a file in one of them")
    if args.show:
        for m in choose(source, paths, args):
            print(describe(source, m))
        return
    work = args.work or tempfile.mkdtemp(prefix="rwkv7-mutate-")
    try:
        run(Copy(source, os.path.abspath(work)), paths, args)
    finally:
        if not args.work:
            shutil.rmtree(work, ignore_errors=True)


def run(copy, paths, args):
    made = copy.make(args.jobs, ["rwkv7_objects"])
    if made.returncode != 0:
        sys.exit(made.stdout)
    chosen = choose(copy.root, paths, args, copy.compiled())  # omits files of other architectures
    tests = sorted({t for m in chosen for t in tests_of(m.path)})
    made = copy.make(args.jobs, ["all"] if args.confirm else targets_of(tests))
    if made.returncode != 0:
        sys.exit(made.stdout)
    failed = copy.test([] if args.confirm else tests)
    if failed:
        sys.exit(f"mutate: {failed} fails without a mutant")
    original = copy.objects()
    counts = collections.defaultdict(collections.Counter)
    survivors = []
    for m in chosen:
        begin = time.time()
        text = describe(copy.root, m)
        result, by = try_mutant(copy, m, original, args.jobs, args.confirm)
        counts[os.path.dirname(m.path)][result] += 1
        if result == "survived":
            survivors.append(text)
        print(f"{result:9} {text}" + (f"  {by}" if by else "") + f"  [{time.time() - begin:.0f} s]", flush=True)
    print()
    kinds = ("killed", "survived", "same code", "invalid")
    print(f"{'':14}" + "".join(f"{k:>11}" for k in kinds))
    for folder in sorted(counts):
        print(f"{folder:14}" + "".join(f"{counts[folder][k]:11}" for k in kinds))
    print("\nsurvivors:" if survivors else "\nno survivors")
    print("\n".join(survivors))


main()
