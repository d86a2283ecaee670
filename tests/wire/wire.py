# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bad line between two networks of their own: for tests, and for the bench. README.md says what it is good for."""

import ctypes
import ipaddress
import json
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
SKIP = 77
LIBC = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """This machine lets nobody make one, and why."""


class End:
    """A network at one end of the line. What a thread makes or starts within `with` is made or started there."""

    def __init__(self, path, address, address_v6):
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.address, self.address_v6 = address, address_v6
        self.homes = threading.local()

    def __enter__(self):
        self.homes.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.go(self.fd)
        return self

    def __exit__(self, *unused):
        self.go(self.homes.fd)
        os.close(self.homes.fd)

    @staticmethod
    def go(fd):
        if LIBC.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def use_congestion_control(self, name):
        """What TCP uses that is begun or accepted here from now on. By the route, as the kernel lets no network but the first one
        choose all that there are as its default. Takes `ip`, of iproute2."""
        for option, address in (("-4", self.address), ("-6", self.address_v6)):
            network = ipaddress.ip_interface(f"{address}/{24 if option == '-4' else 64}").network
            with self:
                subprocess.run(["ip", option, "route", "replace", str(network), "dev", "wire", "congctl", name], check=True)


class Wire:
    """PROGRAM is the built `wire`; the others are its options: delay (ms), loss (percent), rate (Mbit/s), queue (kB), seed.

    with Wire(os.environ["WIRE"], delay=50, loss=1) as wire:
        with wire.far:
            server = subprocess.Popen(["nc", "-l", "-p", "2000"])
        with wire.near:
            client = socket.create_connection((wire.far.address, 2000))

    Raises Missing where no namespaces or TUN devices may be made. Whatever still runs in the networks at the end is there
    alone: the line is gone.
    """

    def __init__(self, program, runner=(), **options):
        """RUNNER: words that go before the program's, of one that becomes it."""
        self.command = [*runner, str(program), *(f"--{key}={value}" for key, value in options.items())]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        paths = self.process.stdout.readline().split()
        if not paths:
            why = self.process.communicate()[1].strip()
            raise (Missing if self.process.returncode == SKIP else OSError)(why)
        self.near = End(paths[0], "10.49.74.1", "fd00:4974::1")
        self.far = End(paths[1], "10.49.74.2", "fd00:4974::2")
        return self

    def __exit__(self, *unused):
        os.close(self.near.fd)
        os.close(self.far.fd)
        self.process.communicate()

    def counts(self):
        """What has become of the packets, in a dictionary for each way, "there" and "back" as the near end sees it:
        packets, bytes, lost (by chance), overflowed, delivered; latest_us tells how late the machine let one out at most."""
        if self.process.poll() is not None:
            raise OSError(self.process.stderr.read().strip())
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
