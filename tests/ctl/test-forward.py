#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl forward: what it adds leads to a peer's service, what it lists is so, and what it removes is gone."""

import json
import re
import socket
import sys

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

KEYS = ["local", "peer", "target", "state", "reason", "rx-bytes", "tx-bytes", "persistent", "reverse"]
ANY = "tcp://127.0.0.1:0"


class Forward(Case):
    """beta forwards to alpha."""

    def setUp(self):
        self.alpha = self.node("--listen", ANY)
        self.beta = self.node(config="name='beta'\n")
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))

    def tearDown(self):
        self.stop_all(self.alpha, self.beta)

    def ctl(self, *arguments):
        return self.beta.ctl("forward", *arguments)

    def add(self, *arguments):
        """Where it listens."""
        return self.beta.do("forward", "add", *arguments).removesuffix("\n")

    def remove(self, *arguments):
        self.assertEqual(self.beta.do("forward", "remove", *arguments), "")

    def list(self):
        return self.beta.ask("forward")

    def locals(self):
        return [forward["local"] for forward in self.list()]

    def port(self, local):
        self.assertRegex(local, r"^tcp://127\.0\.0\.1:[1-9][0-9]*$")
        return "127.0.0.1", int(local.rsplit(":", 1)[1])

    def echo(self, local, data=b"there and back"):
        with socket.create_connection(self.port(local), timeout=DEADLINE) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(b"".join(iter(lambda: connection.recv(65536), b"")), data)

    def test_forward_leads_to_the_service_and_counts(self):
        for peer in ("alpha", self.alpha.id(), self.alpha.id()[:8]):
            local = self.add(ANY, peer, "echo")
            [forward] = self.list()
            self.assertEqual(forward, {"local": local, "peer": peer, "target": "echo", "state": "listening", "reason": "",
                                       "rx-bytes": 0, "tx-bytes": 0, "persistent": False, "reverse": False})
            self.assertEqual(list(forward), KEYS)
            self.echo(local)
            wait_for(lambda: [(f["rx-bytes"], f["tx-bytes"]) for f in self.list()] == [(14, 14)], "the bytes")
            self.remove(local)
            self.assertEqual(self.list(), [])

    def test_what_is_printed(self):
        added = json.loads(self.beta.do("forward", "add", ANY, "alpha", "echo", "--json"))
        self.assertEqual(list(added), KEYS)
        self.port(added["local"])
        other = f"unix://{self.beta.place.private}/local"
        self.assertEqual(self.add(other, "alpha", "discard"), other)
        for words in ([], ["list"]):
            title, *rows = [line.split() for line in self.beta.do("forward", *words).splitlines()]
            self.assertEqual(title, ["LOCAL", "PEER", "TARGET", "STATE", "RECEIVED", "SENT", "REASON"])
            self.assertEqual([row[:4] for row in rows], [[added["local"], "alpha", "echo", "listening"],
                                                         [other, "alpha", "discard", "listening"]])

    def test_why_a_connection_came_to_nothing_is_listed(self):
        local = self.add(ANY, "alpha", "nosuch")
        with self.assertRaises(ConnectionResetError), socket.create_connection(self.port(local), timeout=DEADLINE) as connection:
            connection.recv(1)
        wait_for(lambda: "no such service" in self.list()[0]["reason"], "the reason")
        self.assertIn("no such service", self.beta.do("forward"))

    def test_what_cannot_be_added_says_why_and_leaves_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
            self.assert_fails(self.ctl("add", taken, "alpha", "echo"), 1, taken, "listens there already")
        self.assert_fails(self.ctl("add", ANY, "eve", "echo"), 1, "'eve'", "hyphactl peers")
        self.assert_fails(self.ctl("add", "nosuch://x", "alpha", "echo"), 1, "nosuch")
        self.assert_fails(self.ctl("add", "tcp://127.0.0.1", "alpha", "echo"), 1, "port")
        self.assert_fails(self.ctl("add", ANY, "alpha", "two words"), 1, "name")
        for form in ([], ["list"], ["remove", ANY]):
            self.assert_fails(self.ctl(*form, "--persist"), 2, "--persist goes with add only")
        self.assertEqual(self.list(), [])

    def test_remove_by_what_is_listed_or_given(self):
        first = self.add(ANY, "alpha", "echo")
        self.remove(ANY)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(self.port(first))
        made = [self.add(ANY, "alpha", target) for target in ("echo", "discard", "nosuch")]
        self.assert_fails(self.ctl("remove", ANY), 1, f"several forwards of '{ANY}'", *made, "alpha discard")
        # All or none.
        self.assert_fails(self.ctl("remove", made[0], "tcp://127.0.0.1:1"), 1, "no forward of 'tcp://127.0.0.1:1'",
                          "hyphactl forward lists")
        self.assertEqual(self.locals(), made)
        self.remove(made[0], made[2], made[0])
        self.assertEqual(self.locals(), made[1:2])
        self.remove(made[1], ANY)
        self.assertEqual(self.list(), [])
        self.assert_fails(self.ctl("remove", ANY), 1, f"no forward of '{ANY}'")

    def test_two_of_one_endpoint_in_the_settings_are_told_apart_there(self):
        local = f"unix://{self.beta.place.private}/local"
        entries = ", ".join(f"{{'local': <'{local}'>, 'peer': <'alpha'>, 'target': <'{target}'>}}" for target in ("echo", "discard"))
        self.beta.do("config", "set", "forwards", f"[{entries}]")
        wait_for(lambda: sorted(f["state"] for f in self.list()) == ["failed", "listening"], "one that listens")
        self.assert_fails(self.ctl("remove", local), 1, f"{local} alpha echo, {local} alpha discard", "hyphactl config get forwards")
        self.assertEqual(len(self.list()), 2)

    def test_persistent_one_is_there_after_a_restart_and_others_are_not(self):
        kept, lost = (f"unix://{self.beta.place.private}/{name}" for name in ("kept", "lost"))
        self.add(lost, "alpha", "echo")
        self.add(kept, "alpha", "echo")
        self.assertEqual([f["persistent"] for f in self.list()], [False, False])
        # Asked for again, it is the same, and kept from now on.
        self.add(kept, "alpha", "echo", "--persist")
        self.assertEqual([(f["local"], f["persistent"]) for f in self.list()], [(lost, False), (kept, True)])
        self.beta.stop()
        self.beta = Node(self.beta.place, config="")
        [forward] = wait_for(lambda: [f for f in self.list() if f["state"] == "listening"], "the forward")
        self.assertEqual((forward["local"], forward["target"], forward["persistent"]), (kept, "echo", True))
        self.remove(kept)
        self.assertTrue(re.search(r"(?m)^forwards=.*\[\]$", self.beta.config.read_text()), self.beta.config.read_text())


if __name__ == "__main__":
    sys.exit(main())
