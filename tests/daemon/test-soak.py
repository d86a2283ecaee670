#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links that die ten times a second under load: no byte is lost, and the daemons do not grow.

HYPHA_SOAK_SECONDS tells for how long each way is soaked; ./dev soak daemons does it for minutes.
"""

import contextlib
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time

from harness import DEADLINE, NAME, ROOT, Case, Node, main, trust_each_other, wait_for
from load import Load, Watching, descriptors, is_sanitized, memory
from raw import Raw, message, text
from relay import Relay

SECONDS = float(os.environ.get("HYPHA_SOAK_SECONDS", "6"))
EVERY = 0.1
MEGABYTE = 1 << 20
# What a daemon may have more of when it is at rest in the end than at the height of the first third: what malloc keeps differs by as
# much from one time to the next. In minutes, even a kilobyte for each link that has died is more.
GROWTH = 4 * MEGABYTE
# And at any time: two sessions' windows (session-window), one received and one sent, and buffers of links and kernel's copies.
PEAK = 64 * MEGABYTE


class Connecting(threading.Thread):
    """Asks NODE to be connected to ENDPOINT, again and again: a link that is there is an answer at once."""

    def __init__(self, node, endpoint):
        super().__init__(daemon=True)
        self.raw = Raw(node.place.path / "bus", DEADLINE)
        self.raw.say_hello()
        body = text(endpoint)
        self.body = body + b"\0" * (-len(body) % 4) + struct.pack("<I", 0)
        self.body += b"\0" * (-len(self.body) % 8)
        self.over = threading.Event()
        self.start()

    def run(self):
        serial = 2
        while not self.over.wait(EVERY / 5):
            self.raw.send(message(serial, ROOT, NAME, "Connect", "sa{sv}", self.body, destination=NAME))
            self.raw.answer(serial)
            serial += 1

    def stop(self):
        self.over.set()
        self.join()
        self.raw.close()


class Soak(Case):
    """alpha listens, beta dials; both open streams to each other."""

    patience = 4 * DEADLINE + 8 * SECONDS
    config = ""

    def setUp(self):
        runner = [os.environ["SEVER"], "--allow"]
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", "--listen", self.unix, config=self.config, runner=runner)
        self.beta = Node(self.place(), config=self.config, runner=runner)
        self.nodes = (self.alpha, self.beta)
        trust_each_other(self.alpha, self.beta)
        self.tcp = self.alpha.listening("tcp")

    def tearDown(self):
        self.stop_all(*self.nodes)

    def cut(self, what):
        """Cuts the connection with WHAT in its address, at one of both ends; a link may just not be there."""
        node = random.choice(self.nodes)
        done = subprocess.run([os.environ["SEVER"], str(node.process.pid), what], capture_output=True, text=True)
        if "ptrace" in done.stderr:
            self.skipTest(done.stderr.strip())
        return done.returncode == 0

    def grind(self, seconds, fault):
        """Load for so long, with a FAULT each tenth of a second. Says how many faults there were, streams and bytes."""
        loads = [Load(self.beta, self.alpha), Load(self.alpha, self.beta)]
        connecting = [Connecting(self.beta, endpoint) for endpoint in self.endpoints]
        faults, next_fault = 0, time.monotonic()
        end = next_fault + seconds
        while time.monotonic() < end:
            faults += fault()
            next_fault += EVERY
            time.sleep(max(0, next_fault - time.monotonic()))
        for one in connecting:
            one.stop()
        moved = [load.moved() for load in loads]
        for load in loads:
            load.finish(4 * DEADLINE)
        return faults, sum(load.check_whole() for load in loads), sum(moved)

    def settled(self, node):
        """Its descriptors, when there are no streams and every endpoint has its one link, and they have not changed for a while."""
        def look():
            if node.ask("streams") or len(node.ask("links")) != len(self.endpoints):
                return None
            before = descriptors(node)
            return before if all(descriptors(node) == before for _ in range(10)) else None
        for endpoint in self.endpoints:
            self.beta.ctl("connect", endpoint)
        return wait_for(look, f"a node at rest:\n{node.log()[-2000:]}")

    def soak(self, fault, endpoints):
        self.endpoints = endpoints
        for endpoint in endpoints:
            self.beta.do("connect", endpoint)
        watching = [Watching(node) for node in self.nodes]
        self.addCleanup(lambda: [one.stop() for one in watching])
        self.grind(SECONDS / 3, fault)
        counts = [self.settled(node) for node in self.nodes]
        begin = [one.memory for one in watching]
        faults, streams, moved = self.grind(SECONDS, fault)
        for node, count in zip(self.nodes, counts):
            wait_for(lambda: self.settled(node) <= count, f"as few descriptors as the {count} before")
        end, peaks = [memory(node) for node in self.nodes], [one.memory for one in watching]
        links = max(int(link["path"].rsplit("/", 1)[1]) for link in self.beta.ask("links"))
        print(f"# {faults} faults in {SECONDS:g} s, {links} links in all; {streams} streams whole, {moved / MEGABYTE:.0f} MiB meanwhile; "
              f"descriptors {counts} before and after; private memory in KiB: at most {[size // 1024 for size in begin]} in the first third, "
              f"{[size // 1024 for size in peaks]} ever, {[size // 1024 for size in end]} at rest in the end", flush=True)
        self.assertGreater(faults, SECONDS / 4)  # it was no fair weather
        self.assertGreater(moved, MEGABYTE)
        if any(map(is_sanitized, self.nodes)):
            self.skipTest("all of it held; but memory was not compared, for under a sanitizer it tells nothing")
        for before, peak, after in zip(begin, peaks, end):
            self.assertLess(after, before + GROWTH)
            self.assertLess(peak, before + PEAK)

    def test_unix_links_that_are_cut(self):
        self.soak(lambda: self.cut(self.unix.removeprefix("unix://")), [self.unix])

    def test_tcp_links_that_are_cut(self):
        self.soak(lambda: self.cut(self.tcp.removeprefix("tcp://") + ":"), [self.tcp])

    def bound(self, scheme):
        return next((each for each in self.alpha.ask("status")["listening"] if re.match(rf"{scheme}://.*:[1-9]", each)), None)

    def soak_over(self, plugin, scheme, endpoint):
        """Links by a PLUGIN that this build may lack."""
        if plugin not in [each["name"] for each in self.alpha.ask("plugins")]:
            self.skipTest(f"{plugin} was not built")
        self.alpha.do("config", "set", "listen", f"['{endpoint}']")
        bound = wait_for(lambda: self.bound(scheme), f"a listener of {scheme}")
        self.soak(lambda: self.cut(":" + bound.rstrip("/").rsplit(":", 1)[1] + ":"), [bound])

    def test_websocket_links_that_are_cut(self):
        self.soak_over("websocket", "ws", "ws://127.0.0.1:0/")

    def test_quic_links_whose_sockets_are_cut(self):
        """Who connects takes another socket then, and most links stay."""
        self.soak_over("quic", "quic", "quic://127.0.0.1:0")


class Silence(Soak):
    """Only what has stopped to answer is known of such a link: here that is looked at often."""

    config = "ping-interval=50\nlink-timeout=400\n"
    test_unix_links_that_are_cut = test_tcp_links_that_are_cut = None
    test_websocket_links_that_are_cut = test_quic_links_whose_sockets_are_cut = None

    def test_tcp_links_that_go_silent(self):
        relay = Relay(["127.0.0.2", "127.0.0.3", "127.0.0.4"], int(self.tcp.rsplit(":", 1)[1]))
        self.addCleanup(relay.close)
        self.soak(relay.silence, relay.endpoints())


if __name__ == "__main__":
    sys.exit(main())
