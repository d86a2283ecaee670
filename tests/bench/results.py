# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures in a folder: a JSON file and a plot for each table, and a page of them all."""

import json

import plot
import report


def write(folder, result):
    """What was measured of one table, and the page of all that are in FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result['table']}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{result['table']}.svg").write_text(plot.svg(result))
    (folder / "README.md").write_text(report.page(read(folder)))


def read(folder):
    """What is in FOLDER, in order."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=lambda result: (result["order"], result["table"]))
