#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds what libhypha-1.so exports as HYPHA_1 against what the installed headers declare: test-exports.py NM LIBRARY HEADER..."""

import re
import subprocess
import sys


def declared_in(text):
    """The functions that one header marks HYPHA_EXTERN."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"^#\s*define(?:.*\\\n)*.*$", "", text, flags=re.M)
    names = set()
    for statement in re.findall(r"\bHYPHA_EXTERN\b([^;)]*\))", text):
        macro = re.match(r"\s*G_DECLARE_\w+\s*\(\s*\w+\s*,\s*(\w+)", statement)
        function = re.match(r".*?(\w+)\s*\(", statement, flags=re.S)
        names.add(macro.group(1) + "_get_type" if macro else function.group(1))
    return names


def exported_by(nm, library):
    """The dynamic symbols that the library defines: sets of names by version node."""
    output = subprocess.run(
        [nm, "-D", "--defined-only", library], check=True, capture_output=True, text=True
    ).stdout
    exported = {}
    for kind, symbol in (line.split()[-2:] for line in output.splitlines()):
        if kind != "A":
            name, _, version = symbol.partition("@@")
            exported.setdefault(version, set()).add(name)
    return exported


def report(number, what, names):
    print("%s %d /exports/%s" % ("not ok" if names else "ok", number, what))
    for name in sorted(names):
        print("# " + name)


def main():
    nm, library, *headers = sys.argv[1:]
    declared = set()
    for header in headers:
        with open(header, encoding="utf-8") as stream:
            declared |= declared_in(stream.read())
    exported = exported_by(nm, library)
    public = exported.pop("HYPHA_1", set())
    # What hyphad, hyphactl and the tests of the same build use.
    exported.pop("HYPHA_PRIVATE", None)
    print("1..4")
    report(1, "headers-declare-something", set() if len(declared) > 50 else {"too few were found"})
    report(2, "nothing-that-no-header-declares", public - declared)
    report(3, "everything-that-the-headers-declare", declared - public)
    report(4, "nothing-without-a-version", set().union(*exported.values()))


main()
