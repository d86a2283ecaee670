# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which CPU what runs on: fixed, and stated in each row."""

import os

from processes import Unavailable


class Layout:
    """A CPU for the near end and what stands beside it, and one for the far end: the same, or another."""

    def __init__(self, name, cores):
        self.name = name
        self.cores = cores

    def cpus(self):
        """The near end's CPU and the far end's. The last ones: the first has the machine's interrupts, more often than not."""
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < self.cores:
            raise Unavailable(f"only {len(allowed)} CPU may be used here")
        return allowed[-self.cores], allowed[-1]

    def describe(self, near, far):
        """What runs where, in words."""
        first, last = self.cpus()
        if first == last:
            return f"CPU {first}: {' + '.join([*near, *far])}"
        return f"CPU {first}: {' + '.join(near)}; CPU {last}: {' + '.join(far)}"


ONE_CORE = Layout("one core", 1)
TWO_CORES = Layout("two cores", 2)
