#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""examples.py NAME OUTPUT: writes the example of that name in a README to a file, for those who compile it.

Every block of a README that is fenced as c, sh, ini, python or js has a name in a comment before it, and is run by that name in
tests/install. What cannot be run (it would install software, or needs another machine) is fenced as console.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FENCE = re.compile(r"(?:<!-- run: (?P<name>[\w-]+) -->\n)?^```(?P<language>c|sh|ini|python|js)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks():
    """The examples of all READMEs: name to text; those without a name under None."""
    found = {None: []}
    for path in sorted(ROOT.rglob("README.md")):
        if any(part.startswith(("_build", "build")) for part in path.relative_to(ROOT).parts):
            continue
        for match in FENCE.finditer(path.read_text()):
            if match["name"] is None:
                found[None].append(f"{path.relative_to(ROOT)}: {match['text'].splitlines()[0]}")
            else:
                found[match["name"]] = match["text"]
    return found


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_text(blocks()[sys.argv[1]])
