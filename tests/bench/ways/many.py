# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many connections at once: to one peer, or each to another. They are opened once, and used in every round."""

import json

from node import Node, environment
from processes import wait_for
from way import Way
from ways.daemons import connect

MEGA = 1_000_000
# Room for a thousand, and beside what each is promised as much to lend as with the defaults, or one alone would have less.
STREAMS = 1024
KEYS = f"max-streams={STREAMS}\nsession-window={2 * STREAMS * 8192 + 8 * 2**20}\n"


class Many(Way):
    """N connections, COUNT; all together they carry what one would."""

    def setup(self):
        self.bytes = self.stand.options.megabytes * MEGA
        self.receiver, self.where = self.stand.receiver("unix", self.far_cpu, "bench-many")
        self.daemons = []
        self.start()

    def start(self):
        """Starts self.sender, and notes the hyphad in self.daemons."""
        raise NotImplementedError

    def measure(self):
        measured = self.stand.ask(self.sender, [self.receiver, *self.daemons], self.name)
        daemons = sum(measured.each[2:])
        values = {"rate": self.bytes / MEGA / measured.value, "cpu": measured.cpu * 1000 * MEGA / self.bytes}
        return {**values, "daemons": daemons * 1000 * MEGA / self.bytes} if self.daemons else values


class ManySockets(Many):
    """What the two ends themselves cost, and the kernel between them."""

    series = "raw Unix sockets"
    near, far = ["sender"], ["receiver"]

    def start(self):
        self.sender = self.stand.start(self.near_cpu, self.stand.program("bench-many"), "send", self.where, self.x, self.bytes)


class ManyStreams(Many):
    series = "streams through two daemons, one peer"
    near, far = ["sender", "hyphad"], ["hyphad", "receiver"]

    def start(self):
        target = self.where.replace("unix:", "unix://")
        far = Node(self.stand, self.far_cpu, f"{KEYS}services={{'sink': {{'target': <'{target}'>}}}}\n",
                   f"unix://{self.stand.make_folder()}/link")
        near = Node(self.stand, self.near_cpu, KEYS)
        connect(near, far)
        self.daemons = [near.process, far.process]
        self.sender = self.stand.start(self.near_cpu, self.stand.program("bench-many"), "send",
                                       f"hypha:{near.address};/org/hypha/Node1/peer/{far.id};sink", self.x, self.bytes)


class ManyPeers(Many):
    """Nodes of one process, a worker thread each, all linked with one hyphad."""

    series = "peers of one daemon, a stream each"
    near, far = ["peers"], ["hyphad", "receiver"]

    def start(self):
        target = self.where.replace("unix:", "unix://")
        services = f"services={{'sink': {{'target': <'{target}'>}}}}\n"
        hub = Node(self.stand, self.far_cpu, services, f"unix://{self.stand.make_folder()}/link")
        self.daemons = [hub.process]
        self.sender = self.stand.start(self.near_cpu, self.stand.program("bench-peers"), hub.ctl("status")["listening"][0],
                                       hub.id, "sink", self.x, self.bytes,
                                       environment=environment(self.stand, self.stand.make_folder()))
        ids = json.loads(self.stand.line(self.sender, self.name))
        trusted = ", ".join(f"'{one}': {{'name': <'peer{number}'>}}" for number, one in enumerate(ids))
        hub.configure(f"{services}trusted-peers={{{trusted}}}\n")
        wait_for(lambda: str(hub.ctl("config", "get", "trusted-peers")).count("peer") >= len(ids), hub.process, "trust")
        self.stand.tell(self.sender)
