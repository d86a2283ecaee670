# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests against a fake node share: the node itself (fake-node.py), a scene with fixed numbers, and terminals."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unittest

from harness import DEADLINE, HYPHACTL, Case

HERE = pathlib.Path(__file__).resolve().parent
XML = HERE.parent.parent / "core" / "dbus"
ROOT = "/org/hypha/Node1"
NODE = "org.hypha.Node1"
ME = "cg7bv53knww7isjgconzdc2frvjvj632q6ha256wqkpb7igr542q"
WEB = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
LAPTOP = "4g6xh2kq7c3v5y2m4n6p2r4t6u2w4y6a2c4e6g2i4k6m2o4q6s2q"
STRANGER = "5lk2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq3awba"
PEER, LINK = "org.hypha.Peer1", "org.hypha.Link1"


def python_with_gi():
    """An interpreter that has PyGObject: the one that runs this, or the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import gi"], capture_output=True).returncode == 0:
            return python
    return None


PYTHON = python_with_gi()


def peer_path(peer):
    return f"{ROOT}/peer/{peer}"


def text(string):
    """As GVariant text."""
    return json.dumps(string, ensure_ascii=False)


class Fake:
    def __init__(self, place):
        self.place = place
        self.process = subprocess.Popen([PYTHON, str(HERE / "fake-node.py"), place.address, str(XML)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        place.processes.append(self.process)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("the fake node did not start")

    def order(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the fake node broke at {words}")
        return json.loads(line)

    def calls(self, method):
        return [arguments for _, called, arguments in self.order("calls") if called == method]

    def add_node(self, **properties):
        self.order("add", ROOT, {NODE: {"Id": text(ME), "Name": "'alpha'", "Version": "'1.2.3'", **properties},
                                 "org.hypha.Config1": {}})

    def add_peer(self, peer, name, state, **more):
        self.order("add", peer_path(peer), {PEER: {"Id": text(peer), "Name": text(name), "State": text(state),
                                                   "LinkCost": "4294967295", "BestLink": "'/'", **more}})

    def set_scene(self):
        """One of everything that a verb shows."""
        self.add_node(Listening="['unix:///run/hypha/node', 'tcp://[::]:4974']", Features="['renew']",
                      Troubles="{'tcp://[::]:22': 'cannot listen: Address already in use, by sshd (812): choose another port'}",
                      Services="{'echo': {'target': <'echo'>}, 'ssh': {'target': <'tcp://127.0.0.1:22'>}, "
                               "'vsock:*': {'target': <'vsock://local:*'>, 'peers': <['web1']>}}")
        self.add_peer(WEB, "web1", "online", Trusted="true", LinkCost="5", BestLink=f"'{ROOT}/link/2'", RxBytes="1048576",
                      TxBytes="123", Links=f"['{ROOT}/link/2', '{ROOT}/link/10']")
        self.add_peer(LAPTOP, "Läptöp-電腦", "offline", Trusted="true")
        self.add_peer(STRANGER, "ev\x1b[31mil\u202e", "pending", From="'tcp://192.0.2.66:40112'")
        common = {"Peer": f"'{peer_path(WEB)}'", "RxBytes": "1048000", "TxBytes": "100"}
        self.order("add", f"{ROOT}/link/2", {LINK: {**common, "Transport": "'vsock'", "Local": "'vsock://2:4974'",
                                                    "Remote": "'vsock://42:1023'", "Cost": "5", "StaticCost": "5",
                                                    "RttMicroseconds": "312", "State": "'up'", "Active": "true"}})
        self.order("add", f"{ROOT}/link/10", {LINK: {**common, "Transport": "'tcp'", "Local": "'tcp://[2001:db8::1]:4974'",
                                                     "Remote": "'tcp://[2001:db8:1234:5678:9abc:def0:1:2]:40110'",
                                                     "Cost": "12", "StaticCost": "10", "RttMicroseconds": "2048",
                                                     "State": "'suspect'", "Encrypted": "true"}})
        transport = "org.hypha.Transport1"
        self.order("add", f"{ROOT}/transport/tcp", {transport: {"Name": "'tcp'", "Schemes": "['tcp']", "LinkCost": "15",
                                                                "Available": "true",
                                                                "Details": "{'localhost': <['tcp://127.0.0.1', 'tcp://[::1]']>}"}})
        self.order("add", f"{ROOT}/transport/vsock", {transport: {
            "Name": "'vsock'", "Schemes": "['vsock', 'VSOCK-CONNECT', 'VSOCK-LISTEN']", "LinkCost": "5",
            "Reason": "'the kernel has nothing that carries it: modprobe vhost_vsock on a host, virtio_vsock in a guest'",
            "Details": "{'guests': <true>, 'local-cid': <uint32 2>}"}})
        plugin = "org.hypha.Plugin1"
        folder = "/usr/lib/x86_64-linux-gnu/hypha-1/transports"
        self.order("add", f"{ROOT}/plugin/a", {plugin: {"Name": "'tcp'", "Version": "'0.1'", "State": "'ready'",
                                                        "Path": f"'{folder}/tcp.so'"}})
        self.order("add", f"{ROOT}/plugin/b", {plugin: {
            "Name": "'exec'", "State": "'refused'", "Path": f"'{folder}/exec.so'",
            "Reason": f"'others may write to it: chmod go-w {folder}/exec.so'"}})
        forward = "org.hypha.Forward1"
        self.order("add", f"{ROOT}/forward/2", {forward: {
            "Local": "'tcp://127.0.0.1:8080'", "Given": "'tcp://127.0.0.1:8080'", "Peer": "'web1'", "Target": "'http'",
            "State": "'listening'", "RxBytes": "3145728", "TxBytes": "512", "Persistent": "true"}})
        self.order("add", f"{ROOT}/forward/10", {forward: {
            "Local": "'tcp://127.0.0.1:22'", "Given": "'tcp://127.0.0.1:22'", "Peer": f"'{WEB[:6]}'", "Target": "'ssh'",
            "State": "'failed'", "Reason": "'tcp://127.0.0.1:22: Address already in use, by sshd (812): choose another port'"}})
        self.order("add", f"{ROOT}/forward/11", {forward: {
            "Local": "'tcp://127.0.0.1:9000'", "Given": "'tcp://127.0.0.1:9000'", "Peer": "'web1'", "Target": "'app'",
            "State": "'listening'", "Reverse": "true"}})
        self.order("answer", f"{NODE}.AddForward", f"('{ROOT}/forward/2',)")
        self.order("answer", f"{PEER}.Streams", "([{'id': <uint64 7>, 'service': <'ssh'>, 'mine': <true>, 'received': "
                                                "<uint64 4096>, 'sent': <uint64 12>}],)")
        self.order("answer", f"{NODE}.Explain", f"""([
            {{'endpoint': <'vsock://42:1023'>, 'link': <'{ROOT}/link/2'>, 'transport': <'vsock'>, 'state': <'active'>,
              'chosen': <true>, 'cost': <uint32 5>, 'static-cost': <uint32 5>, 'rtt-us': <uint64 312>, 'penalty': <uint32 0>,
              'reason': <'the cheapest'>}},
            {{'endpoint': <'tcp://web1.example.org:4974'>, 'link': <''>, 'transport': <'tcp'>, 'state': <'failed'>,
              'chosen': <false>, 'static-cost': <uint32 15>,
              'reason': <'Connection refused by the machine at 192.0.2.7, tried again in 8 s'>}}],)""")
        self.order("answer", f"{NODE}.Connect", f"('{peer_path(WEB)}',)")
        self.order("answer", "org.hypha.Config1.Get", "(<{'%s': {'name': <'guest7'>}}>,)" % WEB)
        self.order("answer", "org.hypha.Config1.List",
                   "([('name', 'What this node calls itself', <'alpha'>, <''>, true),"
                   " ('listen', 'Endpoints to listen on', <@as []>, <@as []>, true)],)")
        self.order("take-name")


class Terminal:
    """A hyphactl on a terminal of its own."""

    def __init__(self, place, *words, columns=80, address=True, **environment):
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        attributes = termios.tcgetattr(follower)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(follower, termios.TCSANOW, attributes)
        whole = {**place.environment, "TERM": "xterm", **environment}
        for name in ("NO_COLOR", "COLUMNS"):
            if name not in environment:
                whole.pop(name, None)
        self.process = subprocess.Popen([HYPHACTL, *(["--address", place.address] if address else []), *words], stdin=follower,
                                        stdout=follower, stderr=follower, env=whole, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        place.processes.append(self.process)
        os.close(follower)
        self.seen = b""

    def read(self):
        """More of it; False at its end."""
        ready, _, _ = select.select([self.leader], [], [], 0.1)
        if not ready:
            return True
        try:
            more = os.read(self.leader, 65536)
        except OSError:
            return False
        self.seen += more
        return bool(more)

    def wait_text(self, pattern):
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, self.seen.decode(errors="replace")):
            if not self.read() or time.monotonic() > end:
                raise AssertionError(f"there never was {pattern} in {self.seen!r}")
        return re.search(pattern, self.seen.decode(errors="replace"))

    def type(self, data):
        os.write(self.leader, data.encode())

    def finish(self):
        """Its exit status, and everything it wrote."""
        end = time.monotonic() + DEADLINE
        while self.read():
            if time.monotonic() > end:
                raise AssertionError(f"it does not end: {self.seen!r}")
        os.close(self.leader)
        return self.process.wait(DEADLINE), self.seen.decode()


@unittest.skipUnless(PYTHON, "there is no Python with PyGObject (package python3-gi)")
class FakeCase(Case):
    def scene(self):
        place = self.place()
        fake = Fake(place)
        fake.set_scene()
        return fake
