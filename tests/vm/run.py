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

import guest_image
import machine
from image import Image, tool
from kernel import Kernel, Missing

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 500 * float(os.environ.get("MESON_TEST_TIMEOUT_MULTIPLIER", "1"))
# What an emulated machine may take longer than this one, for the deadlines of harness.py.
SLOWNESS = 3

# Of the environment: where the programs are.
PASSED_ON = ("HYPHAD", "HYPHACTL", "SEVER", "HYPHA_PLUGIN_PATH", "GSETTINGS_SCHEMA_DIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
MODULES = ("vsock_loopback", "vsock_diag", "vhost_vsock")
MODULES_WITH_GUEST = ("kvm_amd", "tun")


def programs(image):
    for name in ("HYPHAD", "HYPHACTL", "SEVER"):
        image.program(os.environ[name], name.lower())
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
    if command[0] == "python3":
        image.python()
        for folder in os.environ["PYTHONPATH"].split(":"):
            for path in pathlib.Path(folder).glob("*.py"):
                image.file(path)
    if with_guest:
        guest_image.put_into(image, kernel, work, programs)
    image.write(work / "initramfs")
    return work / "initramfs"


def relay(output):
    """Hands lines on; the exit status of the scenario, or None if the machine ended before."""
    for line in output:
        text = line.decode(errors="replace").rstrip()
        found = re.fullmatch(r"# exit (\d+)", text)
        if found:
            return int(found[1])
        print(text, flush=True)
    return None


def too_long(number, frame):
    raise TimeoutError(f"the machine was not done in {DEADLINE:.0f} s")


def run(kernel, cache, work, initramfs):
    console = work / "console"
    started = machine.Machine(kernel, cache, initramfs, console)
    try:
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(int(DEADLINE))
        status = relay(started.output)
        if status is None:
            print("Bail out! The machine ended before its scenario did")
    except TimeoutError as error:
        status = None
        print(f"Bail out! {error}")
    finally:
        signal.alarm(0)
        started.end()
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
