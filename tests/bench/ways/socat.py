# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two socat with their defaults, chained as the two daemons are."""

import shutil

from processes import Unavailable, wait_until_listening
from ways.stream import StreamWay


class Socat(StreamWay):
    name = "two socat, chained"
    middle_near = ["socat"]
    middle_far = ["socat"]

    def setup(self):
        if not shutil.which("socat"):
            raise Unavailable("socat is not installed")
        self.folder = self.stand.make_folder()
        self.running = []

    def begin(self):
        processes = self.stand.processes
        near, far = self.folder / "near", self.folder / "far"
        self.running = [processes.start(self.far_cpu, "socat", f"UNIX-LISTEN:{far}",
                                        f"UNIX-CONNECT:{self.receiver[1].removeprefix('unix:')}")]
        wait_until_listening(far, self.running[0])
        self.running.append(processes.start(self.near_cpu, "socat", f"UNIX-LISTEN:{near}", f"UNIX-CONNECT:{far}"))
        wait_until_listening(near, self.running[1])
        return f"unix:{near}", self.running

    def finish(self):
        for process in self.running:
            self.stand.processes.end(process)
        for path in self.folder.iterdir():
            path.unlink()
