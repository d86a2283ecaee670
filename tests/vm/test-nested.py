#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host and its guest, which has vsock and no network, no message bus and no dconf. Runs in a machine of run.py's."""

import contextlib
import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

from crossing import active, cross
from guest import CID
from harness import DEADLINE, HYPHACTL, main
from nested import SIZE, Nested

LISTEN = ("--vsock-listen-port", "4974")
DIAL = "vsock://2:4974"
OTHER_CID = 43
YEAR = 365 * 86400
IN_1975 = 5 * YEAR
MIB = 1 << 20

SSHD = """ListenAddress 127.0.0.1
HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"""


class WithoutNetwork(Nested):
    def test_guest_has_no_network_no_bus_and_no_dconf(self):
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.assertEqual(self.guest.run("ls /sys/class/net").split(), ["lo"])
        self.assertEqual(self.guest.try_run("find / -xdev -name '*dconf*' | grep .")[1], 1)
        self.assertEqual(self.guest.try_run("pidof dbus-daemon || which dbus-daemon")[1], 1)
        self.guest.stop_node()
        self.host.stop()

    def test_file_each_way_in_tls(self):
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.check_cids(4974)
        self.check_encrypted(True)
        self.check_file_each_way()
        self.guest.stop_node()
        self.host.stop()

    def test_file_each_way_in_the_open_on_port_974(self):
        self.start_host("--vsock-listen-port", "974")
        self.start_guest_by_ids("vsock://2:974")
        self.check_cids(974)
        self.check_encrypted(False)
        self.check_file_each_way()
        self.guest.stop_node()
        self.host.stop()

    def test_guest_says_hello_by_socat_and_the_host_answers(self):
        """The plainest of all: nothing of Hypha in the guest, and no node."""
        host = self.place_of_host.start_ctl("accept", "vsock://any:5000", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            text=True, bufsize=1)
        self.assertIn("vsock://any:5000", host.stderr.readline())
        self.guest.run("echo hello, host | socat -t 60 - VSOCK-CONNECT:2:5000 >/run/answer & greeter=$!")
        self.assertEqual(host.stdout.readline(), "hello, host\n")
        said, complaint = host.communicate("hello, guest\n", 2 * DEADLINE)
        self.assertEqual((said, host.returncode), ("", 0), complaint)
        self.guest.run("wait $greeter")
        self.assertEqual(self.guest.run("cat /run/answer"), "hello, guest\n")

    def test_forward_leads_to_a_server_in_the_guest(self):
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.guest.run("hyphactl config set services \"{'cat': {'target': <'tcp://127.0.0.1:8124'>, 'peers': <['host']>}}\"")
        self.guest.run("socat TCP-LISTEN:8124,fork,reuseaddr,bind=127.0.0.1 EXEC:cat & server=$!")
        port = int(self.host.do("forward", "add", "tcp://127.0.0.1:0", "guest", "cat").strip().rpartition(":")[2])

        def echo():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
                client.sendall(b"hello, guest\n")
                client.shutdown(socket.SHUT_WR)
                return client.makefile("rb").read()
            return None
        self.wait(lambda: echo() == b"hello, guest\n", "the guest's answer")
        [forward] = self.host.ask("forward")
        self.assertEqual((forward["state"], forward["rx-bytes"], forward["tx-bytes"]), ("listening", 13, 13))
        self.guest.run("kill $server; wait $server; true")
        self.guest.stop_node()
        self.host.stop()

    def test_any_program_reaches_a_port_of_the_guest_by_a_mux(self):
        """As it reaches a guest of Firecracker's by the socket of that."""
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.guest.load("loopback")
        self.guest.run("hyphactl config set services \"{'port:*': {'target': <'vsock://local:*'>, 'peers': <['host']>}}\"")
        self.guest.run("socat VSOCK-LISTEN:1024,fork EXEC:cat & mux_server=$!")
        path = self.place_of_host.private / "guest.sock"
        self.host.do("mux", "guest", str(path))
        with socket.socket(socket.AF_UNIX) as program:
            program.settimeout(2 * DEADLINE)
            program.connect(str(path))
            program.sendall(b"CONNECT 1024\n")
            lines = program.makefile("rb")
            self.assertRegex(lines.readline(), rb"^OK [0-9]+\n$")
            program.sendall(b"hello, guest\n")
            self.assertEqual(lines.readline(), b"hello, guest\n")
            lines.close()
        self.guest.run("kill $mux_server")
        self.guest.stop_node()
        self.host.stop()

    def test_commands_run_in_the_guest(self):
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.guest.run("hyphactl config set services \"{'exec': {'peers': <['host']>}}\"")
        self.start_agent("exec")
        done = self.host.ctl("exec", "guest", "--", "sh", "-c", "ls /sys/class/net; cat; echo aside >&2; exit 7", input="from the host\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "lo\nfrom the host\n", "aside\n"))
        self.assert_fails(self.host.ctl("exec", "guest", "--", "no-such-command"), 127, "no such command")
        self.guest.run("kill $agent; wait $agent; true")
        self.guest.stop_node()
        self.host.stop()

    def test_files_are_copied_into_the_guest_and_back(self):
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        # There is room for as much in the memory of the guest, but not in its root.
        self.guest.run("mkdir -p /run/root; mount -t tmpfs tmpfs /run/root")
        self.guest.run("hyphactl config set services \"{'cp': {'peers': <['host']>, 'roots': <['/run/root']>}}\"")
        self.start_agent("cp")
        here, back = self.place_of_host.path / "file", self.place_of_host.path / "back"
        here.write_bytes(os.urandom(64 * MIB))
        self.host.do("cp", str(here), "guest:")
        wanted = hashlib.sha256(here.read_bytes()).hexdigest()
        self.assertEqual(self.guest.run("sha256sum /run/root/file").split()[0], wanted)
        self.host.do("cp", "guest:/run/root/file", str(back))
        self.assertEqual((hashlib.sha256(back.read_bytes()).hexdigest(), back.stat().st_mtime_ns), (wanted, here.stat().st_mtime_ns))
        self.assert_fails(self.host.ctl("cp", "guest:/etc/passwd", str(back)), 1, "outside", "/run/root")
        self.guest.run("kill $agent; wait $agent; umount /run/root")
        self.guest.stop_node()
        self.host.stop()

    def test_ports_of_the_guest_are_ports_of_the_host(self):
        """They come and go, and the guest has no network."""
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        self.guest.load("diag")
        self.guest.run("hyphactl config set services \"{'ports': {'target': <'ports'>, 'peers': <['host']>}, "
                       "'tcp:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['host']>}}\"")
        self.host.do("mirror", "guest")

        def connect():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 8123), DEADLINE) as client:
                client.sendall(b"hello\n")
                return client.makefile("rb").readline()
            return None
        for _ in range(2):
            self.assertIsNone(connect())
            self.guest.run("socat TCP-LISTEN:8123,fork,reuseaddr,bind=127.0.0.1 EXEC:cat & mirrored=$!")
            self.wait(lambda: connect() == b"hello\n", "the guest's port here")
            self.guest.run("kill $mirrored; wait $mirrored; true")
            self.wait(lambda: connect() is None, "the end of the guest's port here")
        self.guest.stop_node()
        self.host.stop()

    def start_sshd(self, keys):
        """Debian's, in the guest."""
        if not shutil.which("ssh") or self.guest.try_run("which sshd")[1] != 0:
            self.skipTest("ssh, ssh-keygen and sshd are not all installed (Debian: openssh-client, openssh-server)")
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", keys / key], check=True)
        for name, mode in (("host", "600"), ("user.pub", "644")):
            self.guest.write(f"/etc/ssh/{name}", (keys / name).read_text(), mode)
        self.guest.write("/etc/ssh/sshd_config", SSHD)
        self.guest.run("mkdir -p -m 755 /run/sshd && echo sshd:x:74:74::/run/sshd:/bin/false >>/etc/passwd")
        self.guest.run("/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config 2>/run/sshd.log & sshd=$!")

    def test_ssh_by_open_to_a_guest_without_network(self):
        """To its own sshd, which knows nothing of vsock."""
        self.start_host(*LISTEN)
        self.start_guest(DIAL)
        keys = self.place_of_host.private
        self.start_sshd(keys)
        self.guest.run("hyphactl config set services \"{'ssh': {'target': <'tcp://127.0.0.1:22'>, 'peers': <['host']>}}\"")
        proxy = shlex.join([HYPHACTL, "--address", self.place_of_host.address, "open"]) + " %h ssh"
        options = [f"ProxyCommand={proxy}", "IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=accept-new",
                   f"UserKnownHostsFile={keys}/known"]
        ssh = ["ssh", "-F", "none", "-T", "-i", keys / "user", *(word for option in options for word in ("-o", option)), "root@guest"]
        data = os.urandom(1 << 20)
        done = subprocess.run([*ssh, "ls /sys/class/net >&2; cat; exit 7"], input=data, capture_output=True, timeout=DEADLINE,
                              env=self.place_of_host.environment)
        self.assertEqual((done.returncode, done.stdout == data), (7, True), f"{done.stderr}\n{self.guest.run('cat /run/sshd.log')}")
        self.assertIn("lo", done.stderr.decode().splitlines())
        self.assertNotIn("eth0", done.stderr.decode())
        self.guest.run("kill $sshd; wait $sshd; true")
        self.guest.stop_node()
        self.host.stop()


class Restored(Nested):
    """The guest is paused until its link is given up; and saved with its memory, as for a snapshot or a migration: then all its
    connections are reset."""

    def wait_offline(self):
        self.wait(lambda: self.host.peer("guest")["state"] == "offline", "the guest, offline")

    def restore(self, saved, cid):
        self.wait_offline()
        self.guest.restore(saved, cid)
        self.wait_for_one_another()
        [link] = self.wait(lambda: len(links := self.host.ask("links", "guest")) == 1 and links, "one link, and no twin")
        self.assertRegex(link["remote"], rf"^vsock://{cid}:\d+$")

    def test_stream_goes_on_under_another_cid_and_ends_where_the_guest_goes_back_to_before_it(self):
        self.start_host(*LISTEN, config="ping-interval=500\nlink-timeout=3000\n")
        # Bound to its CID, it would not be let in under another.
        self.start_guest(DIAL, binding=())
        before = self.host.peer("guest")["id"]
        saved = self.place_of_host.path / "saved"

        def paused():
            # Its clocks go on meanwhile, as seen from within.
            self.guest.process.send_signal(signal.SIGSTOP)
            self.wait_offline()
            self.guest.process.send_signal(signal.SIGCONT)
            self.wait_for_one_another()

        def elsewhere():
            self.guest.save(saved)
            self.restore(saved, OTHER_CID)
        sent, back = cross(self.host, "guest", [paused, elsewhere], 2 * SIZE)
        self.assertEqual(sent, back)

        stream = self.place_of_host.start_ctl("open", "guest", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                              stderr=subprocess.PIPE, bufsize=0)
        stream.stdin.write(b"after\n")
        self.assertEqual(stream.stdout.readline(), b"after\n")
        self.guest.close()
        self.restore(saved, CID)
        self.assertEqual(stream.wait(DEADLINE), 1)
        # By its numbers, or by what it still knows of its streams.
        self.assertRegex(stream.stderr.read(), b"lost the session|gone backwards")
        done = self.host.ctl("open", "guest", "echo", input="anew\n")
        self.assertEqual((done.returncode, done.stdout), (0, "anew\n"), done.stderr)
        [peer] = self.host.ask("peers")
        self.assertEqual((peer["id"], peer["name"], self.guest.id()), (before, "guest", before))
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
        cls.guest.load("net")
        cls.guest.run("ip addr add 10.42.0.2/24 dev eth0 && ip link set eth0 up")
        cls.device = pathlib.PurePath(cls.guest.run(f"ls -d {cls.driver}/virtio*").strip()).name

    def wait_active(self, transport):
        for node in (self.host, self.guest):
            self.wait(lambda: active(node.ask("links")) == transport, f"{transport} in use")

    def take_vsock(self):
        """The device leaves the guest. The host is not told: its end stays silent."""
        self.guest.run(f"echo {self.device} >{self.driver}/unbind")

    def give_vsock(self):
        self.guest.run(f"echo {self.device} >{self.driver}/bind")

    def test_cheapest_link_that_works_and_not_a_byte_lost(self):
        """Each pair of nodes talks over the cheapest link that works, and streams move to another without losing a byte: in the middle
        of a file vsock is taken away, and given back."""
        self.start_host(*LISTEN, "--tcp-listen-port", "4974")
        # Bound to its CID, it would not be taken over TCP.
        self.start_guest("tcp://10.42.0.1:4974", DIAL, binding=())
        self.wait_active("vsock")
        ways = {way["transport"]: way for way in self.host.ask("explain", "guest")}
        self.assertEqual([name for name, way in ways.items() if way["chosen"]], ["vsock"])
        self.assertLess(ways["vsock"]["cost"], ways["tcp"]["cost"])

        def vsock_goes():
            self.take_vsock()
            self.wait_active("tcp")

        def vsock_comes():
            self.give_vsock()
            self.wait_active("vsock")
        sent, back = cross(self.host, "guest", [vsock_goes, vsock_comes], 2 * SIZE)
        self.assertEqual(sent, back)
        self.guest.stop_node()
        self.host.stop()

    def test_copy_goes_on_where_vsock_is_taken_away_and_given_back(self):
        self.start_host(*LISTEN, "--tcp-listen-port", "4974")
        self.start_guest("tcp://10.42.0.1:4974", DIAL, binding=())
        self.guest.run("hyphactl config set services \"{'cp': {'peers': <['host']>, 'roots': <['/srv']>}}\"")
        self.guest.run("mkdir /srv && mount -t tmpfs tmpfs /srv")
        self.start_agent("cp")
        self.wait_active("vsock")
        file = self.place_of_host.path / "file"
        file.write_bytes(os.urandom(64 * MIB))

        def wait_sent(transport, least):
            self.wait(lambda: [link for link in self.host.ask("links")
                               if link["active"] and link["transport"] == transport and link["tx-bytes"] >= least],
                      f"{least} bytes over a link of {transport}")

        copy = self.place_of_host.start_ctl("cp", str(file), "guest:/srv/file", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_sent("vsock", 16 * MIB)
        self.take_vsock()
        # Or it might be done too early, by the other way.
        copy.send_signal(signal.SIGSTOP)
        self.wait_active("tcp")
        copy.send_signal(signal.SIGCONT)
        wait_sent("tcp", 8 * MIB)
        copy.send_signal(signal.SIGSTOP)
        self.give_vsock()
        self.wait_active("vsock")
        copy.send_signal(signal.SIGCONT)
        self.assertEqual((copy.communicate(timeout=DEADLINE), copy.returncode), ((b"", b""), 0), self.guest.run("cat /run/agent.log"))
        # What was left.
        wait_sent("vsock", 8 * MIB)
        self.assertEqual(self.guest.run("sha256sum /srv/file").split()[0], hashlib.sha256(file.read_bytes()).hexdigest())
        self.guest.run("kill $agent; wait $agent; umount /srv; rmdir /srv")
        self.guest.stop_node()
        self.host.stop()

    def set_clock(self, seconds):
        self.guest.run(f"date -s @{seconds:.0f}")

    def test_clock_on_the_wall_may_say_what_it_likes(self):
        """As in a guest without a clock of its own, or one that was saved for a year."""
        self.addCleanup(lambda: self.set_clock(time.time()))
        self.set_clock(IN_1975)
        self.start_host(*LISTEN, "--tcp-listen-port", "4974")
        self.start_guest("tcp://10.42.0.1:4974", DIAL, binding=())
        self.wait_active("vsock")

        def links():
            return sorted((link["transport"], link["remote"]) for link in self.host.ask("links"))

        def a_year_ahead():
            before = self.wait(lambda: len(found := links()) == 2 and found, "two links, and no twins")
            self.set_clock(time.time() + YEAR)
            # Pings go on meanwhile.
            sent = [link["rx-bytes"] for link in self.host.ask("links")]
            self.wait(lambda: all(new["rx-bytes"] > old for new, old in zip(self.host.ask("links"), sent)), "pings")
            self.assertEqual(links(), before)

        def back_to_1975():
            before = links()
            self.set_clock(IN_1975)
            for link in self.host.ask("links"):
                self.assertEqual(self.host.call(link["path"], "org.hypha.Link1.Close").returncode, 0)
            # New ones, which begin with a handshake in TLS.
            self.wait(lambda: len(found := links()) == 2 and not set(found) & set(before), "two new links")
            self.assertTrue(all(link["encrypted"] for link in self.host.ask("links")))
        sent, back = cross(self.host, "guest", [a_year_ahead, back_to_1975], SIZE)
        self.assertEqual(sent, back)
        self.guest.stop_node()
        self.host.stop()


if __name__ == "__main__":
    sys.exit(main())
