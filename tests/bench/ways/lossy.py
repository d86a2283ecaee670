# SPDX-License-Identifier: LGPL-2.1-or-later
"""What comes through a line that is long and loses packets; the line is tests/wire."""

import contextlib
import signal
import subprocess
import time

from node import Node
from processes import Failure, Unavailable, wait_for
from way import Way
from ways.daemons import connect
from ways.gtls import Download
from wire import Missing, Wire

MEGA = 1_000_000
SECONDS = 5
LINE = {"delay": 50, "loss": 1, "rate": 100, "queue": 1250}  # the queue holds what is under way in a round trip
BRIEF_SECONDS = 0.2
BRIEF_LINE = {"delay": 2, "loss": 1, "rate": 100}


class Lossy(Way):
    """As many bytes as come in a few seconds from the first one on. Every round has a line of its own, with losses of its own: the
    same for every row. So nothing is left in a queue of what was measured before."""

    control = None  # TCP's congestion control

    def setup(self):
        self.far = [*self.far, "wire"]
        self.rounds = 0
        brief = self.stand.options.brief
        self.seconds, self.line = (BRIEF_SECONDS, BRIEF_LINE) if brief else (SECONDS, LINE)
        try:
            with self.make_line():
                pass
        except Missing as why:
            raise Unavailable(str(why)) from None

    @contextlib.contextmanager
    def make_line(self):
        runner = ["taskset", "-c", str(self.far_cpu)]
        with Wire(self.stand.build / "tests/wire/wire", runner, seed=self.rounds + 1, **self.line) as wire:
            if self.control:
                try:
                    wire.near.use_congestion_control(self.control)
                    wire.far.use_congestion_control(self.control)
                except (OSError, subprocess.CalledProcessError) as error:
                    raise Unavailable(f"TCP cannot be given {self.control} here: {error}") from None
            yield wire

    def measure(self):
        there = list(self.stand.processes.running)
        try:
            with self.make_line() as wire:
                return {"rate": self.flow(wire) / MEGA}
        finally:
            self.rounds += 1
            for process in reversed([one for one in self.stand.processes.running if one not in there]):
                self.stand.processes.end(process, signal.SIGKILL)

    def flow(self, wire):
        """Bytes a second."""
        raise NotImplementedError

    def serve(self, wire, where):
        with wire.far:
            return self.stand.serve(self.far_cpu, self.stand.program("bench-pipe"), "serve", where)[1]

    def send(self, wire, where):
        with wire.near:
            return self.stand.run(self.near_cpu, self.stand.program("bench-pipe"), "flow", where, round(self.seconds * 1000),
                                  what=self.name).value


class LossyTcp(Lossy):
    near, far = ["sender"], ["receiver"]

    def flow(self, wire):
        return self.send(wire, self.serve(wire, f"tcp:{wire.far.address}:0"))


class LossyDaemons(Lossy):
    ours = True
    near, far = ["sender", "hyphad"], ["hyphad", "receiver"]
    transport = None  # its name, and the scheme of its endpoints

    def setup(self):
        self.plugins = (f"plugins/{self.transport}", "plugins/unix")
        if not (self.stand.build / self.plugins[0] / f"{self.transport}.so").exists():
            raise Unavailable(f"this build has no {self.plugins[0]}")
        super().setup()

    def flow(self, wire):
        sink = self.serve(wire, f"unix:{self.stand.make_folder()}/sink").replace("unix:", "unix://")
        with wire.far:
            far = Node(self.stand, self.far_cpu, f"services={{'sink': {{'target': <'{sink}'>}}}}\n",
                       f"{self.transport}://{wire.far.address}:0", self.plugins)
        with wire.near:
            near = Node(self.stand, self.near_cpu, plugins=self.plugins)
        connect(near, far)
        return self.send(wire, f"hypha:{near.address};/org/hypha/Node1/peer/{far.id};sink")


class LossyGtls(Lossy):
    """A download, of which the client writes what comes into a file: that one's growth is looked at."""

    near, far = ["gtlsclient"], ["gtlsserver"]
    quic_control = None

    def setup(self):
        Download.check()
        super().setup()

    def flow(self, wire):
        with wire.far:
            gtls = Download(self.stand.make_folder(), round(self.line["rate"] * MEGA / 8 * (self.seconds + 1) * 2),
                            wire.far.address)
            server = self.stand.processes.start(self.far_cpu, *gtls.server(f"--cc={self.quic_control}"))
            wait_for(gtls.is_serving, server, "gtlsserver")
        with wire.near:
            client = self.stand.processes.start(self.near_cpu, *gtls.client(f"--download={gtls.downloads}"))
        came = gtls.downloads / "file"
        wait_for(lambda: came.exists() and came.stat().st_size > 0, client, "download")
        first, start = came.stat().st_size, time.monotonic()
        time.sleep(self.seconds)
        if client.poll() is not None:
            raise Failure(f"{self.name}: the download ended too early: {client.log.read_text(errors='replace')[-500:]}")
        return (came.stat().st_size - first) / (time.monotonic() - start)
