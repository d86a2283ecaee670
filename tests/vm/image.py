# SPDX-License-Identifier: LGPL-2.1-or-later
"""An initramfs, written file by file: cpio, format newc."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import sysconfig

from kernel import Missing

# Of Python's own library: what no test needs.
NOT_OF_PYTHON = re.compile(r"test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|distutils|\w+-packages|config-.*")


PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def tool(name, package):
    found = shutil.which(name, path=PATH)
    if not found:
        raise Missing(f"there is no {name} (Debian: {package})")
    return os.path.realpath(found)


class Image:
    """Files lie where they lie on the building machine, so a program finds what it finds there."""

    def __init__(self):
        self.entries = {}  # path -> (mode, bytes or the path of a file)
        for name in ("bin", "sbin", "lib", "lib64"):
            self.link("/" + name, "usr/" + name)
        for name in ("/proc", "/sys", "/dev", "/tmp", "/run", "/root"):
            self.folder(name)
        self.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.text("/etc/group", "root:x:0:\n")

    def put(self, path, mode, content):
        path = re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", os.path.normpath(path))
        if path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (mode, content)

    def folder(self, path):
        if path != "/":
            self.put(path, stat.S_IFDIR | 0o755, b"")

    def link(self, path, target):
        self.put(path, stat.S_IFLNK | 0o777, target.encode())

    def text(self, path, text, mode=0o644):
        self.put(path, stat.S_IFREG | mode, text.encode())

    def file(self, path, target=None):
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        self.put(target or os.path.abspath(path), stat.S_IFREG | mode, pathlib.Path(path))

    def program(self, path, name=None):
        """A program or shared object, with every library that it is linked with; in the PATH under NAME."""
        self.file(path)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.file(library)
        if name:
            self.link("/usr/bin/" + name, os.path.abspath(path))

    def program_if_there(self, name):
        """In the PATH. Where it is not installed, tests that need it are skipped."""
        path = shutil.which(name, path=PATH)
        if path:
            self.program(os.path.realpath(path), name)

    def tree(self, path, without):
        for folder, folders, files in os.walk(path):
            folders[:] = [name for name in folders if not without.fullmatch(name)]
            for name in files:
                if name.endswith(".so"):
                    self.program(os.path.join(folder, name))
                elif not re.search(r"\.opt-\d\.pyc$|\.a$", name):
                    self.file(os.path.join(folder, name))

    def busybox(self):
        path = tool("busybox", "busybox-static")
        if subprocess.run(["ldd", path], capture_output=True).returncode == 0:
            raise Missing("the busybox here needs libraries (Debian: busybox-static)")
        self.file(path, "/usr/bin/busybox")
        for applet in subprocess.check_output([path, "--list"], text=True).split():
            self.link("/usr/bin/" + applet, "busybox")

    def modules(self, kernel, listing, *names):
        """These modules with what they need, and LISTING: the order in which to load them."""
        paths = kernel.modules_for(*names)
        for path in paths:
            self.file(path, "/usr/lib/modules/" + path.name)
        self.text(listing, "".join(f"/usr/lib/modules/{path.name}\n" for path in paths))

    def python(self):
        """The Python that runs this."""
        path = os.path.realpath(sys.executable)
        self.program(path, "python3")
        self.tree(sysconfig.get_path("stdlib"), NOT_OF_PYTHON)

    def write(self, path):
        with open(path, "wb") as out:
            for number, (name, (mode, content)) in enumerate(sorted(self.entries.items()), 1):
                data, mtime = content, 0
                if isinstance(content, pathlib.Path):
                    # Python holds its compiled files against the time of the source.
                    data, mtime = content.read_bytes(), int(content.stat().st_mtime)
                write_entry(out, name.lstrip("/"), number, mode, mtime, data)
            write_entry(out, "TRAILER!!!", 0, 0, 0, b"")


def write_entry(out, name, number, mode, mtime, data):
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, mtime, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))
