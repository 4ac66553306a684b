"""Held-out prompts with their answers, one per line.

    python3 make_eval.py OUT.tsv [--count 200] [--seed 1] [--tasks recall,cups]

Fields between tabs: task, times (the size as a multiple of the nominal one), size, prompt (ends with "A:"), answer (begins with a
space). A newline in a prompt is written \\n, so that a shell's printf %b restores it. An answer is right when greedy generation
yields exactly this text and then the end of the document (token 0). Training never uses these
documents, because its random seeds begin with another string.
"""
import argparse
import random

import stories
import tasks

STORY_EVENTS = 12               # nominal length of a story
FAR_PAIRS, FAR_EVENTS = 16, 12  # a list, and the nominal distance in story events between it and its question
CUPS = 5
TIMES = (1, 2, 4, 16)
TASKS = "recall numbers far cups swaps perm parity clock copy reverse sort add story".split()
FIELDS = ("task", "times", "size", "prompt", "answer")


def document(rng, task, times):
    """One document of a task at a multiple of its nominal size, and that size."""
    if task == "story":
        return stories.story(rng, STORY_EVENTS * times, questions=1), STORY_EVENTS * times
    if task == "far":
        return tasks.recall(rng, FAR_PAIRS, filler=stories.filler(rng, FAR_EVENTS * times)), FAR_EVENTS * times
    size = tasks.NOMINAL[{"numbers": "recall", "swaps": "perm"}.get(task, task)] * times
    if task == "numbers":
        return tasks.recall(rng, size, numbers=True), size
    if task == "swaps":
        return tasks.permutations(rng, size, moves=2), size
    if task == "cups":
        return tasks.cups(rng, size, CUPS), size
    return tasks.GENERATORS[task](rng, size), size


def examples(seed, task, times, count):
    """`count` records of one task and multiple; the same for the same arguments."""
    rng = random.Random("held out/%s/%s/%d" % (seed, task, times))
    for _ in range(count):
        doc, size = document(rng, task, times)
        prompt, rest = doc.text().split("\nA:", 1)
        yield {"task": task, "times": times, "size": size, "prompt": prompt + "\nA:", "answer": rest.split("\n", 1)[0]}


def read(path):
    """The records of a file that main() wrote."""
    with open(path) as f:
        for line in f:
            record = dict(zip(FIELDS, line.rstrip("\n").split("\t")))
            yield {**record, "times": int(record["times"]), "size": int(record["size"]),
                   "prompt": record["prompt"].replace("\\n", "\n")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--count", type=int, default=200, help="prompts per task and multiple")
    p.add_argument("--seed", default="1")
    p.add_argument("--tasks", default=",".join(TASKS))
    p.add_argument("--times", default=",".join(map(str, TIMES)))
    args = p.parse_args()
    with open(args.out, "w") as f:
        for task in args.tasks.split(","):
            for times in map(int, args.times.split(",")):
                for record in examples(args.seed, task, times, args.count):
                    f.write("\t".join(str(record[name]) for name in FIELDS).replace("\n", "\\n") + "\n")


if __name__ == "__main__":
    main()
