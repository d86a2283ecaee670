#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bad line does to packets what it was asked to, and TCP fares over it as theory has it. Nothing here is held to a time
that the machine would have to keep: packets are counted, and round trips are never too short."""

import contextlib
import os
import shutil
import socket
import struct
import sys
import time

from harness import DEADLINE, Case, main
from wire import Missing, Wire

PACKETS = 2000
AT_ONCE = 50  # more would not go into a socket's buffer
TCP_INFO_RTT = 68  # offsets within struct tcp_info of <linux/tcp.h>
TCP_INFO_MSS = 16


class Lines(Case):
    def wire(self, **options):
        """A line that ends with the test."""
        one = Wire(os.environ["WIRE"], **options)
        try:
            one.__enter__()
        except Missing as why:
            self.skipTest(str(why))
        self.addCleanup(one.__exit__)
        return one

    def udp(self, end, host):
        with end:
            one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(one.close)
        one.bind((host, 0))
        one.settimeout(DEADLINE)
        return one

    def send_numbers(self, wire):
        """Sends numbered packets from the near end, some at a time; returns the numbers of those that came."""
        near, far = self.udp(wire.near, wire.near.address), self.udp(wire.far, wire.far.address)
        came = []
        for start in range(0, PACKETS, AT_ONCE):
            for number in range(start, start + AT_ONCE):
                near.sendto(struct.pack("!I", number), far.getsockname())
            counts = self.settled(wire, start + AT_ONCE)
            came += [struct.unpack("!I", far.recv(16))[0] for _ in range(counts["delivered"] - len(came))]
        return came

    def settled(self, wire, packets):
        """The counts of the way there, once it has had so many and nothing is under way."""
        end = time.monotonic() + DEADLINE
        while True:
            there = wire.counts()["there"]
            if there["packets"] >= packets and there["lost"] + there["overflowed"] + there["delivered"] == there["packets"]:
                return there
            self.assertLess(time.monotonic(), end, "the line never came to rest")

    def test_a_line_without_faults_carries_all_in_order(self):
        wire = self.wire()
        self.assertEqual(self.send_numbers(wire), list(range(PACKETS)))
        there = wire.counts()["there"]
        self.assertEqual((there["packets"], there["bytes"], there["lost"]), (PACKETS, PACKETS * (20 + 8 + 4), 0))

    def test_packets_are_lost_as_asked_and_the_same_ones_for_the_same_seed(self):
        wires = [self.wire(loss=10, seed=seed) for seed in (3, 3, 4)]
        came, again, other = [self.send_numbers(wire) for wire in wires]
        self.assertEqual(came, sorted(came))
        self.assertEqual(came, again)
        self.assertNotEqual(came, other)
        self.assertEqual(wires[0].counts()["there"]["lost"], PACKETS - len(came))
        self.assertTrue(150 <= PACKETS - len(came) <= 250, PACKETS - len(came))

    def test_no_round_trip_is_shorter_than_both_delays(self):
        wire = self.wire(delay=20)
        pairs = [(wire.near.address, wire.far.address)]
        if os.path.exists("/proc/net/if_inet6"):
            pairs.append((wire.near.address_v6, wire.far.address_v6))
        for near, far in pairs:
            near, far = self.udp(wire.near, near), self.udp(wire.far, far)
            trips = []
            for _ in range(10):
                start = time.monotonic()
                near.sendto(b"there", far.getsockname())
                _, where = far.recvfrom(16)
                trips.append(time.monotonic() - start)
                self.assertGreaterEqual(trips[-1], 0.02)
                far.sendto(b"back", where)
                near.recv(16)
                self.assertGreaterEqual(time.monotonic() - start, 0.04)

    def test_what_finds_no_room_in_the_queue_is_dropped(self):
        # 12 bytes in a second: the first packet is on its way for long, and the second waits.
        wire = self.wire(rate=0.0001, queue=1)
        near = self.udp(wire.near, wire.near.address)
        for _ in range(20):
            near.sendto(bytes(472), (wire.far.address, 9))
        end = time.monotonic() + DEADLINE
        while wire.counts()["there"]["packets"] < 20:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(wire.counts()["there"]["overflowed"], 18)

    def test_the_networks_know_nothing_but_each_other(self):
        wire = self.wire()
        with socket.create_server(("127.0.0.1", 0)) as outside:
            for end in (wire.near, wire.far):
                with end, self.assertRaises(OSError):
                    socket.create_connection(outside.getsockname(), DEADLINE)
                with end, self.assertRaises(OSError):
                    socket.create_connection(("192.0.2.1", 9), DEADLINE)
            # Out of it again, this thread is where it was.
            socket.create_connection(outside.getsockname(), DEADLINE).close()

    def test_tcp_keeps_the_window_that_theory_has_for_these_losses(self):
        """Mathis et al. 1997: a window of 1.22 / sqrt (p) packets a round trip, for Reno. The round trip is the one that TCP has
        measured itself, so a machine that is late changes both sides."""
        loss = 0.02
        wire = self.wire(delay=10, loss=loss * 100)
        if not shutil.which("ip"):
            self.skipTest("there is no ip (iproute2), to choose Reno")
        wire.near.use_congestion_control("reno")
        with wire.far:
            server = socket.create_server((wire.far.address, 0))
        self.addCleanup(server.close)
        with wire.near:
            near = socket.create_connection(server.getsockname(), DEADLINE)
        far, _ = server.accept()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.assertEqual(near.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), b"reno")
        near.setblocking(False)
        far.setblocking(False)
        came, round_trips, start = 0, [], time.monotonic()
        while came < 2_000_000:
            with contextlib.suppress(BlockingIOError):
                near.send(bytes(65536))
            with contextlib.suppress(BlockingIOError):
                came += len(far.recv(1 << 20))
            info = near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
            round_trips.append(struct.unpack_from("I", info, TCP_INFO_RTT)[0] / 1e6)
            self.assertLess(time.monotonic(), start + DEADLINE)
            time.sleep(0.002)
        took = time.monotonic() - start
        mss = struct.unpack_from("I", info, TCP_INFO_MSS)[0]
        window = came / mss / (took / (sum(round_trips) / len(round_trips)))
        theory = 1.22 / loss ** 0.5
        there = wire.counts()["there"]
        print(f"# {came / took / 1e6:.2f} MB/s, {window:.1f} packets a round trip where theory has {theory:.1f}; {there}")
        self.assertTrue(theory / 2 <= window <= theory * 2, f"{window} where theory has {theory}")


if __name__ == "__main__":
    sys.exit(main())
