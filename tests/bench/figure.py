# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured of a way, and what is wanted of it."""

import collections

# key: its name in what Way.measure () returns and in the JSON; digits: those behind the point; better: "more" or "less".
Figure = collections.namedtuple("Figure", "key title unit digits better")

RATE = Figure("rate", "throughput", "MB/s", 0, "more")
CPU = Figure("cpu", "CPU of all processes", "s/GB", 2, "less")
TRIP = Figure("trip", "64 bytes there and back", "us", 1, "less")


class Goal:
    """WAY's FIGURE, or its ratio to that of the way OVER, and the bound that it should keep. Without a bound it is only shown.

    AIM is what would be better still.
    """

    def __init__(self, way, figure, over=None, at_least=None, at_most=None, aim=None):
        self.way, self.figure, self.over = way, figure, over
        self.at_least, self.at_most, self.aim = at_least, at_most, aim
