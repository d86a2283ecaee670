# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a byte costs, the more streams and peers there are."""

from figure import CPU, RATE, Figure, Goal
from table import Table
from ways.many import ManyPeers, ManySockets, ManyStreams

DAEMONS = Figure("daemons", "CPU of the daemons alone", "s/GB", 2, "less")


def rows(way, what):
    """WAY with ever more to do."""
    return [way.variant(name=f"{count} {what if count > 1 else what.removesuffix('s')}", x=count)
            for count in (1, 10, 100, 1000)]


STREAMS = rows(ManyStreams, "streams")
PEERS = rows(ManyPeers, "peers")
SOCKETS = rows(ManySockets, "raw Unix sockets")


class Growth(Table):
    name = "growth"
    order = 90
    title = "Cost as work grows"
    goal = "Bytes per second and CPU per GB for 1, 10, 100, 1000 streams and peers: flat."
    ways = (*STREAMS, *PEERS, *SOCKETS)
    figures = (RATE, CPU, DAEMONS)
    goals = tuple(Goal(ways[-1], figure, over=ways[0]) for ways in (STREAMS, PEERS, SOCKETS) for figure in (RATE, CPU))
    lines = True
    x_title = "how many at once"
