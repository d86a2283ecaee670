# SPDX-License-Identifier: LGPL-2.1-or-later
"""As little as two processes in between can do: a thread for each direction reads, blocks, and writes what it has read."""

from ways.stream import StreamWay


class Bare(StreamWay):
    """What bounds everybody who has two processes in between: no frames, no other streams, no window, nothing that survives."""

    name = "two bare copies, chained"
    middle_near = ["copy"]
    middle_far = ["copy"]
    between = None  # "unix" or "tcp"

    def setup(self):
        relay = [self.stand.program("bench-pipe"), "relay"]
        far = f"unix:{self.stand.make_folder()}/far" if self.between == "unix" else "tcp:0"
        self.far_process, bound = self.stand.serve(self.far_cpu, *relay, far, self.receiver[1])
        self.near_process, self.where = self.stand.serve(self.near_cpu, *relay, f"unix:{self.stand.make_folder()}/near", bound)

    def begin(self):
        return self.where, [self.near_process, self.far_process]


class BareUnix(Bare):
    between = "unix"


class BareTcp(Bare):
    name = "two bare copies, over TCP"
    between = "tcp"
