#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Direct streams between two daemons: the kernel moves the bytes, and no node."""

import hashlib
import os
import socket
import subprocess
import sys
import threading

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

BLOCK = 1 << 20
BLOCKS = 64


class Direct(Case):
    """alpha listens, beta dials."""

    def setUp(self):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", "--listen", self.unix, config="")
        self.beta = Node(self.place(), config="")
        trust_each_other(self.alpha, self.beta)

    def tearDown(self):
        self.stop_all(self.alpha, self.beta)

    def connect(self, endpoint=None):
        self.beta.do("connect", endpoint or self.unix)
        wait_for(lambda: self.alpha.peer("beta")["state"] == "online", "beta at alpha")

    def cat(self, node, peer, service, *options):
        return node.place.start_ctl("open", peer, service, *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, bufsize=0)

    def over_links(self, node):
        return sum(link["rx-bytes"] + link["tx-bytes"] for link in node.ask("links"))

    def assert_echo(self, node, peer):
        """64 MiB there and back, and nothing of it over a link."""
        block = os.urandom(BLOCK)
        cat = self.cat(node, peer, "echo", "--direct")

        def write():
            for _ in range(BLOCKS):
                cat.stdin.write(block)
            cat.stdin.close()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        wanted, got, total = hashlib.sha256(), hashlib.sha256(), 0
        for _ in range(BLOCKS):
            wanted.update(block)
        while piece := cat.stdout.read(BLOCK):
            got.update(piece)
            total += len(piece)
        self.assertEqual((cat.wait(DEADLINE), cat.stderr.read()), (0, b""))
        self.assertEqual((total, got.digest()), (BLOCK * BLOCKS, wanted.digest()))
        writer.join(DEADLINE)
        self.assertLess(self.over_links(node), BLOCK)

    def test_whoever_has_dialled(self):
        self.connect()
        self.assert_echo(self.beta, "alpha")
        self.assert_echo(self.alpha, "beta")

    def test_it_outlives_link_trust_and_its_opener_s_daemon(self):
        self.connect()
        cat = self.cat(self.beta, "alpha", "echo", "--direct")

        def goes_on():
            cat.stdin.write(b"x")
            self.assertEqual(cat.stdout.read(1), b"x")

        goes_on()
        self.beta.do("disconnect", "alpha")
        goes_on()
        self.beta.do("forget", "alpha")
        self.alpha.do("forget", "beta")
        goes_on()
        self.beta.stop()
        goes_on()
        cat.stdin.close()
        self.assertEqual((cat.stdout.read(), cat.wait(DEADLINE)), (b"", 0))

    def test_encrypted_link_is_refused_and_named(self):
        self.connect(self.alpha.listening("tcp"))
        self.assert_fails(self.beta.ctl("open", "alpha", "echo", "--direct", input="x"), 1,
                          "plain link over a kernel socket", "over tcp", "is encrypted")
        self.assertEqual(self.beta.ctl("open", "alpha", "echo", input="x").stdout, "x")

    def test_link_that_comes_and_goes_leaves_nothing_behind(self):
        self.connect()
        cats = [self.cat(self.beta, "alpha", "discard", "--direct") for _ in range(8)]
        self.beta.do("disconnect", "alpha")
        for cat in cats:
            cat.stdin.close()
            self.assertIn(cat.wait(DEADLINE), (0, 1))
        wait_for(lambda: not self.beta.ask("streams") and not self.alpha.ask("streams"), "an end of all streams")

    def test_target_is_led_to_and_both_learn_of_the_other_s_end(self):
        self.connect()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.alpha.do("config", "set", "services",
                          f"{{'app': {{'target': <'tcp://127.0.0.1:{server.getsockname()[1]}'>}}}}")
            cat = self.cat(self.beta, "alpha", "app", "--direct")
            target, _ = server.accept()
            with target:
                cat.stdin.write(b"there")
                self.assertEqual(target.recv(5), b"there")
                target.sendall(b"back")
                self.assertEqual(cat.stdout.read(4), b"back")
                target.shutdown(socket.SHUT_WR)
                self.assertEqual(cat.stdout.read(1), b"")
                cat.stdin.close()
                self.assertEqual(target.recv(1), b"")
            cat.wait(DEADLINE)
            cat = self.cat(self.beta, "alpha", "app", "--direct")
            target, _ = server.accept()
            with target:
                cat.stdin.write(b"there")
                self.assertEqual(target.recv(5), b"there")
                cat.kill()
                cat.wait(DEADLINE)
                target.settimeout(DEADLINE)  # a Unix socket knows no reset
                self.assertEqual(target.recv(1), b"")

    def test_option_and_feature_are_told(self):
        self.assertIn("direct", self.beta.ask("status")["features"])
        self.connect()
        path = f"/org/hypha/Node1/peer/{self.alpha.id()}"
        self.assert_fails(self.beta.call(path, "org.hypha.Peer1.OpenStream", "echo", "{'direct': <'yes'>}"), 1, "direct")


if __name__ == "__main__":
    sys.exit(main())
