"""Short English stories from a grammar over a small simulated world, and questions about them.

The world knows where everybody and everything is; a sentence either changes it or colours it, so a reader (or a model)
that does not track the world sooner or later contradicts it. People move, take, drop, give and look for things; an animal
follows its owner.
"""
from document import END, STATE, TEXT, Document
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
        self.touched = None         # the thing or person of the last event

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

    def consequence(self):
        """What the last event means beyond its words: where its thing is now, or the one thing that its person holds.

        None where there is no such word.
        """
        if self.touched in self.where:
            return self.place_of(self.touched)
        if self.touched in self.at:
            held = self.held(self.touched)
            return "nothing" if not held else held[0] if len(held) == 1 else None
        return None

    def subject(self, name):
        """The name, or a pronoun when the person before was the same."""
        if self.last == name and self.rng.random() < 0.6:
            return self.gender[name].capitalize()
        self.last = name
        return name


def _scene(world):
    """Opening sentences that put everybody and everything on the stage."""
    rng = world.rng
    out = []
    for n, name in enumerate(world.people):
        place = PLACES[world.at[name]]
        if n == 0:
            out.append("%s %s was in %s." % (rng.choice(OPENINGS) if not rng.random() < 0.1 else "Long ago", name, place))
            if rng.random() < 0.4:
                out.append("%s was %s." % (world.gender[name].capitalize(), rng.choice(FEELINGS)))
        else:
            out.append(rng.choice(("%s was in %s.", "%s was waiting in %s.", "%s sat in %s.")) % (name, place))
    if world.pet:
        out.append("%s had a %s that always came along." % (world.owner, world.pet))
    for kind in world.things:
        article = "an" if world.things[kind][0] in "aeiou" else "a"
        form = rng.choice(("There was {a} {o} in {p}.", "In {p} there was {a} {o}.", "Somebody had left {a} {o} in {p}."))
        out.append(form.format(a=article, o=world.things[kind], p=PLACES[world.where[kind]]))
    return out


def _event(world):
    """One sentence; the world changes with it."""
    rng = world.rng
    world.touched = None
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
        world.touched = name
        tail = ""
        if held and rng.random() < 0.25:
            tail = " with " + world.the(rng.choice(held))
        elif world.owner == name and rng.random() < 0.3:
            tail = " and the %s followed" % world.pet
        return "%s %s %s%s." % (subject, rng.choice(GO), PLACES[target], tail)
    if kind == "take":
        thing = rng.choice(near)
        world.where[thing] = name
        world.touched = thing
        return "%s %s %s." % (world.subject(name), rng.choice(TAKE), world.the(thing))
    if kind == "drop":
        thing = rng.choice(held)
        world.where[thing] = place
        world.touched = thing
        where = rng.choice((" there", " in " + PLACES[place]))
        return "%s %s %s%s." % (world.subject(name), rng.choice(DROP), world.the(thing), where)
    if kind == "give":
        thing, other = rng.choice(held), rng.choice(others)
        world.where[thing] = other
        world.touched = thing
        subject = world.subject(name)
        world.last = None
        return "%s %s." % (subject, rng.choice(GIVE).format(o=world.the(thing), b=other))
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
    """All questions that the world can answer, with their answers of one word."""
    out = []
    for name in world.people:
        out.append(("Where is %s?" % name, world.at[name]))
        if world.held(name) and len(world.held(name)) == 1:
            out.append(("What does %s have?" % name, world.held(name)[0]))
        if not world.held(name):
            out.append(("What does %s have?" % name, "nothing"))
    for kind in world.things:
        out.append(("Where is the %s?" % kind, world.place_of(kind)))
        holder = world.where[kind]
        out.append(("Who has the %s?" % kind, holder if holder in world.at else "nobody"))
    if world.pet:
        out.append(("Where is the %s?" % world.pet, world.at[world.owner]))
        out.append(("Who has a %s?" % world.pet, world.owner))
    return out


def story(rng, events, questions=4):
    """A story of this many events with its questions. A story without any is plain text; others begin with a label.

    In the others the place after an event is marked with what follows from it, for two facts have to be joined to know it. After the
    last sentence stands the end of the document.
    """
    people = rng.randint(2, 3) if events <= 16 else rng.randint(2, 4)
    world = World(rng, people, rng.randint(1, 3), rng.randint(3, 4))
    doc = Document()
    if questions:
        doc.add("Story: ", TEXT)
    doc.add(" ".join(_scene(world)), TEXT)
    for _ in range(events):
        doc.add(" " + _event(world), TEXT)
        if questions and world.consequence():
            doc.mark(" " + world.consequence(), STATE)
    if rng.random() < 0.6:
        doc.add(" " + rng.choice(ENDINGS), TEXT)
    doc.mark(END, TEXT)
    asked = _questions(world)
    for question, answer in rng.sample(asked, min(questions, len(asked))):
        doc.ask(question, answer)
    return doc


def filler(rng, events):
    """Story sentences without the label, to put distance between a list and a question about it."""
    world = World(rng, 2, 2, 3)
    return " ".join(_scene(world) + [_event(world) for _ in range(events)])
