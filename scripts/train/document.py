"""A training document: text whose parts carry loss weights, and labels that are not in the text.

Text alone teaches a recurrent model little about a state that is used only once, at the end. A
generator may therefore `mark` any position with the answer that would be right there; this label
replaces the next token as the target of that position. A hint is a target for the output of the
first layer only; the last layer still learns the text.
"""
import re

TEXT, STATE, ANSWER = 0.1, 0.5, 1.0     # text of stories, labels that follow a hidden state, answers
HINT = re.compile(r"<(\w+)>")
END = None                      # as a label: the end of the document, token 0


class Document:
    """Collects text; weights and labels are kept by byte offset. Everything is ASCII."""

    def __init__(self):
        self.parts, self.size = [], 0
        self.spans = []         # (end offset, weight) of consecutive pieces
        self.labels = {}        # end offset of the last byte before the place -> (text or END, weight)
        self.hints = {}         # the same -> text whose first token the first layer should know there

    def add(self, text, weight=0.0):
        """Append text with this loss weight. A <word> in it is a hint for the word before it."""
        for n, part in enumerate(HINT.split(text)):
            if n % 2:
                self.hints[self.size] = " " + part
            else:
                self.parts.append(part)
                self.size += len(part)
                self.spans.append((self.size, weight))

    def mark(self, label, weight):
        """Set the target after the text so far: the first token of `label`, or END."""
        self.labels[self.size] = (label, weight)

    def ask(self, question, answer, about=None):
        """Append a question and its answer, then the end. about: a hint for the answer."""
        self.add("\nQ: %s\nA:" % question + ("<%s>" % about if about else ""))
        self.add(" " + answer, ANSWER)
        self.mark(END, ANSWER)

    def text(self):
        return "".join(self.parts)
