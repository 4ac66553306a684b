"""Tests of the trainer's parts; seconds on one core.

    python3 test_train.py
"""
import os
import random
import tempfile
import unittest

import numpy as np
import torch

import checkpoint
import document
import make_eval
import mixture
import stories
import tasks
import vocab
from model import Rwkv7
from wkv import CHUNK, wkv, wkv_naive

SIZE = {"channels": 32, "layers": 2, "head_size": 16, "ffn": 64, "rank_w": 4, "rank_a": 4, "rank_v": 4, "rank_g": 8, "rows": 800}


def recurrence_inputs(B, T, H, N):
    """Random inputs in the recurrence's range, in float64, that ask for gradients."""
    shape = (B, T, H, N)
    r, k, v = (torch.randn(shape, dtype=torch.float64) for _ in range(3))
    w = torch.exp(-0.6065 * torch.sigmoid(3 * torch.randn(shape, dtype=torch.float64)))
    kk = torch.nn.functional.normalize(torch.randn(shape, dtype=torch.float64), dim=-1)
    b = kk * torch.rand(shape, dtype=torch.float64)
    return [x.detach().requires_grad_() for x in (r, w, k, v, kk, b)]


class Recurrence(unittest.TestCase):
    def test_value_and_gradient_equal_the_definition(self):
        torch.manual_seed(1)
        inputs = recurrence_inputs(2, 4 * CHUNK, 2, 16)
        reset = torch.zeros(2, 4, dtype=torch.uint8)
        reset[:, 0] = reset[1, 2] = 1
        ours, plain = wkv(reset, *inputs), wkv_naive(reset, *inputs)
        self.assertLess(float((ours - plain).abs().max()), 1e-12)
        dy = torch.randn_like(ours)
        for mine, theirs in zip(torch.autograd.grad(ours, inputs, dy), torch.autograd.grad(plain, inputs, dy)):
            self.assertLess(float((mine - theirs).abs().max()), 1e-11)

    def test_reset_separates_documents(self):
        torch.manual_seed(2)
        model = Rwkv7(SIZE)
        for p in model.parameters():
            p.data += 0.1 * torch.randn_like(p)
        tokens = torch.randint(0, 800, (1, 4 * CHUNK))
        reset = torch.tensor([[1, 0, 1, 0]], dtype=torch.uint8)
        with torch.no_grad():
            both, second = model(tokens, reset), model(tokens[:, 2 * CHUNK:], reset[:, 2:])
        self.assertLess(float((both[:, 2 * CHUNK:] - second).abs().max()), 1e-4)


class Vocabulary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pieces = vocab.build(mixture.sample_texts(random.Random("test"), 300), least=4)
        cls.tokenizer = vocab.Tokenizer(cls.pieces)

    def test_bytes_come_first_and_pieces_differ(self):
        self.assertEqual(self.pieces[:256], [bytes([b]) for b in range(256)])
        self.assertEqual(len(set(self.pieces)), len(self.pieces))

    def test_file_round_trip(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "v.txt")
            vocab.write(path, self.pieces)
            self.assertEqual(vocab.read(path), self.pieces)
            with open(path) as f:
                lines = f.read().split("\n")
        self.assertEqual(lines[10], "11 '\\n' 1")
        self.assertEqual(lines[255], "256 b'\\xff' 1")

    def test_text_round_trip_by_longest_match(self):
        for data in (bytes(range(256)), "Story: Anna said \"hello\" \u00e4\u20ac.\nQ: who\nA: 7".encode()):
            tokens, ends = self.tokenizer.encode_ends(data)
            self.assertEqual(self.tokenizer.decode(tokens.tolist()), data)
            at = 0
            for token, end in zip(tokens, ends):
                longest = max(len(p) for p in self.pieces if data.startswith(p, at))
                self.assertEqual(end - at, longest)
                self.assertEqual(self.pieces[token - 1], data[at:end])
                at = end


class Data(unittest.TestCase):
    def setUp(self):
        self.tokenizer = vocab.Tokenizer(vocab.build([], least=1))

    def test_a_batch_depends_on_seed_and_step_only(self):
        def make(seed, step, indices):
            return mixture.batch(self.tokenizer, seed, step, indices, 256, dict.fromkeys(mixture.TASKS, 0.3),
                                 mixture.parse(mixture.DEFAULT))
        first, again, part = make("a", 3, range(4)), make("a", 3, range(4)), make("a", 3, range(1, 4, 2))
        for x, y, z in zip(first, again, part):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(x[1::2], z)
        self.assertTrue((first[0] != make("a", 4, range(4))[0]).any())
        self.assertTrue((first[0] != make("b", 3, range(4))[0]).any())

    def test_inputs_and_targets_line_up(self):
        doc = tasks.cups(random.Random(5), 6)
        x, y, w, _ = mixture.encode(self.tokenizer, doc)
        text = doc.text()
        self.assertEqual(self.tokenizer.decode(x.tolist()).decode(), text)
        plain = w == 0
        np.testing.assert_array_equal(x[1:][plain[:-1]], y[:-1][plain[:-1]])
        self.assertEqual((y[-1], w[-1]), (0, 1.0))
        self.assertEqual(int((w == document.STATE).sum()), 6)

    def test_hints_are_not_text(self):
        doc = document.Document()
        doc.add("There was a kite in the attic<kite>. Ben<Ben>", document.TEXT)
        doc.ask("Where is the kite?", "attic", "kite")
        x, y, w, hints = mixture.encode(self.tokenizer, doc)
        self.assertEqual(doc.text(), "There was a kite in the attic. Ben\nQ: Where is the kite?\nA: attic")
        places = np.flatnonzero(hints != mixture.NO_HINT)
        told = [(self.tokenizer.decode([x[i]]), self.tokenizer.decode([hints[i]])) for i in places]
        self.assertEqual(told, [(b" attic", b" kite"), (b" Ben", b" Ben"), (b"\nA:", b" kite")])

    def test_answers_are_right(self):
        for seed in range(40):
            rng = random.Random(seed)
            data, answer = tasks.cups(rng, 9).text().split(".\nQ: ball\nA: ")
            start, *swaps = data.split(", swap ")
            ball = start.split("ball ")[1]
            for pair in swaps:
                one, two = pair.split()
                ball = two if ball == one else one if ball == two else ball
            self.assertEqual(ball, answer)
            data, answer = tasks.permutations(rng, 7).text().split(".\nQ: row\nA: ")
            row = "12345"
            for factor in data.split("Perm: ")[1].split(", "):
                row = "".join(row[int(p) - 1] for p in factor.split("-"))
            self.assertEqual(row, answer)
            data, answer = tasks.parity(rng, 20).text().split(".\nQ: parity\nA: ")
            self.assertEqual(data.count("1") % 2, ("even", "odd").index(answer))
            head, *asked = tasks.recall(rng, 20).text().split("\nQ: ")
            pairs = dict(part.split(": ") for part in head[len("List: "):-1].split(", "))
            self.assertEqual(len(asked), 16)
            for item in asked:
                key, value = item.split("\nA: ")
                self.assertEqual(pairs[key], value)

    def test_the_story_world_is_consistent(self):
        for seed in range(100):
            world = stories.World(random.Random(seed), 3, 3, 4)
            for _ in range(30):
                stories._event(world)
                for kind, holder in world.where.items():
                    self.assertIn(world.place_of(kind), world.places)
                    self.assertTrue(holder in world.people or holder in world.places)

    def test_answers_about_a_story_are_single_words(self):
        for seed in range(50):
            head, *asked = stories.story(random.Random(seed), 12, questions=12, crowded=seed % 2).text().split("\nQ: ")
            self.assertTrue(head.startswith("Story: ") and asked and "<" not in head)
            for item in asked:
                self.assertRegex(item, "^W.*[?]\nA: [A-Za-z]+$")

    def test_held_out_prompts_repeat_and_differ_by_seed(self):
        one, two = (list(make_eval.examples("1", "recall", 1, 5)) for _ in range(2))
        self.assertEqual(one, two)
        self.assertNotEqual(one, list(make_eval.examples("2", "recall", 1, 5)))
        self.assertTrue(all(r["prompt"].endswith("\nA:") and r["answer"].startswith(" ") for r in one))


class Export(unittest.TestCase):
    def test_a_file_loads_as_the_rounded_model(self):
        torch.manual_seed(3)
        model = Rwkv7(SIZE)
        with tempfile.TemporaryDirectory() as folder:
            source, target = os.path.join(folder, "c.pt"), os.path.join(folder, "m.safetensors")
            torch.save({"model": model.state_dict(), "step": 7, "tokens": 8}, source)
            count = checkpoint.export(source, target)
            loaded, (_, metadata) = checkpoint.load(target), checkpoint.read(target)
        self.assertEqual(count, sum(p.numel() for p in model.parameters()))
        self.assertEqual(metadata["steps"], "7")
        for name, value in loaded.state_dict().items():
            wanted = model.state_dict()[name]
            if checkpoint.is_matrix(name, wanted):
                wanted = wanted.bfloat16().float()
            self.assertTrue(torch.equal(value, wanted), name)


if __name__ == "__main__":
    unittest.main()
