# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two socat with their defaults, chained as the two daemons are."""

import contextlib
import shutil
import socket

from processes import Unavailable, wait_until_listening
from ways.stream import StreamWay

LOCAL_CID = 1
VSOCK_PORT = 4975

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


class SocatVsock(Socat):
    """The same, over the loopback of vsock."""

    def setup(self):
        super().setup()
        with contextlib.suppress(OSError, AttributeError):
            with socket.socket(socket.AF_VSOCK) as one:
                one.bind((LOCAL_CID, VSOCK_PORT))
                return
        raise Unavailable("this kernel has no loopback for vsock")

    def begin(self):
        processes = self.stand.processes
        near = self.folder / "near"
        self.running = [
            processes.start(self.far_cpu, "socat", f"VSOCK-LISTEN:{VSOCK_PORT},reuseaddr",
                            f"UNIX-CONNECT:{self.receiver[1].removeprefix('unix:')}"),
            # Who listens on vsock is nowhere to be read.
            processes.start(self.near_cpu, "socat", f"UNIX-LISTEN:{near}",
                            f"VSOCK-CONNECT:{LOCAL_CID}:{VSOCK_PORT},retry=100,interval=0.05")]
        wait_until_listening(near, self.running[1])
        return f"unix:{near}", self.running
