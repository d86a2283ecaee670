# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine of QEMU's, started here, and ended here whatever happens."""

import ctypes
import pathlib
import signal
import subprocess

from image import tool

MEMORY = 3072
PR_SET_PDEATHSIG = 1
KVM_DEADLINE = 10


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end(process):
    """By its own process, and without waiting for one that the kernel does not let go."""
    process.kill()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass


def qemu(kernel, *more, accelerator):
    # Emulated, the machine has AMD's virtualization, too, so that its guest need not be emulated once more.
    cpu = "max" if accelerator == "tcg" else "max,-svm,-vmx"
    return [tool("qemu-system-x86_64", "qemu-system-x86"), "-M", "q35", "-cpu", cpu, "-accel", accelerator, "-smp", "2",
            "-nodefaults", "-display", "none", "-no-reboot", "-kernel", str(kernel.image), *more]


def accelerator(kernel, cache):
    """kvm where it works: /dev/kvm may be there and hang, so a kernel that finds no root has to end in time."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = pathlib.Path(cache) / f"accelerator-{boot}"
    if not answer.exists():
        name = "tcg"
        if pathlib.Path("/dev/kvm").exists():
            probe = subprocess.Popen(qemu(kernel, "-m", "256", "-append", "panic=-1", accelerator="kvm"),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     preexec_fn=die_with_parent)
            try:
                name = "kvm" if probe.wait(KVM_DEADLINE) == 0 else "tcg"
            except subprocess.TimeoutExpired:
                end(probe)
        answer.write_text(name)
    return answer.read_text()


class Machine:
    """Boots INITRAMFS; what its scenario says is in output, what its kernel says in the file CONSOLE."""

    def __init__(self, kernel, cache, initramfs, console):
        name = accelerator(kernel, cache)
        self.accelerator = name
        self.process = subprocess.Popen(
            qemu(kernel, "-m", str(MEMORY), "-initrd", str(initramfs), "-append", "console=ttyS0 panic=-1 loglevel=4",
                 "-serial", f"file:{console}", "-serial", "stdio", accelerator=name),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.output = self.process.stdout

    def end(self):
        end(self.process)
        self.output.close()


def shell(kernel, cache, initramfs):
    """The same machine for a person: a shell on this terminal."""
    return subprocess.call(qemu(kernel, "-m", str(MEMORY), "-initrd", str(initramfs), "-append",
                                "console=ttyS0 panic=-1 quiet shell", "-serial", "mon:stdio",
                                accelerator=accelerator(kernel, cache)))
