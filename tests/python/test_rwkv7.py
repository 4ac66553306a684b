"""The Python package against the program: the same ids, logits, texts and states; and its promises
about errors, closing, threads and interrupts."""

import array
import copy
import gc
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from unittest import mock

from common import MODEL, PACKAGE, ROOT, program

import rwkv7
from rwkv7 import _native

PROMPT = "Once upon a time"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}, "room": {"enum": ["cellar", "tower"]}},
          "required": ["name", "room"], "additionalProperties": False}
HAVE_NUMPY = _native._numpy() is not None


def as_bytes(floats):
    return memoryview(floats).cast("B").tobytes() if memoryview(floats).nbytes else b""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = rwkv7.Model(MODEL)
        cls.tokenizer = cls.model.tokenizer

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def run_program(self, *options):
        return program("run", "-q", "-m", MODEL, "-N", *options).decode()


class AgainstTheProgram(Case):
    def test_ids(self):
        for text in ("Dora was in the tower.\n", "żółw 🐢 \t", ""):
            ids = self.tokenizer.encode(text)
            self.assertEqual(" ".join(map(str, ids)), program("tokenize", "-m", MODEL, input=text.encode()).decode().strip())
            self.assertEqual(self.tokenizer.decode(ids), text)
        self.assertEqual(self.tokenizer.encode(b"\xff\xfe"), self.tokenizer.encode(bytearray(b"\xff\xfe")))
        self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(b"\xff")), "\ufffd")

    def test_long_text(self):
        text = "Dora walked to the library. " * 50000  # more ids than one call of the library returns
        ids = self.tokenizer.encode(text)
        self.assertEqual(len(ids), int(program("tokenize", "-c", "-m", MODEL, input=text.encode())))
        self.assertEqual(self.tokenizer.decode(ids), text)

    def logits_of_program(self, ids, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "logits.npy")
            program("logits", *options, "--tokens", ",".join(map(str, ids)), "-o", path)
            with open(path, "rb") as file:
                data = file.read()
        return data[10 + struct.unpack("<H", data[8:10])[0]:]  # behind the header of NumPy's format

    def test_logits(self):
        ids = list(range(1, 41))
        data = os.path.join(ROOT, "tests", "golden", "data")
        for path, weights in ((MODEL, "stored"), (MODEL, "q4"), (os.path.join(data, "x040_f32.safetensors"), "stored"),
                              (os.path.join(data, "x060_bf16.safetensors"), "stored")):
            expected = self.logits_of_program(ids, "-m", path, "--type", weights)
            with rwkv7.Model(path, weights=weights) as model, model.session() as session:
                self.assertEqual(as_bytes(session.eval(ids, "all")), expected)
                size = 4 * model.info.vocab
                session.reset()
                for i, token in enumerate(ids):
                    self.assertEqual(as_bytes(session.eval([token])), expected[i * size:(i + 1) * size])
                self.assertEqual(session.tokens, len(ids))
                self.assertIsNone(session.eval(ids, "none"))

    def test_texts(self):
        cases = [
            ((), {}),
            (("--temp", "0"), {"temperature": 0}),
            (("--temp", "0.7", "--top-p", "0.5", "--top-k", "20", "--min-p", "0.01"),
             {"temperature": 0.7, "top_p": 0.5, "top_k": 20, "min_p": 0.01}),
            (("--presence", "0.5", "--frequency", "0.25", "--penalty-decay", "0.99"),
             {"presence_penalty": 0.5, "frequency_penalty": 0.25, "penalty_decay": 0.99}),
            (("--top-p", "1", "--ban", "32,33", "--bias", "34=1.5"),
             {"top_p": 1, "bias": {32: -float("inf"), 33: -float("inf"), 34: 1.5}}),
            (("--stop", "library", "--ignore-eos"), {"stops": ["library"], "ignore_end": True}),
            (("--no-bos",), {"bos": False}),
            (("--choice", "a cat", "--choice", "a dog"), {"choices": ["a cat", "a dog"]}),
            (("--regex", "[a-z]{3,6} [0-9]{2}"), {"regex": "[a-z]{3,6} [0-9]{2}"}),
            (("--any-json",), {"any_json": True}),
            (("--speculate", "4"), {"speculate": 4}),
        ]
        for options, changes in cases:
            expected = self.run_program("-n", "40", "--seed", "10", *options, PROMPT)
            pieces = list(self.model.generate(PROMPT, max_tokens=40, seed=10, **changes))
            self.assertEqual("".join(pieces), expected)
            self.assertNotIn("", pieces)

    def test_schema_and_gbnf(self):
        grammar = 'root ::= "the " ("cat" | "dog") [!.]'
        with tempfile.TemporaryDirectory() as folder:
            for option, text, changes in (("--schema", json.dumps(SCHEMA), {"schema": SCHEMA}),
                                          ("--grammar", grammar, {"gbnf": grammar})):
                path = os.path.join(folder, "form")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                found = self.model.generate(PROMPT, seed=3, **changes).text()
                self.assertEqual(found, self.run_program("--seed", "3", option, path, PROMPT))
                if option == "--schema":
                    self.assertEqual(set(json.loads(found)), {"name", "room"})

    def test_states(self):
        with tempfile.TemporaryDirectory() as folder:
            path, second = os.path.join(folder, "a"), os.path.join(folder, "b")
            whole = self.model.generate(PROMPT, seed=5, max_tokens=40).text()
            first = self.run_program("-n", "15", "--seed", "5", "--state-out", path, PROMPT)
            with self.model.session() as session:
                generator = rwkv7.Generator(session, seed=5, max_tokens=25, resumable=True)
                generator.load(path)
                self.assertEqual(first + generator.text(), whole)
            with self.model.session() as session:
                generator = rwkv7.Generator(session, PROMPT, seed=5, max_tokens=15, resumable=True)
                text = generator.text()
                generator.sync()
                generator.save(second)
                image = generator.dump()
            self.assertEqual(text + self.run_program("-n", "25", "--state-in", second), whole)
            with self.model.session() as session:
                generator = rwkv7.Generator(session, seed=5, max_tokens=25)
                generator.restore(image)
                self.assertEqual(text + generator.text(), whole)


class Sessions(Case):
    def test_copy_save_restore(self):
        ids = self.tokenizer.encode(" Dora was in the tower.")
        with self.model.session() as session:
            session.eval(ids)
            image = session.dump(b"a note")
            copies = [session.copy(), copy.copy(session), self.model.session(), self.model.session(), self.model.session(),
                      self.model.session()]
            copies[2].copy_from(session)
            self.assertEqual(copies[3].restore(image), b"a note")
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "state")
                session.save(path, b"x\0y")
                self.assertEqual(copies[4].load(path), b"x\0y")
            copies[5].set_arrays(*session.arrays())
            expected = as_bytes(session.eval(ids))
            for other in copies:
                self.assertEqual(as_bytes(other.eval(ids)), expected)
            self.assertEqual([other.tokens for other in copies], [2 * len(ids)] * 5 + [len(ids)])
            session.copy_from(session)
        self.assertRaises(rwkv7.StateError, copies[0].restore, image[:-1])
        self.assertEqual(copies[0].tokens, 2 * len(ids))

    def test_state_arrays(self):
        for name, shape in (("x040_f32", (3,)), ("x052_f32", None)):
            with rwkv7.Model(os.path.join(ROOT, "tests", "golden", "data", name + ".safetensors")) as model:
                info, session = model.info, model.session()
                session.eval([1, 2, 3])
                arrays = session.arrays()
                middle = shape + (info.channels,) if shape else (info.heads, info.head_size, info.head_size)
                self.assertEqual([memoryview(a).shape for a in arrays],
                                 [(info.layers, info.channels), (info.layers,) + middle, (info.layers, info.channels)])
                other = model.session()
                other.set_arrays(wkv=arrays.wkv)
                self.assertEqual(as_bytes(other.arrays().wkv), as_bytes(arrays.wkv))
                self.assertNotEqual(as_bytes(other.arrays().att_prev), as_bytes(arrays.att_prev))
                self.assertRaises(ValueError, other.set_arrays, att_prev=[0.0])

    def test_session_reads_what_it_generates(self):
        ids, drawn = [rwkv7.END_OF_TEXT] + self.tokenizer.encode(PROMPT), []
        session, other = self.model.session(), self.model.session()
        drawn = [step.token for step in session.generate(PROMPT, max_tokens=10, temperature=0).steps()]
        other.eval(ids + drawn, "none")
        self.assertEqual(session.dump(), other.dump())
        generator = session.generate(" Felix", max_tokens=10, temperature=0)
        drawn = [generator.next().token]  # leaves early
        other.eval(self.tokenizer.encode(" Felix"), "none")
        self.assertEqual(session.dump(), other.dump())
        generator.sync()
        other.eval(drawn, "none")
        self.assertEqual(session.dump(), other.dump())

    def test_batch(self):
        texts = [" Dora was", " Felix sat in the", " The"]
        with rwkv7.Batch(self.model) as batch:
            sessions = [self.model.session() for _ in texts]
            feeds = [(session, self.tokenizer.encode(text)) for session, text in zip(sessions, texts)]
            rows = as_bytes(batch.eval(feeds))
            self.assertEqual(rows, b"".join(as_bytes(self.model.session().eval(ids)) for _, ids in feeds))
            self.assertRaises(ValueError, batch.eval, [feeds[0], feeds[0]])
            self.assertRaises(rwkv7.UsageError, batch.eval, [(sessions[0], [])])
            with rwkv7.Model() as other:
                self.assertRaises(ValueError, batch.eval, [(other.session(), [1])])

    def test_without_numpy(self):
        ids = [1, 2, 3]
        expected = as_bytes(self.model.session().eval(ids, "all"))
        with mock.patch.object(_native, "_numpy", lambda: None):
            session = self.model.session()
            rows = session.eval(ids, "all")
            self.assertEqual(rows.shape, (3, self.model.info.vocab))
            self.assertEqual(rows.tobytes(), expected)
            session.eval([], "all")
            last = session.eval([4])
            self.assertEqual(last.format, "f")
            self.assertEqual(self.model.sampler(temperature=0).next(last), max(range(len(last)), key=last.__getitem__))

    @unittest.skipUnless(HAVE_NUMPY, "SKIP: no NumPy")
    def test_numpy(self):
        import numpy
        logits = self.model.session().eval(numpy.array([1, 2, 3]))
        self.assertEqual((logits.dtype, logits.shape), (numpy.float32, (self.model.info.vocab,)))
        sampler = self.model.sampler(temperature=0, top_p=1)
        self.assertEqual(sampler.next(logits), sampler.next(logits.astype(float)))
        self.assertEqual(sampler.next(numpy.stack([logits, logits], 1)[:, 0]), sampler.next(logits))
        self.assertEqual(self.model.generate(numpy.array([1, 2]), seed=1, max_tokens=3).text(),
                         self.model.generate([1, 2], seed=1, max_tokens=3).text())
        logits.setflags(write=False)
        sampler.next(logits)


class SamplersAndMatchers(Case):
    def test_loop_of_a_program(self):
        """Session, sampler and matcher by hand give the text of the generator."""
        for changes in ({}, {"schema": SCHEMA}):
            session, sampler = self.model.session(), self.model.sampler(seed=8)
            grammar = rwkv7.Grammar.schema(self.tokenizer, SCHEMA) if changes else None
            matcher = rwkv7.Matcher(grammar) if grammar else None
            logits, ids = session.eval([rwkv7.END_OF_TEXT] + self.tokenizer.encode(PROMPT)), []
            while len(ids) < 60:
                token = sampler.next(logits, matcher.mask() if matcher else None)
                if token == rwkv7.END_OF_TEXT:
                    break
                if matcher:
                    matcher.advance(token)
                ids.append(token)
                logits = session.eval([token])
            self.assertEqual(self.tokenizer.decode(ids), self.model.generate(PROMPT, seed=8, max_tokens=60, **changes).text())

    def test_sampler_state(self):
        logits = self.model.session().eval([1, 2])
        first = self.model.sampler(seed=1, presence_penalty=1.0)
        first.next(logits)
        image = first.dump()
        rest = [first.next(logits) for _ in range(20)]
        second = self.model.sampler(seed=99, presence_penalty=1.0)
        second.restore(image)
        self.assertEqual([second.next(logits) for _ in range(20)], rest)
        self.assertRaises(rwkv7.StateError, second.restore, b"nothing")
        self.assertRaises(ValueError, second.next, [0.0])
        self.assertRaises(rwkv7.NumericError, second.next, [float("nan")] * self.model.info.vocab)

    def test_matcher(self):
        matcher = rwkv7.Matcher(rwkv7.Grammar.choices(self.tokenizer, ["ab", "a"]))  # keeps the grammar
        a, b = self.tokenizer.encode("a")[0], self.tokenizer.encode("b")[0]
        self.assertFalse(matcher.accepting)
        matcher.advance(a)
        self.assertTrue(matcher.accepting)
        self.assertEqual(matcher.allowed(), [rwkv7.END_OF_TEXT, b])
        self.assertRaises(rwkv7.UsageError, matcher.advance, a)
        matcher.advance(b)
        self.assertEqual(matcher.tokens, 2)
        matcher.undo(5)
        self.assertEqual(matcher.tokens, 0)
        self.assertIn(a, matcher.allowed())
        matcher.advance(a)
        matcher.reset()
        self.assertEqual(matcher.tokens, 0)

    def test_steps(self):
        generator = self.model.generate(PROMPT, seed=2, max_tokens=12, logprobs=3, stops=["zzz"])
        steps = list(generator.steps())
        self.assertEqual([len(step.top) for step in steps], [3] * 12)
        self.assertEqual([step.end for step in steps], [""] * 11 + ["length"])
        self.assertEqual(self.tokenizer.decode(step.token for step in steps), "".join(step.text for step in steps))
        self.assertEqual((generator.stats.seed, generator.stats.tokens, generator.end), (2, 12, "length"))
        self.assertEqual(list(generator), [])
        self.assertNotEqual(self.model.generate(PROMPT, max_tokens=1).stats.seed,
                            self.model.generate(PROMPT, max_tokens=1).stats.seed)
        step = list(self.model.generate(PROMPT, seed=10, stops=["tower"]).steps())[-1]
        self.assertEqual((step.end, step.stop), ("stop", 0))

    def test_prompts(self):
        expected = self.model.generate(PROMPT, temperature=0, max_tokens=8).text()
        self.assertEqual(self.model.generate(PROMPT.encode(), temperature=0, max_tokens=8).text(), expected)
        generator = self.model.generate(self.tokenizer.encode(PROMPT), temperature=0, max_tokens=8)
        self.assertEqual(generator.text(), expected)
        generator = rwkv7.Generator(self.model.session(), temperature=0, max_tokens=8)
        for character in PROMPT:
            generator.feed(character)
        self.assertEqual(generator.text(), expected)
        self.assertRaises(rwkv7.UsageError, next, self.model.generate("", bos=False))


class Models(Case):
    def test_information(self):
        with rwkv7.Model(threads=1, cpu="ref") as built_in:
            self.assertEqual(built_in.fingerprint(), self.model.fingerprint())
            self.assertEqual((built_in.runtime.threads, built_in.runtime.cpu), (1, "ref"))
            self.assertEqual(built_in.generate(PROMPT, seed=1, max_tokens=20).text(),
                             self.model.generate(PROMPT, seed=1, max_tokens=20).text())
        info = self.model.info
        self.assertEqual((info.path, info.version, info.vocab), (MODEL, "x070", 800))
        self.assertIsInstance(self.model.metadata, dict)
        self.assertIsInstance(self.model.notes, list)
        self.assertEqual(rwkv7.cpus()[0], "ref")
        self.assertTrue(rwkv7.build_info()[0])
        self.assertGreater(rwkv7.memory_peak(), 0)
        self.assertGreaterEqual(rwkv7.library_version(), rwkv7.__version__)

    def test_vocabulary(self):
        vocab = os.path.join(ROOT, "models", "rwkv7-demo.vocab.txt")
        with open(vocab, "rb") as file:
            text = file.read()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            rwkv7.convert(MODEL, path, type="q8")
            with rwkv7.Model(path) as model:
                self.assertRaises(rwkv7.VocabError, lambda: model.tokenizer)
                self.assertEqual(len(model.session().eval([1])), 800)
            with rwkv7.Model(path, vocab=vocab) as model, rwkv7.Model(MODEL, vocab=self.tokenizer, weights="q8") as same:
                self.assertEqual(model.generate(PROMPT, seed=1, max_tokens=9).text(),
                                 same.generate(PROMPT, seed=1, max_tokens=9).text())
            for name in ("a-vocab.txt", "tokenizer.json", "model.vocab.txt"):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(text)
                self.assertEqual(rwkv7.Model(path).tokenizer.size, self.tokenizer.size)
            os.remove(os.path.join(folder, "model.vocab.txt"))
            os.rename(os.path.join(folder, "tokenizer.json"), os.path.join(folder, "b-vocab.txt"))
            self.assertRaisesRegex(rwkv7.VocabError, "several", lambda: rwkv7.Model(path).tokenizer)
            rwkv7.convert(MODEL, path, vocab=text)
            self.assertEqual(rwkv7.Model(path).tokenizer.encode(PROMPT), self.tokenizer.encode(PROMPT))

    def test_errors(self):
        self.assertRaises(rwkv7.FileError, rwkv7.Model, "/nonexistent/model")
        self.assertRaises(OSError, rwkv7.Model, b"/nonexistent/model")
        self.assertRaises(rwkv7.ModelError, rwkv7.Model, __file__)
        self.assertRaises(rwkv7.VocabError, rwkv7.Tokenizer, __file__)
        with self.assertRaises(rwkv7.UsageError) as caught:
            rwkv7.Model(cpu="z80")
        self.assertIn("z80", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(caught.exception.kind, "usage")
        session = self.model.session()
        for call in (lambda: rwkv7.Model("a\0b"), lambda: rwkv7.Model(weights="q5"), lambda: session.eval([800]),
                     lambda: session.eval([-1]), lambda: session.eval([1 << 32]), lambda: session.eval([]),
                     lambda: session.eval([1], "some"), lambda: self.model.generate("", max_tokens=0),
                     lambda: self.model.generate("", temperature=-1), lambda: self.model.generate("", seed=1 << 64),
                     lambda: self.model.generate("", stops="x"), lambda: self.model.generate("", stops=["a\0b"]),
                     lambda: self.model.generate("", regex="(") , lambda: self.model.generate("", regex="a", choices=["b"]),
                     lambda: self.model.generate("", top_k=1 << 31), lambda: rwkv7.Sampler(0),
                     lambda: rwkv7.Model(MODEL, runtime=self.model.runtime, threads=2),
                     lambda: self.model.generate("\ud800"), lambda: self.tokenizer.token_bytes(-1)):
            self.assertRaises(ValueError, call)
        self.assertRaises(TypeError, self.model.generate, "", max_token=1)
        self.assertRaises(TypeError, pickle.dumps, session)
        self.assertEqual(self.tokenizer.token_bytes(4000000000), b"")


    def test_loading(self):
        with mock.patch.object(_native, "LIBRARY", "librwkv7-absent.so"):
            with mock.patch.dict(os.environ, {"RWKV7_LIBRARY": ""}):
                self.assertRaisesRegex(ImportError, "librwkv7-absent.so: .*; install librwkv7, or name", _native._load)
            with mock.patch.dict(os.environ, {"RWKV7_LIBRARY": "/nonexistent"}):
                self.assertRaisesRegex(ImportError, "/nonexistent: ", _native._load)
        with mock.patch.object(_native, "__version__", "99.0.0"):
            self.assertRaisesRegex(ImportError, "has version .*needs 99.0.0 or newer", _native._load)


class Lifetimes(Case):
    def test_use_after_close(self):
        model = rwkv7.Model()
        objects = [model, model.runtime, model.tokenizer, model.session(), model.sampler(), model.generate(PROMPT),
                   rwkv7.Batch(model), rwkv7.Grammar.regex(model.tokenizer, "a")]
        objects.append(rwkv7.Matcher(objects[-1]))
        calls = [lambda: model.info, lambda: objects[1].threads, lambda: objects[2].encode("a"),
                 lambda: objects[3].eval([1]), lambda: objects[4].next([0.0]), objects[5].next,
                 lambda: objects[6].eval([]), lambda: rwkv7.Matcher(objects[7]), lambda: objects[8].mask()]
        for thing, call in zip(objects, calls):
            with thing:
                self.assertFalse(thing.closed)
            self.assertTrue(thing.closed)
            self.assertRaisesRegex(ValueError, "closed", call)
            self.assertRaisesRegex(ValueError, "closed", thing.__enter__)
            thing.close()

    def test_order_does_not_matter(self):
        model = rwkv7.Model()
        session, generator = model.session(), model.generate(PROMPT, seed=1, max_tokens=5)
        fork = session.copy()
        model.close()
        model.runtime.close()
        self.assertEqual(as_bytes(session.eval([1])), as_bytes(fork.eval([1])))
        generator.session.close()
        self.assertEqual(len(list(generator.steps())), 5)

    def test_nothing_leaks(self):
        """Everything that was created is closed, without the garbage collector."""
        gc.collect()
        gc.disable()
        try:
            closed = []
            original = _native.Handle.__del__
            created = _native.Handle.__init__
            count = [0]

            def counting(self, *arguments):
                count[0] += 1
                created(self, *arguments)

            def closing(self):
                closed.append(1)
                original(self)

            with mock.patch.object(_native.Handle, "__init__", counting), mock.patch.object(_native.Handle, "__del__", closing):
                with rwkv7.Model() as model:
                    with model.session() as session:
                        session.copy().eval([1])
                        list(session.generate(PROMPT, max_tokens=3, schema=SCHEMA))
                    list(model.generate(PROMPT, max_tokens=3, draft_model=model, speculate=2))
                    model.sampler()
                    rwkv7.Batch(model)
                self.assertRaises(rwkv7.FileError, rwkv7.Model, "/nonexistent", runtime=model.runtime)
                session = None
                model = None
                self.assertEqual(len(closed), count[0])
            self.assertGreater(count[0], 10)
        finally:
            gc.enable()

    def test_exit_with_open_objects(self):
        code = ("import rwkv7; model = rwkv7.Model(); s = model.session(); g = model.generate('Once', max_tokens=3)\n"
                "next(g); print('done')")
        result = subprocess.run([sys.executable, "-B", "-c", code], env={**os.environ, "PYTHONPATH": PACKAGE},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, b"done\n"))


class Threads(Case):
    def test_one_model(self):
        expected = [self.model.generate(PROMPT, seed=seed, max_tokens=30).text() for seed in range(4)]
        found = [None] * 4

        def work(seed):
            found[seed] = self.model.generate(PROMPT, seed=seed, max_tokens=30).text()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, expected)

    def test_one_session(self):
        """Threads that share a session, and one that closes it, cannot crash."""
        session = self.model.session()
        failures = []

        def work():
            try:
                for _ in range(50):
                    session.eval([1, 2, 3])
            except ValueError:
                pass  # closed
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        session.tokens
        session.close()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_cancel(self):
        generator = self.model.generate(PROMPT, max_tokens=None, ignore_end=True)
        thread = threading.Timer(0.01, generator.cancel)
        thread.start()
        generator.text()  # ends
        thread.join()
        self.assertEqual(generator.end, "cancelled")

    def test_fork(self):
        session = self.model.session()
        session.eval([1, 2, 3])
        expected = as_bytes(session.copy().eval([4]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns where there are threads
            child = os.fork()
        if child == 0:
            try:
                os._exit(as_bytes(session.eval([4])) != expected)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(as_bytes(session.eval([4])), expected)

    def interrupt(self, call):
        """Sends SIGINT to the main thread during a call that would take minutes."""
        def send():
            started.wait()
            time.sleep(0.05)  # the call has begun; if not, the test is easier
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        def starting(*arguments):
            started.set()
            original(*arguments)

        started, original, thread = threading.Event(), _native.call, threading.Thread(target=send)
        thread.start()
        with mock.patch.object(_native, "call", starting), self.assertRaises(KeyboardInterrupt):
            call()
        thread.join()

    def test_keyboard_interrupt(self):
        ids, lost = array.array("I", [5]) * 3000000, []
        with mock.patch.object(sys, "unraisablehook", lost.append):
            session = self.model.session()
            for _ in range(2):
                self.interrupt(lambda: session.eval(ids, "none"))
                self.assertLess(session.tokens, len(ids))
            session.reset()
            self.assertEqual(as_bytes(session.eval([1])), as_bytes(self.model.session().eval([1])))
            generator = rwkv7.Generator(session)
            self.interrupt(lambda: generator.feed(ids))
            generator = self.model.generate(PROMPT, max_tokens=None, ignore_end=True)
            self.interrupt(generator.text)
            self.assertEqual(generator.end, "cancelled")
        self.assertEqual(lost, [])

    def test_other_signals(self):
        class Alarm(Exception):
            pass

        def handler(*_):
            raise Alarm

        old = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            self.assertRaises(Alarm, self.model.session().eval, array.array("I", [5]) * 3000000, "none")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)


if __name__ == "__main__":
    if not HAVE_NUMPY:
        print("SKIP: test_numpy, for want of NumPy")
    unittest.main()
