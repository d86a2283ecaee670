# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream from a sender to a receiver, the same program both; ways differ in what lies between the two."""

from way import Way

PING_BYTES = 64
MEGA = 1_000_000


class StreamWay(Way):
    """Measures throughput with its CPU time, and round trips."""

    kind = "unix"  # of the receiver's socket
    block = 256 * 1024  # of each write
    times = 1  # the bytes that --megabytes asks for
    program = "bench-pipe"  # at both ends
    environment = None  # of the near one, if not the bench's own
    verified = False  # the receiver compares what comes with what was sent
    middle_near = []  # names of what runs beside the sender
    middle_far = []

    def __init__(self, stand, layout):
        self.near = ["sender", *self.middle_near]
        self.far = [*self.middle_far, "receiver"]
        super().__init__(stand, layout)

    def begin(self):
        """Before each measurement: returns where to connect to, and the processes that bytes go through besides the two ends."""
        raise NotImplementedError

    def finish(self):
        """After each measurement."""

    @property
    def receiver(self):
        """The receiver's process and where it listens."""
        return self.stand.receiver(self.kind, self.far_cpu)

    def measure(self):
        options = self.stand.options
        megabytes = options.megabytes * self.times
        sent = self.pipe("send", round(megabytes * MEGA), self.block, *(["verified"] if self.verified else []))
        trip = self.pipe("ping", PING_BYTES, options.pings)
        return {"rate": megabytes / sent.value, "cpu": sent.cpu * 1000 / megabytes, "trip": trip.value * 1e6}

    def pipe(self, verb, *words):
        try:
            where, middle = self.begin()
            return self.stand.run(self.near_cpu, self.stand.program(self.program), verb, where, *words,
                                  others=[*middle, self.receiver[0]], environment=self.environment, what=self.name)
        finally:
            self.finish()
