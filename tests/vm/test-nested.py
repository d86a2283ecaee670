#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host and its guest, which has vsock and no network, no message bus and no dconf. Runs in a machine of run.py's."""

import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import threading

from crossing import active, cross
from guest import CID, HAS_BUS, Guest
from harness import DEADLINE, Case, Node, main, wait_for

MIB = 1 << 20
SIZE = 8 * MIB


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

    def start_host(self, *listen, config=""):
        self.host = Node(self.place_of_host, *listen, config=self.inbox.setting + "name='host'\n" + config)

    def start_guest(self, *peers):
        """Its services, then that each lets the other in."""
        self.guest.start_node("--peers", *peers, config="name='guest'\nservices={'inbox': {'target': <'unix:///run/inbox'>}}\n")
        self.host.do("trust", self.guest.id(), "guest")
        self.guest.run(f"hyphactl trust {self.host.id()} host")
        self.host.wait_peer("guest", state="online")

    def check_cids(self, port):
        [link] = self.host.ask("links", "guest")
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


class WithoutNetwork(Nested):
    def test_guest_has_no_network_no_bus_and_no_dconf(self):
        self.start_host("--vsock-listen-port", "4974")
        self.start_guest("vsock://2:4974")
        self.assertEqual(self.guest.run("ls /sys/class/net").split(), ["lo"])
        self.assertEqual(self.guest.try_run("find / -xdev -name '*dconf*' | grep .")[1], 1)
        if not HAS_BUS:
            self.assertEqual(self.guest.try_run("pidof dbus-daemon")[1], 1)
        self.guest.stop_node()
        self.host.stop()

    def test_file_each_way_in_tls(self):
        self.start_host("--vsock-listen-port", "4974")
        self.start_guest("vsock://2:4974")
        self.check_cids(4974)
        self.check_encrypted(True)
        self.check_file_each_way()
        self.guest.stop_node()
        self.host.stop()

    def test_file_each_way_in_the_open_on_port_974(self):
        self.start_host("--vsock-listen-port", "974")
        self.start_guest("vsock://2:974")
        self.check_cids(974)
        self.check_encrypted(False)
        self.check_file_each_way()
        self.guest.stop_node()
        self.host.stop()


class WithNetwork(Nested):
    network = ("-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no", "-device", "virtio-net-device,netdev=net")
    driver = "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for command in ("ip addr add 10.42.0.1/24 dev tap0", "ip link set tap0 up"):
            subprocess.run(command.split(), check=True)
        cls.guest.run("for module in $(cat /etc/modules-net); do grep -q \"^$(basename $module .ko) \" /proc/modules || insmod $module; done")
        cls.guest.run("ip addr add 10.42.0.2/24 dev eth0 && ip link set eth0 up")

    def wait_active(self, transport):
        for node in (self.host, self.guest):
            wait_for(lambda: active(node.ask("links")) == transport, f"{transport} in use")

    def test_cheapest_link_that_works_and_not_a_byte_lost(self):
        """Each pair of nodes talks over the cheapest link that works, and streams move to another without losing a byte."""
        self.start_host("--vsock-listen-port", "4974", "--tcp-listen-port", "4974")
        self.start_guest("tcp://10.42.0.1:4974", "vsock://2:4974")
        self.wait_active("vsock")
        ways = {way["transport"]: way for way in self.host.ask("explain", "guest")}
        self.assertEqual([name for name, way in ways.items() if way["chosen"]], ["vsock"])
        self.assertLess(ways["vsock"]["cost"], ways["tcp"]["cost"])

        device = pathlib.PurePath(self.guest.run(f"ls -d {self.driver}/virtio*").strip()).name

        def vsock_goes():
            # The device leaves the guest. The host is not told: its end stays silent.
            self.guest.run(f"echo {device} >{self.driver}/unbind")
            self.wait_active("tcp")
        sent, back = cross(self.host, "guest", vsock_goes, 2 * SIZE)
        self.assertEqual(sent, back)
        self.guest.run(f"echo {device} >{self.driver}/bind")
        self.wait_active("vsock")
        self.guest.stop_node()
        self.host.stop()


if __name__ == "__main__":
    sys.exit(main())
