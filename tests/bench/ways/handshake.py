# SPDX-License-Identifier: LGPL-2.1-or-later
"""Handshakes of links, one after the other, both ends in one program."""

from way import Way
from ways.embedded_nodes import cpus

NUMBER = 500  # in a round
FEW = 20


class Handshake(Way):
    """The CPU time of one, both ends and all threads together."""

    near = ["both ends"]
    kind = None

    def measure(self):
        number = FEW if self.stand.options.brief else NUMBER
        run = self.stand.run(cpus(self), self.stand.program("bench-handshake"), self.kind, number, what=self.name)
        return {"cpu": run.value * 1000}

    def describe_layout(self):
        return f"CPU {cpus(self)}: {' + '.join(self.near)}"


class Plain(Handshake):
    name = "in the open"
    kind = "plain"


class Tls(Handshake):
    name = "within TLS"
    kind = "tls"
