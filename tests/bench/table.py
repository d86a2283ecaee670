# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured side by side. To add one is to add a file to the folder tables; README.md says how."""

import importlib
import pathlib

from layout import ONE_CORE


class Table:
    """Ways that are compared with each other, in turn within each round."""

    name = None  # one word: for --only, and of the files that are written
    order = 100  # where it stands among the others
    title = None
    goal = None  # what is wanted, in a sentence
    ways = ()
    layouts = (ONE_CORE,)  # every way is measured in each
    figures = ()  # the columns
    goals = ()
    lines = False  # plotted as lines over Way.x rather than as bars
    x_title = None


def all_tables():
    found = []
    for path in sorted((pathlib.Path(__file__).parent / "tables").glob("*.py")):
        module = importlib.import_module(f"tables.{path.stem}")
        found += [one for one in vars(module).values()
                  if isinstance(one, type) and issubclass(one, Table) and one.__module__ == module.__name__]
    return sorted(found, key=lambda table: (table.order, table.name))
