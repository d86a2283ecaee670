#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl dial and accept against socat, which knows nothing of Hypha, over CID 1. Runs in a machine of run.py's."""

import hashlib
import os
import socket
import subprocess
import sys

from harness import DEADLINE, Case, main

MIB = 1 << 20
PORT = 5000


class Socat(Case):
    """Each end sends a file of its own, and shuts its direction when that is sent."""

    def setUp(self):
        self.node_here = self.node()
        self.there, self.here = os.urandom(3 * MIB), os.urandom(5 * MIB)
        (self.node_here.place.private / "there").write_bytes(self.there)
        (self.node_here.place.private / "here").write_bytes(self.here)

    def start(self, *words, **more):
        place = self.node_here.place
        source = open(place.private / "there", "rb")
        sink = open(place.private / "from-here", "wb")
        self.addCleanup(source.close)
        self.addCleanup(sink.close)
        process = subprocess.Popen(["socat", "-t", str(DEADLINE), *words], stdin=source, stdout=sink, **more)
        place.processes.append(process)
        return process

    def start_ctl(self, *words):
        place = self.node_here.place
        source = open(place.private / "here", "rb")
        sink = open(place.private / "from-there", "wb")
        self.addCleanup(source.close)
        self.addCleanup(sink.close)
        # Standard error is for TAP here, too.
        log = open(place.private / "log", "wb")
        self.addCleanup(log.close)
        return place.start_ctl(*words, stdin=source, stdout=sink, stderr=log)

    def check(self, socat, ctl):
        status = socat.wait(DEADLINE)
        self.assertEqual((status, ctl.wait(DEADLINE)), (0, 0), (self.node_here.place.private / "log").read_text())
        for sent, name in ((self.there, "from-there"), (self.here, "from-here")):
            got = (self.node_here.place.private / name).read_bytes()
            self.assertEqual(hashlib.sha256(got).hexdigest(), hashlib.sha256(sent).hexdigest())
        self.node_here.stop()

    def test_dial_to_vsock_listen(self):
        socat = self.start("-d", "-d", "-", f"VSOCK-LISTEN:{PORT}", stderr=subprocess.PIPE, text=True)
        while "listening on" not in socat.stderr.readline():
            self.assertIsNone(socat.poll())
        self.check(socat, self.start_ctl("dial", f"vsock://1:{PORT}"))

    def test_vsock_connect_to_accept(self):
        ctl = self.start_ctl("accept", f"vsock://1:{PORT}")
        self.check(self.start("-", f"VSOCK-CONNECT:1:{PORT},retry=1000,interval=0.05"), ctl)

    def test_accept_ends_when_the_other_end_goes_while_there_is_more_to_say(self):
        place = self.node_here.place
        with open("/dev/zero", "rb") as zero:
            ctl = place.start_ctl("accept", f"vsock://1:{PORT}", stdin=zero, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("listening on", ctl.stderr.readline())
            with socket.socket(socket.AF_VSOCK) as program:
                program.connect((1, PORT))
                program.recv(1)
            self.assertEqual(ctl.wait(DEADLINE), 1)
        self.node_here.stop()


if __name__ == "__main__":
    sys.exit(main())
