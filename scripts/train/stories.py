"""Short English stories from a grammar over a small simulated world, and questions about them.

The world records where everybody and everything is. A sentence changes it or describes it, so a
model that does not track the world will contradict it sooner or later. People move, take, drop,
give and look for things; an animal follows its owner. A word in <angle brackets> is a hint
(document.py): what belongs together with the word before it.
"""
from document import END, TEXT, Document
from lexicon import ANIMALS, COLOURS, OBJECTS, PEOPLE, PLACES

OPENINGS = ("One morning", "One day", "Early in the morning", "On a cold day", "On a warm afternoon", "Late in the evening",
            "On a rainy day", "Once upon a time", "It was a quiet day and", "It was snowing and", "The sun was shining and")
FEELINGS = ("happy", "tired", "hungry", "sad", "proud", "curious", "brave", "sleepy", "excited", "worried")
WEATHER = ("It began to rain.", "The wind was blowing.", "The sun came out.", "It was very quiet.", "A bell rang far away.",
           "The birds were singing.", "It was getting dark.", "Snow fell slowly.", "The air smelled of bread.",
           "Somebody laughed outside.")
SAYINGS = ("What a day", "I have an idea", "I am so glad", "This is strange", "We should hurry", "I like it here",
           "Do not worry", "Tomorrow will be better", "I am looking for something", "Let us rest a little",
           "We should hurry home before dark")
GO = ("went to", "walked to", "ran to", "hurried to", "went back to")
TAKE = ("picked up", "took", "found", "grabbed")
DROP = ("put down", "left", "dropped")
GIVE = ("gave {o} to {b}", "handed {o} to {b}", "passed {o} to {b}")
ENDINGS = ("Then everybody went to sleep.", "It had been a good day.", "And that was the end of the day.",
           "They all laughed together.", "In the end everybody was happy.", "Nobody ever forgot that day.",
           "After that they went home.")


def _with_article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def _place(place, other):
    """The place in words, with a hint of who or what it is told of."""
    return "%s<%s>" % (PLACES[place], other)


class World:
    """People, things, one animal, and who or what is where. A thing is at a place or with a person."""

    def __init__(self, rng, people, things, places):
        self.rng = rng
        self.gender = {}
        for _ in range(people):
            gender = rng.choice(("he", "she"))
            self.gender[rng.choice([n for n in PEOPLE[gender] if n not in self.gender])] = gender
        self.people = list(self.gender)
        self.places = rng.sample(list(PLACES), places)
        self.at = {name: rng.choice(self.places) for name in self.people}
        self.things = {}
        for kind in rng.sample(OBJECTS, things):
            colour = rng.choice(COLOURS) + " " if rng.random() < 0.4 else ""
            self.things[kind] = colour + kind
        self.where = {kind: rng.choice(self.places) for kind in self.things}
        self.pet = self.owner = None
        if rng.random() < 0.35:
            self.pet, self.owner = rng.choice(ANIMALS), rng.choice(self.people)
        self.last = None            # who acted last, for pronouns

    def the(self, kind):
        return "the " + self.things[kind]

    def here(self, name):
        """Other people in the same place."""
        return [other for other in self.people if other != name and self.at[other] == self.at[name]]

    def held(self, name):
        return [kind for kind, holder in self.where.items() if holder == name]

    def place_of(self, kind):
        holder = self.where[kind]
        return self.at.get(holder, holder)

    def subject(self, name):
        """The name, or a pronoun when the person before was the same."""
        if self.last == name and self.rng.random() < 0.6:
            return self.gender[name].capitalize()
        self.last = name
        return name


def _scene(world):
    """Opening sentences that introduce everybody and everything."""
    rng = world.rng
    out = []
    for n, name in enumerate(world.people):
        place = _place(world.at[name], name)
        if n == 0:
            out.append("%s %s was in %s." % (rng.choice(OPENINGS) if not rng.random() < 0.1 else "Long ago", name, place))
            if rng.random() < 0.4:
                out.append("%s was %s." % (world.gender[name].capitalize(), rng.choice(FEELINGS)))
        else:
            out.append(rng.choice(("%s was in %s.", "%s was waiting in %s.", "%s sat in %s.")) % (name, place))
    if world.pet:
        out.append("%s had %s that always came along." % (world.owner, _with_article(world.pet)))
    for kind, words in world.things.items():
        verb = rng.choice(("There was", "Somebody had left"))
        out.append("%s %s in %s." % (verb, _with_article(words), _place(world.where[kind], kind)))
    return out


def _event(world):
    """One sentence; the world changes with it."""
    rng = world.rng
    name = world.last if world.last and rng.random() < 0.35 else rng.choice(world.people)
    place = world.at[name]
    near = [kind for kind, holder in world.where.items() if holder == place]
    held, others = world.held(name), world.here(name)
    choices = ["go", "go"] + ["take"] * (2 * len(near)) + ["drop"] * len(held)
    choices += ["give"] * (2 if held and others else 0) + ["say", "weather", "feel"]
    kind = rng.choice(choices)
    if kind == "go":
        target = rng.choice([p for p in world.places if p != place])
        company = others and rng.random() < 0.2
        if company:
            other = rng.choice(others)
            world.last = None
            world.at[name] = world.at[other] = target
            return "%s and %s %s %s together." % (name, other, rng.choice(GO[:3]), PLACES[target])
        subject = world.subject(name)
        world.at[name] = target
        tail = ""
        if held and rng.random() < 0.25:
            tail = " with " + world.the(rng.choice(held))
        elif world.owner == name and rng.random() < 0.3:
            tail = " and the %s followed" % world.pet
        return "%s %s %s%s." % (subject, rng.choice(GO), PLACES[target], tail)
    if kind == "take":
        thing = rng.choice(near)
        world.where[thing] = name
        return "%s %s %s<%s>." % (world.subject(name), rng.choice(TAKE), world.the(thing), name)
    if kind == "drop":
        thing = rng.choice(held)
        world.where[thing] = place
        where = rng.choice(("<%s> there" % name, " in " + _place(place, thing)))
        return "%s %s %s%s." % (world.subject(name), rng.choice(DROP), world.the(thing), where)
    if kind == "give":
        thing, other = rng.choice(held), rng.choice(others)
        world.where[thing] = other
        subject = world.subject(name)
        world.last = None
        return "%s %s<%s>." % (subject, rng.choice(GIVE).format(o=world.the(thing), b=other), thing)
    if kind == "say":
        saying = rng.choice(SAYINGS)
        if others and rng.random() < 0.5:
            other = rng.choice(others)
            world.last = None
            return '"%s," said %s to %s.' % (saying, name, other)
        world.last = name
        return '"%s," said %s.' % (saying, name)
    if kind == "weather":
        return rng.choice(WEATHER)
    return "%s was %s." % (world.subject(name), rng.choice(FEELINGS))


def _questions(world):
    """All questions that the world can answer, with their answers of one word and what they are about."""
    out = []
    for name in world.people:
        out.append(("Where is %s?" % name, world.at[name], name))
        if world.held(name) and len(world.held(name)) == 1:
            out.append(("What does %s have?" % name, world.held(name)[0], name))
        if not world.held(name):
            out.append(("What does %s have?" % name, "nothing", name))
    for kind in world.things:
        out.append(("Where is the %s?" % kind, world.place_of(kind), kind))
        holder = world.where[kind]
        out.append(("Who has the %s?" % kind, holder if holder in world.at else "nobody", kind))
    if world.pet:
        out.append(("Where is the %s?" % world.pet, world.at[world.owner], world.pet))
        out.append(("Who has %s?" % _with_article(world.pet), world.owner, world.pet))
    return out


def story(rng, events, questions=4, crowded=False):
    """A story of this many events with its questions. A story without any is plain text; others begin with a label.

    crowded: more things and places than usual, and questions only about places. The document ends
    after the last sentence.
    """
    people = rng.randint(2, 3) if events <= 16 else rng.randint(2, 4)
    things, places = (rng.randint(2, 6), rng.randint(3, 6)) if crowded else (rng.randint(1, 3), rng.randint(3, 4))
    world = World(rng, people, things, places)
    sentences = _scene(world) + [_event(world) for _ in range(events)]
    if rng.random() < 0.6:
        sentences.append(rng.choice(ENDINGS))
    doc = Document()
    doc.add(("Story: " if questions else "") + " ".join(sentences), TEXT)
    doc.mark(END, TEXT)
    asked = [q for q in _questions(world) if not crowded or q[0].startswith("Where is the")]
    for question in rng.sample(asked, min(questions, len(asked))):
        doc.ask(*question)
    return doc


def filler(rng, events):
    """Story sentences with their hints and without the label, to put distance between a list and a question about it."""
    world = World(rng, 2, 2, 3)
    return " ".join(_scene(world) + [_event(world) for _ in range(events)])
