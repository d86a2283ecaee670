# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine of the machine that this runs in: a guest that is spoken to over its serial port, and has vsock."""

import os
import re
import shlex
import subprocess
import threading

from harness import DEADLINE, wait_for

CID = 42
# A guest in an emulated machine is emulated twice.
SLOWNESS = 2


class Guest:
    """With NETWORK, arguments of QEMU's, it has a network card, too."""

    def __init__(self, network=()):
        command = ["qemu-system-x86_64", "-M", "microvm,rtc=on", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
                   # Without it the kernel hangs at its timer.
                   "-icount", "shift=3,sleep=on",
                   "-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-kernel", "/guest/kernel", "-initrd", "/guest/initramfs",
                   "-append", "console=ttyS0 panic=-1 quiet", "-device", f"vhost-vsock-device,guest-cid={CID}", *network,
                   "-serial", "stdio"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.said = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while piece := os.read(self.process.stdout.fileno(), 65536):
            self.said += piece.decode(errors="replace").replace("\r", "")

    def wait(self, pattern):
        """Until it says PATTERN, which is taken with all that came before it."""
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"the guest ended with {self.process.returncode}:\n{self.said}")
            return re.search(pattern, self.said)
        try:
            found = wait_for(look, f"'{pattern}' from the guest", SLOWNESS * DEADLINE)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.said}") from None
        before = self.said[:found.start()]
        self.said = self.said[found.end():]
        return before, found

    def boot(self):
        self.wait("@ready@\n")

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")

    def try_run(self, command):
        """A line for its shell: what it printed, and the exit status."""
        self.send(command)
        before, found = self.wait(r"@done (\d+)@\n")
        return before, int(found[1])

    def run(self, command):
        printed, status = self.try_run(command)
        if status != 0:
            log = self.try_run("cat /run/hyphad.log")[0]
            raise AssertionError(f"in the guest, '{command}' ended with {status}:\n{printed}\nIts hyphad:\n{log}")
        return printed

    def write(self, path, text, mode="644"):
        self.run(f"printf %s {shlex.quote(text.encode().hex())} | xxd -r -p >{path} && chmod {mode} {path}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
