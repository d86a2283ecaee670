# SPDX-License-Identifier: LGPL-2.1-or-later
"""What streams and links cost on which nothing happens."""

from figure import TRIP, Figure, Goal
from table import Table
from ways.idle import IdleLinks, IdleStreams, NoneIdle

HEAP = Figure("heap", "heap of each", "B", 0, "less")
RESIDENT = Figure("resident", "resident memory of each", "B", 0, "less")


class Idle(Table):
    name = "idle"
    order = 60
    title = "One stream is used, beside 10,000 idle ones, or beside 10,000 idle links to a peer each"
    goal = ("A round trip not measurably longer than with none (a GSource each would make it a thousand times as long); at most 2 KB "
            "of user memory an idle stream, 16 KB an idle Unix link.")
    ways = (NoneIdle, IdleStreams, IdleLinks)
    figures = (TRIP, HEAP, RESIDENT)
    goals = (Goal(IdleStreams, TRIP, over=NoneIdle, at_most=1.05), Goal(IdleLinks, TRIP, over=NoneIdle, at_most=1.05),
             Goal(IdleStreams, HEAP, at_most=2000), Goal(IdleLinks, HEAP, at_most=16000))
