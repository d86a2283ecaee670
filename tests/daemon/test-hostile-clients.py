#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that flood, vanish or talk nonsense: the daemon lives, stays small, and answers the others."""

import base64
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from harness import DEADLINE, NAME, ROOT, Case, Node, Place, main, trust_each_other, wait_for
from raw import NO_REPLY, Raw, message, text

PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROMPT = 5 * float(os.environ.get("MESON_TEST_TIMEOUT_MULTIPLIER", "1"))
# What a bus says for itself.
LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded"
MEGABYTE = 1024 * 1024
GENEROUS = 48 * MEGABYTE
TERABYTE = MEGABYTE * MEGABYTE


class Lonely(Place):
    """Without a bus: hyphad has a socket of its own, where no dbus-daemon stands in between."""

    def __init__(self):
        super().__init__()
        self.socket = self.private / "hypha" / "bus"
        self.address = f"unix:path={self.socket}"
        self.which = ["--user"]
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={self.path}/none"


def memory(node):
    """How much it has in memory; none where a sanitizer, which maps terabytes, keeps what was freed."""
    with open(f"/proc/{node.process.pid}/statm") as file:
        mapped, resident = (int(pages) * os.sysconf("SC_PAGE_SIZE") for pages in file.read().split()[:2])
    return resident if mapped < TERABYTE else 0


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


class Hostile:
    """Alike on a bus and on a socket."""

    def setUp(self):
        self.node = self.node_here("--listen", "tcp://127.0.0.1:0")
        self.node.ask("status")
        self.memory, self.descriptors = memory(self.node), descriptors(self.node)

    def tearDown(self):
        self.unharmed()
        self.node.stop()

    def unharmed(self):
        begin = time.monotonic()
        self.node.ask("status")
        self.assertLess(time.monotonic() - begin, PROMPT)
        wait_for(lambda: descriptors(self.node) <= self.descriptors + 4, "as few descriptors as before")
        self.assertLess(memory(self.node) - self.memory, GENEROUS)

    def send_much(self, raw, data):
        """All of it, or as much as is taken until nothing is any more."""
        raw.socket.settimeout(1)
        try:
            raw.send(data)
        except (TimeoutError, OSError):
            pass

    def test_ten_thousand_calls_without_reading(self):
        raw = self.raw()
        calls = b"".join(message(serial, ROOT, OBJECTS, "GetManagedObjects", destination=self.name)
                         for serial in range(10, 10010))
        self.send_much(raw, calls)
        self.unharmed()
        raw.close()

    def test_ten_thousand_calls_that_want_no_answer(self):
        raw = self.raw()
        calls = b"".join(message(serial, ROOT, OBJECTS, "GetManagedObjects", flags=NO_REPLY, destination=self.name)
                         for serial in range(10, 10010))
        self.send_much(raw, calls)
        raw.socket.settimeout(DEADLINE)
        try:
            raw.send(message(20000, ROOT, "org.freedesktop.DBus.Peer", "Ping", destination=self.name))
            # None of the others was answered. Too many at once are not taken, this one perhaps neither.
            raw.answer(20000)
        except (EOFError, OSError):
            pass
        raw.close()

    def test_ten_thousand_calls_with_reading_are_all_answered(self):
        raw = self.raw()
        count = 10000
        calls = [message(serial, ROOT, NAME, "Explain", "s", text("eve"), destination=self.name)
                 for serial in range(10, 10 + count)]
        sender = threading.Thread(target=lambda: raw.send(b"".join(calls)))
        sender.start()
        errors = {}
        seen = 0
        while seen < count:
            _kind, answers, error = raw.read()
            if answers >= 10:
                seen += 1
                errors[error] = errors.get(error, 0) + 1
        sender.join()
        self.assertLessEqual(set(errors), {"org.hypha.Error.NoSuchPeer", "org.hypha.Error.Busy", LIMITS})
        self.assertIn("org.hypha.Error.NoSuchPeer", errors)
        raw.close()

    def test_changes_beyond_what_a_caller_may_have_under_way_are_busy(self):
        raw = self.raw()
        with socket.create_server(("127.0.0.1", 0)) as mute:
            body = self.waiting(mute)
            for serial in range(10, 210):
                raw.send(message(serial, ROOT, NAME, "Connect", "sa{sv}", body, destination=self.name))
            _kind, answers, error = raw.read()
            while answers < 10:
                _kind, answers, error = raw.read()
            self.assertEqual(answers, 10 + 128)
            self.assertIn(error, ("org.hypha.Error.Busy", LIMITS))
            raw.close()
            # They are given up with the caller: another may have as many.
            other = self.raw()
            wait_for(lambda: self.connects(other, body), "room for the changes of another")
            other.close()

    def test_descriptors_that_come_with_calls_are_not_kept(self):
        raw = self.raw(descriptors=True)
        with open("/dev/null") as null, socket.create_server(("127.0.0.1", 0)) as mute:
            body = self.waiting(mute)
            for serial in range(10, 74):
                raw.send(message(serial, ROOT, NAME, "Connect", "sa{sv}", body, destination=self.name, descriptors=8),
                         [null.fileno()] * 8)
            for serial in range(10, 74):
                self.assertEqual(raw.answer(serial), "org.hypha.Error.InvalidArgument")
            self.assertLess(descriptors(self.node), self.descriptors + 16)
        raw.close()

    def waiting(self, mute):
        """Arguments of a Connect that waits: nobody answers at MUTE."""
        endpoint = text(f"tcp://127.0.0.1:{mute.getsockname()[1]}")
        body = endpoint + b"\0" * (-len(endpoint) % 4) + struct.pack("<I", 0)
        return body + b"\0" * (-len(body) % 8)

    def connects(self, raw, body):
        """Whether a change is waited for, and not refused at once."""
        self.serial = getattr(self, "serial", 1000) + 2
        raw.send(message(self.serial, ROOT, NAME, "Connect", "sa{sv}", body, destination=self.name) +
                 message(self.serial + 1, ROOT, "org.freedesktop.DBus.Peer", "Ping", destination=self.name))
        while True:
            _kind, answers, _error = raw.read()
            if answers in (self.serial, self.serial + 1):
                return answers == self.serial + 1

    def test_a_thousand_results_of_streams_that_are_not(self):
        self.node.do("trust", "a" * 51 + "q", "eve")
        raw = self.raw()
        for serial in range(10, 1010):
            raw.send(message(serial, f"{ROOT}/peer/{'a' * 51}q", "org.hypha.Peer1", "StreamResult", "t",
                             struct.pack("<Q", serial), destination=self.name))
        errors = set()
        seen = 0
        while seen < 1000:
            _kind, answers, error = raw.read()
            seen += answers >= 10
            if answers >= 10:
                errors.add(error)
        self.assertIn("org.hypha.Error.Gone", errors)
        self.assertLessEqual(errors, {"org.hypha.Error.Gone", "org.hypha.Error.Busy", LIMITS})
        raw.close()

    def test_huge_message_is_refused(self):
        raw = self.raw()
        raw.send(message(10, ROOT, NAME, "Explain", "s", text("x" * (8 * MEGABYTE)), destination=self.name))
        self.assertEqual(raw.answer(10), "org.hypha.Error.Busy")
        raw.close()

    def test_huge_path_is_refused(self):
        raw = self.raw()
        for serial in range(10, 14):
            raw.send(message(serial, "/" + "x" * (8 * MEGABYTE), "org.freedesktop.DBus.Peer", "Ping", destination=self.name))
        self.assertEqual([raw.answer(serial) for serial in range(10, 14)], ["org.hypha.Error.Busy"] * 4)
        raw.close()

    def test_wrong_signatures_and_unknown_members_are_named(self):
        raw = self.raw()
        wrong = [("Explain", "u", struct.pack("<I", 1)), ("Explain", "", b""), ("Connect", "s", text("x")),
                 ("NoSuch", "", b""), ("Trust", "ss", text("x") + b"\0\0" + text("y"))]
        for serial, (member, signature, body) in enumerate(wrong, 10):
            raw.send(message(serial, ROOT, NAME, member, signature, body, destination=self.name))
            self.assertTrue(raw.answer(serial).startswith(("org.freedesktop.DBus.Error.", "org.hypha.Error.")))
        raw.close()

    def test_client_that_is_killed_in_the_middle_of_a_call(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            client = self.node.place.start_ctl("connect", f"tcp://127.0.0.1:{mute.getsockname()[1]}", "--timeout", "600000",
                                               stderr=subprocess.DEVNULL)
            mute.settimeout(DEADLINE)
            connection, _ = mute.accept()
            client.send_signal(signal.SIGKILL)
            client.wait()
            self.node.ask("status")
            connection.close()
        port = self.node.listening("tcp")
        self.assertTrue(port)
        # What Connect dials, it dials for ever: that is no descriptor left over.
        self.descriptors += 4

    def test_stream_that_is_being_opened_goes_with_the_client(self):
        beta = Node(self.place_of_a_bus())
        trust_each_other(self.node, beta)
        beta.do("connect", self.node.listening("tcp"))
        self.node.wait_peer("beta", state="online")
        beta.process.send_signal(signal.SIGSTOP)
        client = self.node.place.start_ctl("open", "beta", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL)
        wait_for(lambda: self.node.ask("streams", "beta"), "a stream that is being opened")
        client.kill()
        client.wait()
        beta.process.send_signal(signal.SIGCONT)
        for here, peer in ((self.node, "beta"), (beta, "alpha")):
            wait_for(lambda: not here.ask("streams", peer), "no stream any more")
        beta.stop()
        self.descriptors += 4

    def place_of_a_bus(self):
        place = Place()
        self.addCleanup(place.close)
        return place


class Bus(Hostile, Case):
    name = NAME

    def node_here(self, *arguments):
        return Node(self.place_of_a_bus(), *arguments)

    def raw(self, **more):
        raw = Raw(self.node.place.path / "bus", DEADLINE, **more)
        raw.say_hello()
        return raw


class FewRules(Place):
    """A bus that allows a connection fewer match rules than there are callers, but as many callers as come."""

    BUS = Place.BUS.replace("</busconfig>", """<limit name="max_match_rules_per_connection">180</limit>
      <limit name="max_connections_per_user">1000</limit><limit name="max_completed_connections">1000</limit></busconfig>""")


class ManyCallers(Case):
    def test_each_of_more_callers_than_there_are_match_rules_is_heard_leaving(self):
        place = FewRules()
        self.addCleanup(place.close)
        node = Node(place)
        callers = []
        for number in range(240):
            raw = Raw(place.path / "bus", DEADLINE)
            raw.say_hello()
            callers.append(raw)
            name = text(f"service{number}")
            raw.send(message(10, ROOT, NAME, "RegisterService", "so", name + b"\0" * (-len(name) % 4) + text("/handler"),
                             destination=NAME))
            self.assertIsNone(raw.answer(10))
        registered = len([service for service in node.ask("services") if service["name"].startswith("service")])
        self.assertEqual(registered, len(callers))
        # Those that came last first: their rule is to stay for one another.
        for raw in reversed(callers):
            raw.close()
        wait_for(lambda: not [service for service in node.ask("services") if service["name"].startswith("service")],
                 "an end of all that they had registered")
        node.stop()


class Socket(Hostile, Case):
    name = None

    def node_here(self, *arguments):
        place = Lonely()
        self.addCleanup(place.close)
        return Node(place, *arguments)

    def raw(self, **more):
        return Raw(self.node.place.socket, DEADLINE, **more)

    def test_who_takes_no_descriptors_is_told_so_and_stays(self):
        raw = self.raw()
        with socket.create_server(("127.0.0.1", 0)) as server:
            raw.send(message(10, ROOT, NAME, "Dial", "sa{sv}", self.waiting(server)))
            self.assertEqual(raw.answer(10), "org.hypha.Error.NotSupported")
        self.node.do("trust", "a" * 51 + "q", "eve")
        echo = text("echo")
        raw.send(message(11, f"{ROOT}/peer/{'a' * 51}q", "org.hypha.Peer1", "OpenStream", "sa{sv}",
                         echo + b"\0" * (-len(echo) % 4) + struct.pack("<I", 0)))
        self.assertEqual(raw.answer(11), "org.hypha.Error.NotSupported")
        raw.close()

    def test_names_that_a_caller_gives_itself_count_for_nothing(self):
        raw = self.raw()
        with socket.create_server(("127.0.0.1", 0)) as mute:
            body = self.waiting(mute)
            for serial in range(10, 210):
                raw.send(message(serial, ROOT, NAME, "Connect", "sa{sv}", body, sender=f":1.{serial}"))
            _kind, answers, error = raw.read()
            while answers < 10:
                _kind, answers, error = raw.read()
            self.assertEqual((answers, error), (10 + 128, "org.hypha.Error.Busy"))
            raw.close()
            other = self.raw()
            wait_for(lambda: self.connects(other, body), "room for the changes of another")
            other.close()

    def test_all_objects_are_not_told_hundreds_of_times_at_once(self):
        raw = self.raw()
        for serial in range(10, 110):
            name = text(base64.b32encode(hashlib.sha256(bytes([serial])).digest()).decode().lower().rstrip("="))
            raw.send(message(serial, ROOT, NAME, "Trust", "ss", name + b"\0" * (-len(name) % 4) + text(f"p{serial}")))
            raw.answer(serial)
        raw.send(b"".join(message(serial, ROOT, OBJECTS, "GetManagedObjects") for serial in range(200, 500)))
        errors = []
        while len(errors) < 300:
            _kind, answers, error = raw.read()
            if answers >= 200:
                errors.append(error)
        self.assertEqual(set(errors), {None, "org.hypha.Error.Busy"})
        raw.close()

    def test_garbage_is_shown_the_door(self):
        for garbage in (b"\0\0\0\0", b"GET / HTTP/1.0\r\n\r\n", b"\0AUTH ANONYMOUS\r\nBEGIN\r\n", b"\0AUTH EXTERNAL 393939\r\nBEGIN\r\n",
                        os.urandom(4096)):
            raw = Raw(self.node.place.socket, DEADLINE, authenticate=False)
            raw.socket.sendall(garbage)
            raw.socket.shutdown(socket.SHUT_WR)
            with self.assertRaises((EOFError, ConnectionError)):
                while True:
                    raw.fill()
            raw.close()
        raw = self.raw()
        raw.send(b"X" * 200)
        with self.assertRaises((EOFError, ConnectionError)):
            while True:
                raw.fill()
        raw.close()

    def test_those_who_never_authenticate_are_sent_away(self):
        silent = [Raw(self.node.place.socket, DEADLINE, authenticate=False) for _ in range(20)]
        self.node.ask("status")
        for raw in silent:
            with self.assertRaises((EOFError, ConnectionError)):
                raw.fill()
            raw.close()

    def test_client_that_does_not_read_what_it_is_told_loses_its_connection(self):
        raw = self.raw()
        # Each pair of changes is two signals at least, to everybody.
        other = self.raw()
        serial = 10

        def gone():
            nonlocal serial
            for _ in range(200):
                other.send(message(serial, ROOT, NAME, "Trust", "ss",
                                   text("a" * 51 + "q") + b"\0" * (-len(text("a" * 51 + "q")) % 4) + text("eve"),
                                   destination=self.name) +
                           message(serial + 1, ROOT, NAME, "Forget", "s", text("a" * 51 + "q"), destination=self.name))
                other.answer(serial + 1)
                serial += 2
            return "does not read" in self.node.log()
        wait_for(gone, "the end of the one that does not read")
        other.close()
        with self.assertRaises((EOFError, ConnectionError)):
            while True:
                raw.fill()
        raw.close()


if __name__ == "__main__":
    sys.exit(main())
