# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream whose link fails in the middle, between two nodes in one program that have another link."""

from way import Way
from ways.embedded_nodes import cpus, environment

SECOND = "tcp://127.0.0.1:0"  # dearer than the first, which is a Unix socket through the relay


class Failover(Way):
    """The longest time without a byte at the receiver; that every byte came once and in order, or it fails."""

    near = ["two nodes", "relay", "sender", "receiver"]
    fault = None

    def measure(self):
        megabytes = max(100, self.stand.options.megabytes)
        run = self.stand.run(cpus(self), self.stand.program("bench-failover"), self.fault, self.stand.make_folder(), SECOND,
                             megabytes, environment=environment(self.stand), what=self.name)
        return {"stall": run.value * 1000}

    def describe_layout(self):
        return f"CPU {cpus(self)}: {' + '.join(self.near)}"


class Closes(Failover):
    name = "the socket errs"
    fault = "closes"


class Swallows(Failover):
    name = "it goes silent"
    fault = "swallows"
