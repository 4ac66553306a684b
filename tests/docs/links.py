#!/usr/bin/env python3
"""Checks what the pages refer to:  links.py ROOT

* relative links and pictures lead to files of the repository, and #anchors to headings;
* files named in backticks (`src/...`, `docs/...`, ...) exist; names with the placeholder NAME are passed over;
* lines have at most 100 columns, except rows of tables and lines without a space to break at.
"""
import os
import re
import sys
import unicodedata

from markdown import pages, read_lines

WIDTH = 100
FOLDERS = r"(?:src|include|tests|docs|scripts|cmake|examples|models|\.ci)"


def anchors(lines):
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    fenced = False
    for line in lines:
        fenced ^= line.startswith("```")
        heading = re.match(r"#+ (.*)", line)
        if fenced or not heading:
            continue
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
        anchor = "".join(c for c in text if c in "-_ " or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        number = 0
        while (name := anchor if number == 0 else f"{anchor}-{number}") in found:
            number += 1
        found.add(name)
    return found


def check_page(root, page, report):
    lines = read_lines(page)
    fenced = False
    count = 0
    for number, line in enumerate(lines, 1):
        fenced ^= line.startswith("```")
        if len(line) > WIDTH and not line.startswith("|") and " " in line.strip(" *-")[:WIDTH]:
            report(number, f"{len(line)} columns, at most {WIDTH}")
        if fenced or line.startswith("    "):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", line) + re.findall(r'(?:src|srcset|href)="([^"]+)"', line):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(path):
                report(number, f"no such file: {target}")
            elif anchor and anchor not in anchors(read_lines(path)):
                report(number, f"no such heading: {target}")
        for name in re.findall(rf"`({FOLDERS}/[\w./-]+)`", line):
            count += 1
            if "NAME" not in name and not os.path.exists(os.path.join(root, name)):
                report(number, f"no such file: {name}")
    return count


def main():
    root = sys.argv[1]
    failures = []
    count = 0
    found = pages(root)
    for page in found:
        name = os.path.relpath(page, root)
        count += check_page(root, page, lambda number, text: failures.append(f"{name}:{number}: {text}"))
    print("\n".join(failures + [f"{len(found)} pages, {count} links and names of files, {len(failures)} failures"]))
    sys.exit(bool(failures) or count == 0)


if __name__ == "__main__":
    main()
