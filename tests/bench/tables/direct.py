# SPDX-License-Identifier: LGPL-2.1-or-later
"""A direct stream, once it is there."""

from figure import CPU, RATE, TRIP, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.embedded import Direct, DirectRaw


class DirectStream(Table):
    name = "direct"
    order = 50
    title = "A direct stream"
    goal = "At least 0.98 of a Unix socket that the two programs have connected by hand, with 256 KiB writes."
    ways = (DirectRaw, Direct)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (RATE, CPU, TRIP)
    goals = (Goal(Direct, RATE, over=DirectRaw, at_least=0.98), Goal(Direct, TRIP, over=DirectRaw))
