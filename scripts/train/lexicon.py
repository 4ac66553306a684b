"""Word lists shared by the story grammar and the tasks. All of it written for this project."""

PEOPLE = {
    "he": "Adam Ben Carl David Emil Felix Gus Henry Ivan Jack Karl Leo Max Noah Oscar Paul Robert Sam Tom Victor".split(),
    "she": "Anna Bella Clara Dora Emma Fiona Grace Helen Iris Julia Kate Lucy Mary Nina Olga Rosa Sara Tina Vera Zoe".split(),
}
NAMES = PEOPLE["he"] + PEOPLE["she"]

# place: the words that lead to it
PLACES = {
    "kitchen": "the kitchen", "garden": "the garden", "attic": "the attic", "cellar": "the cellar", "library": "the library",
    "school": "the school", "market": "the market", "forest": "the forest", "harbor": "the harbor", "stable": "the stable",
    "tower": "the tower", "bakery": "the bakery", "park": "the park", "barn": "the barn", "office": "the office",
    "museum": "the museum", "station": "the station", "castle": "the castle", "bedroom": "the bedroom", "mill": "the mill",
}

OBJECTS = ("lamp book key ball apple hat cup rope map coin drum letter basket bottle candle hammer ring shell flute clock "
           "blanket knife spoon mirror kite brush stone feather box umbrella").split()

ANIMALS = "cat dog horse fox owl rabbit goat duck mouse bear frog hen sheep crow pony".split()

COLOURS = "red blue green yellow white black brown gray golden silver".split()

NOUNS = ("tree river cloud bread cheese table chair window door bridge road hill lake ship train wheel paper flower leaf snow "
         "rain wind fire salt sugar milk honey soup cake pear plum nut corn wool silk iron glass sand star moon sun wave boat "
         "bell wall roof gate path field pond nest seed root coat shoe glove belt button needle thread fork plate pot pan jar "
         "barrel ladder bucket broom saw nail drawer shelf bench pillow carpet curtain garden violin trumpet piano dance "
         "song").split()

# Second halves and first halves of invented names such as "Bako"; each is one piece of the vocabulary.
SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]

WORDS = list(dict.fromkeys(NOUNS + OBJECTS + ANIMALS + COLOURS + list(PLACES) + NAMES))


def invented(rng):
    """A name of two syllables, one of 4900."""
    return rng.choice(SYLLABLES).capitalize() + rng.choice(SYLLABLES)
