"""Runs the examples of docs/PYTHON.md and python/README.md.

Blocks marked `pycon` are sessions, checked by doctest. Blocks marked `python` are programs, which
must run. All blocks of a page run in one namespace, in a folder with a copy of models/.
"""

import contextlib
import doctest
import io
import os
import shutil
import sys
import tempfile
import unittest

from common import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "docs"))
from markdown import blocks, read_lines  # noqa: E402  pylint: disable=wrong-import-position


class DocsTest(unittest.TestCase):
    def check(self, *page):
        path, names, count = os.path.join(ROOT, *page), {}, 0
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
        for language, first, lines in blocks(read_lines(path)):
            text = "\n".join(lines) + "\n"
            if language == "pycon":
                test = doctest.DocTestParser().get_doctest(text, names, page[-1], path, first - 1)
                runner.run(test, clear_globs=False)
                names = test.globs
            elif language == "python":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile("\n" * (first - 1) + text, path, "exec"), names)
            count += language in ("pycon", "python")
        self.assertGreater(count, 0)
        self.assertEqual(runner.summarize(verbose=False).failed, 0)

    def test_pages(self):
        folder, old = tempfile.mkdtemp(), os.getcwd()
        try:
            shutil.copytree(os.path.join(ROOT, "models"), os.path.join(folder, "models"))
            os.chdir(folder)
            self.check("docs", "PYTHON.md")
            self.check("python", "README.md")
        finally:
            os.chdir(old)
            shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main()
