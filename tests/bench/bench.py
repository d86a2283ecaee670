#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures Hypha beside what else does the same, in turn within each round. README.md says how to read it."""

import argparse
import pathlib
import resource
import signal
import sys

import machine
import readme
import report
import results
from measuring import measure, say, wanted_ways
from processes import Failure
from stand import on_alarm
from table import all_tables

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "wire"))  # for the ways that use it

BRIEF = {"rounds": 1, "megabytes": 2, "pings": 20}
FULL = {"rounds": 7, "megabytes": 1024, "pings": 2000}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=lambda text: pathlib.Path(text).resolve(), help="a build directory")
    parser.add_argument("--rounds", type=int, help=f"default: {FULL['rounds']}")
    parser.add_argument("--megabytes", type=int, help="10^6 bytes through each way in each round")
    parser.add_argument("--pings", type=int, help="round trips through each way in each round")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD",
                        help="only these tables, or rows whose name has one of these in it, with what they are compared with")
    parser.add_argument("--brief", action="store_true", help="as little of everything as shows that it runs")
    parser.add_argument("--list", action="store_true", help="name tables and rows, and measure nothing")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="write Markdown, JSON and SVG there; more runs may add to it")
    parser.add_argument("--readme", type=pathlib.Path, metavar="DIR",
                        help="measure nothing: take what --out has written to DIR over into figures/ and README.md")
    options = parser.parse_args()
    for key, value in (BRIEF if options.brief else FULL).items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    if min(options.rounds, options.megabytes, options.pings) < 1:
        parser.error("nothing can be measured with less than 1")
    return options


def print_result(result):
    print(f"## {result['title']}\n\n{report.goal(result)}\n\n{report.tables(result)}\n", flush=True)


def run(tables, options):
    """Measures one table after the other; whether all went well."""
    well = True
    about = machine.describe(options.build)
    first = True
    for table in tables:
        try:
            result = measure(table, options.build, options)
        except Failure as failure:
            say(f"bench: {table.name}: {failure}")
            well = False
            continue
        result["machine"] = about
        if first:
            print(report.machines([result]) + "\n")
            first = False
        print_result(result)
        if options.out:
            results.write(options.out, result)
    return well


def main():
    options = parse_options()
    if options.readme:
        readme.take(options.readme)
        return 0
    options.tables = [table.name for table in all_tables()]
    tables = [table for table in all_tables() if wanted_ways(table, options.only, options.tables)]
    if not tables:
        raise Failure(f"no table and no row is called {' or '.join(options.only)}")
    if options.list:
        for table in tables:
            ways = wanted_ways(table, options.only, options.tables)
            print(f"{table.name}: {table.title}", *(f"    {way.name}" for way in ways), sep="\n")
        return 0
    # A thousand streams are a thousand descriptors, and more.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGALRM, on_alarm)
    return 0 if run(tables, options) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
