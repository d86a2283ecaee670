# SPDX-License-Identifier: LGPL-2.1-or-later
"""The figures in README.md, between two marks for each table: written from the JSON of a run, and by nobody's hand.

Run as a program, tells whether they are what the files in the folder figures say.
"""

import pathlib
import re
import shutil
import sys

import report
from processes import Failure
from results import read

HERE = pathlib.Path(__file__).resolve().parent
README = HERE / "README.md"
FIGURES = HERE / "figures"
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
# The blocks of what it was measured on, and of what came of all goals.
MACHINES, GOALS = "machines", "goals"
MORE = "<!-- more figures -->\n"  # where a table has its place that had none


def section(result):
    return f"{report.goal(result)}\n\n![{result['title']}](figures/{result['table']}.svg)\n\n{report.tables(result)}"


def fill(text, results):
    """TEXT with what is between the marks written anew, where RESULTS have something for it.

    >>> from unittest import mock
    >>> with mock.patch(__name__ + ".report"), mock.patch(__name__ + ".section", return_value="s"):
    ...     print(fill("<!-- figures: x -->\\nold\\n<!-- end -->\\n<!-- figures: y -->\\nold\\n<!-- end -->", [{"table": "x"}]))
    <!-- figures: x -->
    s
    <!-- end -->
    <!-- figures: y -->
    old
    <!-- end -->
    """
    new = {result["table"]: section(result) for result in results}
    if results:
        new.update({MACHINES: report.machines(results), GOALS: report.summary(results)})

    def replace(found):
        return f"{found[1]}{new[found[2]]}\n{found[3]}" if found[2] in new else found[0]

    return BLOCK.sub(replace, text)


def make_places(text, results):
    """TEXT with a place for each of RESULTS.

    >>> make_places("<!-- figures: x -->\\n<!-- end -->\\n" + MORE, [{"table": "x"}]).count("figures: x")
    1
    >>> print(make_places(MORE, [{"table": "x", "title": "X"}]), end="")
    ### X
    <BLANKLINE>
    <!-- figures: x -->
    <!-- end -->
    <BLANKLINE>
    <!-- more figures -->
    """
    there = {found[1] for found in BLOCK.findall(text)}
    for result in results:
        if result["table"] not in there:
            place = f"### {result['title']}\n\n<!-- figures: {result['table']} -->\n<!-- end -->\n\n"
            text = text.replace(MORE, place + MORE)
    return text


def take(folder):
    """Takes over what a run has written to FOLDER: the files, and the figures in README.md."""
    if not read(folder):
        raise Failure(f"{folder}: no figures here; --out writes some")
    FIGURES.mkdir(exist_ok=True)
    if folder.resolve() != FIGURES:
        for result in read(folder):
            for kind in ("json", "svg"):
                shutil.copyfile(folder / f"{result['table']}.{kind}", FIGURES / f"{result['table']}.{kind}")
    results = read(FIGURES)
    README.write_text(fill(make_places(README.read_text(), results), results))


def main():
    text = README.read_text()
    if fill(text, read(FIGURES)) == text:
        return 0
    print(f"{README}: the figures are not those of the folder figures: ./dev bench --readme tests/bench/figures", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
