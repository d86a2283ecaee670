# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the rows of one transport have to know of it: where one listens, and what stands beside the programs."""

import os
import pathlib
import shlex
import shutil

from node import Node
from processes import Failure, Unavailable
from ways.ssh import Sshd

SKIP = 77  # of bench-channel: what it takes is not here


class Transport:
    """One transport of this build, for one row: made by it, so that its processes are on the row's CPUs."""

    name = None  # of its folder, too
    encrypted = True  # whether a link over it is
    near, far = [], []  # names of what runs besides
    has_channels = True  # that one can have without a node
    file = None  # the plug-in, within the build
    config = ""  # lines for the key files of both daemons

    def __init__(self, way):
        self.way = way
        self.stand = way.stand
        self.processes = []  # that bytes go through besides
        self.environment = {}  # what the near program is to have in its own
        if not (self.stand.build / self.file).exists():
            raise Unavailable(f"this build has no {self.file}")
        self.setup()

    def setup(self):
        """Starts what it takes besides the two ends; raises Unavailable where the machine lacks something."""

    def endpoint(self):
        """What the far end listens on; where it can be reached is what that one says."""
        raise NotImplementedError

    def serve(self):
        """The far end of bare channels: its process, and where it can be reached."""
        try:
            return self.stand.serve(self.way.far_cpu, self.stand.program("bench-channel"), "serve", self.endpoint(),
                                    environment=self.way.environment)
        except Failure as failure:
            if self.stand.processes.running[-1].returncode == SKIP:
                raise Unavailable(str(failure).split(" did not start: ")[-1].rstrip(".")) from None
            raise

    def probe(self):
        """Whether the machine has what it takes is told by the transport, before there is a daemon to fail."""
        self.stand.processes.end(self.serve()[0])

    def reach(self, near, far):
        """Where node NEAR can reach node FAR; they trust each other."""
        return far.ctl("status")["listening"][0]

    @property
    def plugins(self):
        """What a daemon needs: this one, and what leads to the receiver."""
        return tuple(sorted({str(pathlib.PurePath(self.file).parent), "plugins/unix"}))


class Unix(Transport):
    name = "unix"
    file = "plugins/unix/unix.so"
    encrypted = False

    def endpoint(self):
        return f"unix://{self.stand.make_folder()}/link"


class Tcp(Transport):
    name = "tcp"
    file = "plugins/tcp/tcp.so"

    def endpoint(self):
        return "tcp://127.0.0.1:0"


class Vsock(Transport):
    """Where the kernel has a loopback: nothing here speaks to a machine that it has not started."""

    name = "vsock"
    file = "plugins/vsock/vsock.so"

    def endpoint(self):
        return "vsock://local:any"


class Hvsock(Transport):
    """The VMM is the one of the tests: its guest leads every port straight back, by a copy of its own."""

    name = "hvsock"
    file = "plugins/hvsock/hvsock.so"
    far = ["VMM"]

    def setup(self):
        self.socket = self.stand.make_folder() / "v.sock"
        self.processes.append(start_vmm(self.stand, self.way.far_cpu, self.socket))

    def endpoint(self):
        return f"hvsock://{self.socket}:4974"


class Quic(Transport):
    name = "quic"
    file = "plugins/quic/quic.so"

    def endpoint(self):
        return "quic://127.0.0.1:0"


class Websocket(Transport):
    name = "websocket"
    file = "plugins/websocket/websocket.so"

    def endpoint(self):
        return "ws://127.0.0.1:0/"


class Ssh(Transport):
    """The user's ssh, which is one with a configuration of the bench's own. What runs at the far end says that it is there, as
    `hyphactl attach` does; without a node, it is socat that leads on to the receiver."""

    name = "ssh"
    file = "plugins/ssh/ssh.so"
    near = ["ssh"]
    far = ["sshd", "what it runs"]

    def setup(self):
        if not shutil.which("socat"):
            raise Unavailable("socat is not installed")
        folder = self.stand.make_folder()
        self.command = folder / "attach"
        server = Sshd(self.stand, self.way.far_cpu, self.command)
        self.processes.append(server.process)
        write_script(folder / "ssh", f"exec {shutil.which('ssh')} -F {server.config} \"$@\"")
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}"}

    def serve(self):
        receiver, where = self.stand.receiver("unix", self.way.far_cpu)
        write_script(self.command, "echo 'hypha attached'", f"exec socat STDIO UNIX-CONNECT:{where.removeprefix('unix:')}")
        return receiver, "ssh://far"

    def probe(self):
        pass

    def endpoint(self):
        return None

    def reach(self, near, far):
        words = ["env", *(f"{key}={value}" for key, value in far.environment.items() if os.environ.get(key) != value),
                 far.build / "core/ctl/hyphactl", "--address", far.address, "attach", "ssh"]
        write_script(self.command, f"exec {shlex.join(map(str, words))}")
        return "ssh://far"


class Python(Transport):
    """The example of a transport that is a program in another language: it connects, and hands the socket over."""

    name = "a program in Python"
    file = "data/plugin/python/pytcp.json"

    def endpoint(self):
        return "pytcp://127.0.0.1:0"


class PythonCopies(Python):
    """The same, but every byte goes through the program: what is no socket of the kernel's costs that."""

    name = "a program in Python that copies"
    config = "transport-options={'pytcp': {'hand-over': <'rendezvous'>}}\n"
    near, far = ["program"], ["program"]
    has_channels = False  # hyphad alone is told options


class Via(Transport):
    """Both are linked with a node in the middle, by Unix links, and with each other through it. There are no channels without nodes."""

    name = "via"
    file = "plugins/via/via.so"
    far = ["hyphad in the middle"]
    has_channels = False

    def setup(self):
        names = "services={'via': {'target': <'transport'>, 'peers': <['near', 'far']>}}\n"
        self.middle = Node(self.stand, self.way.far_cpu, names, f"unix://{self.stand.make_folder()}/middle", self.plugins)
        self.processes.append(self.middle.process)

    def endpoint(self):
        return "via://any"

    def probe(self):
        pass

    def reach(self, near, far):
        for name, node in (("near", near), ("far", far)):
            self.middle.ctl("trust", node.id, name)
            node.ctl("trust", self.middle.id, "middle")
            node.ctl("connect", self.middle.ctl("status")["listening"][0])
        return f"via://{self.middle.id}/{far.id}"


def write_script(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o700)


def start_vmm(stand, cpu, path):
    process = stand.start(cpu, stand.build / "plugins/hvsock/vmm", path)
    stand.line(process, "the VMM")
    return process
