# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream from a program that holds a node to another."""

from figure import CPU, RATE, TRIP, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.embedded import EmbeddedRaw, EmbeddedUnix, ZeroMq


class Embedded(Table):
    name = "embedded"
    order = 30
    title = "A stream from library to library"
    goal = ("With 16 KiB writes and a receiver that checks every byte, at least 0.75 of a raw Unix socket; a round trip at most 0.8 "
            "of ZeroMQ's over ipc.")
    ways = (EmbeddedRaw, EmbeddedUnix, ZeroMq)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (RATE, CPU, TRIP)
    goals = (Goal(EmbeddedUnix, RATE, over=EmbeddedRaw, at_least=0.75),
             Goal(EmbeddedUnix, TRIP, over=ZeroMq, at_most=0.8))
