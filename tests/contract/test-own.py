#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands around the contract as our own transports are held to it."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from harness import main, wait_for

UNIX = os.environ["CONTRACT_UNIX"]
VSOCK = os.environ["CONTRACT_VSOCK"]


def child_of(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Own(unittest.TestCase):
    def end_in_the_middle(self, number, whom):
        """How the tests end that get a signal while they have made something, and what they leave."""
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            # For as long as it takes.
            process = subprocess.Popen([UNIX], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env=dict(os.environ, TMPDIR=directory, HYPHA_CONTRACT_BYTES=str(1 << 40)))
            self.addCleanup(process.kill)
            wait_for(lambda: list(pathlib.Path(directory).glob("*/hypha-contract-*")), "a directory of a test")
            [child] = child_of(process.pid)
            os.kill(process.pid if whom == "parent" else int(child), number)
            status = process.wait(20)
            self.assertFalse(pathlib.Path(f"/proc/{child}").exists())
            return status, os.listdir(directory)

    def test_nothing_is_left_of_one_that_fails(self):
        self.assertEqual(self.end_in_the_middle(signal.SIGKILL, "child"), (-signal.SIGKILL, []))

    def test_nothing_is_left_of_one_that_is_ended(self):
        self.assertEqual(self.end_in_the_middle(signal.SIGTERM, "parent"), (-signal.SIGTERM, []))

    def test_nothing_is_left_of_one_that_passes(self):
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            done = subprocess.run([UNIX, "-p", "/contract/unix-path/listen"], capture_output=True, env=dict(os.environ, TMPDIR=directory))
            self.assertEqual((done.returncode, os.listdir(directory)), (0, []))

    def test_what_needs_no_machine_is_held_on_all(self):
        names = ("parse/is-strict", "parse/is-idempotent", "parse/random-spellings-round-trip", "configure/names-an-unknown-option",
                 "lossy/only-if-it-says-so", "link-cost/of-an-endpoint-stays")
        chosen = [word for name in names for word in ("-p", f"/contract/vsock/{name}")]
        done = subprocess.run([VSOCK, *chosen], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        for name in names:
            self.assertRegex(done.stdout, f"(?m)^ok [0-9]+ /contract/vsock/{name}$")


if __name__ == "__main__":
    sys.exit(main())
