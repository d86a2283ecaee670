#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each installed header stands alone, in C and in C++: test-headers.py COMPILER... -- HEADER..."""

import os
import subprocess
import sys
import tempfile

compiler, headers = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
flags = subprocess.run(["pkg-config", "--cflags", "gio-2.0", "json-glib-1.0"], check=True, capture_output=True, text=True).stdout.split()
with tempfile.TemporaryDirectory() as folder:
    # As they are installed: all in one folder.
    for header in headers:
        os.symlink(header, os.path.join(folder, os.path.basename(header)))
    print(f"1..{2 * len(headers)}")
    number = 0
    for language in ("c", "c++"):
        for header in headers:
            number += 1
            name = os.path.basename(header)
            done = subprocess.run([*compiler, "-x", language, "-fsyntax-only", "-Wall", "-Werror", f"-I{folder}", *flags, "-"],
                                  input=f"#include <{name}>\n", capture_output=True, text=True)
            skipped = language == "c++" and "cc1plus" in done.stderr
            print(f"{'not ok' if done.returncode and not skipped else 'ok'} {number} - {language} {name}"
                  f"{' # SKIP there is no C++ compiler' if skipped else ''}")
            for line in done.stderr.splitlines() if done.returncode else []:
                print("#", line)
sys.exit(0)
