# SPDX-License-Identifier: LGPL-2.1-or-later
"""A row of a table."""


class Way:
    """One row: something that is measured once in each round, in one layout. Subclasses say what.

    A way is made once for a table, before its first round, and what it has started ends after the last one.
    """

    name = None
    near = []  # names of the programs on the near end's CPU, to be told in the table
    far = []
    ours = False  # drawn as ours, though no goal is set for it
    series = None  # of a table that is plotted as lines: the line this is a point of,
    x = None  # and where on it

    def __init__(self, stand, layout):
        self.stand = stand
        self.layout = layout
        self.near_cpu, self.far_cpu = layout.cpus()
        self.setup()

    def setup(self):
        """Starts what lasts; raises Unavailable where the machine lacks what it takes, Failure where something is wrong."""

    def measure(self):
        """One round: returns a value for each figure, by its key. A figure that this way has not is left out."""
        raise NotImplementedError

    def describe_layout(self):
        return self.layout.describe(self.near, self.far)

    @classmethod
    def variant(cls, **attributes):
        """Another row that differs in ATTRIBUTES only."""
        return type(cls.__name__, (cls,), attributes)
