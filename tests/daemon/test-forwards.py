#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forwards: local endpoints whose connections go to a peer's services."""

import hashlib
import os
import re
import socket
import sys
import threading

from harness import DEADLINE, ROOT, Case, Node, connect_to, main, trust_each_other, wait_for

HARD = b"\1\0\0\0\0\0\0\0"


class Sides(Case):
    """beta forwards to alpha, whose service `web` is the test's own."""

    def setUp(self):
        self.connections = []
        self.target = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.target.close)
        self.target.settimeout(DEADLINE)
        web = f"services={{'web': {{'target': <'tcp://127.0.0.1:{self.target.getsockname()[1]}'>}}}}\n"
        self.alpha = Node(self.place(), "--listen", "tcp://127.0.0.1:0", config=web)
        self.beta = Node(self.place(), config="name='beta'\n")
        trust_each_other(self.alpha, self.beta)
        self.link = self.alpha.listening("tcp")
        self.beta.do("connect", self.link)

    def tearDown(self):
        # A node that ends would wait for their streams.
        for connection in self.connections:
            connection.close()
        self.stop_all(self.alpha, self.beta)

    # What a program asks of beta.

    def add(self, local="tcp://127.0.0.1:0", peer="alpha", target="echo", persist=False):
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", local, peer, target, "{'persist': <true>}" if persist else "{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("objectpath '(.*)'", done.stdout)[1]

    def refused(self, error, *arguments):
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", *arguments)
        self.assert_fails(done, 1, f"org.hypha.Error.{error}: ")
        return done.stderr

    def get(self, path, name):
        done = self.beta.call(path, "org.freedesktop.DBus.Properties.Get", "org.hypha.Forward1", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.fullmatch(r"\(<(?:uint64 )?['\"]?(.*?)['\"]?>,\)\n", done.stdout)[1]

    def remove(self, path):
        done = self.beta.call(path, "org.hypha.Forward1.Remove")
        self.assertEqual(done.returncode, 0, done.stderr)

    def paths(self):
        done = self.beta.call(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        return re.findall(f"'({ROOT}/forward/[0-9]+)'", done.stdout)

    # Programs at both ends.

    def connect(self, path):
        connection = connect_to(self.get(path, "Local"))
        self.connections.append(connection)
        return connection

    def accept(self):
        connection, _ = self.target.accept()
        connection.settimeout(DEADLINE)
        self.connections.append(connection)
        return connection

    def read(self, connection):
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def echo(self, path, data=b"there and back"):
        connection = self.connect(path)
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        self.assertEqual(self.read(connection), data)
        sender.join()

    def assert_reset(self, path):
        with self.assertRaises(ConnectionResetError):
            # Whoever is not served is never at an end.
            self.read(self.connect(path))


class Forwards(Sides):
    def test_tcp_and_unix_with_what_is_told_of_them(self):
        for local in ("tcp://127.0.0.1:0", f"unix://{self.beta.place.private}/local"):
            path = self.add(local)
            self.assertEqual([self.get(path, name) for name in ("Peer", "Target", "State", "Reason")],
                             ["alpha", "echo", "listening", ""])
            self.assertNotEqual(self.get(path, "Local"), "tcp://127.0.0.1:0")
            self.assertEqual(self.get(path, "Given"), local)
            data = os.urandom(3_000_000)
            self.echo(path, data)
            wait_for(lambda: self.get(path, "RxBytes") != "0", "the end")
            self.assertEqual((self.get(path, "RxBytes"), self.get(path, "TxBytes")), ("3000000", "3000000"))
        self.assertEqual(len(self.paths()), 2)

    def test_peer_by_id_and_by_its_beginning(self):
        for peer in (self.alpha.id(), self.alpha.id()[:6]):
            self.echo(self.add(peer=peer))

    def test_a_hundred_connections_at_once(self):
        path = self.add()
        local = self.get(path, "Local").rsplit(":", 1)
        wrong = []

        def one(number):
            data = hashlib.sha256(bytes([number])).digest() * 4000
            with socket.create_connection(("127.0.0.1", int(local[1])), timeout=DEADLINE) as connection:
                sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
                sender.start()
                if hashlib.sha256(self.read(connection)).digest() != hashlib.sha256(data).digest():
                    wrong.append(number)
                sender.join()
        threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        wait_for(lambda: self.get(path, "RxBytes") == str(100 * 4000 * 32), "all bytes")

    def test_half_close_both_ways(self):
        for local in ("tcp://127.0.0.1:0", f"unix://{self.beta.place.private}/local"):
            path = self.add(local, target="web")
            for first in ("client", "server"):
                client = self.connect(path)
                server = self.accept()
                one, other = (client, server) if first == "client" else (server, client)
                one.sendall(b"that is all")
                one.shutdown(socket.SHUT_WR)
                self.assertEqual(self.read(other), b"that is all")
                other.sendall(b"still here")
                other.close()
                self.assertEqual(self.read(one), b"still here")

    def test_reset_of_the_target_is_a_reset_of_the_connection(self):
        path = self.add(target="web")
        client = self.connect(path)
        server = self.accept()
        server.sendall(b"half of")
        self.assertEqual(client.recv(7, socket.MSG_WAITALL), b"half of")
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
        server.close()
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        wait_for(lambda: self.get(path, "Reason"), "a reason")
        # The next one ends well, and the reason is over.
        client = self.connect(path)
        client.shutdown(socket.SHUT_WR)
        self.accept().close()
        self.assertEqual(client.recv(1), b"")
        wait_for(lambda: not self.get(path, "Reason"), "an end of the reason")

    def test_reset_of_the_connection_is_a_reset_of_the_target(self):
        client = self.connect(self.add(target="web"))
        server = self.accept()
        client.sendall(b"half of")
        self.assertEqual(server.recv(7, socket.MSG_WAITALL), b"half of")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
        client.close()
        with self.assertRaises(ConnectionResetError):
            server.recv(1)

    def test_close_stream_resets_the_connection(self):
        client = self.connect(self.add(target="web"))
        server = self.accept()
        [stream] = self.beta.ask("streams")
        self.beta.call(f"{ROOT}/peer/{self.alpha.id()}", "org.hypha.Peer1.CloseStream", str(stream["id"]))
        for end in (client, server):
            with self.assertRaises(ConnectionResetError):
                end.recv(1)

    def test_who_is_not_served_is_reset_and_the_reason_told(self):
        for peer, target, reason in (("alpha", "nosuch", "no such service"), ("eve", "echo", "no peer is called 'eve'")):
            path = self.add(peer=peer, target=target)
            self.assert_reset(path)
            wait_for(lambda p=path, r=reason: r in self.get(p, "Reason"), "the reason")
            self.assertEqual(self.get(path, "State"), "listening")
        path = self.add(target="web")
        self.target.close()
        self.assert_reset(path)
        wait_for(lambda: self.get(path, "Reason"), "the reason")

    def test_connection_waits_for_a_peer_that_is_offline(self):
        path = self.add()
        self.beta.do("disconnect", "alpha")
        self.beta.wait_peer("alpha", links=[])
        connection = self.connect(path)
        connection.sendall(b"early")
        self.assertEqual(self.beta.ask("streams"), [])
        self.beta.do("connect", self.link)
        self.assertEqual(connection.recv(5, socket.MSG_WAITALL), b"early")

    def test_port_that_is_taken_is_told_and_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            local = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
            # Whoever asks is told, and nothing is left behind.
            self.refused("AddressInUse", local, "alpha", "echo", "{}")
            self.assertEqual(self.paths(), [])
            self.configure(f"[{{'local': <'{local}'>, 'peer': <'alpha'>, 'target': <'echo'>}}]")
            [path] = wait_for(self.paths, "the forward")
            wait_for(lambda: self.get(path, "State") == "failed", "the failure")
            self.assertIn(local, self.get(path, "Reason"))
        wait_for(lambda: self.get(path, "State") == "listening", "another try")
        self.assertEqual(self.get(path, "Reason"), "")
        self.echo(path)

    def configure(self, forwards):
        text = re.sub("(?m)^forwards=.*\n", "", self.beta.config.read_text())
        file = self.beta.config.with_suffix(".new")
        file.write_text(text.rstrip("\n") + f"\nforwards={forwards}\n")
        file.rename(self.beta.config)

    def test_settings_that_change_leave_alone_what_they_do_not_concern(self):
        one = "{'local': <'tcp://127.0.0.1:0'>, 'peer': <'alpha'>, 'target': <'web'>}"
        self.configure(f"[{one}]")
        [path] = wait_for(self.paths, "the forward")
        wait_for(lambda: self.get(path, "State") == "listening", "a listening one")
        local = self.get(path, "Local")
        client = self.connect(path)
        server = self.accept()
        runtime = self.add()
        another = f"{{'local': <'unix://{self.beta.place.private}/another'>, 'peer': <'alpha'>, 'target': <'echo'>}}"
        self.configure(f"[{one.replace('web', 'echo')}, {one}, {another}]")
        wait_for(lambda: len(self.paths()) > 2, "another")
        # The one of the run time is there already, and is the settings' from now on.
        self.assertEqual(len(self.paths()), 3)
        self.assertLess({path, runtime}, set(self.paths()))
        self.assertEqual(self.get(path, "Local"), local)
        self.configure("[]")
        wait_for(lambda: not self.paths(), "the end of all")
        # But not of the connection.
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")

    def test_settings_that_are_wrong_are_told(self):
        good = "'local': <'tcp://127.0.0.1:0'>, 'peer': <'alpha'>"
        for number, (entry, words) in enumerate((
                ("{%s}" % good, "'local', 'peer' and 'target' are needed"),
                ("{%s, 'target': <'echo'>, 'reverse': <1>}" % good, "'reverse' of type i is not known"),
                ("{%s, 'target': <'two words'>}" % good, "name"),
                ("{'local': <'nowhere'>, 'peer': <'alpha'>, 'target': <'echo'>}", "nowhere"),
                ("{'local': <'tcp://127.0.0.1:0'>, 'peer': <''>, 'target': <'echo'>}", "a peer is a name"))):
            self.configure(f"[{{{good}, 'target': <'web'>}}, {entry}]")
            self.beta.wait_log(f"line [0-9]+: forwards = .*entry 2: .*{words}.*last good value stays")
        self.assertEqual(self.paths(), [])

    def test_persistent_ones_come_back_and_removed_ones_do_not(self):
        local = f"unix://{self.beta.place.private}/local"
        path = self.add(local, persist=True)
        gone = self.add(f"{local}-gone", persist=True)
        self.add(f"{local}-brief")
        self.remove(gone)
        self.assertEqual(len(self.paths()), 2)
        self.beta.stop()
        self.beta = Node(self.beta.place, config="")
        [path] = self.paths()
        wait_for(lambda: self.get(path, "State") == "listening", "the forward")
        self.assertEqual([self.get(path, name) for name in ("Local", "Peer", "Target")], [local, "alpha", "echo"])
        self.beta.do("connect", self.link)
        self.echo(path)
        self.remove(path)
        self.assertNotIn("local'", self.beta.config.read_text().split("forwards=")[1].splitlines()[0])

    def test_what_is_there_already_is_given_again(self):
        local = f"unix://{self.beta.place.private}/local"
        path = self.add(local)
        self.assertEqual(self.get(path, "Persistent"), "false")
        self.assertEqual(self.add(local, persist=True), path)
        self.assertEqual(self.get(path, "Persistent"), "true")
        self.refused("AddressInUse", local, "alpha", "web", "{}")
        self.assertEqual(self.paths(), [path])
        self.beta.stop()
        self.beta = Node(self.beta.place, config="")
        self.assertEqual(len(self.paths()), 1)

    def test_remove_ends_listening_and_no_connection(self):
        path = self.add(target="web")
        local = self.get(path, "Local")
        client = self.connect(path)
        server = self.accept()
        self.remove(path)
        self.assertEqual(self.paths(), [])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(local.rsplit(":", 1)[1])))
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")
        self.assert_fails(self.beta.call(path, "org.hypha.Forward1.Remove"), 1, "UnknownMethod")

    def test_calls_with_bad_arguments(self):
        self.refused("InvalidEndpoint", "tcp://127.0.0.1", "alpha", "echo", "{}")
        self.refused("NoTransport", "nosuch://x", "alpha", "echo", "{}")
        for peer, target in (("", "echo"), ("x" * 65, "echo"), ("two words", "echo"), ("alpha", ""), ("alpha", "x" * 256),
                             ("alpha", "\x1b[31m")):
            self.refused("InvalidArgument", "tcp://127.0.0.1:0", peer, target, "{}")
        self.assertIn("frob", self.refused("InvalidArgument", "tcp://127.0.0.1:0", "alpha", "echo", "{'frob': <1>}"))
        self.assertEqual(self.paths(), [])


class Deadline(Sides):
    def trust_somebody(self):
        somebody = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
        self.beta.do("trust", somebody, "eve")
        return somebody

    def test_peer_that_does_not_come_is_a_reset_at_the_deadline(self):
        path = self.add(peer=self.trust_somebody())
        self.assert_reset(path)
        self.assertIn("there was no link to", self.get(path, "Reason"))

    def test_node_that_stops_resets_what_is_open_and_what_waits(self):
        path = self.add(target="web")
        client = self.connect(path)
        self.accept()
        waiting = self.connect(self.add(peer=self.trust_somebody()))
        self.beta.stop()
        for connection in (client, waiting):
            with self.assertRaises(ConnectionResetError):
                connection.recv(1)


if __name__ == "__main__":
    sys.exit(main())
