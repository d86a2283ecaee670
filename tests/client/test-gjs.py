#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as programs in JavaScript see it: each test runs a scenario of bindings.js beside real nodes."""

import pathlib
import shutil
import subprocess
import sys

if shutil.which("gjs") is None:
    print("1..0 # SKIP gjs is not installed")
    sys.exit(0)

from harness import DEADLINE, Case, main, trust_each_other  # noqa: E402

SCRIPT = pathlib.Path(__file__).parent / "bindings.js"


class JavaScript(Case):
    def run_scenario(self, *arguments):
        done = subprocess.run(["gjs", SCRIPT, *arguments], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)

    def hyphad(self, name):
        return self.node(config=f"name='{name}'\nlisten=['tcp://127.0.0.1:0']\n")

    def test_lists_peers_and_follows_them(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        self.run_scenario("peers", beta.place.address, alpha.id())

    def test_reads_and_writes_streams_and_learns_how_they_end(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        trust_each_other(alpha, beta)
        beta.do("connect", alpha.listening("tcp"))
        self.run_scenario("streams", beta.place.address)

    def test_calls_in_json(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        trust_each_other(alpha, beta)
        beta.do("connect", alpha.listening("tcp"))
        self.run_scenario("json", beta.place.address)

    def test_dials_and_listens_bare(self):
        self.run_scenario("bare")

    def test_holds_a_node(self):
        alpha = self.hyphad("alpha")
        process = subprocess.Popen(["gjs", SCRIPT, "embedded"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        alpha.place.processes.append(process)
        alpha.do("trust", process.stdout.readline().strip(), "embedded")
        process.stdin.write(f"{alpha.id()} {alpha.listening('tcp')}\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "ready\n")
        answer = alpha.ctl("open", "embedded", "greet", input="hello")
        self.assertEqual((answer.returncode, answer.stdout), (0, "you said hello"), answer.stderr)
        self.assertEqual(process.wait(DEADLINE), 0)


if __name__ == "__main__":
    sys.exit(main())
