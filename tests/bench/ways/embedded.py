# SPDX-License-Identifier: LGPL-2.1-or-later
"""A node embedded in each of two programs, and what programs use in its place: all with the same writes and checks."""

import os
import subprocess

from processes import Unavailable
from way import Way
from ways.raw import RawUnix
from ways.stream import MEGA, PING_BYTES

WRITE = 16 * 1024
LONGER = 8  # times the bytes, where two figures are to lie close together


class EmbeddedRaw(RawUnix):
    name = "raw Unix socket, 16 KiB writes"
    block = WRITE
    verified = True


class Pair(Way):
    """The same program at both ends."""

    near = ["program"]
    far = ["program"]
    program = "bench-embedded"
    environment = None

    def serve(self, where):
        server, _ = self.stand.serve(self.far_cpu, self.stand.program(self.program), "serve", where,
                                     environment=self.environment)
        return server

    def run(self, verb, *words):
        return self.stand.run(self.near_cpu, self.stand.program(self.program), verb, self.where, *words, others=[self.server],
                              environment=self.environment, what=self.name)

    def trip(self):
        return {"trip": self.run("ping", PING_BYTES, self.stand.options.pings).value * 1e6}


class EmbeddedUnix(Pair):
    name = "hypha, library to library, Unix link"
    scheme = "hypha"
    writes = [WRITE, "verified"]
    times = 1

    def setup(self):
        folder = self.stand.make_folder()
        self.environment = dict(os.environ, HYPHA_PLUGIN_PATH=str(self.stand.build / "plugins/unix"))
        near, far = folder / "near.pem", folder / "far.pem"
        link = f"unix://{folder}/link"
        self.where = f"{self.scheme}:{near};{link};{self.id_of(far)}"
        self.server = self.serve(f"{self.scheme}:{far};{link};{self.id_of(near)}")

    def id_of(self, key):
        return subprocess.run([self.stand.program(self.program), "id", key], env=self.environment, text=True, check=True,
                              capture_output=True).stdout.strip()

    def measure(self):
        megabytes = self.stand.options.megabytes * self.times
        sent = self.run("send", megabytes * MEGA, *self.writes)
        return {"rate": megabytes / sent.value, "cpu": sent.cpu * 1000 / megabytes, **self.trip()}


class Direct(EmbeddedUnix):
    name = "hypha, direct stream"
    scheme = "direct"
    writes = []  # as the raw socket's
    times = LONGER


class DirectRaw(RawUnix):
    name = "Unix socket, connected by hand"
    times = LONGER


class ZeroMq(Pair):
    name = "ZeroMQ, REQ and REP over ipc"
    program = "bench-zmq"

    def setup(self):
        if not self.stand.program(self.program).exists():
            raise Unavailable("libzmq3-dev was not installed when this was built")
        self.where = f"ipc://{self.stand.make_folder()}/sink"
        self.server = self.serve(self.where)

    def measure(self):
        return self.trip()
