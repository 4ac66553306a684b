"""The algorithmic tasks. Every generator takes a random.Random and a size and returns a Document.

All share one form that a person can type:

    Label: the data.
    Q: the question
    A: the answer
"""
from document import STATE, Document
from lexicon import WORDS, invented


def _keys(rng, count):
    """Distinct keys: words of the lexicon and invented names."""
    keys = []
    seen = set()
    share = rng.choice((0.2, 0.6, 0.95)) if count <= 100 else 0.2
    while len(keys) < count:
        key = rng.choice(WORDS) if rng.random() < share else invented(rng)
        if key not in seen:
            seen.add(key)
            keys.append(key)
    return keys


def recall(rng, pairs, filler=None, numbers=False):
    """Pairs of a name and a word, or a number, then questions. filler: text between the list and the questions."""
    doc = Document()
    keys = _keys(rng, pairs)
    values = ["%d" % rng.randrange(10, 100) if numbers else rng.choice(WORDS) for _ in keys]
    doc.add("List: " + ", ".join("%s: %s" % pair for pair in zip(keys, values)) + ".")
    if filler:
        doc.add("\n" + filler)
    for i in rng.sample(range(pairs), min(pairs, 16)):
        doc.ask(keys[i], values[i])
    return doc


def cups(rng, swaps, count=None):
    """Three to five cups, a ball under one, swaps of two cups; where is the ball?

    The label comes two tokens late, because a swap takes several tokens: the state changes by rank
    one per token.
    """
    doc = Document()
    count = count or rng.choice((3, 4, 5, 5))
    ball = rng.randrange(1, count + 1)
    doc.add("Cups: %d, ball %d" % (count, ball))
    numbers = range(1, count + 1)
    for _ in range(swaps):
        one, two = rng.sample(numbers, 2)
        doc.add(", swap")
        doc.mark(" %d" % ball, STATE)
        ball = two if ball == one else one if ball == two else ball
        doc.add(" %d %d" % (one, two))
    doc.add(".")
    doc.ask("ball", "%d" % ball)
    return doc


def permutations(rng, factors, moves=None):
    """Products in S5. Each factor p turns the row into row[p1] row[p2] .. row[p5]; what is the row after all?

    moves: how many items a factor may move (2: swaps only; 5: any permutation). The dashes give the model a second token per
    item, because within one token the state can copy an item at half its size at most (README.md,
    "Two tokens per item").
    """
    doc = Document()
    row = [1, 2, 3, 4, 5]
    moves = moves or 5
    doc.add("Perm:")
    for n in range(factors):
        factor = [1, 2, 3, 4, 5]
        places = rng.sample(range(5), moves)
        items = places[:]
        rng.shuffle(items)
        for place, item in zip(places, items):
            factor[place] = item + 1
        row = [row[p - 1] for p in factor]
        for j, p in enumerate(factor):
            doc.add((" %d" if j == 0 else "-%d") % p)
            doc.mark((" %d" if j == 0 else "%d") % row[j], STATE)
        doc.add("." if n == factors - 1 else ",")
        doc.mark(" %d" % row[0], STATE)
    doc.ask("row", "".join(map(str, row)))
    return doc


def parity(rng, bits):
    """Is the number of ones even or odd?"""
    doc = Document()
    odd = 0
    share = rng.choice((0.5, 0.5, 0.5, 0.2, 0.8))
    doc.add("Parity:")
    for _ in range(bits):
        bit = int(rng.random() < share)
        odd ^= bit
        doc.add(" %d" % bit)
        doc.mark((" even", " odd")[odd], STATE)
    doc.add(".")
    doc.mark((" even", " odd")[odd], STATE)
    doc.ask("parity", ("even", "odd")[odd])
    return doc


def clock(rng, steps):
    """A clock with five hours starts at 0 and is moved on by 0 to 4 hours, many times; which hour is it?"""
    doc = Document()
    hour = 0
    doc.add("Clock:")
    for _ in range(steps):
        move = rng.randrange(5)
        hour = (hour + move) % 5
        doc.add(" %d" % move)
        doc.mark(" %d" % hour, STATE)
    doc.add(".")
    doc.mark(" %d" % hour, STATE)
    doc.ask("hour", "%d" % hour)
    return doc


def _items(rng, count):
    kind = rng.randrange(3)
    if kind == 0:
        return [rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count)]
    if kind == 1:
        return ["%d" % rng.randrange(10) for _ in range(count)]
    return [rng.choice(WORDS) for _ in range(count)]


def copying(rng, count):
    """Say the items again."""
    doc = Document()
    items = " ".join(_items(rng, count))
    doc.add("Copy: %s." % items)
    doc.ask("copy", items)
    return doc


def reversing(rng, count):
    """Say the items backwards."""
    doc = Document()
    items = _items(rng, count)
    doc.add("Reverse: %s." % " ".join(items))
    doc.ask("reverse", " ".join(reversed(items)))
    return doc


def sorting(rng, count):
    """Sort letters or digits; they may repeat."""
    doc = Document()
    alphabet = "abcdefghijklmnopqrstuvwxyz" if rng.random() < 0.5 else "0123456789"
    items = [rng.choice(alphabet) for _ in range(count)]
    doc.add("Sort: %s." % " ".join(items))
    doc.ask("sort", " ".join(sorted(items)))
    return doc


def addition(rng, digits):
    """The sum of two numbers of at most this many digits."""
    doc = Document()
    one, two = (rng.randrange(10 ** rng.randint(1, digits)) for _ in range(2))
    doc.add("Add: %d + %d." % (one, two))
    doc.ask("sum", "%d" % (one + two))
    return doc


GENERATORS = {"recall": recall, "cups": cups, "perm": permutations, "parity": parity, "clock": clock, "copy": copying,
              "reverse": reversing, "sort": sorting, "add": addition}

# The size that accuracy is promised for, and the longest that training uses.
NOMINAL = {"recall": 32, "cups": 32, "perm": 32, "parity": 64, "clock": 32, "copy": 16, "reverse": 16, "sort": 16, "add": 3}
LONGEST = {"recall": 40, "cups": 48, "perm": 40, "parity": 128, "clock": 64, "copy": 24, "reverse": 24, "sort": 20, "add": 4}
assert set(GENERATORS) == set(NOMINAL) == set(LONGEST)
