#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What opening a stream costs on the bus, and what becomes of it when whoever opened it leaves."""

import struct
import sys

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for
from raw import ERROR, SIGNAL, Raw, message, text

BUS = "org.freedesktop.DBus"
PATH = "/org/freedesktop/DBus"
TIMES = 5


class Client:
    """Somebody on NODE's bus who opens streams to its peer ALPHA, call by call."""

    def __init__(self, node, alpha):
        self.raw = Raw(node.place.path / "bus", DEADLINE, descriptors=True)
        self.raw.say_hello()
        self.peer = f"/org/hypha/Node1/peer/{alpha.id()}"
        self.serial = 1

    def call(self, *arguments, **more):
        self.serial += 1
        self.raw.send(message(self.serial, *arguments, **more))
        return self.raw.answer(self.serial)

    def open(self, direct=False):
        options = struct.pack("<I", 0) + bytes(4)
        if direct:
            option = text("direct") + b"\1b\0"
            option += bytes(-len(option) % 4) + struct.pack("<I", 1)
            options = struct.pack("<I", len(option)) + option
        service = text("echo")
        service += bytes(-len(service) % 4)
        if direct:  # the array's elements begin at 8
            assert (len(service) + 4) % 8 == 0
        else:
            options = options[:4] + bytes(-(len(service) + 4) % 8)
        error = self.call(self.peer, "org.hypha.Peer1", "OpenStream", "sa{sv}", service + options, destination="org.hypha.Node1")
        if error:
            raise AssertionError(error)
        return struct.unpack("<I4xQ", self.raw.body)[1]

    def hear_result(self, stream):
        """Of one that has ended: with this the node has nothing more of it."""
        error = self.call(self.peer, "org.hypha.Peer1", "StreamResult", "t", struct.pack("<Q", stream), destination="org.hypha.Node1")
        if error:
            raise AssertionError(error)

    def mark(self):
        """An error, to be found among what a monitor has seen."""
        if not self.call(PATH, BUS, "NoSuchMethod", destination=BUS):
            raise AssertionError("there is such a method")


class Monitor:
    """Sees all that goes over NODE's bus. A bus shows no answer with a descriptor to whoever takes none."""

    def __init__(self, node):
        self.raw = Raw(node.place.path / "bus", DEADLINE, descriptors=True)
        self.raw.say_hello()
        self.raw.send(message(2, PATH, "org.freedesktop.DBus.Monitoring", "BecomeMonitor", "asu", struct.pack("<II", 0, 0),
                              destination=BUS))
        if self.raw.answer(2):
            raise AssertionError("the bus wants no monitor")

    def count(self):
        """How many calls and answers until the next mark, which is two itself, and how many signals."""
        n = signals = 0
        while (kind := self.raw.read()[0]) != ERROR:
            signals += kind == SIGNAL
            n += kind != SIGNAL
        return n - 1, signals


class Opening(Case):
    """alpha listens, beta dials; streams are opened at beta."""

    def setUp(self):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", self.unix, config="")
        self.beta = Node(self.place(), config="")
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.unix)
        wait_for(lambda: self.alpha.peer("beta")["state"] == "online", "beta at alpha")

    def tearDown(self):
        for node in (self.alpha, self.beta):
            node.stop()

    def count(self, client, times, direct=False):
        monitor = Monitor(self.beta)
        client.mark()
        monitor.count()
        for _ in range(times):
            client.open(direct)
        client.mark()
        n = monitor.count()
        monitor.raw.close()
        return n

    def test_a_stream_takes_a_call_and_its_answer(self):
        client = Client(self.beta, self.alpha)
        client.open()  # whoever calls for the first time is looked up
        self.assertEqual(self.count(client, TIMES), (2 * TIMES, 0))
        self.assertEqual(len(client.raw.descriptors), 1 + TIMES)
        client.raw.close()

    def test_who_comes_again_is_still_known(self):
        client = Client(self.beta, self.alpha)
        stream = client.open()
        client.raw.close_descriptors()
        client.hear_result(stream)  # or the result that waits would keep whom it is for
        wait_for(lambda: not self.beta.ask("streams", "alpha"), "the end of the stream")
        self.assertEqual(self.count(client, 1), (2, 0))
        client.raw.close()

    def test_a_direct_one_takes_nothing_more_but_that_it_has_ended_for_the_node(self):
        client = Client(self.beta, self.alpha)
        client.open(True)
        wait_for(lambda: not self.beta.ask("streams", "alpha"), "the end of the stream")
        calls, signals = self.count(client, TIMES, True)
        self.assertEqual(calls, 2 * TIMES)
        self.assertLessEqual(signals, TIMES)  # the last may come later
        client.raw.close()

    def test_who_leaves_has_no_streams_any_more_however_well_he_was_known(self):
        client, other = Client(self.beta, self.alpha), Client(self.beta, self.alpha)
        for one in (client, other, client):
            one.open()
        self.assertEqual(len(self.beta.ask("streams", "alpha")), 3)
        client.raw.close()
        wait_for(lambda: len(self.beta.ask("streams", "alpha")) == 1, "the end of two streams")
        other.open()
        self.assertEqual(len(self.beta.ask("streams", "alpha")), 2)
        other.raw.close()
        wait_for(lambda: not self.beta.ask("streams", "alpha"), "the end of the others")


if __name__ == "__main__":
    sys.exit(main())
