# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual machines whose VMM gives their vsock as a Unix socket, found by a pattern.

The VMM is a program of tests, whose guest leads every port straight back to the host's: so a node that dials the
machine's socket comes to the host as the machine does.
"""

import os
import subprocess
import sys

from harness import Case, Node, main, wait_for


class Machine:
    """A directory for a machine, and its VMM."""

    def __init__(self, case, place, name):
        self.directory = place.path / "vm" / name
        self.directory.mkdir(parents=True)
        self.process = None
        self.start(case, place)

    def start(self, case, place):
        self.process = subprocess.Popen([os.environ["VMM"], self.directory / "v.sock"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        place.processes.append(self.process)
        case.assertEqual(self.process.stdout.readline(), "ready\n")

    def reset(self):
        """As at a snapshot."""
        self.process.stdin.write("reset\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def end(self):
        self.process.communicate(timeout=20)

    @property
    def endpoint(self):
        return f"hvsock://{self.directory}/v.sock:4974"


class Machines(Case):
    def setUp(self):
        place = self.place()
        self.host = Node(place, config=f"listen=['hvsock://{place.path}/vm/*/v.sock:4974']\n"
                         f"trust-rules={{'hvsock://{place.path}/vm/web1/v.sock:4974': 'web1'}}\n")

    def guest(self, *machines):
        """A node that dials out of the machine; of one that moves, out of each that it will be."""
        guest = self.node(*[word for machine in machines for word in ("--peer", machine.endpoint)])
        guest.do("trust", self.host.id(), "host")
        return guest

    def exchange(self, stream, text):
        stream.stdin.write(text)
        stream.stdin.flush()
        self.assertEqual(stream.stdout.readline(), text)

    def test_machine_that_comes_is_known_by_its_socket(self):
        machine = Machine(self, self.host.place, "web1")
        guest = self.guest(machine)
        self.host.wait_peer("web1", state="online", id=guest.id())
        [link] = self.host.ask("links")
        self.assertEqual((link["transport"], link["encrypted"]), ("hvsock", True))
        # A rule for one machine is none for another.
        stranger = self.guest(Machine(self, self.host.place, "web2"))
        self.host.wait_peer(stranger.id()[:8], state="pending")

    def test_rule_for_many_may_be_spelled_in_any_way(self):
        place = self.place()
        pattern = f"{place.path}/vm/*/v.sock"
        host = Node(place, config=f"listen=['hvsock:{pattern}:4974']\ntrust-rules={{'vsock-mux{pattern}:*': 'web1'}}\n")
        guest = self.node("--peer", Machine(self, place, "web1").endpoint)
        guest.do("trust", host.id(), "host")
        host.wait_peer("web1", state="online", id=guest.id())

    def test_stream_goes_on_when_the_vmm_resets_everything(self):
        machine = Machine(self, self.host.place, "web1")
        self.guest(machine)
        self.host.wait_peer("web1", state="online")
        stream = self.host.place.start_ctl("open", "web1", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for text in (b"before\n", b"between\n", b"after\n"):
            self.exchange(stream, text)
            machine.reset()
        stream.stdin.close()
        self.assertEqual(stream.stdout.read(), b"")
        self.assertEqual(stream.wait(20), 0)

    def test_stream_is_not_cut_short_by_half_a_close(self):
        """A direct one would be: its channel is the VMM's connection, which ends both ways at once."""
        machine = Machine(self, self.host.place, "web1")
        guest = self.node(config="")
        never = "trusted-peers={'%s': {'name': <'%s'>, 'tls': <'never'>}}\n"
        with self.host.config.open("a") as config:
            config.write(never % (guest.id(), "web1"))
        with guest.config.open("a") as config:
            config.write(never % (self.host.id(), "host") + f"peers=['{machine.endpoint}?tls=never']\n")
        self.host.wait_peer("web1", state="online")
        guest.wait_peer("host", state="online")
        [link] = self.host.ask("links")
        self.assertFalse(link["encrypted"])
        for node, peer in ((self.host, "web1"), (guest, "host")):
            self.assert_fails(node.ctl("open", peer, "echo", "--direct", input="x"), 1, "is not one socket of the kernel's")
            text = "x" * (1 << 20)
            self.assertEqual(node.ctl("open", peer, "echo", input=text).stdout, text)

    def test_machine_that_goes_and_comes_is_the_same(self):
        machine = Machine(self, self.host.place, "web1")
        guest = self.guest(machine)
        self.host.wait_peer("web1", state="online")
        machine.end()
        self.host.wait_peer("web1", state="offline")
        port_socket = machine.directory / "v.sock_4974"
        port_socket.unlink()
        machine.directory.rmdir()
        Machine(self, self.host.place, "web1")
        self.host.wait_peer("web1", state="online", id=guest.id())

    def test_stream_goes_on_where_the_machine_is_restored(self):
        before, after = (Machine(self, self.host.place, name) for name in ("one", "two"))
        after.end()
        guest = self.guest(before, after)
        self.host.do("trust", guest.id(), "mover")
        self.host.wait_peer("mover", state="online")
        stream = self.host.place.start_ctl("open", "mover", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.exchange(stream, b"here\n")
        before.end()
        after.start(self, self.host.place)
        self.exchange(stream, b"there\n")
        [link] = self.host.ask("links")
        self.assertIn("/two/", link["remote"])
        self.assertEqual(stream.communicate(timeout=20)[0], b"")
        self.assertEqual(stream.returncode, 0)

    def test_machine_that_is_off_is_said_to_be(self):
        machine = Machine(self, self.host.place, "web3")
        machine.end()
        self.assert_fails(self.host.ctl("connect", machine.endpoint), 1, machine.endpoint, "there is no such socket")
        self.assert_fails(self.host.ctl("connect", f"hvsock://{self.host.place.path}/vm/*/v.sock:4974"), 1,
                          "for listening only")
        wait_for((machine.directory / "v.sock_4974").exists, "the host's end of the machine")


if __name__ == "__main__":
    sys.exit(main())
