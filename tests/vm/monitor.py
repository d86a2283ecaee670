# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's monitor, by which a machine is saved: QMP, a line of JSON each way."""

import json
import socket

from harness import DEADLINE, wait_for


class Monitor:
    """At the socket PATH, as soon as QEMU listens there."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        wait_for(lambda: self.socket.connect_ex(path) == 0, f"a monitor at {path}")
        self.lines = self.socket.makefile("r")
        self.lines.readline()  # who it is
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        """What it returns."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self.lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(f"QEMU does not do {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise AssertionError(f"QEMU ended at {command}")

    def save(self, path):
        """The machine, with its memory. It stands still from now on."""
        self.do("stop")
        self.do("migrate-set-parameters", **{"max-bandwidth": 1 << 32})
        self.do("migrate", uri=f"exec:cat >{path}")

        def is_saved():
            state = self.do("query-migrate")
            if state["status"] == "failed":
                raise AssertionError(f"the machine cannot be saved: {state.get('error-desc')}")
            return state["status"] == "completed"
        wait_for(is_saved, "a saved machine")

    def go_on(self):
        """A machine that was restored, as soon as it is."""
        wait_for(lambda: self.do("query-status")["status"] == "paused", "a restored machine")
        self.do("cont")

    def close(self):
        self.lines.close()
        self.socket.close()
