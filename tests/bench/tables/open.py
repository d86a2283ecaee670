# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opening a stream."""

from figure import Figure, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.opening import Library, LibraryDirect, Ping, Raw, RawDirect, Read

TIME = Figure("time", "until it is there", "us", 0, "less")


class Opening(Table):
    name = "open"
    order = 40
    title = "Opening a stream"
    goal = ("A direct stream is there after at most 3 times what one round trip over the same bus takes. That is a Ping, which is answered "
            "where the bus is read; a call that the daemon's main thread answers, as it answers this one, is the other unit.")
    ways = (Ping, Read, Raw, Library, RawDirect, LibraryDirect)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (TIME,)
    goals = (Goal(Read, TIME, over=Ping),
             Goal(Raw, TIME, over=Ping),
             Goal(Library, TIME, over=Ping),
             Goal(RawDirect, TIME, over=Ping),
             Goal(LibraryDirect, TIME, over=Ping, at_most=3),
         Goal(LibraryDirect, TIME, over=Read))  # a round trip to the thread that opens streams, too
