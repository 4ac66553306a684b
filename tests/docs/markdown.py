"""The Markdown pages of the repository, and their fenced blocks."""
import os


def pages(root):
    """Paths of all .md files below root, except in build folders and hidden ones."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "build", "_CPack")) or f == ".ci")
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".md")]
    return found


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")


def blocks(lines):
    """Yields (language, number of the first line inside, lines inside) for every fenced block."""
    language = None
    for number, line in enumerate(lines, 1):
        if language is None and line.startswith("```"):
            language, first, inside = line[3:].strip(), number + 1, []
        elif language is not None and line.startswith("```"):
            yield language, first, inside
            language = None
        elif language is not None:
            inside.append(line)
    if language is not None:
        raise SystemExit(f"a block that begins at line {first - 1} is not closed")
