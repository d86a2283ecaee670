# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream whose link fails in the middle, between two nodes in one program that have another link."""

import os

from way import Way

SECOND = "tcp://127.0.0.1:0"  # dearer than the first, which is a Unix socket through the relay


class Failover(Way):
    """The longest time without a byte at the receiver, and that every byte came once and in order."""

    near = ["two nodes", "relay", "sender", "receiver"]
    fault = None

    def measure(self):
        folder = self.stand.make_folder()
        plugins = ":".join(str(self.stand.build / "plugins" / name) for name in ("tcp", "unix"))
        megabytes = max(100, self.stand.options.megabytes)
        run = self.stand.run(self.cpus(), self.stand.program("bench-failover"), self.fault, folder, SECOND, megabytes,
                             environment={**os.environ, "HYPHA_PLUGIN_PATH": plugins}, what=self.name)
        return {"stall": run.value * 1000}

    def cpus(self):
        """All of the layout's: it is one program."""
        return ",".join(str(cpu) for cpu in sorted({self.near_cpu, self.far_cpu}))

    def describe_layout(self):
        return f"CPU {self.cpus()}: {' + '.join(self.near)}"


class Closes(Failover):
    name = "the socket errs"
    fault = "closes"


class Swallows(Failover):
    name = "it goes silent"
    fault = "swallows"
