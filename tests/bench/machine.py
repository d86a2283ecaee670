# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the figures were measured on, and of what."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess

WEBSOCKETS = "from websockets.version import version; print('python3-websockets version', version)"


def describe(build):
    """The machine, its kernel, and the versions of whatever is compared."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{cpu_model()}, {os.cpu_count()} CPUs, {memory()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "hypha": f"{version(build / 'core/daemon/hyphad', '--version')}, {buildtype(build)}",
        "others": "; ".join([version("socat", "-V"), version("ssh", "-V"), package("GnuTLS", "gnutls"),
                             package("GLib", "glib-2.0"), package("ZeroMQ", "libzmq"), package("ngtcp2", "libngtcp2"),
                             version("/usr/bin/python3", "-c", WEBSOCKETS)]),
    }


def version(*command):
    """The line in which a program says what it is."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return f"no {command[0]}"
    found = re.search(r"^.*(?:version|SSH|hypha).*$", done.stdout + done.stderr, re.MULTILINE)
    return found[0].strip() if found else "?"


def package(name, word):
    """The version of a library that pkg-config knows by WORD."""
    try:
        done = subprocess.run(["pkg-config", "--modversion", word], capture_output=True, text=True, check=False)
    except OSError:
        return f"no pkg-config to ask for {name}"
    return f"{name} {done.stdout.strip()}" if done.returncode == 0 else f"no {name}"


def cpu_model():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def memory():
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def buildtype(build):
    with contextlib.suppress(OSError, ValueError):
        options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
        chosen = {option["name"]: option["value"] for option in options}
        return f"buildtype {chosen['buildtype']}, sanitizers {chosen['b_sanitize']}"
    return "unknown buildtype"
