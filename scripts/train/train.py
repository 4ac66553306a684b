"""Train the demo model on a CPU; resumable, seeded, one process per core.

    python3 train.py --out FOLDER --vocab demo.vocab.txt --steps 20000 [options]

FOLDER receives checkpoint.pt (model, optimiser, step, curriculum), log.jsonl (one object per
report) and curve.png. With the same FOLDER it resumes from the last checkpoint. The data of a step
depends only on the seed, the step and the curriculum's levels, which are part of the checkpoint.
"""
import argparse
import json
import os
import sys
import time

SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",        # one process per core does the rest
            "MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "100000000"}
if __name__ == "__main__" and any(os.environ.get(k) != v for k, v in SETTINGS.items()):
    os.environ.update(SETTINGS)         # read by libraries and the allocator when a process starts
    os.execv(sys.executable, [sys.executable] + sys.argv)

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

import mixture
import vocab
from model import Rwkv7

HINT = 0.5      # loss weight of the hints
BIG = ("receptance.weight", "key.weight", "value.weight", "output.weight", "emb.weight", "head.weight")


def options(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="folder for checkpoint, log and curve")
    p.add_argument("--vocab", required=True, help="vocabulary in the World format")
    end = p.add_mutually_exclusive_group(required=True)
    end.add_argument("--steps", type=int, help="end after this step")
    end.add_argument("--until", type=float, help="end at this Unix time, for a machine whose speed wanders")
    p.add_argument("--cooldown", type=float, default=1, help="the last steps, or with --until seconds, over which the rate falls")
    p.add_argument("--processes", type=int, default=os.cpu_count())
    p.add_argument("--rows", type=int, default=16, help="rows in a batch, over all processes")
    p.add_argument("--micro", type=int, default=4, help="rows that a process takes at a time")
    p.add_argument("--length", type=int, default=256, help="tokens in a row")
    p.add_argument("--channels", type=int, default=128)
    p.add_argument("--layers", type=int, default=3)
    p.add_argument("--ffn", type=int, default=512)
    p.add_argument("--head-size", type=int, default=64)
    p.add_argument("--ranks", default="16,16,8,32", help="low-rank widths of decay, rate, value and gate")
    p.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    p.add_argument("--final-rate", type=float, default=5e-5)
    p.add_argument("--warmup", type=int, default=200)
    p.add_argument("--decay", type=float, default=0.05, help="weight decay of the big matrices")
    p.add_argument("--clip", type=float, default=1.0)
    p.add_argument("--seed", default="rwkv7-demo")
    p.add_argument("--tasks", default=mixture.DEFAULT, help="shares of the tasks, as in %(default)s")
    p.add_argument("--levels", default="", help="set levels of the curriculum at this start, as in story:0.5,perm:0.4")
    p.add_argument("--enough", type=float, default=0.95, help="accuracy of answer tokens at which a level rises")
    p.add_argument("--save-every", type=float, default=300, help="seconds between checkpoints")
    p.add_argument("--report-every", type=int, default=50, help="steps between reports")
    p.add_argument("--pause-file", help="sleep while this file exists")
    return p.parse_args(argv)


def sizes(args, rows):
    """The model's size from the options."""
    w, a, v, g = map(int, args.ranks.split(","))
    return {"channels": args.channels, "layers": args.layers, "head_size": args.head_size, "ffn": args.ffn, "rank_w": w,
            "rank_a": a, "rank_v": v, "rank_g": g, "rows": rows}


def make_optimizer(model, args):
    """AdamW; decay on the big matrices only, twice the rate for the decay bias w0."""
    groups = {"big": [], "small": [], "w0": []}
    for name, value in model.named_parameters():
        groups["big" if name.endswith(BIG) else "w0" if name.endswith("att.w0") else "small"].append(value)
    plan = [{"params": groups["big"], "weight_decay": args.decay, "scale": 1.0},
            {"params": groups["small"], "weight_decay": 0.0, "scale": 1.0},
            {"params": groups["w0"], "weight_decay": 0.0, "scale": 2.0}]
    return torch.optim.AdamW(plan, lr=args.rate, betas=(0.9, 0.99), eps=1e-15)


def what_is_left(step, args):
    """What is left: steps or, with --until, seconds; the same in all processes."""
    if args.steps:
        return args.steps - step
    left = torch.tensor([args.until - time.time()], dtype=torch.float64)
    if args.processes > 1:
        distributed.broadcast(left, 0)
    return left.item()


def rate_at(step, left, args):
    """Learning rate: linear warm-up, constant, linear cooldown."""
    rate = args.rate * min(1.0, (step + 1) / args.warmup)
    return args.final_rate + (rate - args.final_rate) * min(1.0, left / args.cooldown)


class Tally:
    """Loss, right answer tokens and hints since the last report, summed over all processes."""

    def __init__(self):
        self.sums, self.steps = torch.zeros(3, len(mixture.TASKS)), 0

    def add(self, loss, right, weights, task, known):
        answers = (weights >= 1.0).float()
        self.sums[0].index_add_(0, task, right.float() * answers)
        self.sums[1].index_add_(0, task, answers)
        self.sums[2, :3] += torch.tensor([loss, known.sum(), len(known)])

    def report(self, processes):
        """(mean loss, part of the hints that was right, {task: accuracy})"""
        if processes > 1:
            distributed.all_reduce(self.sums)
        right, count, (loss, known, hints) = self.sums[0], self.sums[1], self.sums[2, :3].tolist()
        accuracy = {n: round(float(right[i] / count[i]), 4) for i, n in enumerate(mixture.TASKS) if count[i] > 0}
        return loss / (self.steps * processes), round(known / max(1, hints), 4), accuracy


def save(path, model, optimizer, step, tokens, levels, args):
    """Write the checkpoint atomically: an interruption leaves the old or the new one."""
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "tokens": tokens,
                "levels": levels, "size": model.size, "options": vars(args)}, path + ".part")
    os.replace(path + ".part", path)


def draw_curve(folder):
    """curve.png from log.jsonl: the loss, and the accuracy and level of every task."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    with open(os.path.join(folder, "log.jsonl")) as f:
        log = [json.loads(line) for line in f]
    figure, panels = pyplot.subplots(1, 3, figsize=(15, 4.5))
    tokens = [entry["tokens"] / 1e6 for entry in log]
    panels[0].plot(tokens, [entry["loss"] for entry in log])
    panels[0].set(xlabel="million tokens", ylabel="weighted loss", yscale="log")
    for panel, key, label in ((panels[1], "accuracy", "answer tokens right"), (panels[2], "levels", "size / largest size")):
        for name in mixture.TASKS:
            points = [(t, entry[key][name]) for t, entry in zip(tokens, log) if name in entry["accuracy"]]
            if points:
                panel.plot(*zip(*points), label=name)
        panel.set(xlabel="million tokens", ylabel=label, ylim=(0, 1.01))
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(os.path.join(folder, "curve.png"), dpi=80)
    pyplot.close(figure)


def wait_while_paused(path):
    """Sleep as long as the pause file exists; returns the seconds lost."""
    start = time.time()
    while path and os.path.exists(path):
        time.sleep(1)
    return time.time() - start


def average_gradients(model, processes):
    """Replace every gradient by its mean over the processes, in one message."""
    grads = [p.grad for p in model.parameters()]
    flat = torch.cat([g.flatten() for g in grads])
    distributed.all_reduce(flat)
    flat /= processes
    at = 0
    for g in grads:
        g.copy_(flat[at:at + g.numel()].view_as(g))
        at += g.numel()


def update(model, optimizer, arrays, args, tally):
    """One step on this process's rows, a few of them at a time so that their activations stay in the cache."""
    inputs, targets, weights, hints, reset, task = map(torch.from_numpy, arrays)
    inputs, targets, hints, task, total = inputs.long(), targets.long(), hints.long(), task.long(), weights.sum()
    optimizer.zero_grad()
    for at in range(0, len(inputs), args.micro):
        part = slice(at, at + args.micro)
        places = weights[part] > 0
        weight = weights[part][places]
        first, last = model.hidden(inputs[part], reset[part])
        losses, right = model.losses(last[places], targets[part][places])
        hinted = hints[part] != mixture.NO_HINT
        guesses, known = model.losses(first[hinted], hints[part][hinted])
        loss = ((losses * weight).sum() + HINT * guesses.sum()) / total
        loss.backward()
        tally.add(loss.item(), right, weight, task[part][places], known)
    tally.steps += 1
    if args.processes > 1:
        average_gradients(model, args.processes)
    torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
    optimizer.step()


def train(rank, args):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if args.processes > 1:
        distributed.init_process_group("gloo", init_method="file://" + os.path.abspath(args.out) + "/meeting", rank=rank,
                                       world_size=args.processes)
    torch.manual_seed(int.from_bytes(args.seed.encode(), "little") % (1 << 31))
    pieces = vocab.read(args.vocab)
    tokenizer = vocab.Tokenizer(pieces)
    model = Rwkv7(sizes(args, vocab.rows(pieces)))
    optimizer = make_optimizer(model, args)
    shares = mixture.parse(args.tasks)
    step, tokens, levels = 0, 0, dict(mixture.FIRST_LEVELS)
    path = os.path.join(args.out, "checkpoint.pt")
    if os.path.exists(path):
        saved = torch.load(path, map_location="cpu")
        optimizer.load_state_dict(saved["optimizer"])
        model.load_state_dict(saved["model"])
        step, tokens, levels = saved["step"], saved["tokens"], saved["levels"]
    levels.update(mixture.parse(args.levels))
    if rank == 0:
        print("%d parameters, step %d, %d tokens seen" % (sum(p.numel() for p in model.parameters()), step, tokens))
    tally, saved_at = Tally(), time.time()
    mark = (time.time(), tokens)
    mine = range(rank, args.rows, args.processes)
    left = what_is_left(step, args)
    while left > 0:
        lost = wait_while_paused(args.pause_file)
        mark, saved_at = (mark[0] + lost, mark[1]), saved_at + lost
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, left, args) * group["scale"]
        update(model, optimizer, mixture.batch(tokenizer, args.seed, step, mine, args.length, levels, shares), args, tally)
        step += 1
        tokens += args.rows * args.length
        left = what_is_left(step, args)
        if step % args.report_every == 0 or left <= 0:
            mean, hints, accuracy = tally.report(args.processes)
            levels = mixture.raise_levels(levels, accuracy, args.enough)
            if rank == 0:
                report(args, step, tokens, mean, hints, accuracy, levels, (tokens - mark[1]) / (time.time() - mark[0]))
            tally, mark = Tally(), (time.time(), tokens)
        if rank == 0 and (time.time() - saved_at > args.save_every or left <= 0):
            save(path, model, optimizer, step, tokens, levels, args)
            draw_curve(args.out)
            saved_at = time.time()


def report(args, step, tokens, loss, hints, accuracy, levels, speed):
    """A line for people and one for draw_curve."""
    tasks = " ".join("%s %.3f@%.2f" % (name, right, levels[name]) for name, right in accuracy.items())
    print("step %d  %.2fM tokens  %.0f tok/s  loss %.4f  hints %.3f  %s" % (step, tokens / 1e6, speed, loss, hints, tasks),
          flush=True)
    with open(os.path.join(args.out, "log.jsonl"), "a") as f:
        f.write(json.dumps({"step": step, "tokens": tokens, "loss": loss, "hints": hints, "accuracy": accuracy, "levels": levels,
                            "tokens_per_second": round(speed)}) + "\n")


def main():
    args = options()
    os.makedirs(args.out, exist_ok=True)
    open(os.path.join(args.out, "log.jsonl"), "a").close()
    meeting = os.path.join(args.out, "meeting")
    if os.path.exists(meeting):
        os.remove(meeting)
    if args.processes > 1:
        multiprocessing.spawn(train, (args,), args.processes)
    else:
        train(0, args)


if __name__ == "__main__":
    main()
