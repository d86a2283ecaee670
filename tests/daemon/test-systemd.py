#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a service manager does with hyphad: hands sockets over, watches it, reloads it, ends it."""

import ctypes
import fcntl
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

PLUGINS = [pathlib.Path(path) for path in os.environ["HYPHA_PLUGIN_PATH"].split(":")]
VSOCK_PLUGIN = PLUGINS[0].parent / "vsock"

# As systemd does it: descriptors from 3 on, and the process that becomes hyphad named in the environment.
STARTER = """
import os, sys
fds, names = [int(fd) for fd in sys.argv[1].split(",")], sys.argv[2]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number, inheritable=True)
    os.close(fd)
count = os.environ.get("CLAIMED_FDS", str(len(fds)))
os.environ.update(LISTEN_PID=str(os.getpid() + int(sys.argv[3])), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execv(sys.argv[4], sys.argv[4:])
"""


def start_with(place, sockets, *arguments, names=None, pid_offset=0, **more):
    """A node that is handed SOCKETS, which stay open here as well: a service manager keeps them, too."""
    fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets]
    names = names or [f"s{number}" for number in range(len(sockets))]
    runner = [sys.executable, "-c", STARTER, ",".join(map(str, fds)), ":".join(names), str(pid_offset)]
    try:
        return Node(place, *arguments, runner=runner, pass_fds=fds, **more)
    finally:
        for fd in fds:
            os.close(fd)


class Sockets(Case):
    def listening(self, family, address):
        bound = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(bound.close)
        bound.bind(address)
        bound.listen(16)
        return bound

    def tcp(self):
        bound = self.listening(socket.AF_INET, ("127.0.0.1", 0))
        return bound, f"tcp://127.0.0.1:{bound.getsockname()[1]}"

    def unix(self, place):
        path = place.path / "node.sock"
        return self.listening(socket.AF_UNIX, str(path)), f"unix://{path}"


class Activation(Sockets):
    def check_early_peer_is_served(self, make):
        late = Node(self.place())
        early = self.node()
        trust_each_other(early, late, "early", "late")
        late.stop()
        bound, endpoint = make(late.place)
        dialling = early.place.start_ctl("connect", endpoint, stdout=subprocess.DEVNULL)
        self.assertTrue(select.select([bound], [], [], DEADLINE)[0], "nobody knocks")
        late = start_with(late.place, [bound])
        self.assertEqual(dialling.wait(DEADLINE), 0, early.log())
        self.assertEqual(late.ask("status")["listening"], [endpoint])
        late.wait_peer("early", state="online")
        late.stop()

    def test_peer_that_knocks_before_the_start_is_served_over_tcp(self):
        self.check_early_peer_is_served(lambda place: self.tcp())

    def test_peer_that_knocks_before_the_start_is_served_over_a_unix_socket(self):
        self.check_early_peer_is_served(self.unix)

    def test_systemd_itself_hands_them_over(self):
        if not shutil.which("systemd-socket-activate"):
            self.skipTest("there is no systemd-socket-activate")
        late = Node(self.place())
        early = self.node()
        trust_each_other(early, late, "early", "late")
        late.stop()
        path = late.place.path / "node.sock"
        runner = ["systemd-socket-activate", f"--listen={path}", "--fdname=node"]
        runner += [f"--setenv={key}" for key in (*late.place.environment, "NOTIFY_SOCKET")]
        late = Node(late.place, runner=runner, ready=False)
        wait_for(path.is_socket, "the socket")
        early.do("connect", f"unix://{path}")
        wait_for(late.is_ready, "READY")
        self.assertEqual(late.ask("status")["listening"], [f"unix://{path}"])
        late.stop()

    def test_socket_outlives_the_daemon_with_its_file(self):
        place = self.place()
        bound, endpoint = self.unix(place)
        path = place.path / "node.sock"
        before = path.stat()
        for _ in range(2):
            node = start_with(place, [bound])
            self.assertEqual(node.ask("status")["listening"], [endpoint])
            node.stop()
            self.assertEqual(path.stat().st_ino, before.st_ino)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
            knocking.connect(str(path))

    def test_settings_that_change_leave_it_alone(self):
        tcp, endpoint = self.tcp()
        node = start_with(self.place(), [tcp], config="listen=['tcp://127.0.0.1:0']\n")
        self.assertEqual(len(node.ask("status")["listening"]), 2)
        node.config.write_text("[org/hypha/node]\nlisten=[]\n")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.ask("status")["listening"] == [endpoint], "the one endpoint that was handed over")
        node.stop()

    def test_same_endpoint_in_the_settings_is_no_trouble(self):
        place = self.place()
        tcp, tcp_endpoint = self.tcp()
        unix, unix_endpoint = self.unix(place)
        node = start_with(place, [tcp, unix], config=f"listen=['{tcp_endpoint}?cost=7', '{unix_endpoint}']\n")
        self.assertCountEqual(node.ask("status")["listening"], [tcp_endpoint, unix_endpoint])
        self.assertIn(tcp_endpoint, node.call("/org/hypha/Node1", "org.hypha.Node1.Listen", f"'{tcp_endpoint}'", "{}").stdout)
        self.assertCountEqual(node.ask("status")["listening"], [tcp_endpoint, unix_endpoint])
        node.stop()
        self.assertNotRegex(node.log(), "already|in use|cannot")

    def test_unlisten_says_who_holds_it(self):
        tcp, endpoint = self.tcp()
        node = start_with(self.place(), [tcp])
        refused = node.call("/org/hypha/Node1", "org.hypha.Node1.Unlisten", f"'{endpoint}'")
        self.assert_fails(refused, 1, "handed over", endpoint)
        self.assertEqual(node.ask("status")["listening"], [endpoint])

    def test_what_does_not_listen_is_named_and_closed(self):
        tcp, endpoint = self.tcp()
        dead = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        file = open(os.devnull, "rb")
        for bad in (dead, datagrams, file):
            self.addCleanup(bad.close)
        node = start_with(self.place(), [dead, tcp, datagrams, file], names=["dead", "good", "udp", "null"])
        self.assertEqual(node.ask("status")["listening"], [endpoint])
        for name in ("descriptor 3 (dead)", "descriptor 5 (udp)", "descriptor 6 (null)"):
            self.assertIn(f"not taken over: {name}", node.log())
        inodes = {os.fstat(bad.fileno()).st_ino for bad in (dead, datagrams)}
        held = {link.stat().st_ino for link in pathlib.Path(f"/proc/{node.process.pid}/fd").iterdir() if link.exists()}
        self.assertFalse(inodes & held, "they are still open")
        node.stop()

    def test_descriptors_that_are_not_there_harm_nobody(self):
        tcp, endpoint = self.tcp()
        place = self.place()
        place.environment["CLAIMED_FDS"] = "100"
        node = start_with(place, [tcp])
        node.wait_log(r"descriptor 4 is not open")
        self.assertEqual(node.ask("status")["listening"], [endpoint])
        node.stop()

    def test_sockets_of_another_process_are_left_alone(self):
        tcp, _ = self.tcp()
        node = start_with(self.place(), [tcp], pid_offset=1)
        self.assertEqual(node.ask("status")["listening"], [])
        node.stop()

    def test_socket_waits_for_the_plug_in_that_takes_it(self):
        place = self.place()
        plugins = place.private / "plugins"
        plugins.mkdir()
        place.environment["HYPHA_PLUGIN_PATH"] = str(plugins)
        tcp, endpoint = self.tcp()
        node = start_with(place, [tcp], names=["hyphad.socket"], config=f"listen=['{endpoint}']\n")
        node.wait_log(r"descriptor 3 \(hyphad\.socket\): no transport")
        self.assertEqual(node.ask("status")["listening"], [])
        shutil.copy(next(path for folder in PLUGINS for path in folder.glob("tcp.so")), plugins)
        wait_for(lambda: node.ask("status")["listening"] == [endpoint], "the socket with its transport")
        (plugins / "tcp.so").unlink()
        wait_for(lambda: node.ask("status")["listening"] == [], "the transport's end")
        shutil.copy(next(path for folder in PLUGINS for path in folder.glob("tcp.so")), plugins)
        wait_for(lambda: node.ask("status")["listening"] == [endpoint], "the socket once more")
        node.stop()

    def test_vsock_socket_is_taken_over(self):
        try:
            bound = self.listening(socket.AF_VSOCK, (socket.VMADDR_CID_ANY, 0xffffffff))
        except OSError as error:
            self.skipTest(f"no vsock here: {error}")
        place = self.place()
        place.environment["HYPHA_PLUGIN_PATH"] = str(VSOCK_PLUGIN)
        node = start_with(place, [bound])
        self.assertEqual(node.ask("status")["listening"], [f"vsock://any:{bound.getsockname()[1]}"])
        node.stop()


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


class Frozen:
    """One thread of a process that hangs, while the others go on."""

    def __init__(self, tid):
        self.tid = tid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def trace(self, request):
        if self.libc.ptrace(request, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def __enter__(self):
        self.trace(PTRACE_SEIZE)
        self.trace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WALL)
        return self

    def __exit__(self, *ignored):
        self.trace(PTRACE_DETACH)


class Notifications(Case):
    def watched(self, usec, **environment):
        place = self.place()
        place.environment.update(WATCHDOG_USEC=str(usec), **environment)
        return Node(place)

    def pings(self, node):
        """How many there are now."""
        n = 0
        while told := node.told():
            n += "WATCHDOG=1" in told
        return n

    def silent(self, node, seconds):
        """Whether there is no ping for that long."""
        self.pings(node)
        return not select.select([node.notify], [], [], seconds)[0] or not self.pings(node)

    def thread(self, node, name):
        for task in pathlib.Path(f"/proc/{node.process.pid}/task").iterdir():
            if re.fullmatch(name, (task / "comm").read_text().strip()):
                return int(task.name)
        raise AssertionError(f"there is no thread {name}")

    def test_watchdog_is_answered_while_everything_answers(self):
        node = self.watched(100_000)
        wait_for(lambda: self.pings(node), "a first sign of life")
        wait_for(lambda: self.pings(node), "a second one")
        node.stop()

    def check_hang_is_seen(self, name):
        node = self.watched(100_000)
        wait_for(lambda: self.pings(node), "a sign of life")
        try:
            with Frozen(self.thread(node, name)):
                # One may have been on its way.
                wait_for(lambda: self.silent(node, 0.5), "silence")
        except PermissionError as error:
            self.skipTest(f"no thread can be stopped here: {error}")
        wait_for(lambda: self.pings(node), "a sign of life after the hang")
        node.stop()

    def test_watchdog_is_not_answered_while_a_worker_hangs(self):
        self.check_hang_is_seen("hypha-0")

    def test_watchdog_is_not_answered_while_the_main_loop_hangs(self):
        self.check_hang_is_seen("hyphad")

    def test_watchdog_of_another_process_is_not_answered(self):
        node = self.watched(20_000, WATCHDOG_PID="1")
        self.assertTrue(self.silent(node, 0.5))
        node.stop()

    def test_reload_is_told_from_its_beginning_to_its_end(self):
        node = self.node(config="name='before'\n")
        while node.told():
            pass
        before = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        node.process.send_signal(signal.SIGHUP)
        told = []
        wait_for(lambda: told.extend(node.told()) or "READY=1" in told, "the end of the reload")
        self.assertLess(told.index("RELOADING=1"), told.index("READY=1"))
        usec = next(int(line.split("=")[1]) for line in told if line.startswith("MONOTONIC_USEC="))
        self.assertTrue(before <= usec <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
        node.stop()

    def test_ready_means_that_it_listens_and_says_so(self):
        place = self.place()
        node = Node(place, "--listen", "tcp://127.0.0.1:0", "--listen", f"unix://{place.path}/s", ready=False)
        told = []
        wait_for(lambda: told.extend(node.told()) or "READY=1" in told, "READY")
        self.assertIn("STATUS=Peers: 0, links: 0, endpoints listened on: 2.", told)
        self.assertTrue((place.path / "s").is_socket())
        node.stop()

    def test_abstract_socket_is_told_as_well(self):
        place = self.place()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind("\0" + str(place.path))
            notify.settimeout(DEADLINE)
            node = Node(place, ready=False, runner=["env", f"NOTIFY_SOCKET=@{place.path}"])
            self.assertIn("READY=1", notify.recv(4096).decode().split("\n"))
            node.stop()

    def test_manager_that_does_not_listen_holds_nothing_up(self):
        node = self.watched(10_000)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as crowd:
            crowd.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    crowd.sendto(b"STATUS=full", node.notify.getsockname())
            node.ask("status")
            node.stop()


class Stop(Case):
    def joined(self):
        alpha, beta = self.node(), self.node("--listen", "tcp://127.0.0.1:0")
        trust_each_other(alpha, beta)
        alpha.do("connect", beta.listening("tcp"))
        return alpha, beta

    def open(self, alpha):
        stream = alpha.place.start_ctl("open", "beta", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, bufsize=0)
        self.echo(stream, b"before")
        return stream

    def echo(self, stream, text):
        stream.stdin.write(text)
        self.assertEqual(stream.stdout.read(len(text)), text)

    def ask_to_end(self, node):
        node.process.send_signal(signal.SIGTERM)
        told = []
        wait_for(lambda: told.extend(node.told()) or "STOPPING=1" in told, "STOPPING")
        return time.monotonic()

    def check_stream_may_end(self, which):
        nodes = self.joined()
        stream = self.open(nodes[0])
        endpoint = nodes[1].listening("tcp")
        self.ask_to_end(nodes[which])
        if which == 1:
            port = int(endpoint.rsplit(":", 1)[1])
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
        self.echo(stream, b"after")
        refused = nodes[0].ctl("open", "beta", "echo", stdin=subprocess.DEVNULL)
        self.assertEqual(refused.returncode, 1)
        self.echo(stream, b"still")
        started = time.monotonic()
        stream.stdin.close()
        self.assertEqual(stream.wait(DEADLINE), 0, stream.stderr.read())
        self.assertEqual(nodes[which].process.wait(DEADLINE), 0)
        self.assertLess(time.monotonic() - started, 4)
        nodes[which].check_log()
        self.assertNotIn("cut off", nodes[which].log())
        nodes[1 - which].stop()

    def test_stream_of_a_peer_may_end_before_the_node_does(self):
        self.check_stream_may_end(1)

    def test_stream_to_a_peer_may_end_before_the_node_does(self):
        self.check_stream_may_end(0)

    def test_stream_that_does_not_end_is_cut_off_after_five_seconds(self):
        alpha, beta = self.joined()
        theirs = self.open(alpha)
        own = self.open_own(beta)
        started = self.ask_to_end(beta)
        self.assertEqual(theirs.wait(DEADLINE), 1)
        took = time.monotonic() - started
        self.assertTrue(4.5 < took < 5 + DEADLINE / 6, took)
        self.assertEqual(theirs.stderr.read(), b"hyphactl: the peer is shutting down\n")
        self.assertEqual(own.wait(DEADLINE), 1)
        self.assertEqual(own.stderr.read(), b"hyphactl: this node stops\n")
        self.assertEqual(beta.process.wait(DEADLINE), 0)
        self.assertIn("2 streams have not ended in time", beta.log())
        wait_for(lambda: alpha.peer("beta")["state"] == "offline" or alpha.peer("beta")["state"] == "connecting",
                 "the peer's farewell")
        alpha.stop()

    def open_own(self, beta):
        own = beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   bufsize=0)
        self.echo(own, b"before")
        return own

    def test_second_signal_cuts_off_at_once_and_tells_why(self):
        alpha, beta = self.joined()
        theirs, own = self.open(alpha), self.open_own(beta)
        started = self.ask_to_end(beta)
        beta.process.send_signal(signal.SIGTERM)
        self.assertEqual(beta.process.wait(DEADLINE), 0)
        self.assertLess(time.monotonic() - started, 4)
        self.assertEqual((theirs.wait(DEADLINE), theirs.stderr.read()), (1, b"hyphactl: the peer is shutting down\n"))
        self.assertEqual((own.wait(DEADLINE), own.stderr.read()), (1, b"hyphactl: this node stops\n"))
        beta.check_log()
        alpha.stop()

    def test_third_signal_waits_for_nobody_and_looks_like_the_end_of_the_node(self):
        alpha, beta = self.joined()
        own = self.open_own(beta)
        self.ask_to_end(beta)
        # Both at once: nothing is told between them.
        beta.process.send_signal(signal.SIGSTOP)
        beta.process.send_signal(signal.SIGTERM)
        beta.process.send_signal(signal.SIGINT)
        beta.process.send_signal(signal.SIGCONT)
        self.assertEqual(beta.process.wait(DEADLINE), 0)
        self.assertEqual((own.wait(DEADLINE), own.stderr.read()), (1, b"hyphactl: the node has ended\n"))
        beta.check_log()
        alpha.stop()

    def test_client_that_asks_too_late_is_told_that_the_node_has_ended(self):
        alpha, beta = self.joined()
        own = self.open_own(beta)
        own.send_signal(signal.SIGSTOP)
        self.ask_to_end(beta)
        beta.process.send_signal(signal.SIGTERM)
        self.assertEqual(beta.process.wait(DEADLINE), 0)
        own.send_signal(signal.SIGCONT)
        self.assertEqual(own.wait(DEADLINE), 1)
        said = own.stderr.read()
        self.assertRegex(said, rb"node (has ended|was restarted|stops)")
        self.assertNotIn(b"forgotten", said)
        beta.check_log()
        alpha.stop()

    def test_node_without_streams_ends_at_once(self):
        alpha, beta = self.joined()
        started = time.monotonic()
        beta.stop()
        self.assertLess(time.monotonic() - started, 4)
        alpha.stop()


if __name__ == "__main__":
    sys.exit(main())
