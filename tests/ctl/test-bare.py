#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""dial and accept: bare channels, with whatever is not Hypha at the other end. No node runs."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading

from harness import DEADLINE, HYPHACTL, Case, main, wait_for

BIG = os.urandom(1 << 20) * 24
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
RESET = struct.pack("ii", 1, 0)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def feed(sock, data):
    """Sends from a thread, and ends that direction."""
    def run():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def drain(sock):
    parts = []
    while True:
        part = sock.recv(1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


class Bare(Case):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hypha-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/gone"}

    def start(self, *words, **more):
        process = subprocess.Popen([HYPHACTL, *words], env=self.environment, **{**PIPES, **more})

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.addCleanup(end)
        return process

    def listen(self, kind):
        """A listening socket of somebody else, and its endpoint."""
        if kind == "tcp":
            server = socket.create_server(("127.0.0.1", 0))
            endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        else:
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(self.folder / "s"))
            server.listen()
            endpoint = f"unix://{self.folder}/s"
        server.settimeout(DEADLINE)
        self.addCleanup(server.close)
        return server, endpoint

    def dialled(self, kind, **more):
        """A hyphactl dial, and the other end of its channel."""
        server, endpoint = self.listen(kind)
        process = self.start("dial", endpoint, **more)
        sock, _ = server.accept()
        sock.settimeout(DEADLINE)
        self.addCleanup(sock.close)
        return process, sock

    def accepting(self, kind, *words, **more):
        """A hyphactl accept that listens, and where."""
        process = self.start("accept", "tcp://127.0.0.1:0" if kind == "tcp" else f"unix://{self.folder}/a", *words, **more)
        line = process.stderr.readline().decode()
        return process, re.fullmatch(r"listening on (\S+)\n", line)[1]

    def connect(self, endpoint):
        if endpoint.startswith("tcp://"):
            host, port = endpoint[len("tcp://"):].split(":")
            sock = socket.create_connection((host, int(port)), DEADLINE)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(DEADLINE)
            sock.connect(endpoint[len("unix://"):])
        self.addCleanup(sock.close)
        return sock

    def accepted(self, kind, **more):
        process, endpoint = self.accepting(kind, **more)
        return process, self.connect(endpoint)

    def ways(self):
        """Each verb over each transport: hyphactl, and the other end."""
        for kind in ("tcp", "unix"):
            for make in (self.dialled, self.accepted):
                with self.subTest(f"{make.__name__} {kind}"):
                    yield make(kind)
                (self.folder / "s").unlink(missing_ok=True)

    def hold_broken(self, process, *words):
        _, said = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 1, said)
        for word in words:
            self.assertIn(word, said.decode())

    # What ends well.

    def test_plugin_that_is_of_no_use_here_is_not_told_to_who_has_not_asked(self):
        stub = pathlib.Path(os.environ["HYPHA_PLUGIN_PATH"].split(":")[0]).parent / "quic-stub"
        if not list(stub.glob("*.so")):
            self.skipTest("the plug-in quic-stub is not built")
        self.environment["HYPHA_PLUGIN_PATH"] += f":{stub}"
        process = self.start("accept", "--json", "tcp://127.0.0.1:0")
        line = json.loads(process.stderr.readline())
        self.connect(line["listening"]).close()
        _, said = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, said), (0, b""))

    def test_much_goes_both_ways_at_once_and_arrives_whole(self):
        for process, sock in self.ways():
            feeder = feed(sock, BIG[::-1])
            got = {}
            reader = threading.Thread(target=lambda: got.update(data=drain(sock)))
            reader.start()
            out, said = process.communicate(BIG, timeout=DEADLINE)
            feeder.join()
            reader.join()
            self.assertEqual((process.returncode, digest(out), digest(got["data"])), (0, digest(BIG[::-1]), digest(BIG)), said)

    def test_end_of_input_goes_through_and_the_answer_still_comes(self):
        for process, sock in self.ways():
            process.stdin.write(b"question")
            process.stdin.close()
            self.assertEqual(drain(sock), b"question")
            self.assertIsNone(process.poll())
            sock.sendall(b"answer")
            sock.close()
            self.assertEqual(process.stdout.read(), b"answer")
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_end_from_the_other_side_goes_through_and_input_still_goes(self):
        for process, sock in self.ways():
            sock.sendall(b"greeting")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(process.stdout.read(), b"greeting")
            self.assertIsNone(process.poll())
            process.stdin.write(b"reply")
            process.stdin.close()
            self.assertEqual(drain(sock), b"reply")
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_bytes_come_at_once(self):
        for process, sock in self.ways():
            for i in range(3):
                os.write(process.stdin.fileno(), b"%d" % i)
                self.assertEqual(sock.recv(10), b"%d" % i)
                sock.sendall(b"%d!" % i)
                self.assertEqual(os.read(process.stdout.fileno(), 10), b"%d!" % i)
            process.stdin.close()
            sock.close()
            self.assertEqual(process.wait(DEADLINE), 0)

    # What does not.

    def test_reset_is_told_and_never_looks_like_an_end(self):
        for kind, make in (("tcp", self.dialled), ("tcp", self.accepted)):
            process, sock = make(kind)
            sock.sendall(b"half")
            self.assertEqual(os.read(process.stdout.fileno(), 10), b"half")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
            self.hold_broken(process, "the other end broke off")

    def test_other_end_that_leaves_something_unread_is_told(self):
        for process, sock in self.ways():
            os.write(process.stdin.fileno(), b"never read")
            wait_for(lambda: sock.recv(1, socket.MSG_PEEK), "something to leave unread")
            sock.close()
            self.hold_broken(process, "the other end broke off")

    def test_other_end_that_is_gone_before_the_input_was_taken_is_told(self):
        for process, sock in self.ways():
            sock.close()
            self.assertEqual(process.stdout.read(), b"")
            try:
                for _ in range(100):
                    os.write(process.stdin.fileno(), bytes(65536))
            except BrokenPipeError:
                pass
            self.assertEqual(process.wait(DEADLINE), 1)
            self.assertIn(b"the other end broke off", process.stderr.read())

    def test_signal_resets_the_channel(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for make in (self.dialled, self.accepted):
                process, sock = make("tcp")
                os.write(process.stdin.fileno(), b"x")
                self.assertEqual(sock.recv(1), b"x")
                process.send_signal(number)
                with self.assertRaises(ConnectionResetError):
                    sock.recv(1)
                self.assertEqual(process.wait(DEADLINE), 1)
                # After a hang-up there is nobody to read it.
                self.assertEqual(b"interrupted" in process.stderr.read(), number != signal.SIGHUP)

    def test_reader_of_the_output_that_goes_away_is_an_error_and_resets_the_channel(self):
        process, sock = self.dialled("tcp")
        process.stdout.close()
        sock.sendall(b"for nobody")
        with self.assertRaises(ConnectionResetError):
            sock.recv(1)
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn(b"cannot write to standard output", process.stderr.read())

    def test_full_disk_is_an_error(self):
        with open("/dev/full", "w") as full:
            process, sock = self.dialled("tcp", stdout=full)
        sock.sendall(b"too much")
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn(b"No space left", process.stderr.read())

    def test_input_that_cannot_be_read_is_an_error(self):
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        process, sock = self.dialled("tcp", stdin=folder)
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn(b"cannot read standard input", process.stderr.read())
        with self.assertRaises(ConnectionResetError):
            sock.recv(1)

    # Before there is a channel.

    def test_refused_connection_says_where(self):
        server, endpoint = self.listen("tcp")
        server.close()
        self.hold_broken(self.start("dial", endpoint), endpoint, "refused")
        self.hold_broken(self.start("dial", f"unix://{self.folder}/nobody"), "nobody")

    def test_dialling_has_a_deadline(self):
        server = socket.socket()
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        # Whoever comes when the queue is full is not answered.
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
            waiting.append(sock)
            self.addCleanup(sock.close)
        self.hold_broken(self.start("dial", "--timeout", "200", f"tcp://127.0.0.1:{server.getsockname()[1]}"), "200 ms")

    def test_accepting_has_a_deadline_and_cleans_up(self):
        self.hold_broken(self.start("accept", "--timeout", "50", f"unix://{self.folder}/a"), "nobody connected", "50 ms")
        self.assertFalse((self.folder / "a").exists())

    def test_signal_while_nobody_has_come_cleans_up(self):
        process, _ = self.accepting("unix")
        self.assertTrue(stat.S_ISSOCK((self.folder / "a").stat().st_mode))
        process.send_signal(signal.SIGTERM)
        self.hold_broken(process, "interrupted")
        self.assertFalse((self.folder / "a").exists())

    def test_endpoints_that_are_none(self):
        for verb in ("dial", "accept"):
            self.hold_broken(self.start(verb, "nonsense"), "nonsense")
            self.hold_broken(self.start(verb, "carrier-pigeon://x"), "carrier-pigeon")
        self.environment["HYPHA_PLUGIN_PATH"] = str(self.folder)
        self.hold_broken(self.start("dial", "tcp://127.0.0.1:1"), "tcp")

    def test_listener_ends_when_its_plug_in_is_taken_away(self):
        plugins = self.folder / "plugins"
        plugins.mkdir(mode=0o755)
        [module] = [path for folder in os.environ["HYPHA_PLUGIN_PATH"].split(":")
                    for path in pathlib.Path(folder).glob("tcp.so")]
        shutil.copy(module, plugins / "part")
        (plugins / "part").rename(plugins / "tcp.so")
        self.environment["HYPHA_PLUGIN_PATH"] = str(plugins)
        process, endpoint = self.accepting("tcp")
        (plugins / "tcp.so").unlink()
        self.hold_broken(process, endpoint, "was taken away")

    def test_address_that_is_taken(self):
        _, endpoint = self.listen("tcp")
        self.hold_broken(self.start("accept", endpoint), endpoint)

    # accept alone.

    def test_port_0_is_told_as_the_real_one(self):
        process, endpoint = self.accepting("tcp")
        self.assertGreater(int(endpoint.rsplit(":", 1)[1]), 0)
        self.connect(endpoint).close()
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_json_tells_where_it_listens_on_standard_error(self):
        process = self.start("accept", "--json", "tcp://127.0.0.1:0")
        told = json.loads(process.stderr.readline())
        self.assertEqual(list(told), ["listening"])
        self.connect(told["listening"]).close()
        self.assertEqual(process.communicate(timeout=DEADLINE), (b"", b""))
        self.assertEqual(process.returncode, 0)

    def test_only_the_first_is_accepted(self):
        process, endpoint = self.accepting("tcp")
        first = self.connect(endpoint)
        first.sendall(b"first")
        self.assertEqual(os.read(process.stdout.fileno(), 10), b"first")
        with self.assertRaises(ConnectionRefusedError):
            self.connect(endpoint)

    # With itself, and with socat.

    def test_dial_and_accept_meet(self):
        for kind in ("tcp", "unix"):
            server, endpoint = self.accepting(kind, stdin=subprocess.DEVNULL)
            client = self.start("dial", endpoint, stdout=subprocess.DEVNULL)
            client.stdin.write(b"from here")
            client.stdin.close()
            self.assertEqual(server.stdout.read(), b"from here")
            self.assertEqual((client.wait(DEADLINE), server.wait(DEADLINE)), (0, 0))

    def socat(self, *words, **more):
        if not shutil.which("socat"):
            self.skipTest("there is no socat (package socat)")
        process = subprocess.Popen(["socat", "-t", str(DEADLINE), *words], **{**PIPES, **more})
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        return process

    def test_dial_reaches_socat(self):
        self.socat(f"UNIX-LISTEN:{self.folder}/x,fork", "EXEC:cat")

        def listens():
            with socket.socket(socket.AF_UNIX) as sock:
                return sock.connect_ex(str(self.folder / "x")) == 0
        wait_for(listens, "socat's socket")
        client = self.start("dial", f"unix://{self.folder}/x")
        out, said = client.communicate(BIG, timeout=DEADLINE)
        self.assertEqual((client.returncode, digest(out)), (0, digest(BIG)), said)

    def test_socat_reaches_accept(self):
        for kind in ("tcp", "unix"):
            server, endpoint = self.accepting(kind, stdin=subprocess.PIPE)
            target = endpoint.replace("tcp://", "TCP:").replace("unix://", "UNIX-CONNECT:")
            client = self.socat("-", target)
            feeder = threading.Thread(target=lambda: (server.stdin.write(BIG), server.stdin.close()))
            feeder.start()
            got = {}
            reader = threading.Thread(target=lambda: got.update(data=server.stdout.read()))
            reader.start()
            out, said = client.communicate(BIG[::-1], timeout=DEADLINE)
            feeder.join()
            reader.join()
            self.assertEqual((server.wait(DEADLINE), digest(out), digest(got["data"])), (0, digest(BIG), digest(BIG[::-1])), said)


if __name__ == "__main__":
    sys.exit(main())
