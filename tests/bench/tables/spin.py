# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it is worth to stay awake."""

from figure import TRIP, Goal
from layout import TWO_CORES
from table import Table
from ways.idle import Sleeping, Spinning


class Spin(Table):
    name = "spin"
    order = 65
    title = "A round trip between programs that hold a node each, with workers that stay awake for a while and without"
    goal = "None: `spin` is off by default. It takes CPU time, and the programs here sleep as usual."
    ways = (Sleeping, Spinning)
    layouts = (TWO_CORES,)
    figures = (TRIP,)
    goals = (Goal(Spinning, TRIP, over=Sleeping),)
