# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a stream stands still when its link fails."""

from figure import Figure, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.failover import Closes, Swallows

STALL = Figure("stall", "the longest time without a byte", "ms", 1, "less")


class Failover(Table):
    name = "failover"
    order = 70
    title = "A link fails in the middle of a transfer, from a Unix link to a TCP link with TLS"
    goal = ("No byte lost or repeated (the bench fails otherwise); at most 20 ms when the socket errs, at most 300 ms when the link "
            "swallows what it is given.")
    ways = (Closes, Swallows)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (STALL,)
    goals = (Goal(Closes, STALL, at_most=20), Goal(Swallows, STALL, at_most=300))
