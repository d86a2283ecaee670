# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine of the machine that this runs in: a guest that is spoken to over its serial port, and has vsock."""

import json
import os
import re
import shlex
import subprocess
import threading

from harness import DEADLINE, wait_for
from monitor import Monitor

CID = 42
# A guest may be emulated within an emulated machine.
SLOWNESS = 2

MONITOR = "/run/guest.qmp"
CONFIG = "/etc/hypha/node.conf"
IDENTITY = "/var/lib/hypha/identity.pem"
LOG = "/run/hyphad.log"

# What was freed is zero, and takes no room where the guest is saved.
KERNEL = "console=ttyS0 panic=-1 quiet cryptomgr.notests init_on_free=1"


def acceleration():
    # Without icount, the kernel hangs at its timer where it is emulated in what is emulated.
    return ["-accel", "kvm"] if os.path.exists("/dev/kvm") else ["-icount", "shift=3,sleep=on"]


class Guest:
    """With NETWORK, arguments of QEMU's, it has a network card, too."""

    def __init__(self, network=(), initrd="/guest/initramfs"):
        self.command = ["qemu-system-x86_64", "-M", "microvm,rtc=on", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none",
                        "-no-reboot", *acceleration(), "-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-kernel", "/guest/kernel",
                        "-initrd", initrd, "-append", KERNEL, *network, "-serial", "stdio",
                        "-qmp", f"unix:{MONITOR},server=on,wait=off"]
        self.start(CID)

    def start(self, cid, *more):
        self.process = subprocess.Popen([*self.command, "-device", f"vhost-vsock-device,guest-cid={cid}", *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
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
                raise AssertionError(f"it ended with {self.process.returncode}")
            return re.search(pattern, self.said)
        try:
            found = wait_for(look, f"'{pattern}' from the guest", SLOWNESS * DEADLINE)
        except AssertionError as error:
            raise AssertionError(f"the guest: {error}; it said:\n{self.said}") from None
        before, self.said = self.said[:found.start()], self.said[found.end():]
        return before, found

    def boot(self):
        self.wait("@ready@\n")

    def load(self, which):
        """The modules of a list in the image, and those that they need."""
        self.run(f"for module in $(cat /etc/modules-{which}); do grep -q \"^$(basename $module .ko) \" /proc/modules || insmod $module; done")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    # What becomes of it.

    def save(self, path):
        """Into a file, as a machine is suspended; afterwards it is no more."""
        monitor = Monitor(MONITOR)
        monitor.save(path)
        monitor.close()
        self.close()

    def restore(self, path, cid):
        """It goes on where it was saved, under another CID."""
        self.start(cid, "-incoming", f"exec:cat {path}")
        monitor = Monitor(MONITOR)
        monitor.go_on()
        monitor.close()

    # What its shell is told.

    def try_run(self, command):
        """One line: what it printed, and the exit status."""
        for _ in range(5):
            # With its length, and a line of its own even if the end of the last one was lost.
            self.process.stdin.write(f"\n{len(command)} {command}\n".encode())
            before, found = self.wait(r"@(again|done (\d+))@\n")
            if found[2]:
                return before, int(found[2])
        raise AssertionError(f"the guest never understands '{command}'")

    def run(self, command):
        printed, status = self.try_run(command)
        if status != 0:
            raise AssertionError(f"in the guest, '{command}' ended with {status}:\n{printed}\nIts hyphad:\n{self.log()}")
        return printed

    def write(self, path, text, mode="644"):
        folder = os.path.dirname(path)
        self.run(f"mkdir -p -m 700 {folder} && printf %s {text.encode().hex()} | xxd -r -p >{path} && chmod {mode} {path}")

    # Its node.

    def start_node(self, *arguments, config=""):
        self.write(CONFIG, "[org/hypha/node]\n" + config if not config.startswith("[") else config)
        command = shlex.join(["hyphad", "--config", CONFIG, "--identity", IDENTITY, *arguments])
        self.run(f"{command} >{LOG} 2>&1 & node=$!")
        wait_for(lambda: self.try_run("hyphactl id 2>&1")[1] == 0, "a node in the guest", SLOWNESS * DEADLINE)

    def stop_node(self):
        """Ends it as an administrator does."""
        self.run("kill $node && wait $node")
        self.forget_node()

    def forget_node(self):
        """The next one is another one: ends what may run, and takes its identity away."""
        self.try_run("[ -z \"$node\" ] || kill -9 $node; wait; node=")
        self.run(f"rm -rf {os.path.dirname(CONFIG)} {os.path.dirname(IDENTITY)}")

    def log(self):
        return self.try_run(f"cat {LOG}")[0]

    def ask(self, *arguments):
        """A verb of hyphactl's that has to succeed; its JSON."""
        return json.loads(self.run(shlex.join(["hyphactl", *arguments, "--json"])))

    def id(self):
        return self.ask("id")["id"]
