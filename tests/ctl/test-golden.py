#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every verb prints, byte for byte: on terminals of 40, 80 and 120 columns, into a pipe, as JSON.

`test-golden.py --write` (with the environment that meson sets, see README.md) writes the files of golden/ anew: look at the
difference before it is committed.
"""

import os
import subprocess
import sys
from unicodedata import east_asian_width

from fake import DEADLINE, HERE, HYPHACTL, LAPTOP, WEB, FakeCase, Terminal
from harness import main

WRITE = "--write" in sys.argv
# Name of the file to the words. What prints nothing has an empty file: that, too, is to stay so.
VERBS = {
    "status": ["status"], "id": ["id"], "transports": ["transports"], "plugins": ["plugins"], "peers": ["peers"],
    "pending": ["pending"], "links": ["links"], "links-of-peer": ["links", "Läptöp-電腦"], "streams": ["streams"],
    "services": ["services"], "forward": ["forward"],
    "forward-of-add": ["forward", "add", "tcp://127.0.0.1:8080", "web1", "http"],
    "mirror": ["mirror", "web1"],
    "forward-of-remove": ["forward", "remove", "tcp://127.0.0.1:22"], "config-of-list": ["config", "list"],
    "explain": ["explain", "web1"], "connect": ["connect", "tcp://web1.example.org:4974"], "disconnect": ["disconnect", "web1"],
    "trust": ["trust", LAPTOP, "laptop"], "forget": ["forget", "web1"], "wait": ["wait", "web1"],
    "error-peer": ["explain", "nobody"], "error-verb": ["stauts"], "error-words": ["trust", "x"],
}


class Golden(FakeCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = None

    def fake(self):
        """The scene does not change, so one does for all."""
        cls = type(self)
        if cls.shared is None:
            from fake import Fake
            from harness import Place
            place = Place()
            cls.addClassCleanup(place.close)
            cls.shared = Fake(place)
            cls.shared.set_scene()
        return cls.shared

    def hold(self, name, got):
        path = HERE / "golden" / name
        if WRITE:
            path.write_bytes(got)
            return
        self.assertEqual(got.decode(), path.read_bytes().decode(), f"differs from golden/{name}")

    def run_piped(self, words, *options):
        place = self.fake().place
        return subprocess.run([HYPHACTL, "--address", place.address, *options, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**place.environment, "COLUMNS": "20"}, timeout=DEADLINE)

    def hold_piped(self, suffix, *options):
        for name, words in VERBS.items():
            done = self.run_piped(words, *options)
            self.assertEqual(done.returncode, {"error-peer": 1, "error-verb": 2, "error-words": 2}.get(name, 0), done.stdout)
            self.hold(f"{name}.{suffix}", done.stdout)

    def test_into_a_pipe_nothing_is_cut_whatever_columns_says(self):
        self.hold_piped("txt")

    def test_json(self):
        self.hold_piped("json", "--json")

    def hold_terminal(self, columns):
        for name, words in VERBS.items():
            _, seen = Terminal(self.fake().place, "--color", "never", *words, columns=columns).finish()
            self.hold(f"{name}.{columns}", seen.encode())

    def test_terminal_of_40_columns(self):
        self.hold_terminal(40)

    def test_terminal_of_80_columns(self):
        self.hold_terminal(80)

    def test_terminal_of_120_columns(self):
        self.hold_terminal(120)

    def test_no_line_is_longer_than_the_terminal(self):
        for columns in (20, 33, 40, 57, 63, 80):
            for name, words in VERBS.items():
                if name.startswith("error") or name in ("id", "connect"):  # sentences and ids, which a terminal wraps itself
                    continue
                _, seen = Terminal(self.fake().place, "--color", "never", *words, columns=columns).finish()
                for line in seen.splitlines():
                    self.assertLessEqual(sum(2 if east_asian_width(c) in "WF" else 1 for c in line), columns, (name, line))

    def test_help_of_every_verb_fits_the_terminal(self):
        place = self.fake().place
        verbs = [line.split("\t")[0] for line in self.run_piped(["complete", ""]).stdout.decode().splitlines()]
        self.assertIn("wait", verbs)
        for verb in [[], *([verb] for verb in verbs)]:
            for columns in (60, 80):
                status, seen = Terminal(place, *verb, "--help", columns=columns).finish()
                self.assertEqual(status, 0, seen)
                self.assertLessEqual(max(len(line) for line in seen.splitlines()), columns, seen)

    def test_colours(self):
        for name in ("peers", "links", "explain", "plugins", "status", "forward"):
            _, seen = Terminal(self.fake().place, *VERBS[name], columns=120).finish()
            self.hold(f"{name}.colours", seen.encode())

    def test_no_file_is_left_over(self):
        names = {f"{name}.{suffix}" for name in VERBS for suffix in ("txt", "json", "40", "80", "120")}
        names |= {f"{name}.colours" for name in ("peers", "links", "explain", "plugins", "status", "forward")}
        self.assertEqual(sorted(os.listdir(HERE / "golden")), sorted(names))


if __name__ == "__main__":
    if WRITE:
        sys.argv.remove("--write")
    sys.exit(main())
