# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh by hyphactl open, and by a mux, to a real sshd."""

import getpass
import os
import pathlib
import shlex
import subprocess
import sys
import unittest

from harness import DEADLINE, HYPHACTL, Case, Node, main, trust_each_other
from relay import Relay
from sshd import WHY_NOT, Sshd

HYPHA_CONF = pathlib.Path(__file__).resolve().parents[2] / "data" / "ssh" / "hypha.conf"
# What systemd-ssh-proxy does for vsock-mux/PATH: asks the socket for port 22, and joins it with ssh.
PROXY = """
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"CONNECT 22\\n")
while s.recv(1) != b"\\n":
    pass
def copy(read, write, end):
    while data := read():
        write(data)
    end()
threading.Thread(target=copy, args=(lambda: os.read(0, 65536), s.sendall, lambda: s.shutdown(socket.SHUT_WR)), daemon=True).start()
copy(lambda: s.recv(65536), lambda data: os.write(1, data), lambda: None)
"""


class Chooser:
    """Of the relay's connections, the one behind an endpoint."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def choice(self, options):
        return next((o for o in options if hasattr(o, "ends") and "{}:{}".format(*o.ends[0].getsockname()) in self.endpoint), options[0])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Ssh(Case):
    def setUp(self):
        place = self.place()
        self.sshd = Sshd(place.private)
        self.addCleanup(self.sshd.close)
        target = f"unix://{self.sshd.path}"
        self.far = Node(place, "--listen", "tcp://127.0.0.1:0",
                        config=f"services={{'ssh': {{'target': <'{target}'>, 'peers': <['near']>}}, 'port:22': {{'target': <'{target}'>}}}}\n")
        self.near = self.node()
        trust_each_other(self.far, self.near, "far", "near")
        self.relay = Relay(("127.0.0.1", "127.0.0.2"), int(self.far.listening("tcp").rsplit(":", 1)[1]))
        self.addCleanup(self.relay.close)
        for endpoint in self.relay.endpoints():
            self.near.do("connect", endpoint)
        self.open = shlex.join([HYPHACTL, "--address", self.near.place.address, "open"]) + " %h ssh"

    def ssh(self, proxy, *command, config="none", host="far"):
        """ssh, with nothing of the user's. No PROXY: that of CONFIG."""
        options = ["IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "StrictHostKeyChecking=accept-new", "HashKnownHosts=no",
                   "ControlPath=none", f"UserKnownHostsFile={self.near.place.private}/known", *([f"ProxyCommand={proxy}"] if proxy else [])]
        return ["ssh", "-F", config, "-T", "-i", self.sshd.folder / "user", *(w for o in options for w in ("-o", o)),
                f"{getpass.getuser()}@{host}", *command]

    def run_ssh(self, proxy, *command, config="none", host="far", **more):
        # What is in PATH finds the node by itself: root's is on the system bus.
        environment = dict(self.near.place.environment, PATH=f"{os.path.dirname(HYPHACTL)}:{os.environ['PATH']}",
                           DBUS_SYSTEM_BUS_ADDRESS=self.near.place.address)
        return subprocess.run(self.ssh(proxy, *command, config=config, host=host), capture_output=True, timeout=DEADLINE, env=environment, **more)

    def test_command_with_its_streams_and_status(self):
        data = os.urandom(1 << 20)
        done = self.run_ssh(self.open, "cat; echo said >&2; exit 7", input=data)
        self.assertEqual((done.returncode, done.stdout == data), (7, True), done.stderr)
        self.assertIn(b"said\n", done.stderr)
        self.assertNotIn(b"hyphactl", done.stderr)

    def exchange(self, session, text):
        session.stdin.write(text)
        session.stdin.flush()
        self.assertEqual(session.stdout.readline(), text)

    def test_session_outlives_its_link(self):
        with subprocess.Popen(self.ssh(self.open, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=self.near.place.environment) as session:
            self.exchange(session, b"before\n")
            [used] = [link for link in self.near.ask("links") if link["active"]]
            self.assertTrue(self.relay.silence(Chooser(used["remote"])))
            self.exchange(session, b"after\n")
            session.stdin.close()
            self.assertEqual(session.wait(DEADLINE), 0)

    def test_configuration_keeps_the_key_of_each_peer_by_its_name(self):
        # ssh makes small letters of the name it looks up.
        self.near.do("trust", self.far.id(), "Far")
        done = self.run_ssh(None, "echo in", config=HYPHA_CONF, host="Far.hypha")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        # Under one name for all, each peer would be taken for the first one with another key.
        self.assertRegex((self.near.place.private / "known").read_text(), "^far.hypha ")

    def test_mux_is_to_ssh_what_the_socket_of_a_machine_is(self):
        path = self.near.place.private / "far.sock"
        self.near.do("mux", "far", str(path))
        done = self.run_ssh(shlex.join([sys.executable, "-c", PROXY, str(path)]).replace("%", "%%"), "echo in")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)

    def test_peer_that_may_not_is_told_so_by_ssh(self):
        self.far.do("trust", self.near.id(), "somebody-else")
        done = self.run_ssh(self.open, "true")
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"does not give this service to this node", done.stderr)


if __name__ == "__main__":
    sys.exit(main())
