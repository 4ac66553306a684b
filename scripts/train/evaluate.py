"""Accuracy of an exported model on held-out prompts, in PyTorch; prints a Markdown table.

    python3 evaluate.py MODEL.safetensors VOCAB.txt PROMPTS.tsv [--device cpu] [--limit N]

For use while training; scripts/eval_demo.sh asks the program itself. PROMPTS.tsv comes from make_eval.py. An answer counts as
right when every token of it, and the end of the document after it, is the arg max given the ones before: that is the same as
greedy generation, in one pass.
"""
import argparse
import collections

import torch

import checkpoint
import make_eval
import vocab
from wkv import CHUNK

TOKENS_AT_ONCE = 1 << 13


def batches(records, tokenizer, budget):
    """Lists of (record, tokens, answer length) of similar length, at most about `budget` tokens together."""
    ready = []
    for record in records:
        prompt = tokenizer.encode(record["prompt"])
        whole = tokenizer.encode(record["prompt"] + record["answer"])
        assert whole[:len(prompt)] == prompt
        ready.append((record, [0] + whole + [0], len(whole) - len(prompt) + 1))
    ready.sort(key=lambda item: len(item[1]))
    part = []
    for item in ready:
        if part and (len(part) + 1) * len(item[1]) > budget:
            yield part
            part = []
        part.append(item)
    if part:
        yield part


def right_answers(model, part, device):
    """For every item of one batch, whether the whole answer is the greedy one."""
    longest = -(-max(len(tokens) - 1 for _, tokens, _ in part) // CHUNK) * CHUNK
    inputs = torch.zeros(len(part), longest, dtype=torch.long)
    for i, (_, tokens, _) in enumerate(part):
        inputs[i, :len(tokens) - 1] = torch.tensor(tokens[:-1])
    reset = torch.zeros(len(part), longest // CHUNK, dtype=torch.uint8)
    reset[:, 0] = 1
    hidden = model.hidden(inputs.to(device), reset.to(device))[1]
    for i, (_, tokens, answer) in enumerate(part):
        stop = len(tokens) - 1
        best = model.logits(hidden[i, stop - answer:stop]).argmax(-1).tolist()
        yield best == tokens[-answer:]


def measure(model, tokenizer, records, device, budget=TOKENS_AT_ONCE):
    """{(task, times): [right, count, size]}"""
    table = collections.OrderedDict()
    for record in records:
        table.setdefault((record["task"], record["times"]), [0, 0, record["size"]])
    model.to(device).eval()
    with torch.no_grad():
        for part in batches(records, tokenizer, budget):
            for (record, _, _), right in zip(part, right_answers(model, part, device)):
                cell = table[record["task"], record["times"]]
                cell[0] += right
                cell[1] += 1
    return table


def markdown(table):
    """A table with a line per task and a column per multiple: accuracy in percent (size)."""
    times = sorted({t for _, t in table})
    lines = ["| task | " + " | ".join("x%d" % t for t in times) + " |", "|---" * (len(times) + 1) + "|"]
    for task in dict.fromkeys(name for name, _ in table):
        cells = ["%.1f (%d)" % (100.0 * table[task, t][0] / table[task, t][1], table[task, t][2]) if (task, t) in table else "-"
                 for t in times]
        lines.append("| %s | %s |" % (task, " | ".join(cells)))
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("vocab")
    p.add_argument("prompts")
    p.add_argument("--device", default="cpu")
    p.add_argument("--limit", type=int, help="prompts per task and multiple")
    args = p.parse_args()
    seen = collections.Counter()
    records = []
    for record in make_eval.read(args.prompts):
        seen[record["task"], record["times"]] += 1
        if not args.limit or seen[record["task"], record["times"]] <= args.limit:
            records.append(record)
    tokenizer = vocab.Tokenizer(vocab.read(args.vocab))
    print(markdown(measure(checkpoint.load(args.model), tokenizer, records, args.device)))


if __name__ == "__main__":
    main()
