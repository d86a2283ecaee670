# SPDX-License-Identifier: LGPL-2.1-or-later
"""A node with many streams or links on which nothing happens, and one stream more."""

import json
import resource
import subprocess

from processes import Unavailable
from way import Way
from ways.embedded_nodes import cpus, environment

MANY = 10000
FEW = 100  # only to see that it runs
OTHER_FILES = 1000  # that the near process may need besides


class Idle(Way):
    """The round trip on the stream that is used, and the memory of each of the others."""

    near = ["node", "program", "the other ends"]
    streams = links = False
    spin = 0

    def setup(self):
        number = FEW if self.stand.options.brief else MANY
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < number + OTHER_FILES:
            raise Unavailable(f"a process may not open {number + OTHER_FILES} files here")
        self.process = self.stand.processes.start(
            cpus(self), self.stand.program("bench-idle"), self.stand.make_folder(), number if self.streams else 0,
            number if self.links else 0, self.spin, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            environment=environment(self.stand))
        memory = json.loads(self.stand.line(self.process, self.name))
        self.memory = {key: value / number for key, value in memory.items()} if self.streams or self.links else {}

    def describe_layout(self):
        return f"CPU {cpus(self)}: {' + '.join(self.near)}"

    def measure(self):
        self.process.stdin.write(f"{self.stand.options.pings}\n")
        self.process.stdin.flush()
        return {"trip": float(self.stand.line(self.process, self.name)) * 1e6, **self.memory}


class NoneIdle(Idle):
    name = "nothing else"


class Spinning(Idle):
    name = "spin 50 us"
    spin = 50


class Sleeping(Idle):
    name = "spin off"


class IdleStreams(Idle):
    name = "10,000 idle streams, ten peers"
    streams = True


class IdleLinks(Idle):
    name = "10,000 idle Unix links"
    links = True
