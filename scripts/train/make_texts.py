"""Held-out data for `rwkv7 eval`:  python3 make_texts.py FOLDER [--count 200] [--seed N]

Writes stories, one to a file (FOLDER/000.txt and so on), for --task text, and FOLDER/answers.jsonl for --task lambada: stories,
lists, cups, parity and permutations in turn, each with one question whose answer is the last word. Sizes are those of the
training, seeds are not.
"""
import argparse
import json
import os
import random

import stories
import tasks


def asked(rng, number):
    kind = number % 5
    if kind == 0:
        return stories.story(rng, rng.randint(6, 18), questions=1)
    if kind == 1:
        return tasks.recall(rng, rng.randint(8, 32))
    if kind == 2:
        return tasks.cups(rng, rng.randint(8, 32))
    if kind == 3:
        return tasks.parity(rng, rng.randint(16, 64))
    return tasks.permutations(rng, rng.randint(8, 32))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", default="held-out text")
    args = p.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    lines = []
    for number in range(args.count):
        rng = random.Random("%s/%d" % (args.seed, number))
        with open(os.path.join(args.folder, "%03d.txt" % number), "w", encoding="utf-8") as f:
            f.write(stories.story(rng, rng.randint(6, 18), questions=0).text())
        text = asked(rng, number).text()
        first = text.index("\nQ: ")
        end = text.find("\nQ: ", first + 1)
        lines.append(json.dumps({"text": text[:end] if end >= 0 else text}) + "\n")
    with open(os.path.join(args.folder, "answers.jsonl"), "w", encoding="utf-8") as f:
        f.writelines(lines)


if __name__ == "__main__":
    main()
