#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mirrors: the ports of a machine, on the loopback of another. Each machine is a network namespace, with nothing between
them but a Unix socket."""

import json
import re
import socket
import subprocess
import sys

from harness import DEADLINE, ROOT, Case, Node, main, trust_each_other, wait_for
from network import Namespace

MAX_PORTS = 256


class Machines(Case):
    """The servers are at alpha, in the namespace `far`; beta, in `near`, mirrors them."""

    peers = "'peers': <['beta']>"
    services = f"'tcp:*': {{'target': <'tcp://localhost:*'>, {peers}}}, 'ports': {{'target': <'ports'>, {peers}}}"

    def setUp(self):
        self.sockets = []
        try:
            self.far, self.near = Namespace(), Namespace()
        except OSError as error:
            self.skipTest(f"no network namespaces can be made here: {error}")
        place = self.place()
        self.link = f"unix://{place.private}/link"
        with self.far:
            self.alpha = Node(place, "--listen", self.link, "--listen", "tcp://127.0.0.1:0",
                              config=f"services={{{self.services}}}\n")
        with self.near:
            self.beta = Node(self.place(), config="name='beta'\n")
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.link)

    def tearDown(self):
        for each in self.sockets:
            each.close()
        self.stop_all(self.alpha, self.beta)
        self.far.close()
        self.near.close()

    # Servers and clients.

    def serve(self, host="127.0.0.1", port=0, where=None):
        with where or self.far:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            server = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
        server.settimeout(DEADLINE)
        self.sockets.append(server)
        return server, server.getsockname()[1]

    def connect(self, host, port):
        with self.near:
            connection = socket.create_connection((host, port), timeout=DEADLINE)
        self.sockets.append(connection)
        return connection

    def is_open(self, host, port):
        try:
            with self.near, socket.create_connection((host, port), timeout=DEADLINE):
                return True
        except ConnectionRefusedError:
            return False

    def assert_served(self, server, host, port):
        client = self.connect(host, port)
        client.sendall(b"asked")
        served, _ = server.accept()
        self.sockets.append(served)
        served.settimeout(DEADLINE)
        self.assertEqual(served.recv(5, socket.MSG_WAITALL), b"asked")
        served.sendall(b"answered")
        served.close()
        self.assertEqual(client.recv(8, socket.MSG_WAITALL), b"answered")
        self.assertEqual(client.recv(1), b"")
        client.close()

    # What is asked of beta, or of NODE.

    def mirror(self, local="tcp://127.0.0.1:*", peer="alpha", node=None):
        done = (node or self.beta).call(ROOT, "org.hypha.Node1.AddForward", local, peer, "tcp:*", "{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("objectpath '(.*)'", done.stdout)[1]

    def get(self, path, name, node=None):
        done = (node or self.beta).call(path, "org.freedesktop.DBus.Properties.Get", "org.hypha.Forward1", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.fullmatch(r"\(<(.*)>,\)\n", done.stdout)[1]

    def ports(self, path, node=None):
        text = self.get(path, "Ports", node)
        return [int(port) for port in re.findall("[0-9]+", text.removeprefix("@aq").replace("uint16", ""))]

    def wait_ports(self, path, ports, node=None):
        wait_for(lambda: self.ports(path, node) == sorted(ports), f"the ports {ports}")


class Mirror(Machines):
    def test_server_is_reached_at_the_same_port_for_as_long_as_it_is_there(self):
        four = self.mirror()
        six = self.mirror("tcp://[::1]:*")
        bytes_so_far = 0
        for host in ("127.0.0.1", "::1", "0.0.0.0", "::"):
            server, port = self.serve(host)
            for path in (four, six):
                self.wait_ports(path, [port])
            self.assertEqual((self.get(four, "State"), self.get(four, "Reason")), ("'listening'", "''"))
            bytes_so_far += len(b"answered")
            for path, near in ((four, "127.0.0.1"), (six, "::1")):
                self.assert_served(server, near, port)
                # Those of ports that are gone count, too.
                wait_for(lambda p=path, n=bytes_so_far: self.get(p, "RxBytes") == f"uint64 {n}", "the bytes")
            server.close()
            for path in (four, six):
                self.wait_ports(path, [])
            self.assertFalse(self.is_open("127.0.0.1", port))
            self.assertFalse(self.is_open("::1", port))

    def test_what_listens_elsewhere_or_for_the_node_itself_is_not_told(self):
        _, port = self.serve()
        self.serve("127.0.0.2")
        # The node has the port on one address, somebody else on the other.
        self.serve("::1", int(self.alpha.listening("tcp").rsplit(":", 1)[1]))
        reader = self.beta.place.start_ctl("open", "alpha", "ports", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL)
        self.assertEqual(json.loads(reader.stdout.readline()), [port])
        other, second = self.serve("::1")
        self.assertEqual(json.loads(reader.stdout.readline()), sorted([port, second]))
        other.close()
        self.assertEqual(json.loads(reader.stdout.readline()), [port])

    def test_ports_below_1024_are_mirrored_only_where_they_are_named(self):
        self.serve(port=80)
        _, high = self.serve()
        path = self.mirror()
        self.wait_ports(path, [high])
        named = self.mirror("tcp://127.0.0.2:*?ports=79-81,1023")
        self.wait_ports(named, [80])
        self.assertEqual(self.get(named, "Local"), "'tcp://127.0.0.2:*?ports=79-81,1023'")

    def test_port_that_is_taken_is_told_and_left_alone_until_it_is_free(self):
        server, port = self.serve()
        own, _ = self.serve(port=port, where=self.near)
        path = self.mirror()
        wait_for(lambda: f"port {port} is listened on here already" in self.get(path, "Reason"), "the reason")
        self.assertEqual(self.ports(path), [])
        own.close()
        self.wait_ports(path, [port])
        self.assertEqual(self.get(path, "Reason"), "''")
        self.assert_served(server, "127.0.0.1", port)

    def test_two_mirrors_of_the_same_port(self):
        server, port = self.serve()
        first, second = self.mirror(), self.mirror("tcp://0.0.0.0:*")
        self.wait_ports(first, [port])
        wait_for(lambda: "this very process" in self.get(second, "Reason"), "the reason")
        self.assertEqual(self.ports(second), [])
        self.assert_served(server, "127.0.0.1", port)
        self.beta.call(first, "org.hypha.Forward1.Remove")
        self.wait_ports(second, [port])

    def test_mirrors_of_each_other_show_no_ghosts(self):
        self.configure(self.beta, self.services.replace("beta", "alpha"))
        with self.far:
            back = self.mirror(peer="beta", node=self.alpha)
        path = self.mirror()
        server, port = self.serve()
        mine, other = self.serve(where=self.near)
        self.wait_ports(path, [port])
        self.wait_ports(back, [other], self.alpha)
        server.close()
        mine.close()
        self.wait_ports(path, [])
        self.wait_ports(back, [], self.alpha)
        self.assertFalse(self.is_open("127.0.0.1", port))

    def configure(self, node, services):
        file = node.config.with_suffix(".new")
        text = re.sub("(?m)^services=.*\n", "", node.config.read_text())
        file.write_text(text.rstrip("\n") + f"\nservices={{{services}}}\n")
        file.rename(node.config)
        wait_for(lambda: any(s["name"] == "ports" for s in node.ask("services")), "the service")

    def test_more_than_may_be_at_once_are_told(self):
        ports = [self.serve()[1] for _ in range(MAX_PORTS + 3)]
        path = self.mirror()
        wait_for(lambda: len(self.ports(path)) == MAX_PORTS, "all that may be")
        self.assertIn("the peer listens on 3 ports more", self.get(path, "Reason"))
        self.assertLess(set(self.ports(path)), set(ports))
        # Those that were there first stay, and another has a place when one goes.
        gone = self.ports(path)[0]
        next(s for s in self.sockets if s.fileno() >= 0 and s.getsockname()[1] == gone).close()
        wait_for(lambda: gone not in self.ports(path) and len(self.ports(path)) == MAX_PORTS, "another in its place")

    def test_peer_that_goes_takes_its_ports_along_and_brings_them_back(self):
        server, port = self.serve()
        path = self.mirror()
        self.wait_ports(path, [port])
        self.beta.do("disconnect", "alpha")
        self.wait_ports(path, [])
        wait_for(lambda: self.get(path, "State") == "'opening'" or self.ports(path), "what it waits for")
        self.beta.do("connect", self.link)
        self.wait_ports(path, [port])
        self.assert_served(server, "127.0.0.1", port)
        self.alpha.stop()
        self.wait_ports(path, [])
        self.assertFalse(self.is_open("127.0.0.1", port))

    def test_link_that_goes_takes_nothing_along(self):
        server, port = self.serve()
        path = self.mirror()
        self.wait_ports(path, [port])
        [link] = self.beta.peer("alpha")["links"]
        done = self.beta.call(link, "org.hypha.Link1.Close")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.beta.wait_peer("alpha", links=[])
        self.assertEqual((self.ports(path), self.get(path, "State")), ([port], "'listening'"))
        _, second = self.serve()
        self.beta.do("connect", self.link)
        self.assert_served(server, "127.0.0.1", port)
        self.wait_ports(path, [port, second])

    def test_peer_that_does_not_tell_is_named_and_asked_again(self):
        self.alpha.config.write_text(self.alpha.config.read_text().replace("<'ports'>", "<'off'>"))
        wait_for(lambda: all(s["name"] != "ports" for s in self.alpha.ask("services")), "its end")
        _, port = self.serve()
        path = self.mirror()
        wait_for(lambda: "'ports'" in self.get(path, "Reason"), "the reason")
        self.assertEqual(self.get(path, "State"), "'failed'")
        self.alpha.config.write_text(self.alpha.config.read_text().replace("<'off'>", "<'ports'>"))
        self.wait_ports(path, [port])

    def test_mirror_that_is_removed_closes_its_ports_and_no_connection(self):
        server, port = self.serve()
        path = self.mirror()
        self.wait_ports(path, [port])
        client = self.connect("127.0.0.1", port)
        served, _ = server.accept()
        self.sockets.append(served)
        done = self.beta.call(path, "org.hypha.Forward1.Remove")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.is_open("127.0.0.1", port))
        client.sendall(b"x")
        self.assertEqual(served.recv(1), b"x")

    def test_verb_mirrors_both_families_and_keeps_them(self):
        _, port = self.serve()
        self.serve(port=80)
        wide = ["tcp://127.0.0.1:*", "tcp://[::1]:*"]
        with self.near:
            self.assertEqual(self.beta.do("mirror", "alpha", "--persist").split(), wide)
        for path in self.paths():
            self.wait_ports(path, [port])
        self.assertEqual([f["persistent"] for f in self.beta.ask("forward")], [True, True])
        self.beta.do("forward", "remove", *wide)
        self.assertEqual(self.beta.ask("mirror", "alpha", "--ports", "80"),
                         [{"local": f"{local}?ports=80", "peer": "alpha", "target": "tcp:*", "reverse": False} for local in wide])
        for path in self.paths():
            self.wait_ports(path, [80])
        self.assert_fails(self.beta.ctl("mirror", "alpha", "--ports", "http"), 1, "'http' is not a decimal number")

    def test_verb_mirrors_this_machine_at_the_peer(self):
        wide = ["tcp://127.0.0.1:*", "tcp://[::1]:*"]
        self.configure(self.beta, self.services.replace("beta", "alpha"))
        self.assert_fails(self.beta.ctl("mirror", "alpha", "--reverse"), 1, "no such service")
        self.alpha.do("config", "set", "services", f"{{'forward': {{'target': <'forward'>, {self.peers}, 'listen': <{wide}>}}}}")
        mine, port = self.serve(where=self.near)
        self.serve(port=80, where=self.near)
        _, other = self.serve(where=self.near)
        taken, _ = self.serve(port=other)
        self.assertEqual(self.beta.do("mirror", "alpha", "--reverse").split(), wide)
        self.assertEqual([(f["local"], f["peer"], f["reverse"]) for f in self.beta.ask("forward")],
                         [(local, "alpha", True) for local in wide])
        four, six = self.paths()
        # The other port is taken there, whatever the family.
        self.wait_ports(four, [port])
        self.wait_ports(six, [port])
        wait_for(lambda: f"at alpha: port {other} is listened on here already" in self.get(four, "Reason"), "the reason")
        self.assertEqual(self.get(four, "State"), "'listening'")
        for there in self.paths(self.alpha):
            self.assertEqual(self.get(there, "Peer", self.alpha), "'beta'")
        taken.close()
        self.wait_ports(four, [port, other])
        # The other way round: who connects is at alpha.
        self.near, self.far = self.far, self.near
        self.assert_served(mine, "127.0.0.1", port)
        self.assert_served(mine, "::1", port)
        wait_for(lambda: self.get(four, "TxBytes") == "uint64 8", "the bytes")
        mine.close()
        for path in (four, six):
            self.wait_ports(path, [other])
        self.assertFalse(self.is_open("127.0.0.1", port))
        # Told again, with a filter: another one.
        self.beta.do("forward", "remove", *wide)
        wait_for(lambda: not self.paths(self.alpha), "the end of both")
        self.beta.do("mirror", "alpha", "--reverse", "--ports", "80")
        for path in self.paths():
            self.wait_ports(path, [80])

    def test_reverse_mirror_needs_the_ports_of_this_node(self):
        self.alpha.do("config", "set", "services",
                      f"{{'forward': {{'target': <'forward'>, {self.peers}, 'listen': <['tcp://127.0.0.1:*']>}}}}")
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", "tcp://127.0.0.1:*", "alpha", "tcp:*", "{'reverse': <true>}")
        self.assert_fails(done, 1, "at alpha: beta, service 'ports': the peer has no such service")
        self.assertEqual(self.paths(self.alpha), [])

    def paths(self, node=None):
        done = (node or self.beta).call(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        return sorted(set(re.findall(f"'({ROOT}/forward/[0-9]+)'", done.stdout)))

    def test_what_cannot_be_a_mirror_is_refused(self):
        for local, words in (("tcp://127.0.0.1:80", "'*' stands for a port"), ("tcp://127.0.0.1:*?ports=", "is empty"),
                             ("tcp://127.0.0.1:*?ports=9-1", "end before they begin"), ("tcp://127.0.0.1:*?cost=1", "no option but ports"),
                             ("tcp://127.0.0.1:*?ports=65536", "above 65535"), ("tcp://nowhere]:*", "tcp://nowhere]")):
            done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", local, "alpha", "tcp:*", "{}")
            self.assert_fails(done, 1, words)


if __name__ == "__main__":
    sys.exit(main())
