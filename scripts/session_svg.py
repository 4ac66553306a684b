#!/usr/bin/env python3
"""Draws docs/session.svg, the terminal session at the top of README.md, from a real run.

    scripts/session_svg.py [PROGRAM] > docs/session.svg     PROGRAM: build/rwkv7 if not given
    scripts/session_svg.py --check [PROGRAM]                fails if docs/session.svg differs

The commands below run in a temporary folder with a copy of models/. Their output is the same on
every machine, so the picture is too. The test docs_session runs the check. Long lines are wrapped at
words. Where the viewer plays CSS animations, the lines appear one after the other.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from xml.sax.saxutils import escape

COMMANDS = [
    'rwkv7 run --quiet --seed 28 "Once upon a time"',
    "rwkv7 convert --quiet models/rwkv7-demo.safetensors small.safetensors --type q4",
    "rwkv7 info small.safetensors | grep -E 'version|parameters|memory'",
    "printf 'Story: Anna took the lamp. She went to the mill.\\nQ: Where is the lamp?\\nA:' |\n"
    "    rwkv7 run --quiet --temp 0 -m small.safetensors",
]
COLUMNS = 88
ROW = 20  # pixels
CHARACTER = 8.4  # pixels, of a monospace font of 14 pixels
MARGIN = 20
BAR = 34  # height of the window's title bar
STYLE = """
.w{fill:#fbfbfd;stroke:#c9ced6}.b{fill:#e9ebef}.t{fill:#24292f}.p{fill:#1a7f37}.c{fill:#0a3069;font-weight:600}
.h{fill:#57606a}
@media (prefers-color-scheme:dark){.w{fill:#161b22;stroke:#3d444d}.b{fill:#21262d}.t{fill:#d5dbe1}.p{fill:#56d364}
.c{fill:#a5d6ff}.h{fill:#9198a1}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
g{animation:show .01s both}@keyframes show{from{visibility:hidden}to{visibility:visible}}
@media (prefers-reduced-motion:reduce){g{animation:none}}
"""


def record(program, root):
    """Runs the commands; returns [command, output]."""
    work = tempfile.mkdtemp(prefix="rwkv7-session.")
    try:
        os.mkdir(os.path.join(work, "bin"))
        os.symlink(os.path.abspath(program), os.path.join(work, "bin", "rwkv7"))
        shutil.copytree(os.path.join(root, "models"), os.path.join(work, "models"))
        environment = {"PATH": os.path.join(work, "bin") + ":" + os.environ["PATH"], "HOME": work, "LC_ALL": "C"}
        session = []
        for command in COMMANDS:
            result = subprocess.run(["sh", "-c", command], cwd=work, env=environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, encoding="utf-8")
            session.append((command, result.stdout))
        return session
    finally:
        shutil.rmtree(work)


def draw(session):
    rows = []  # (class, text, seconds after which the row appears); None: an empty row
    seconds = 0.3
    for command, output in session:
        for number, line in enumerate(command.split("\n")):
            rows.append(("c", line if number else "$ " + line, seconds))
        for line in output.split("\n"):
            seconds += 0.3
            for number, part in enumerate(textwrap.wrap(line, COLUMNS, drop_whitespace=False, break_on_hyphens=False)):
                rows.append(("t", part.lstrip() if number else part, seconds))
                seconds += 0.1
        rows.append(None)
        seconds += 0.5
    rows.pop()
    width = round(2 * MARGIN + COLUMNS * CHARACTER)
    height = BAR + 2 * MARGIN - 8 + ROW * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
           "<title>A terminal session with rwkv7</title>",
           f"<style>{STYLE}</style>",
           f'<rect class="w" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
           f'<path class="b" d="M1 {BAR}V9a8 8 0 0 1 8-8h{width - 18}a8 8 0 0 1 8 8V{BAR}z"/>',
           f'<text class="h" x="{width // 2}" y="22" text-anchor="middle">rwkv7</text>']
    for number, row in enumerate(rows):
        if row is None:
            continue
        kind, text, appears = row
        y = BAR + MARGIN + 8 + ROW * number
        indent = len(text) - len(text.lstrip(" "))
        x = round(MARGIN + indent * CHARACTER, 1)
        line = escape(text[indent:].replace(" ", "\u00a0"))  # viewers do not collapse these spaces
        if kind == "c" and text.startswith("$ "):
            line = '<tspan class="p">$</tspan>' + line[1:]
        out.append(f'<g style="animation-delay:{appears:.2f}s"><text class="{kind}" x="{x:g}" y="{y}">{line}</text></g>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with docs/session.svg instead of printing")
    parser.add_argument("program", nargs="?", default=os.path.join(root, "build", "rwkv7"))
    args = parser.parse_args()
    picture = draw(record(args.program, root))
    if not args.check:
        sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.write(picture)
        return
    with open(os.path.join(root, "docs", "session.svg"), encoding="utf-8") as file:
        if file.read() != picture:
            sys.exit("docs/session.svg is not what the program prints: scripts/session_svg.py > docs/session.svg")


if __name__ == "__main__":
    main()
