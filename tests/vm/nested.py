# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of a host and its guest share: see README.md."""

import hashlib
import os
import socket
import threading

from guest import CID, IDENTITY, Guest
from harness import DEADLINE, Case, Node, wait_for

SIZE = 6 << 20
SERVICES = "services={'inbox': {'target': <'unix:///run/inbox'>}}\n"


class Inbox:
    """A socket of this machine's that takes one file; as the target of a service."""

    def __init__(self, place):
        path = f"{place.private}/inbox"
        self.setting = f"services={{'inbox': {{'target': <'unix://{path}'>}}}}\n"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.sum = hashlib.sha256()
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        connection, _ = self.socket.accept()
        while piece := connection.recv(65536):
            self.sum.update(piece)
        connection.close()

    def close(self):
        """What has come."""
        self.thread.join(DEADLINE)
        self.socket.close()
        return self.sum.hexdigest()


class Nested(Case):
    network = ()

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(cls.network)
        cls.guest.boot()

    @classmethod
    def tearDownClass(cls):
        cls.guest.close()

    def setUp(self):
        self.place_of_host = self.place()
        self.inbox = Inbox(self.place_of_host)
        self.addCleanup(self.guest.forget_node)

    def wait(self, look, what):
        """As wait_for; if it never comes, with what both nodes logged."""
        try:
            return wait_for(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe host:\n{self.host.log()}\nThe guest:\n{self.guest.log()}") from None

    def start_host(self, *listen, config=""):
        self.host = Node(self.place_of_host, *listen, config=self.inbox.setting + "name='host'\n" + config)

    def start_guest(self, *peers, binding=("--cid", str(CID))):
        """As `guest-config` prepares it: with a key that the host trusts and, if asked to, binds to the CID."""
        key = self.place_of_host.private / "guest.pem"
        config = self.host.do("guest-config", "--name", "guest", *binding, "--identity", str(key))
        self.guest.write(IDENTITY, key.read_text(), "600")
        self.guest.start_node("--peers", *peers, config=config + SERVICES)
        self.wait_for_one_another()

    def start_guest_by_ids(self, *peers):
        """Each is told the id of the other, which has made its key itself."""
        self.guest.start_node("--peers", *peers, config="name='guest'\n" + SERVICES)
        self.host.do("trust", self.guest.id(), "guest")
        self.guest.run(f"hyphactl trust {self.host.id()} host")
        self.wait_for_one_another()

    def start_agent(self, service):
        """In the guest, where the setting says who may SERVICE."""
        self.guest.run("hypha-agent >/run/agent.log 2>&1 & agent=$!")
        self.wait(lambda: f"service '{service}' is on" in self.guest.run("cat /run/agent.log"), "the guest's agent")

    def wait_for_one_another(self):
        self.wait(lambda: (self.host.peer("guest") or {}).get("state") == "online", "the guest at the host")
        self.wait(lambda: [peer["state"] for peer in self.guest.ask("peers")] == ["online"], "the host in the guest")

    def check_cids(self, port):
        # The guest dials by its settings, and by its command line: one of the two is a twin.
        [link] = self.wait(lambda: len(links := self.host.ask("links", "guest")) == 1 and links, "one link, and no twin")
        self.assertRegex(link["remote"], rf"^vsock://{CID}:\d+$")
        [link] = self.guest.ask("links", "host")
        self.assertEqual(link["remote"], f"vsock://2:{port}")
        for node, cid in ((self.host, 2), (self.guest, CID)):
            [vsock] = [transport for transport in node.ask("transports") if transport["name"] == "vsock"]
            self.assertEqual(vsock["details"]["local-cid"], cid)

    def check_encrypted(self, expected):
        for node in (self.host, self.guest):
            self.assertEqual([link["encrypted"] for link in node.ask("links")], [expected])

    def check_file_each_way(self):
        self.guest.run(f"head -c {SIZE} /dev/urandom >/run/file")
        self.guest.run("hyphactl open host inbox </run/file")
        self.assertEqual(self.inbox.close(), self.guest.run("sha256sum /run/file").split()[0])

        file = os.urandom(SIZE)
        self.guest.run("rm -f /run/inbox; socat -u UNIX-LISTEN:/run/inbox CREATE:/run/got & inbox=$!")
        self.guest.run("while [ ! -S /run/inbox ]; do sleep 0.1; done")
        done = self.host.ctl("open", "guest", "inbox", input=file, text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.guest.run("wait $inbox")
        self.assertEqual(self.guest.run("sha256sum /run/got").split()[0], hashlib.sha256(file).hexdigest())
