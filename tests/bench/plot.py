# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures as SVG: bars with the goals drawn across them, or lines over how much there is to do.

On a ground of its own, which follows the reader's choice of light or dark where the viewer knows it.
"""

import math
from xml.sax.saxutils import escape

from report import bound, number

WIDTH = 980
GAP = 28  # between two panels
BAR = 16
STEP = 26  # from one bar to the next
LINE = 15  # of text
LETTER, SMALL = 7, 5.8  # the width of a letter, more or less
PLOT_HEIGHT = 220  # of a panel of lines
BAR_ROOM = 0.70  # of a panel's width for the longest bar; its figure stands behind it
COLOURS = 4

STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.ground { fill: #ffffff } text { fill: #24292f; stroke: #ffffff; stroke-width: 3px; paint-order: stroke; stroke-linejoin: round } .title { font-size: 15px; font-weight: 600 } .head { font-weight: 600 }
.small, .small tspan { font-size: 10.5px; fill: #57606a } .grid { stroke: #d8dee4 } .axis { stroke: #8c959f }
.other { fill: #a9b4c0 } .ours { fill: #3a7bd5 } .reach { stroke: #24292f; stroke-width: 1.2 }
.goal { stroke: #c4432b; stroke-width: 1.5; stroke-dasharray: 5 3 } text.goal { stroke: #ffffff; stroke-width: 3px; stroke-dasharray: none; fill: #b23a22; font-size: 10.5px }
.line { fill: none; stroke-width: 2 } .s0 { stroke: #3a7bd5 } .s1 { stroke: #c98a12 } .s2 { stroke: #2e8b57 } .s3 { stroke: #8e57c2 }
.flat { stroke-dasharray: 2 4; stroke-width: 1.2 } .d0 { fill: #3a7bd5 } .d1 { fill: #c98a12 } .d2 { fill: #2e8b57 } .d3 { fill: #8e57c2 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #e6edf3; stroke: #0d1117 } .small, .small tspan { fill: #9da7b3 } .grid { stroke: #2a313a } .axis { stroke: #6e7681 }
.other { fill: #56616d } .ours { fill: #4f8fe8 } .reach { stroke: #e6edf3 } .goal { stroke: #ff8a70 } text.goal { fill: #ff9d87; stroke: #0d1117 }
}
"""


class Drawing:
    """Shapes and words, in the order in which they are drawn."""

    def __init__(self):
        self.shapes = []

    def rectangle(self, x, y, width, height, style):
        self.shapes.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}"/>')

    def line(self, x1, y1, x2, y2, style):
        self.shapes.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def path(self, points, style):
        at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.shapes.append(f'<polyline points="{at}" class="{style}"/>')

    def dot(self, x, y, style):
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="{style}"/>')

    def text(self, x, y, words, style="", anchor="start"):
        self.shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>')

    def svg(self, height, title):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
                f'role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
                f'<rect width="100%" height="100%" class="ground"/>\n' + "\n".join(self.shapes) + "\n</svg>\n")


def svg(result):
    """The plot of one table's result."""
    drawing = Drawing()
    drawing.text(12, 24, result["title"], "title")
    drawing.text(12, 42, f"medians of {result['rounds']} rounds; the thin line reaches from the least to the most", "small")
    if result["rows"]:
        height = draw_lines(drawing, result, 58) if result["lines"] else draw_bars(drawing, result, 58)
    else:
        drawing.text(12, 70, "Nothing of it could be measured here.")
        height = 90
    return drawing.svg(height, result["title"])


def ticks(top, most=4):
    """Where an axis from 0 to TOP is marked: at most MOST times, at round numbers.

    >>> ticks(10), ticks(0.7), ticks(2600)
    ([0, 5, 10], [0.0, 0.2, 0.4, 0.6000000000000001], [0, 1000, 2000])
    """
    if top <= 0:
        return [0]
    power = 10 ** math.floor(math.log10(top / most))
    step = next(factor * power for factor in (1, 2, 5, 10) if top / (factor * power) <= most)
    return [step * i for i in range(int(top / step + 1e-9) + 1)]


def tick_text(value):
    return f"{value:.6g}"


def titled(figure):
    return f"{figure['title']}, {figure['unit']}" if figure["unit"] else figure["title"]


def panels(figures, gutter):
    """The left edge and the width of each figure's panel."""
    width = (WIDTH - gutter - 16 - GAP * (len(figures) - 1)) / len(figures)
    return [(gutter + i * (width + GAP), width) for i in range(len(figures))]


def goal_lines(result, layout, figure):
    """What the goals of FIGURE amount to: the value, whose goal it is, and what it is called."""
    for goal in result["goals"]:
        limit = goal["at least"] if goal["at least"] is not None else goal["at most"]
        if goal["figure"] != figure["key"] or goal["layout"] != layout or limit is None:
            continue
        base = 1
        if goal["over"]:
            base = next(row["values"][figure["key"]]["median"] for row in result["rows"]
                        if (row["way"], row["layout"]) == (goal["over"], layout))
        yield limit * base, goal["way"], f"goal {bound(goal, aim=False)}" + (f" x {goal['over']}" if goal["over"] else "")


# ---- bars ----

def draw_bars(drawing, result, y):
    layouts = list(dict.fromkeys(row["layout"] for row in result["rows"]))
    places = panels(result["figures"], 40 + LETTER * max(len(row["way"]) for row in result["rows"]))
    for (x, _), figure in zip(places, result["figures"]):
        drawing.text(x, y + 12, titled(figure), "head")
        drawing.text(x, y + 26, f"{figure['better']} is better", "small")
    y += 36
    for layout in layouts:
        rows = [row for row in result["rows"] if row["layout"] == layout]
        drawing.text(12, y + 12, layout, "head")
        bottom = y + 20 + STEP * len(rows)
        for i, row in enumerate(rows):
            drawing.text(24, y + 20 + STEP * i + BAR - 3, row["way"])
        lowest = bottom
        for place, figure in zip(places, result["figures"]):
            lowest = max(lowest, draw_bar_panel(drawing, result, rows, figure, place, y + 20, bottom))
        y = lowest + 14
    return y


def draw_bar_panel(drawing, result, rows, figure, place, top, bottom):
    """One figure in one layout; returns how far down it goes."""
    x, width = place
    ours = {goal["way"] for goal in result["goals"] if bound(goal)} | {row["way"] for row in rows if row.get("ours")}
    values = [row["values"].get(figure["key"]) for row in rows]
    lines = list(goal_lines(result, rows[0]["layout"], figure))
    most = max([value["max"] / BAR_ROOM for value in values if value] + [at / 0.97 for at, *_ in lines] + [1e-9])

    def at(value):
        return x + value / most * width

    for tick in ticks(most):
        drawing.line(at(tick), top - 4, at(tick), bottom, "grid")
        drawing.text(at(tick), bottom + 12, tick_text(tick), "small", "middle")
    drawing.line(x, top - 4, x, bottom, "axis")
    for i, (row, value) in enumerate(zip(rows, values)):
        y = top + STEP * i
        if value is not None:
            drawing.rectangle(x, y, at(value["median"]) - x, BAR, "ours" if row["way"] in ours else "other")
            drawing.line(at(value["min"]), y + BAR / 2, at(value["max"]), y + BAR / 2, "reach")
    shared = len({way for _, way, _ in lines}) == 1  # then it may go through all, for comparison
    for value, way, _ in lines:
        y = top if shared else top + STEP * [row["way"] for row in rows].index(way)
        drawing.line(at(value), y - 4, at(value), bottom if shared else y + BAR + 4, "goal")
    labels = list(dict.fromkeys((value, words) for value, _, words in lines))
    for i, (value, words) in enumerate(labels):
        drawing.text(min(at(value), x + width + GAP / 2 - SMALL * len(words)), bottom + 12 + LINE * (i + 1), words, "goal")
    for i, value in enumerate(values):
        y = top + STEP * i
        if value is None:
            drawing.text(x + 4, y + BAR - 4, "-", "small")
        else:
            drawing.text(max(at(value["max"]), at(value["median"])) + 5, y + BAR - 4, number(value["median"], figure["digits"]))
    return bottom + 12 + LINE * len(labels)


# ---- lines ----

def draw_lines(drawing, result, y):
    series = list(dict.fromkeys(row["series"] for row in result["rows"]))
    x = 12
    for i, name in enumerate(series):
        drawing.line(x, y + 8, x + 22, y + 8, f"line s{i % COLOURS}")
        drawing.text(x + 28, y + 12, name)
        x += 40 + LETTER * len(name)
    drawing.line(x, y + 8, x + 22, y + 8, "reach flat")
    drawing.text(x + 28, y + 12, "as the first point: flat")
    for place, figure in zip(panels(result["figures"], 60), result["figures"]):
        draw_line_panel(drawing, result, series, figure, place, y + 30)
    return y + 30 + 34 + PLOT_HEIGHT + 46


def draw_line_panel(drawing, result, series, figure, place, y):
    left, width = place
    left, width = left + 10, width - 30
    drawing.text(left - 30, y + 12, titled(figure), "head")
    drawing.text(left - 30, y + 26, f"{figure['better']} is better", "small")
    top, bottom = y + 36, y + 36 + PLOT_HEIGHT
    rows = [row for row in result["rows"] if figure["key"] in row["values"]]
    most = max([row["values"][figure["key"]]["max"] for row in rows] + [1e-9]) * 1.08
    places = sorted({row["x"] for row in result["rows"]})
    reach = math.log(places[-1] / places[0]) or 1

    def across(value):
        return left + math.log(value / places[0]) / reach * width

    def up(value):
        return bottom - value / most * PLOT_HEIGHT

    for tick in ticks(most, 5):
        drawing.line(left - 6, up(tick), left + width + 6, up(tick), "grid")
        drawing.text(left - 10, up(tick) + 4, tick_text(tick), "small", "end")
    for place_x in places:
        drawing.text(across(place_x), bottom + 16, f"{place_x:g}", "small", "middle")
    drawing.text(left + width / 2, bottom + 32, result["x title"] or "", "small", "middle")
    drawing.line(left - 6, bottom, left + width + 6, bottom, "axis")
    drawing.line(left - 6, top, left - 6, bottom, "axis")
    for i, name in enumerate(series):
        points = sorted(((row["x"], row["values"][figure["key"]]) for row in rows if row["series"] == name), key=lambda point: point[0])
        if not points:
            continue
        first = up(points[0][1]["median"])
        drawing.line(across(points[0][0]), first, left + width, first, f"flat s{i % COLOURS}")
        drawing.path([(across(at), up(value["median"])) for at, value in points], f"line s{i % COLOURS}")
        for at, value in points:
            drawing.line(across(at), up(value["min"]), across(at), up(value["max"]), "reach")
            drawing.dot(across(at), up(value["median"]), f"d{i % COLOURS}")
