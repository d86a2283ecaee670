#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ten thousand connections that never become anything, and a peer that gets in all the same."""

import os
import resource
import statistics
import struct
import subprocess
import sys
import time

from harness import DEADLINE, NAME, ROOT, Case, main, trust_each_other, wait_for
from load import Watching, describe_descriptors, descriptors, is_sanitized, listening_queue, memory
from raw import Raw, message, text

COUNT = 10000
SOURCE = "127.0.0.2"
TRIALS = 20
# What is promised, in seconds; more where a machine is said to be slow. Under a sanitizer no time is promised, but that a peer's turn
# comes when each of the others has had one: to ask the flood before and after it takes up to a round each, too.
WITHIN = 1 * DEADLINE / 30
TURNS = 3 * COUNT
PATIENCE_MS = 50000  # of who gets in: what is measured is how long it takes, and not whether it is given that long
MAX_HANDSHAKES = 64  # the default of max-handshakes: so many under way, and so many on their way out
ROOM = 16            # descriptors that come and go beside them: those of the trials
GROWTH = 16 << 20
LOG_MAX = 64 << 10   # however many have failed


class Flood:
    """COUNT connections from SOURCE to PORT, in as many processes as their limits make necessary."""

    def __init__(self, port, each):
        counts = [each] * (COUNT // each) + [COUNT % each] * (COUNT % each > 0)
        self.processes = [subprocess.Popen([os.environ["HALF_OPEN"], SOURCE, "127.0.0.1", port, str(count)], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True, bufsize=1) for count in counts]

    def given_up(self):
        for process in self.processes:
            process.stdin.write("how many?\n")
        return sum(int(process.stdout.readline().split()[1]) for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.stdin.close()
            process.wait()
            process.stdout.close()


class HalfOpen(Case):
    patience = 6 * DEADLINE

    def setUp(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.each = COUNT if hard == resource.RLIM_INFINITY else min(hard - 32, COUNT)
        if self.each < COUNT / 64:
            self.skipTest(f"a process may have {hard} descriptors at most here: too few for {COUNT} connections")
        self.alpha = self.node("--listen", "tcp://127.0.0.1:0")
        self.beta, self.gamma = self.node(), self.node()
        trust_each_other(self.alpha, self.beta)
        trust_each_other(self.alpha, self.gamma, name_of_b="gamma")
        self.endpoint = self.alpha.listening("tcp")

    def connect(self, raw, serial, flood=None):
        """How long it takes beta to get its link, by its own Connect, and how many of the FLOOD were given up meanwhile."""
        option = text("timeout") + b"\1u\0\0" + struct.pack("<I", PATIENCE_MS)
        body = text(self.endpoint)
        body += b"\0" * (-len(body) % 4) + struct.pack("<I", len(option))
        body += b"\0" * (-len(body) % 8) + option
        others = flood.given_up() if flood else 0
        begin = time.monotonic()
        raw.send(message(serial, ROOT, NAME, "Connect", "sa{sv}", body, destination=NAME))
        self.assertIsNone(raw.answer(serial), self.beta.log()[-1000:])
        took = time.monotonic() - begin
        turns = flood.given_up() - others if flood else 0
        self.beta.do("disconnect", "alpha")
        return took, turns

    def wait_for_no_more_than(self, before):
        """Until alpha has no descriptors beyond BEFORE. As long as it goes on accepting what has come, it is only slow."""
        waiting = None
        while more := describe_descriptors(self.alpha) - before:
            queue = listening_queue(self.alpha, self.endpoint.rsplit(":", 1)[1])
            if waiting is None or queue < waiting:
                waiting, end = queue, time.monotonic() + DEADLINE
            self.assertLess(time.monotonic(), end, f"{queue} connections wait to be accepted; beyond what was there before: {dict(more)}")
            time.sleep(0.01)

    def test_peer_gets_in_while_ten_thousand_half_open_connections_are_renewed(self):
        self.beta.do("config", "set", "handshake-timeout", str(PATIENCE_MS))
        raw = Raw(self.beta.place.path / "bus", 2 * PATIENCE_MS / 1000)
        raw.say_hello()
        self.gamma.do("connect", self.endpoint)
        [elder] = self.gamma.ask("links")
        cat = self.gamma.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        # Not before it is served: with the first stream comes a thread, whose descriptors stay.
        cat.stdin.write(b"over")
        self.assertEqual(cat.stdout.read(4), b"over")
        calm, _ = self.connect(raw, 10)
        count, private = descriptors(self.alpha), memory(self.alpha)
        before = describe_descriptors(self.alpha)
        flood = Flood(self.endpoint.rsplit(":", 1)[1], self.each)
        self.addCleanup(flood.stop)
        wait_for(lambda: flood.given_up() > COUNT, "an end of the first ten thousand")
        begin, renewed = time.monotonic(), flood.given_up()
        trials, watching = [], Watching(self.alpha)
        for trial in range(TRIALS):
            trials.append(self.connect(raw, 20 + trial, flood))
            cat.stdin.write(b"over")
            self.assertEqual(cat.stdout.read(4), b"over")
        watching.stop()
        took, turns = zip(*trials)
        more, grown = watching.descriptors - count, watching.memory - private
        rate = (flood.given_up() - renewed) / (time.monotonic() - begin)
        print(f"# in {statistics.median(took) * 1000:.0f} ms, at most {max(took) * 1000:.0f} (without the others {calm * 1000:.0f}), "
              f"after {statistics.median(turns):.0f} of the others; {rate:.0f} connections a second were renewed; descriptors at most {more} more than {count}, "
              f"private memory at most {grown // 1024} KiB more than {private // 1024}", flush=True)
        sanitized = is_sanitized(self.alpha)
        self.assertLess(statistics.median(turns), TURNS)
        if not sanitized:
            self.assertLess(statistics.median(took), WITHIN)
        self.assertLess(more, 2 * MAX_HANDSHAKES + ROOM)
        # Who was there before has noticed nothing.
        [link] = self.gamma.ask("links")
        self.assertEqual(link["path"], elder["path"])
        cat.stdin.close()
        self.assertEqual(cat.wait(DEADLINE), 0)
        flood.stop()
        raw.close()
        # It dials for ever what Connect has brought up, and would soon be there again.
        self.beta.stop()
        self.wait_for_no_more_than(before)
        self.assertLess(len(self.alpha.log()), LOG_MAX)
        for node in (self.gamma, self.alpha):
            node.stop()
        if sanitized:
            self.skipTest("all of it held; but memory was not looked at, for under a sanitizer it tells nothing")
        self.assertLess(grown, GROWTH)


if __name__ == "__main__":
    sys.exit(main())
