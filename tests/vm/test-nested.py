#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host and its guest, which has vsock and no network, no message bus and no dconf. Runs in a machine of run.py's."""

import hashlib
import json
import os
import subprocess
import sys
import threading

from guest import CID, Guest
from harness import DEADLINE, Case, Node, main, wait_for

# So much goes each way: enough to be under way for a while where everything is emulated twice.
SIZE = 4 << 20


class Host(Case):
    """The guest is booted once for all tests of a class."""

    network = ()

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(cls.network)
        cls.guest.boot()

    @classmethod
    def tearDownClass(cls):
        cls.guest.close()

    def test_boot(self):
        self.assertEqual(self.guest.run("ls /sys/class/net").split(), ["lo"])


if __name__ == "__main__":
    sys.exit(main())
