# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a table to its figures: a dictionary that is written as JSON, and all that report and plot are made of."""

import contextlib
import os
import statistics
import sys

from processes import Unavailable
from stand import Stand


def measure(table, build, options):
    """Every row of TABLE once in each round; None if the command line wants none of it."""
    with contextlib.ExitStack() as at_end:
        stand = Stand(build, options, at_end)
        absent = []
        rows = make_rows(table, stand, wanted_ways(table, options.only, options.tables), absent)
        samples = [{} for _ in rows]
        load = round(os.getloadavg()[0], 1)
        for number in range(1, options.rounds + 1):
            for row, values in zip(rows, samples):
                for key, value in row.measure().items():
                    values.setdefault(key, []).append(value)
            say(f"{table.name}: round {number} of {options.rounds}")
        return {**result(table, rows, samples, absent, options), "load": load}


def wanted_ways(table, words, tables=()):
    """All, if a word is the table's name; otherwise those that have a word in theirs, and what they are compared with. A word that
    names another of the TABLES is about that one alone.

    >>> from types import SimpleNamespace as N
    >>> one, two, three = N(name="a b"), N(name="b"), N(name="c")
    >>> table = N(name="t", ways=[one, two, three], goals=[N(way=one, over=three)])
    >>> [[way.name for way in wanted_ways(table, [word])] for word in ("t", "a", "c", "d")]
    [['a b', 'b', 'c'], ['a b', 'c'], ['a b', 'c'], []]
    >>> [[way.name for way in wanted_ways(table, words, ["t", "b"])] for words in (["b"], ["a", "b"])]
    [[], ['a b', 'c']]
    """
    if not words or table.name in words:
        return list(table.ways)
    words = [word for word in words if word not in tables]
    chosen = [way for way in table.ways if any(word in way.name for word in words)]
    partners = [way for goal in table.goals for way in (goal.way, goal.over) if goal.way in chosen or goal.over in chosen]
    return [way for way in table.ways if way in chosen or way in partners]


def make_rows(table, stand, ways, absent):
    rows = []
    for layout in table.layouts:
        for way in ways:
            try:
                rows.append(way(stand, layout))
            except Unavailable as reason:
                absent.append({"way": way.name, "layout": layout.name, "reason": str(reason)})
    return rows


def result(table, rows, samples, absent, options):
    return {
        "table": table.name, "order": table.order, "title": table.title, "goal": table.goal, "lines": table.lines,
        "x title": table.x_title, "rounds": options.rounds,
        "effort": f"{options.megabytes} MB and {options.pings} round trips",
        "figures": [figure._asdict() for figure in table.figures],
        "rows": [{"way": row.name, "layout": row.layout.name, "cpus": row.describe_layout(), "ours": row.ours,
                  "series": row.series, "x": row.x, "values": {key: spread(of) for key, of in values.items()}}
                 for row, values in zip(rows, samples)],
        "goals": list(judge_goals(table, rows, samples)),
        "absent": absent,
    }


def judge_goals(table, rows, samples):
    """Each goal in each layout in which it could be measured."""
    for goal in table.goals:
        for layout in table.layouts:
            mine = samples_of(goal.way, layout, goal.figure, rows, samples)
            base = samples_of(goal.over, layout, goal.figure, rows, samples)
            if not mine or (goal.over and not base):
                continue
            values = [a / b for a, b in zip(mine, base)] if goal.over else mine
            yield {"way": goal.way.name, "layout": layout.name, "figure": goal.figure.key,
                   "over": goal.over.name if goal.over else None, "at least": goal.at_least, "at most": goal.at_most,
                   "aim": goal.aim, "value": spread(values)}


def samples_of(way, layout, figure, rows, samples):
    for row, values in zip(rows, samples):
        if type(row) is way and row.layout is layout:
            return values.get(figure.key)
    return None


def spread(values):
    """The median of VALUES and how far they reach, with themselves in the order of the rounds.

    >>> spread([3, 1, 2.000000001])
    {'median': 2.0, 'min': 1.0, 'max': 3.0, 'rounds': [3.0, 1.0, 2.0]}
    """
    values = [float(f"{value:.6g}") for value in values]
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}


def say(text):
    print(text, file=sys.stderr, flush=True)
