# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's kernel for virtual machines: fetched as a package, unpacked into a cache, never installed."""

import fcntl
import pathlib
import platform
import re
import shutil
import subprocess

META_PACKAGE = "linux-image-cloud-amd64"
DEADLINE = 300


class Missing(Exception):
    """What this machine lacks, as a sentence."""


def ask(cache, *command):
    done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise Missing(f"the kernel package cannot be had: {' '.join(command[:2])} failed: {said}")
    return done.stdout


def own_lists(cache):
    """Options by which apt keeps its lists in the cache: takes no privilege, and leaves the system's alone."""
    for folder in ("lists/partial", "archives/partial"):
        (cache / "apt" / folder).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::lists={cache}/apt/lists", "-o", f"Dir::Cache={cache}/apt",
               "-o", "APT::Sandbox::User="]
    ask(cache, "apt-get", "update", "-qq", *options)
    return options


def download(cache, options):
    depends = ask(cache, "apt-cache", "depends", *options, META_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise Missing(f"the kernel package cannot be had: {META_PACKAGE} is in no package list")
    ask(cache, "apt-get", "download", "-qq", "-o", "APT::Sandbox::User=", *options, found[1])
    return next(cache.glob(found[1] + "_*.deb"))


def unpack(cache):
    try:
        package = download(cache, [])
    except Missing:
        # There are no lists here, or they are so old that the package is gone.
        package = download(cache, own_lists(cache))
    half = cache / "unpacking"
    shutil.rmtree(half, ignore_errors=True)
    ask(cache, "dpkg-deb", "-x", package.name, half.name)
    half.rename(cache / "kernel")
    package.unlink()
    shutil.rmtree(cache / "apt", ignore_errors=True)


class Kernel:
    """The kernel in CACHE, which is filled where it is empty."""

    def __init__(self, cache):
        if platform.machine() != "x86_64":
            raise Missing("only x86_64 machines are started here")
        for tool in ("apt-get", "apt-cache", "dpkg-deb"):
            if not shutil.which(tool):
                raise Missing(f"the kernel package cannot be had: there is no {tool}")
        cache = pathlib.Path(cache).resolve()
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (cache / "kernel").exists():
                unpack(cache)
        self.image = next((cache / "kernel" / "boot").glob("vmlinuz-*"))
        modules = (cache / "kernel" / "lib" / "modules").rglob("*.ko")
        self.modules = {path.stem.replace("-", "_"): path for path in modules}

    def modules_for(self, *names):
        """The files of these modules and of all they need, in the order in which they can be loaded."""
        order = []

        def add(name):
            path = self.modules[name]
            if path in order:
                return
            # What depmod reads: the module's own section .modinfo.
            needs = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())[1].decode()
            for other in filter(None, needs.split(",")):
                add(other.replace("-", "_"))
            order.append(path)
        for name in names:
            add(name)
        return order
