# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks of their own, for tests of whole programs."""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def check(status, what):
    if status != 0:
        raise OSError(ctypes.get_errno(), what)


class Namespace:
    """A network of its own, with a loopback that is up; what is made within `with` is made there."""

    def __init__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        check(LIBC.unshare(CLONE_NEWNET), "unshare")
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        finally:
            self.__exit__()

    def __enter__(self):
        check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *unused):
        check(LIBC.setns(self.home, CLONE_NEWNET), "setns")

    def close(self):
        os.close(self.fd)
        os.close(self.home)

    def ip(self, *words):
        """Runs ip, of iproute2, there."""
        with self:
            done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def join(self, other, name="wire"):
        """A cable from here to another one; NAME is what both ends are called."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", f"/proc/{os.getpid()}/fd/{other.fd}")
        for end in (self, other):
            end.ip("link", "set", name, "up")
