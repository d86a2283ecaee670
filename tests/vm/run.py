#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run.py [--shell] [--guest] CACHE COMMAND...: boots a machine that has the programs of this build, and runs COMMAND in it.

Speaks TAP: what COMMAND prints, which has to be TAP. A machine that dies or hangs is a failure; what is missing here, a skip.
See README.md.
"""

import os
import pathlib
import re
import signal
import shlex
import subprocess
import sys
import tempfile
import time

import guest_image
import machine
from image import Image, tool
from kernel import Kernel, Missing

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 700 * float(os.environ.get("MESON_TEST_TIMEOUT_MULTIPLIER", "1"))
# What an emulated machine may take longer than this one, for the deadlines of harness.py.
SLOWNESS = 3
# harness.py ends a test that hangs after 3 * 30 * SLOWNESS seconds, and says so. A machine that says nothing for longer
# does not even get so far: emulated virtualization stands still once in a while, all its processors busy.
STILL = 300 * float(os.environ.get("MESON_TEST_TIMEOUT_MULTIPLIER", "1"))

# Of the environment: where the programs are.
PASSED_ON = ("HYPHAD", "HYPHACTL", "HYPHA_AGENT", "SEVER", "HYPHA_PLUGIN_PATH", "GSETTINGS_SCHEMA_DIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
MODULES = ("vsock_loopback", "vsock_diag", "vhost_vsock", "tcp_diag")
MODULES_WITH_GUEST = ("kvm_amd", "tun")


def programs(image):
    for name in ("HYPHAD", "HYPHACTL", "HYPHA_AGENT", "SEVER"):
        image.program(os.environ[name], name.lower().replace("_", "-"))
    for folder in os.environ["HYPHA_PLUGIN_PATH"].split(":"):
        for module in pathlib.Path(folder).glob("*.so"):
            image.program(str(module))
    image.file(os.environ["GSETTINGS_SCHEMA_DIR"] + "/gschemas.compiled")
    image.program(tool("socat", "socat"), "socat")


def build_image(kernel, work, command, with_guest):
    image = Image()
    image.busybox()
    image.modules(kernel, "/etc/modules", *MODULES, *(MODULES_WITH_GUEST if with_guest else ()))
    image.file(HERE / "init", "/init")
    command = [os.path.abspath(word) if os.path.exists(word) else word for word in command]
    for word in command:
        if os.path.exists(word):
            image.program(word)
    lines = [f"export {name}={shlex.quote(os.environ[name])}" for name in PASSED_ON]
    lines += [f"export MESON_TEST_TIMEOUT_MULTIPLIER={SLOWNESS}", "exec " + shlex.join(command)]
    image.text("/etc/scenario", "\n".join(lines) + "\n")
    programs(image)
    image.program(tool("dbus-daemon", "dbus-daemon"), "dbus-daemon")
    image.program(tool("gdbus", "libglib2.0-bin"), "gdbus")
    # What guest-initrd needs.
    if "HYPHA_GUEST" in os.environ:
        image.program(os.environ["HYPHA_GUEST"], "hypha-guest")
    image.program(tool("glib-compile-schemas", "libglib2.0-bin"), "glib-compile-schemas")
    image.file(os.environ["GSETTINGS_SCHEMA_DIR"] + "/org.hypha.node.gschema.xml")
    if command[0] == "python3":
        image.python()
        for folder in os.environ["PYTHONPATH"].split(":"):
            for path in pathlib.Path(folder).glob("*.py"):
                image.file(path)
    if with_guest:
        image.program_if_there("ssh")
        image.program_if_there("ssh-keygen")
        guest_image.put_into(image, kernel, work, programs)
    image.write(work / "initramfs")
    return work / "initramfs"


class StoodStill(Exception):
    pass


def stood_still(number, frame):
    raise StoodStill(f"the machine said nothing for {STILL:.0f} s")


def relay(output, lines):
    """Adds to LINES what is said; the exit status of the scenario, or None if the machine ended before."""
    done = time.monotonic() + DEADLINE
    signal.signal(signal.SIGALRM, stood_still)
    signal.alarm(int(STILL))
    for line in output:
        signal.alarm(int(STILL))
        text = line.decode(errors="replace").rstrip()
        found = re.fullmatch(r"# exit (\d+)", text)
        if found:
            return int(found[1])
        lines.append(text)
        if time.monotonic() > done:
            lines.append(f"Bail out! the machine was not done in {DEADLINE:.0f} s")
            return 1
    lines.append("Bail out! The machine ended before its scenario did")
    return None


def attempt(kernel, cache, work, initramfs, lines):
    started = machine.Machine(kernel, cache, initramfs, work / "console")
    try:
        return relay(started.output, lines)
    finally:
        signal.alarm(0)
        started.end()


def run(kernel, cache, work, initramfs):
    console = work / "console"
    lines = []
    try:
        status = attempt(kernel, cache, work, initramfs, lines)
    except StoodStill as reason:
        # Not a test's doing, see STILL. Once more, and that one counts.
        print("#", reason, "after:", *lines[-1:], flush=True)
        lines = []
        try:
            status = attempt(kernel, cache, work, initramfs, lines)
        except StoodStill as again:
            status = None
            lines.append(f"Bail out! twice {again}")
    print("\n".join(lines), flush=True)
    if status != 0:
        print("# The console:")
        for line in console.read_text(errors="replace").splitlines() if console.exists() else []:
            print("#", line)
    return 1 if status is None else status


def main(arguments):
    options = {word for word in arguments if word in ("--shell", "--guest")}
    cache, *command = arguments[len(options):]
    # As at the end of a session: whoever ends this ends the machine.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="hypha-vm-") as folder:
        work = pathlib.Path(folder)
        try:
            tool("qemu-system-x86_64", "qemu-system-x86")
            kernel = Kernel(cache)
            initramfs = build_image(kernel, work, command, "--guest" in options)
        except (Missing, subprocess.TimeoutExpired) as reason:
            print(f"1..0 # SKIP {reason}")
            return 0
        if "--shell" in options:
            return machine.shell(kernel, cache, initramfs)
        return run(kernel, cache, work, initramfs)


sys.exit(main(sys.argv[1:]))
