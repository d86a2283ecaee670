#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls as a foreign program may make them: each wrong one is answered by a named error, and the daemon lives."""

import os
import pathlib
import re
import socket
import subprocess
import sys
from xml.etree import ElementTree

from harness import DEADLINE, NAME, ROOT, UNSEEN, Case, main, trust_each_other, wait_for

ID = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
NODE = "org.hypha.Node1."
PEER = "org.hypha.Peer1."
XML = pathlib.Path(__file__).resolve().parents[2] / "core" / "dbus"


class Calls(Case):
    def setUp(self):
        self.alpha = self.node("--listen", "tcp://127.0.0.1:0")

    def refused(self, error, path, method, *arguments):
        done = self.alpha.call(path, method, *arguments)
        self.assert_fails(done, 1, f"GDBus.Error:{error}: ")
        self.assertEqual(self.alpha.ask("id")["id"], self.alpha.id())
        return done.stderr

    def done(self, path, method, *arguments):
        done = self.alpha.call(path, method, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def own(self, error, *call):
        return self.refused(f"org.hypha.Error.{error}", *call)

    def test_connect_with_bad_arguments(self):
        for endpoint in ("", "tcp", "tcp:", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:65536",
                         "tcp://127.0.0.1:1x", "tcp://127.0.0.1:1?foo=1", "tcp://127.0.0.1:1?cost=4294967296",
                         "tcp://[::1:1", "x" * 5000):
            self.own("InvalidEndpoint", ROOT, NODE + "Connect", endpoint, "{}")
        self.assertIn("nosuch", self.own("NoTransport", ROOT, NODE + "Connect", "nosuch://x:1", "{}"))
        self.own("InvalidId", ROOT, NODE + "Connect", "tcp://127.0.0.1:1", "{'expect-id': <'abc'>}")

    def test_options_that_are_not_known_or_of_the_wrong_type(self):
        endpoint = "tcp://127.0.0.1:1"
        self.assertIn("frob", self.own("InvalidArgument", ROOT, NODE + "Connect", endpoint, "{'frob': <1>}"))
        # Who mistyped one is told what there is.
        for method, option in (("Connect", "'timeout', 'expect-id', 'persist'"), ("Listen", "'persist'")):
            self.assertIn(f"there is no option 'frob' here, only: {option}\n",
                          self.own("InvalidArgument", ROOT, NODE + method, endpoint, "{'frob': <1>}"))
        self.assertIn("timeout", self.own("InvalidArgument", ROOT, NODE + "Connect", endpoint, "{'timeout': <'soon'>}"))
        self.assertIn("timeout", self.own("InvalidArgument", ROOT, NODE + "Listen", endpoint, "{'timeout': <uint32 1>}"))
        self.assertIn("persist", self.own("InvalidArgument", ROOT, NODE + "Listen", endpoint, "{'persist': <1>}"))

    def test_connect_where_nobody_listens(self):
        port = self.alpha.listening("tcp").rsplit(":", 1)[1]
        self.alpha.call(ROOT, NODE + "Unlisten", self.alpha.listening("tcp"))
        self.own("Connect", ROOT, NODE + "Connect", f"tcp://127.0.0.1:{port}", "{}")

    def test_dialling_ends_when_its_caller_has_gone(self):
        server = socket.socket()
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        # Whoever comes when the queue is full is not answered.
        for _ in range(2):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        node = self.alpha.process.pid

        def dials():
            lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
            asking = {line[9] for line in lines if line[2].endswith(f":{port:04X}") and line[3] == "02"}
            links = [os.readlink(link) for link in pathlib.Path(f"/proc/{node}/fd").iterdir() if os.path.lexists(link)]
            return any(f"socket:[{inode}]" in links for inode in asking)
        self.assertFalse(dials())
        caller = subprocess.Popen(["gdbus", "call", "--address", self.alpha.place.address, "--dest", NAME, "--object-path", ROOT, "--method",
                                   NODE + "Dial", "--", f"tcp://127.0.0.1:{port}", "{'timeout': <uint32 3600000>}"],
                                  env=self.alpha.place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(dials, "a connection under way")
        finally:
            caller.kill()
            caller.wait()
        wait_for(lambda: not dials(), "the end of it")

    def test_listen_twice_and_unlisten_what_is_not(self):
        taken = self.alpha.listening("tcp")
        other = self.node()
        done = other.call(ROOT, NODE + "Listen", taken, "{}")
        self.assert_fails(done, 1, "org.hypha.Error.AddressInUse")
        self.own("InvalidArgument", ROOT, NODE + "Unlisten", "tcp://127.0.0.1:1")
        other.stop()

    def test_listen_answers_with_what_is_bound(self):
        bound = self.done(ROOT, NODE + "Listen", "tcp://127.0.0.1:0", "{}")
        endpoint = re.fullmatch(r"\('(tcp://127\.0\.0\.1:[1-9]\d*)',\)", bound)[1]
        self.assertIn(endpoint, self.alpha.ask("status")["listening"])
        self.done(ROOT, NODE + "Unlisten", endpoint)
        self.assertNotIn(endpoint, self.alpha.ask("status")["listening"])

    def test_trust_with_bad_arguments(self):
        self.own("InvalidId", ROOT, NODE + "Trust", "", "eve")
        self.own("InvalidId", ROOT, NODE + "Trust", ID[:-1], "eve")
        self.own("InvalidId", ROOT, NODE + "Trust", ID.upper(), "eve")
        self.assertIn(self.alpha.id(), self.own("InvalidArgument", ROOT, NODE + "Trust", self.alpha.id(), "me"))
        self.assertIn("a" * 52, self.own("InvalidId", ROOT, NODE + "Trust", "a" * 52, "eve"))
        for name in ("", "two words", "x" * 65, "\x1b[31m", *UNSEEN):
            self.own("InvalidArgument", ROOT, NODE + "Trust", ID, name)
        self.assertEqual(self.alpha.ask("peers"), [])

    def test_peers_that_are_not_there(self):
        self.own("NoSuchPeer", ROOT, NODE + "Explain", "eve")
        self.own("NoSuchPeer", ROOT, NODE + "Explain", "")
        self.own("NoSuchPeer", ROOT, NODE + "Forget", ID)

    def test_peer_without_a_link(self):
        self.done(ROOT, NODE + "Trust", ID, "eve")
        peer = f"{ROOT}/peer/{ID}"
        self.own("Offline", peer, PEER + "OpenStream", "echo", "{}")
        self.own("InvalidArgument", peer, PEER + "OpenStream", "", "{}")
        self.own("InvalidArgument", peer, PEER + "OpenStream", "x" * 1000, "{}")
        self.own("Offline", peer, PEER + "OpenStream", "echo", "{'direct': <true>}")
        self.own("InvalidArgument", peer, PEER + "OpenStream", "echo", "{'direct': <'yes'>}")
        self.own("Gone", peer, PEER + "StreamResult", "2")
        self.own("Gone", peer, PEER + "CloseStream", "2")
        self.assertEqual(self.done(peer, PEER + "Streams"), "(@aa{sv} [],)")
        self.done(peer, PEER + "Disconnect")

    def test_types_and_members_that_do_not_fit(self):
        bus = "org.freedesktop.DBus.Error."
        # gdbus itself would refuse what introspection says is wrong.
        for member, arguments in (("Trust", ["uint32:1"]), ("Connect", ["string:x"]), ("Explain", []), ("NoSuch", [])):
            done = subprocess.run(["dbus-send", f"--bus={self.alpha.place.address}", f"--dest={NAME}", "--print-reply", ROOT,
                                   NODE + member, *arguments], env=self.alpha.place.environment, capture_output=True, text=True,
                                  timeout=DEADLINE)
            self.assert_fails(done, 1, bus)
        self.refused(bus + "UnknownMethod", ROOT + "/peer/x", "org.freedesktop.DBus.Properties.GetAll", PEER[:-1])
        self.refused(bus + "InvalidArgs", ROOT, "org.freedesktop.DBus.Properties.Set", NODE[:-1], "Name", "<'x'>")
        self.refused(bus + "InvalidArgs", ROOT, "org.freedesktop.DBus.Properties.Get", NODE[:-1], "NoSuch")

    def test_root_has_the_object_manager_and_what_is_there(self):
        managed = self.done(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        self.assertIn(f"'{ROOT}/plugin/tcp'", managed)
        self.assertIn(f"'{ROOT}/transport/unix'", managed)
        self.done(ROOT, NODE + "Trust", ID, "eve")
        self.assertIn(f"'{ROOT}/peer/{ID}'", self.done(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects"))

    def members(self, text):
        """Of each interface: its members with their types."""
        def arguments(member):
            return [(arg.get("type"), arg.get("direction", "out" if member.tag == "signal" else "in")) for arg in member.iter("arg")]
        return {interface.get("name"): {(member.tag, member.get("name"), member.get("type"), *arguments(member))
                                        for member in interface if member.tag != "annotation"}
                for interface in ElementTree.fromstring(text).iter("interface")}

    def test_interfaces_are_those_of_the_xml_and_every_property_is_read(self):
        beta = self.node()
        trust_each_other(self.alpha, beta)
        beta.do("connect", self.alpha.listening("tcp"))
        self.alpha.wait_peer("beta", state="online")
        [link] = self.alpha.ask("links")
        forward = self.done(ROOT, NODE + "AddForward", "tcp://127.0.0.1:0", "beta", "echo", "{}")
        objects = {"Node1": ROOT, "Config1": ROOT, "Peer1": f"{ROOT}/peer/{beta.id()}", "Link1": link["path"],
                   "Transport1": f"{ROOT}/transport/tcp", "Plugin1": f"{ROOT}/plugin/tcp",
                   "Forward1": re.search(r"'(/\S+)'", forward)[1]}
        files = {path.suffixes[-2][1:]: path.read_text() for path in XML.glob("org.hypha.*.xml")}
        # That one is called, and not served.
        files.pop("ServiceHandler1")
        self.assertEqual(set(files), set(objects))
        for short, path in objects.items():
            name = f"org.hypha.{short}"
            served = subprocess.run(["gdbus", "introspect", "--xml", "--address", self.alpha.place.address, "--dest", NAME,
                                     "--object-path", path], env=self.alpha.place.environment, capture_output=True, text=True,
                                    timeout=DEADLINE).stdout
            wanted = self.members(files[short])[name]
            self.assertEqual(self.members(served)[name], wanted)
            properties = [member[1] for member in wanted if member[0] == "property"]
            if properties:
                values = self.done(path, "org.freedesktop.DBus.Properties.GetAll", name)
                for member in properties:
                    self.assertIn(f"'{member}': <", values)

    def tearDown(self):
        self.alpha.stop()


if __name__ == "__main__":
    sys.exit(main())
