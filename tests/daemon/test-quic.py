#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links over QUIC: encrypted by the transport itself, and still there when this machine's address is another."""

import os
import shutil
import subprocess
import sys

from harness import Case, Node, main, trust_each_other, wait_for
from network import Namespace


class Quic(Case):
    def join(self, alpha, beta, endpoint):
        """Beta's link to alpha."""
        trust_each_other(alpha, beta)
        beta.do("connect", endpoint)
        return self.link(beta)

    def link(self, node):
        (link,) = node.ask("links")
        return link

    def talk(self, stream, said):
        """What comes back of a stream to echo."""
        stream.stdin.write(said)
        stream.stdin.flush()
        return stream.stdout.read(len(said))

    def end(self, stream):
        stream.stdin.close()
        self.assertEqual(stream.wait(), 0)

    def echo(self, node):
        return node.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Links(Quic):
    def test_a_link_is_encrypted_by_the_transport(self):
        for host in ("127.0.0.1", "[::1]"):
            with self.subTest(host):
                alpha = self.node("--listen", f"quic://{host}:0")
                beta = self.node(config="name='beta'\n")
                endpoint = alpha.listening("quic")
                link = self.join(alpha, beta, endpoint)
                self.assertEqual((link["transport"], link["encrypted"]), ("quic", True))
                self.assertEqual(link["remote"], endpoint)
                stream = self.echo(beta)
                said = bytes(range(256)) * 64
                self.assertEqual(self.talk(stream, said), said)
                self.end(stream)

    def ends_at_once(self, again):
        """Alpha is killed, and AGAIN, there is another one at its endpoint: beta's link ends long before its deadline."""
        alpha = self.node("--listen", "quic://127.0.0.1:0")
        beta = self.node(config="name='beta'\nping-interval=uint32 1000\nlink-timeout=uint32 60000\n")
        endpoint = alpha.listening("quic")
        link = self.join(alpha, beta, endpoint)
        alpha.kill()
        if again:
            Node(alpha.place, "--listen", endpoint)
        wait_for(lambda: link["path"] not in [each["path"] for each in beta.ask("links")], "the end of the link")

    def test_who_was_started_anew_says_so_at_once(self):
        if not os.path.exists("/etc/machine-id"):
            self.skipTest("this machine has no id (/etc/machine-id)")
        self.ends_at_once(again=True)

    def test_the_network_says_when_nobody_is_there(self):
        self.ends_at_once(again=False)

    def test_a_socket_that_somebody_shuts_is_replaced(self):
        alpha = self.node("--listen", "quic://127.0.0.1:0")
        beta = self.node(config="name='beta'\n", runner=[os.environ["SEVER"], "--allow"])
        endpoint = alpha.listening("quic")
        link = self.join(alpha, beta, endpoint)
        stream = self.echo(beta)
        for _ in range(3):
            done = subprocess.run([os.environ["SEVER"], str(beta.process.pid), f":{endpoint.rsplit(':', 1)[1]}:"], capture_output=True, text=True)
            if "ptrace" in done.stderr:
                self.skipTest(done.stderr.strip())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.talk(stream, b"still there"), b"still there")
        self.end(stream)
        self.assertEqual(self.link(beta)["path"], link["path"])

    def test_the_scheme_is_taken_from_the_stub(self):
        node = self.node()
        states = {p["name"]: p for p in node.ask("plugins")}
        self.assertEqual(states["quic"]["state"], "ready")
        self.assertIn("quic-stub", states)

    def test_the_stub_speaks_where_it_is_missing(self):
        place = self.place()
        folders = place.environment["HYPHA_PLUGIN_PATH"].split(":")
        place.environment["HYPHA_PLUGIN_PATH"] = ":".join(f for f in folders if os.path.basename(f) != "quic")
        node = Node(place, "--listen", "tcp://127.0.0.1:0")
        (stub,) = [p for p in node.ask("plugins") if p["name"].startswith("quic")]
        self.assertEqual(stub["state"], "unavailable")
        done = node.ctl("connect", "quic://127.0.0.1:4974")
        self.assert_fails(done, 1, "QUIC is not built in")


class Moving(Quic):
    """Alpha is at one end of a cable; beta moves."""

    network, far_host, how = "10.49.75.{}/24", "10.49.75.1", ()

    def setUp(self):
        if not shutil.which("ip"):
            self.skipTest("there is no ip (iproute2) to lay a cable")
        try:
            self.far, self.near = Namespace(), Namespace()
        except OSError as error:
            self.skipTest(f"no network namespaces can be made here: {error}")
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)
        try:
            self.near.join(self.far)
        except OSError as error:
            self.skipTest(f"no cable can be laid here: {error}")
        self.live(self.far, 1)
        self.live_at(2)
        with self.far:
            self.alpha = Node(self.place(), "--listen", f"quic://{self.far_host}:4974")
        with self.near:
            self.beta = Node(self.place(), config="name='beta'\n")
        self.before = self.join(self.alpha, self.beta, f"quic://{self.far_host}:4974")

    def live(self, where, n):
        where.ip("addr", "add", self.network.format(n), "dev", "wire", *self.how)

    def live_at(self, n):
        self.live(self.near, n)

    def leave(self, n):
        self.near.ip("addr", "del", self.network.format(n), "dev", "wire")

    def assert_same_link(self):
        self.assertEqual(self.link(self.beta)["path"], self.before["path"])

    def test_a_stream_goes_on_when_the_address_is_another(self):
        stream = self.echo(self.beta)
        self.assertEqual(self.talk(stream, b"before"), b"before")
        self.leave(2)
        self.live_at(3)
        self.assertEqual(self.talk(stream, b"after"), b"after")
        self.assert_same_link()
        self.end(stream)

    def test_a_stream_waits_while_there_is_no_address(self):
        stream = self.echo(self.beta)
        self.assertEqual(self.talk(stream, b"before"), b"before")
        self.leave(2)
        stream.stdin.write(b"meanwhile")
        stream.stdin.flush()
        self.live_at(4)
        self.assertEqual(stream.stdout.read(9), b"meanwhile")
        self.assert_same_link()
        self.end(stream)

    def test_it_moves_again_and_again_with_much_under_way(self):
        stream = self.echo(self.beta)
        for n in range(2, 6):
            stream.stdin.write(b"x" * 60000)
            stream.stdin.flush()
            self.leave(n)
            self.live_at(n + 1)
            self.assertEqual(stream.stdout.read(60000), b"x" * 60000)
        self.assert_same_link()
        self.end(stream)


class MovingByIPv6(Moving):
    # Nobody else could have the address: it need not be asked for.
    network, far_host, how = "fd00:4975::{}/64", "[fd00:4975::1]", ("nodad",)

    def setUp(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("this kernel has no IPv6")
        super().setUp()


if __name__ == "__main__":
    sys.exit(main())
