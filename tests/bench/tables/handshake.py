# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the handshake of a link costs."""

from figure import Figure, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.handshake import Plain, Tls

COST = Figure("cpu", "CPU of both ends", "ms", 3, "less")


class Handshake(Table):
    name = "handshake"
    order = 80
    title = "The handshake of a link, from a connected socket until both ends may send"
    goal = "At most 2 ms of CPU for both ends together with TLS, 1 ms without."
    ways = (Plain, Tls)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (COST,)
    goals = (Goal(Plain, COST, at_most=1), Goal(Tls, COST, at_most=2))
