#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two nodes in one machine, over its vsock loopback, CID 1. Runs in a machine of run.py's."""

import os
import subprocess
import sys

from crossing import active, cross
from harness import ROOT, Case, Node, main, trust_each_other, wait_for

MIB = 1 << 20


class Alone(Case):
    def pair(self, *endpoints):
        self.alpha = self.node(*[word for endpoint in endpoints for word in ("--listen", endpoint)])
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        for scheme in [endpoint.split(":")[0] for endpoint in endpoints]:
            self.beta.do("connect", self.alpha.listening(scheme))

    def tearDown(self):
        for node in (self.alpha, self.beta):
            node.stop()

    def test_file_there_and_back_in_tls(self):
        self.pair("vsock://1:0")
        [link] = self.beta.ask("links", "alpha")
        self.assertEqual((link["transport"], link["remote"], link["encrypted"], link["active"]),
                         ("vsock", self.alpha.listening("vsock"), True, True))
        data = os.urandom(6 * MIB)
        done = self.beta.ctl("open", "alpha", "echo", input=data, text=False)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)

    def test_port_below_1024_is_plain(self):
        self.pair("vsock://1:974")
        for node in (self.alpha, self.beta):
            [link] = node.ask("links")
            self.assertEqual((link["transport"], link["encrypted"]), ("vsock", False))
        [link] = self.alpha.ask("links")
        self.assertTrue(link["remote"].startswith("vsock://1:"), link["remote"])
        data = os.urandom(6 * MIB)
        done = self.beta.ctl("open", "alpha", "echo", input=data, text=False)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)

    def test_cheapest_link_that_works_and_not_a_byte_lost(self):
        """Each pair of nodes talks over the cheapest link that works, and streams move to another without losing a byte."""
        self.pair("tcp://127.0.0.1:0", "vsock://1:0")
        both = (self.alpha, self.beta)
        for node in both:
            wait_for(lambda: active(node.ask("links")) == "vsock", "vsock in use")
        ways = {way["transport"]: way for way in self.beta.ask("explain", "alpha")}
        self.assertLess(ways["vsock"]["cost"], ways["tcp"]["cost"])
        self.assertEqual([name for name, way in ways.items() if way["chosen"]], ["vsock"])
        endpoint = self.alpha.listening("vsock")

        def vsock_goes():
            done = self.alpha.call(ROOT, "org.hypha.Node1.Unlisten", endpoint)
            self.assertEqual(done.returncode, 0, done.stderr)
            # From outside: neither node is told.
            subprocess.run([os.environ["SEVER"], str(self.alpha.process.pid), endpoint + "/"], check=True)
            for node in both:
                wait_for(lambda: active(node.ask("links")) == "tcp", "TCP in use")
        sent, back = cross(self.beta, "alpha", [vsock_goes], 16 * MIB)
        self.assertEqual(sent, back)
        self.assertEqual([link["transport"] for link in self.beta.ask("links")], ["tcp"])
        done = self.alpha.call(ROOT, "org.hypha.Node1.Listen", endpoint, "{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        for node in both:
            wait_for(lambda: active(node.ask("links")) == "vsock", "vsock in use again")

    def test_transport_tells_what_the_kernel_has(self):
        self.pair("vsock://1:0")
        [vsock] = [t for t in self.alpha.ask("transports") if t["name"] == "vsock"]
        self.assertTrue(vsock["available"])
        self.assertEqual((vsock["details"]["loopback"], vsock["details"]["guests"], vsock["details"]["local-cid"]), (True, True, 2))


if __name__ == "__main__":
    sys.exit(main())
