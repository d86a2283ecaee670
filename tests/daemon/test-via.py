#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests of one host, and of two, that reach each other through them."""

import hashlib
import os
import socket
import subprocess
import sys
import threading

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

MARK = b"nobody in the middle is to read this. "


class Recorder:
    """Passes on what goes over a Unix socket, and keeps it."""

    def __init__(self, path, target):
        self.target = target
        self.seen = bytearray()
        self.sockets = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        self.url = f"unix://{path}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.target)
            self.sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one, other):
        try:
            while data := one.recv(65536):
                self.seen += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for one in self.sockets:
            one.close()


class Nodes(Case):
    def host(self, peers, name="host"):
        """One that has its guests pass; nobody, if PEERS is None."""
        place = self.place()
        path = f"{place.private}/host"
        config = f"name='{name}'\n"
        if peers is not None:
            config += f"services={{'via': {{'target': <'transport'>, 'peers': <{peers!r}>}}}}\n"
        host = Node(place, "--listen", f"unix://{path}", config=config)
        host.socket = path
        host.name = name
        return host

    def guest(self, name, *listen):
        arguments = [word for endpoint in listen for word in ("--listen", endpoint)]
        guest = Node(self.place(), *arguments, config=f"name='{name}'\n")
        guest.name = name
        return guest

    def befriend(self, *pairs):
        for a, b in pairs:
            trust_each_other(a, b, a.name, b.name)

    def exchange(self, node, peer, data, service="echo"):
        done = node.ctl("open", peer, service, input=data, text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    def links(self, node, peer, transport="via"):
        return [link for link in node.ask("links", peer) if link["transport"] == transport]

    def wait_via(self, node, peer, **wanted):
        node.wait_peer(peer, state="online")
        return wait_for(lambda: next((link for link in self.links(node, peer) if all(link[k] == v for k, v in wanted.items())),
                                     None), f"a link of {node.name} to {peer} with {wanted}:\n{node.log()}")

    def set_services(self, node, text):
        node.do("config", "set", "services", text)


class OneHost(Nodes):
    def setUp(self):
        self.hub = self.host(["one", "two"])
        self.one = self.guest("one", "via://any")
        self.two = self.guest("two", "via://any")
        self.befriend((self.hub, self.one), (self.hub, self.two), (self.one, self.two))

    def tearDown(self):
        self.stop_all(self.one, self.two, self.hub)

    def test_guests_find_each_other_and_talk(self):
        for guest in (self.one, self.two):
            guest.do("connect", f"unix://{self.hub.socket}")
        link = self.wait_via(self.one, "two", active=True)
        self.assertTrue(link["encrypted"])
        self.assertEqual(link["static-cost"], 16)
        self.exchange(self.one, "two", os.urandom(16 * 1024 * 1024))
        self.exchange(self.two, "one", os.urandom(1024 * 1024))
        # One of the two that they dialled is left, and people see which way it goes.
        wait_for(lambda: len(self.links(self.one, "two")) == 1, "one link alone")
        self.assertRegex(self.links(self.one, "two")[0]["remote"], "^via://host/")
        chosen = next(way for way in self.one.ask("explain", "two") if way["chosen"])
        self.assertEqual((chosen["transport"], chosen["static-cost"]), ("via", 16))
        # It is no kernel socket from program to program.
        self.assert_fails(self.one.ctl("open", "--direct", "two", "echo", input=""), 1, "direct")
        # What the settings take back ends at once.
        self.set_services(self.hub, "{'via': {'target': <'transport'>, 'peers': <['one']>}}")
        wait_for(lambda: not self.links(self.one, "two") and not self.links(self.two, "one"), "the end of the links")

    def test_middle_sees_tls_alone(self):
        path = f"{self.one.place.private}/recorder"
        recorder = Recorder(path, self.hub.socket)
        self.addCleanup(recorder.close)
        self.one.do("connect", recorder.url)
        self.two.do("connect", f"unix://{self.hub.socket}")
        self.wait_via(self.one, "two", active=True)
        # To the host itself it is in the open: so what follows is not hidden by the hop.
        self.exchange(self.one, "host", MARK * 100)
        self.assertIn(MARK, bytes(recorder.seen))
        recorder.seen.clear()
        self.exchange(self.one, "two", MARK * 10000)
        self.assertGreater(len(recorder.seen), 2 * 10000 * len(MARK))
        self.assertNotIn(MARK, bytes(recorder.seen))

    def test_stop_does_not_wait_for_what_is_carried(self):
        for guest in (self.one, self.two):
            guest.do("connect", f"unix://{self.hub.socket}")
        self.wait_via(self.one, "two", active=True)
        for node in (self.one, self.hub, self.two):
            node.process.send_signal(15)
            self.assertEqual(node.process.wait(5), 0, node.log())
            node.check_log()


class NotNamed(Nodes):
    def test_host_that_does_not_name_it_refuses_and_says_so(self):
        hub = self.host(None)
        one = self.guest("one", "via://any")
        two = self.guest("two", "via://any")
        self.befriend((hub, one), (hub, two), (one, two))
        for guest in (one, two):
            guest.do("connect", f"unix://{hub.socket}")
        self.assert_fails(one.ctl("connect", "via://host/two"), 1, "host leads nothing on for this node", "'transport'", "'peers'")
        self.set_services(hub, "{'via': {'target': <'transport'>, 'peers': <['two']>}}")
        self.assert_fails(one.ctl("connect", "via://host/two"), 1, "host leads nothing on for this node")
        self.set_services(hub, "{'via': {'target': <'transport'>, 'peers': <['one']>}}")
        self.assert_fails(one.ctl("connect", "via://host/two"), 1, "does not lead there for this node")
        self.set_services(hub, "{'via': {'target': <'off'>}}")
        self.assert_fails(one.ctl("connect", "via://host/two"), 1, "host leads nothing on for this node")
        self.assert_fails(one.ctl("connect", "via://nobody/two"), 1, "no trusted peer is called 'nobody'")
        self.assert_fails(one.ctl("connect", f"via://host/{one.id()}"), 1, "this node is on the way itself")
        done = hub.ctl("config", "set", "services", "{'via': {'target': <'transport'>}}")
        self.assert_fails(done, 1, "'peers' is needed")
        for node in (one, two, hub):
            node.stop()


class TwoHosts(Nodes):
    def test_loss_of_the_middle_is_survived(self):
        hubs = [self.host(["one", "two"], name) for name in ("host", "other")]
        one = self.guest("one", "via://any")
        two = self.guest("two", "via://any")
        self.befriend((one, two), *((hub, guest) for hub in hubs for guest in (one, two)))
        for hub in hubs:
            for guest in (one, two):
                guest.do("connect", f"unix://{hub.socket}")
        for guest, peer in ((one, "two"), (two, "one")):
            wait_for(lambda: len(self.links(guest, peer)) >= 2, "a link through each host")
        data = os.urandom(4 * 1024 * 1024)
        client = one.place.start_ctl("open", "two", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        got = bytearray()

        def read():
            while chunk := client.stdout.read1(65536):
                got.extend(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        client.stdin.write(data[:len(data) // 2])
        client.stdin.flush()
        wait_for(lambda: len(got) > 0, "the first bytes back")
        [active] = [link for link in self.links(one, "two") if link["active"]]
        carrier = next(hub for hub in hubs if active["remote"].startswith(f"via://{hub.name}/"))
        carrier.kill()
        client.stdin.write(data[len(data) // 2:])
        client.stdin.close()
        self.assertEqual(client.wait(DEADLINE), 0, one.log())
        reader.join(DEADLINE)
        self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(data).digest())
        for node in (one, two, *(hub for hub in hubs if hub is not carrier)):
            node.stop()

    def test_guests_of_two_hosts(self):
        host = self.host(["one", "other"], "host")
        other = self.host(["two", "host"], "other")
        one = self.guest("one", "via://host")
        two = self.guest("two", "via://any")
        self.befriend((host, other), (host, one), (other, two), (one, two))
        host.do("connect", f"unix://{other.socket}")
        one.do("connect", f"unix://{host.socket}")
        two.do("connect", f"unix://{other.socket}")
        link = self.wait_via(one, "two", active=True)
        # Three hops, and two in the middle.
        self.assertEqual(link["static-cost"], 3 * 3 + 2 * 10)
        self.assertEqual(self.wait_via(two, "one", active=True)["static-cost"], 29)
        self.exchange(one, "two", os.urandom(4 * 1024 * 1024))
        for node in (one, two, host, other):
            node.stop()


if __name__ == "__main__":
    sys.exit(main())
