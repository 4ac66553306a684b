"""Held-out prompts with their answers, one JSON object per line.

    python3 make_eval.py OUT.jsonl [--count 200] [--seed 1]

Fields: task, times (the size as a multiple of the nominal one), size, prompt (ends with "A:"), answer (begins with a space).
An answer is right when greedy generation yields exactly this text and then the end of the document (token 0).
Training never sees these: its random seeds start with another string.
"""
import argparse
import json
import random

import stories
import tasks

STORY_EVENTS = 12               # nominal length of a story
FAR_EVENTS = 12                 # nominal distance, in story events, between a list of 16 and its question
CUPS = 5
TIMES = (1, 2, 4, 16)
TASKS = list(tasks.NOMINAL) + ["far", "story"]


def document(rng, task, times):
    """One document of a task at a multiple of its nominal size, and that size."""
    if task == "story":
        return stories.story(rng, STORY_EVENTS * times, questions=1), STORY_EVENTS * times
    if task == "far":
        return tasks.recall(rng, 16, filler=stories.filler(rng, FAR_EVENTS * times)), FAR_EVENTS * times
    size = tasks.NOMINAL[task] * times
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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--count", type=int, default=200, help="prompts per task and multiple")
    p.add_argument("--seed", default="1")
    args = p.parse_args()
    with open(args.out, "w") as f:
        for task in TASKS:
            for times in TIMES:
                for record in examples(args.seed, task, times, args.count):
                    f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
