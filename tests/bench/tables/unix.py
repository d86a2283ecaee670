# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream through two daemons over a Unix link."""

from figure import CPU, RATE, TRIP, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.bare import BareUnix
from ways.daemons import DaemonsUnix
from ways.raw import RawUnix
from ways.socat import Socat


class UnixLink(Table):
    name = "unix"
    order = 10
    title = "A stream through two daemons over a Unix link"
    goal = ("At least 0.25 of a raw Unix socket, where three copies in place of one bound it at 0.33; at least 2 times two chained "
            "socat with their defaults.")
    ways = (RawUnix, DaemonsUnix, Socat, BareUnix)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (RATE, CPU, TRIP)
    goals = (Goal(DaemonsUnix, RATE, over=RawUnix, at_least=0.25),
             Goal(DaemonsUnix, RATE, over=Socat, at_least=2),
             Goal(DaemonsUnix, RATE, over=BareUnix))
