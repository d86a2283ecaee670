# SPDX-License-Identifier: LGPL-2.1-or-later
"""hypha-agent, for the tests of what it serves."""

import os
import pathlib
import re
import subprocess

from harness import DEADLINE, wait_for

AGENT = os.environ["HYPHA_AGENT"]


class Agent:
    """A hypha-agent on the bus of a node."""

    def __init__(self, node, *arguments, ready=True, service="exec", runner=(), **popen):
        """RUNNER: words that go before the agent's, of a program that becomes it."""
        self.node = node
        self.log_path = node.place.path / f"agent-{len(node.place.processes)}"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([*runner, AGENT, "--address", node.place.address, *arguments], env=node.place.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen)
        node.place.processes.append(self.process)
        if ready:
            self.wait_log(f"service '{service}' is on")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern, times=1):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"hypha-agent ended with {self.process.returncode}:\n{self.log()}")
            return len(re.findall(pattern, self.log())) >= times
        wait_for(look, f"'{pattern}' in the log of hypha-agent")

    def stop(self):
        self.process.terminate()
        status = self.process.wait(DEADLINE)
        if status != 0 or re.search(r"CRITICAL|WARNING|Sanitizer|runtime error", self.log()):
            raise AssertionError(f"hypha-agent ended with {status}:\n{self.log()}")

    def children(self):
        task = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in task.read_text().split()]
