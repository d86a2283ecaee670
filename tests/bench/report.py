# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures as Markdown."""


def number(value, digits):
    """
    >>> number(1234.5678, 0), number(0.25, 2), number(12345.678, 1)
    ('1235', '0.25', '12345.7')
    """
    return f"{value:.{digits}f}"


def spread(value, digits):
    """The median, and how far the rounds reach.

    >>> spread({"median": 1, "min": 0.5, "max": 2}, 1)
    '1.0 (0.5-2.0)'
    >>> spread(None, 1)
    '-'
    """
    if value is None:
        return "-"
    return f"{number(value['median'], digits)} ({number(value['min'], digits)}-{number(value['max'], digits)})"


def markdown(lines):
    """A table, as good to read as text: LINES are the heading and the rows, all of strings; numbers stand right.

    >>> print(markdown([["way", "MB/s"], ["raw", "12"]]))
    | way | MB/s |
    |-----|-----:|
    | raw |   12 |
    """
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    right = [i > 0 and all(line[i][:1].isdigit() or line[i] == "-" for line in lines[1:]) for i in range(len(lines[0]))]
    rule = "|" + "|".join("-" * (width + 1) + (":" if side else "-") for width, side in zip(widths, right)) + "|"
    printed = ["| " + " | ".join(cell.rjust(width) if side else cell.ljust(width)
                                 for cell, width, side in zip(line, widths, right)) + " |" for line in lines]
    return "\n".join([printed[0], rule, *printed[1:]])


def bound(goal, aim=True):
    """
    >>> bound({"at least": 1, "at most": None, "aim": 1.3}), bound({"at least": None, "at most": 20, "aim": None})
    ('>= 1 (aim: 1.3)', '<= 20')
    """
    if goal["at least"] is None and goal["at most"] is None:
        return ""
    text = f">= {goal['at least']:g}" if goal["at most"] is None else f"<= {goal['at most']:g}"
    return text + (f" (aim: {goal['aim']:g})" if aim and goal["aim"] is not None else "")


def verdict(goal):
    """
    >>> verdict({"at least": 1, "at most": None, "aim": 1.3, "value": {"median": 1.1}})
    'kept'
    >>> verdict({"at least": None, "at most": 2, "aim": None, "value": {"median": 3}})
    'missed'
    """
    median = goal["value"]["median"]
    if goal["at least"] is None and goal["at most"] is None:
        return ""
    if (goal["at least"] is not None and median < goal["at least"]) or (goal["at most"] is not None and median > goal["at most"]):
        return "missed"
    if goal["aim"] is not None and (median >= goal["aim"] if goal["at least"] is not None else median <= goal["aim"]):
        return "kept, and the aim"
    return "kept"


def rows(result):
    figures = result["figures"]
    yield ["way", *(f"{figure['title']}, {figure['unit']}" if figure["unit"] else figure["title"] for figure in figures),
           "layout"]
    for row in result["rows"]:
        yield [row["way"], *(spread(row["values"].get(figure["key"]), figure["digits"]) for figure in figures), row["cpus"]]


def goals(result):
    figures = {figure["key"]: figure for figure in result["figures"]}
    for goal in result["goals"]:
        figure = figures[goal["figure"]]
        what = f"{goal['way']}: {figure['title']}"
        if goal["over"]:
            what += f", of that of {goal['over']}"
        elif figure["unit"]:
            what += f", {figure['unit']}"
        yield [what, goal["layout"], spread(goal["value"], 2 if goal["over"] else figure["digits"]), bound(goal), verdict(goal)]


COMPARISON = ["comparison", "layout", "median (min-max)", "goal", ""]


def summary(results):
    """What has a bound, of all tables."""
    return markdown([COMPARISON, *(line for result in results for line in goals(result) if line[3])])


def tables(result):
    """The rows of one table, its goals, and what could not be measured."""
    parts = [markdown(list(rows(result)))]
    if result["goals"]:
        parts.append(markdown([COMPARISON, *goals(result)]))
    parts += [f"Not measured: {one['way']}, {one['layout']}: {one['reason']}." for one in result["absent"]]
    return "\n\n".join(parts)


def machines(results):
    """What RESULTS were measured on, and with how much effort: once for all, as far as that is the same."""
    found = {}
    for result in results:
        effort = f"{result['rounds']} rounds, {result['effort']} in each where bytes or round trips are counted"
        lines = "\n".join(f"- {key}: {value}" for key, value in {**result["machine"], "effort": effort}.items())
        found.setdefault(lines, []).append(result)
    parts = []
    for lines, of in found.items():
        loads = [result["load"] for result in of]
        heading = "" if len(found) == 1 else f"{', '.join(result['table'] for result in of)}:\n\n"
        parts.append(f"{heading}{lines}\n- load before: {min(loads)} to {max(loads)}")
    return "\n\n".join(parts)


def goal(result):
    return f"Goal: {result['goal'][0].lower()}{result['goal'][1:]}"


def page(results):
    """All tables on one page, with their plots beside it."""
    parts = ["# Figures", machines(results), summary(results)]
    for result in results:
        parts += [f"## {result['title']}", goal(result), f"![{result['title']}]({result['table']}.svg)", tables(result)]
    return "\n\n".join(parts) + "\n"
