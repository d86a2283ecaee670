# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two relays over a WebSocket, by Debian's python3-websockets, chained as the two daemons are."""

import pathlib
import subprocess

from processes import Unavailable, wait_until_listening
from ways.stream import StreamWay

RELAY = pathlib.Path(__file__).resolve().parent.parent / "websocket_relay.py"
PYTHON = "/usr/bin/python3"  # whose packages are Debian's


class Websockets(StreamWay):
    """websockify would be the same at one end, and has no other; websocat is not in Debian 12."""

    name = "two relays by python3-websockets"
    middle_near = ["relay"]
    middle_far = ["relay"]

    def setup(self):
        known = subprocess.run([PYTHON, "-c", "import websockets"], capture_output=True, check=False)
        if known.returncode != 0:
            raise Unavailable("python3-websockets is not installed")
        near = self.stand.make_folder() / "near"
        self.far_relay, self.url = self.stand.serve(self.far_cpu, PYTHON, RELAY, "serve",
                                                    self.receiver[1].removeprefix("unix:"))
        self.near_relay = self.stand.processes.start(self.near_cpu, PYTHON, RELAY, "join", near, self.url)
        wait_until_listening(near, self.near_relay)
        self.where = f"unix:{near}"

    def begin(self):
        return self.where, [self.near_relay, self.far_relay]
