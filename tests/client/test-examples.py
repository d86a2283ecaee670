#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of the READMEs, against the library that was just built."""

import os
import subprocess
import sys

from harness import DEADLINE, Case, main, trust_each_other

CLIENT, JSON, NODE = (os.environ[name] for name in ("EXAMPLE_CLIENT", "EXAMPLE_JSON", "EXAMPLE_NODE"))


class Examples(Case):
    def hyphad(self, name):
        return self.node(config=f"name='{name}'\nlisten=['tcp://127.0.0.1:0']\n")

    def test_client_prints_the_peers(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        trust_each_other(alpha, beta)
        beta.do("connect", alpha.listening("tcp"))
        beta.wait_peer("alpha", state="online")
        done = subprocess.run([CLIENT, beta.place.address], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (0, "alpha online\n"), done.stderr)

    def test_client_is_answered_in_json(self):
        web, near = self.hyphad("web1"), self.hyphad("near")
        trust_each_other(web, near, "web1", "near")
        near.do("connect", web.listening("tcp"))
        near.wait_peer("web1", state="online")
        done = subprocess.run([JSON, near.place.address], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (0, "world\n"), done.stderr)

    def test_node_is_reached_without_a_daemon(self):
        alpha = self.hyphad("alpha")
        endpoint = f"unix://{alpha.place.path}/node.sock"
        process = subprocess.Popen([NODE, str(alpha.place.private / "keys" / "identity"), endpoint, alpha.id()],
                                   stdout=subprocess.PIPE, text=True)
        alpha.place.processes.append(process)
        alpha.do("trust", process.stdout.readline().strip(), "embedded")
        alpha.do("connect", endpoint)
        alpha.ctl("open", "embedded", "ring", input="")
        self.assertEqual(process.stdout.readline(), "friend opens ring\n")
        self.assertEqual(process.wait(DEADLINE), 0)


if __name__ == "__main__":
    sys.exit(main())
