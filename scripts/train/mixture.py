"""The training mixture: which task, how large; and packing documents into rows.

A row is a pure function of (seed, step, index, levels): its random numbers come from random.Random("seed/step/index"). So a
training can be resumed anywhere with the same data. Held-out data uses other seed strings.

The curriculum: every task has a level between 0 and 1, the largest size in use divided by the
largest size of the task. A level rises when nearly all answers of its task were right.
"""
import random

import numpy as np

import stories
import tasks
from wkv import CHUNK

TASKS = list(tasks.GENERATORS) + ["far", "story"]
DEFAULT = "recall:3,far:0.7,cups:3,parity:1.5,perm:2,story:4"
FIRST_LEVELS = {name: 0.08 for name in TASKS}
STORY_EVENTS = 18
CROWDED, CROWD_EVENTS = 0.45, 6 # part of the stories that are short, with many things
FAR_PAIRS, FAR_EVENTS = 24, 12
NUMBERS = 0.15                  # part of the lists whose values are numbers of two digits, that is two tokens
NO_HINT = -1


def parse(text):
    """{"recall": 3.0, ..} from "recall:3,..."."""
    shares = {name: float(share) for name, share in (part.split(":") for part in text.split(",") if part)}
    assert set(shares) <= set(TASKS), "tasks are: " + " ".join(TASKS)
    return shares


def raise_levels(levels, accuracy, enough):
    """The levels after a report with these accuracies."""
    return {name: min(1.0, level * 1.15) if accuracy.get(name, 0) >= enough else level for name, level in levels.items()}


def _size(rng, longest, level):
    """A random size up to `level` times the largest: 1/4 the limit, 1/2 its upper half, 1/4 any."""
    limit = max(2, round(longest * level))
    return rng.choice((limit, rng.randint(limit // 2, limit), rng.randint(limit // 2, limit), rng.randint(1, limit)))


def draw(rng, name, level):
    """One document of task `name` at this level."""
    if name == "story":
        if rng.random() < CROWDED:
            return stories.story(rng, rng.randint(0, CROWD_EVENTS), questions=12, crowded=True)
        return stories.story(rng, max(2, _size(rng, STORY_EVENTS, level)), questions=rng.choice((0, 0, 8, 12, 12)))
    if name == "far":
        return tasks.recall(rng, _size(rng, FAR_PAIRS, level), filler=stories.filler(rng, rng.randint(1, FAR_EVENTS)))
    size = _size(rng, tasks.LONGEST[name], level)
    if name == "perm":
        return tasks.permutations(rng, size, moves=rng.choice((2, 3, 5, 5, 5, 5)))
    if name == "recall":
        return tasks.recall(rng, size, numbers=rng.random() < NUMBERS)
    return tasks.GENERATORS[name](rng, size)


def sample_texts(rng, count):
    """Texts of all tasks at full size, for the vocabulary."""
    return [draw(rng, TASKS[i % len(TASKS)], 1.0).text() for i in range(count)]


def _places(ends, labels):
    """Where the labels of these byte offsets belong, and the labels; a token ends at each offset."""
    offsets = np.fromiter(labels, np.int64, len(labels))
    at = np.searchsorted(ends, offsets)
    assert (ends[at] == offsets).all()
    return at + 1, list(labels.values())


def encode(tokenizer, doc):
    """(inputs, targets, weights, hints) of a document: it starts with token 0 and its last target is token 0."""
    tokens, ends = tokenizer.encode_ends(doc.text().encode())
    n = len(tokens)
    inputs, targets, weights = np.zeros(n + 1, np.int32), np.zeros(n + 1, np.int32), np.zeros(n + 1, np.float32)
    hints = np.full(n + 1, NO_HINT, np.int32)
    inputs[1:] = targets[:n] = tokens
    stops, values = zip(*doc.spans)
    weights[:n] = np.array(values, np.float32)[np.searchsorted(stops, ends)]
    at, labels = _places(ends, doc.labels)
    targets[at] = [tokenizer.first_token(label) for label, _ in labels]
    weights[at] = [weight for _, weight in labels]
    at, labels = _places(ends, doc.hints)
    hints[at] = [tokenizer.first_token(label) for label in labels]
    return inputs, targets, weights, hints


def row(tokenizer, rng, length, levels, shares):
    """One packed row: inputs, targets, weights, hints [length], reset [length / CHUNK], task number of each place.

    Documents start at multiples of CHUNK. A document that does not fit is replaced by another,
    after three attempts by a smaller one; six failures end the row. The state is cleared at most
    starts; other documents continue from the state of the previous one.
    """
    names, parts = list(shares), list(shares.values())
    inputs, targets, hints = np.zeros(length, np.int16), np.zeros(length, np.int16), np.full(length, NO_HINT, np.int16)
    weights, task = np.zeros(length, np.float32), np.zeros(length, np.int8)
    reset = np.zeros(length // CHUNK, np.uint8)
    at, misses = 0, 0
    while at < length and misses < 6:
        name = rng.choices(names, parts)[0]
        x, y, w, h = encode(tokenizer, draw(rng, name, levels[name] if misses < 3 else 0.5 * levels[name]))
        stop = at + len(x)
        if stop > length:
            misses += 1
            continue
        reset[at // CHUNK] = at == 0 or rng.random() < 0.9
        inputs[at:stop], targets[at:stop], weights[at:stop], hints[at:stop] = x, y, w, h
        task[at:stop] = TASKS.index(name)
        at = -(-stop // CHUNK) * CHUNK
    return inputs, targets, weights, hints, reset, task


def batch(tokenizer, seed, step, indices, length, levels, shares):
    """The rows of one step with these indices, as six stacked arrays."""
    rows = (row(tokenizer, random.Random("%s/%d/%d" % (seed, step, i)), length, levels, shares) for i in indices)
    return [np.stack(parts) for parts in zip(*rows)]
