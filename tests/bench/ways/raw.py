# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing in between."""

from processes import Unavailable
from ways.stream import StreamWay
from ways.transport import start_vmm


class RawUnix(StreamWay):
    name = "raw Unix socket"

    def begin(self):
        return self.receiver[1], []


class RawTcp(StreamWay):
    name = "raw TCP"
    kind = "tcp"

    def begin(self):
        return self.receiver[1], []


class Hybrid(StreamWay):
    """What Firecracker's manual has people do: the socket of the machine, and a line that says CONNECT, by hand."""

    name = "the VMM's socket, by hand"
    middle_far = ["VMM"]
    port = 4975

    def setup(self):
        if not (self.stand.build / "plugins/hvsock/vmm").exists():
            raise Unavailable("this build has no VMM for tests")
        socket = self.stand.make_folder() / "v.sock"
        self.vmm = start_vmm(self.stand, self.far_cpu, socket)
        self.server = self.stand.serve(self.far_cpu, self.stand.program("bench-pipe"), "serve", f"unix:{socket}_{self.port}")
        self.where = f"machine:{socket}:{self.port}"

    @property
    def receiver(self):
        return self.server

    def begin(self):
        return self.where, [self.vmm]
