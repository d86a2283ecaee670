#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl mux: any program reaches a peer's services by a socket, as it reaches a machine by its VMM's."""

import os
import pathlib
import socket
import stat
import sys

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for


class Mux(Case):
    """host has a mux to guest."""

    def setUp(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        self.server, self.port = server, server.getsockname()[1]
        self.guest = self.node("--listen", "tcp://127.0.0.1:0",
                               config="services={'port:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['host']>}}\n")
        self.host = self.node()
        trust_each_other(self.guest, self.host, "guest", "host")
        self.host.do("connect", self.guest.listening("tcp"))
        self.path = self.host.place.private / "v.sock"
        self.local = self.host.do("mux", "guest", str(self.path)).removesuffix("\n")

    def connect(self, path=None):
        """What any language does in five lines."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(DEADLINE)
        client.connect(str(path or self.path))
        return client

    def ask(self, line, **more):
        client = self.connect(**more)
        client.sendall(line)
        stream = client.makefile("rb")
        self.addCleanup(stream.close)
        return client, stream

    def test_number_is_a_port_of_the_peer(self):
        client, stream = self.ask(b"CONNECT %d\n" % self.port)
        self.assertRegex(stream.readline(), rb"^OK [0-9]+\n$")
        inside, _ = self.server.accept()
        with inside:
            inside.sendall(b"from within\n")
            self.assertEqual(stream.readline(), b"from within\n")
            client.sendall(b"from without\n")
            self.assertEqual(inside.recv(100), b"from without\n")

    def test_name_is_a_service(self):
        client, stream = self.ask(b"CONNECT echo\nat once\n")
        self.assertRegex(stream.readline(), rb"^OK [0-9]+\n$")
        self.assertEqual(stream.readline(), b"at once\n")

    def test_what_cannot_be_reached_is_closed_and_told_of(self):
        for line, why in ((b"CONNECT nothing\n", "the peer has no such service"), (b"HELO\n", "CONNECT"), (b"CONNECT 0\n", "port:0")):
            _, stream = self.ask(line)
            self.assertEqual(stream.read(), b"")
            wait_for(lambda: why in self.host.ask("forward")[0]["reason"], why)

    def test_path_is_taken_as_it_is(self):
        odd = self.host.place.private / "a b%?#"
        done = self.host.place.ctl("mux", "guest", os.path.relpath(odd, "/tmp"), cwd="/tmp")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(self.ask(b"CONNECT echo\n", path=odd)[1].readline(), rb"^OK ")

    def test_socket_is_for_nobody_else_unless_it_is_said(self):
        """Whoever reaches it is this node towards the peer."""
        shared = self.host.place.private / "shared"
        self.host.do("forward", "add", f"unix://{shared}?mode=660", "guest", "*")
        for path, mode in ((self.path, 0o600), (shared, 0o660)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode)

    def test_socket_goes_with_the_forward(self):
        self.assertEqual([(f["local"], f["target"]) for f in self.host.ask("forward")], [(self.local, "*")])
        self.host.do("forward", "remove", self.local)
        self.assertFalse(pathlib.Path(self.path).exists())

    def test_path_takes_it_away_again(self):
        odd = self.host.place.private / "a b%?#"
        self.host.do("mux", "guest", str(odd))
        self.assert_fails(self.host.ctl("forward", "remove", str(odd) + "#"), 1, "there is no forward of")
        for path in (str(odd), os.path.relpath(self.path, "/tmp")):
            done = self.host.place.ctl("forward", "remove", path, cwd="/tmp")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.host.ask("forward"), [])

    def test_folder_whose_name_is_no_text_is_refused(self):
        folder = os.fsencode(self.host.place.private) + b"/\xff"
        os.mkdir(folder)
        done = self.host.place.ctl("mux", "guest", "x.sock", cwd=folder)
        self.assert_fails(done, 1, "/\ufffd/x.sock", "UTF-8")
        self.assertNotIn("CRITICAL", done.stderr)

    def test_slips_are_told(self):
        self.assert_fails(self.host.ctl("mux", "nobody", str(self.path)), 1, "nobody", "hyphactl peers")
        self.assert_fails(self.host.ctl("mux", "guest", "/nowhere/at/all"), 1, "/nowhere/at/all", "the directory is not there")
        self.assert_fails(self.host.ctl("mux", "guest"), 2, "PATH")


if __name__ == "__main__":
    sys.exit(main())
