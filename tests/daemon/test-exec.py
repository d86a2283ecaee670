#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hypha-agent and hyphactl exec: commands on another node, over real links."""

import hashlib
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import threading

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

AGENT = os.environ["HYPHA_AGENT"]
ON = "services={'exec': {'peers': <['beta']>}}\n"


class Agent:
    """A hypha-agent on the bus of a node."""

    def __init__(self, node, *arguments, ready=True, **popen):
        self.node = node
        self.log_path = node.place.path / f"agent-{len(node.place.processes)}"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([AGENT, "--address", node.place.address, *arguments], env=node.place.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen)
        node.place.processes.append(self.process)
        if ready:
            self.wait_log("service 'exec' is on")

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


class Exec(Case):
    """alpha has an agent, beta has commands run."""

    config = ON

    def setUp(self):
        place = self.place()
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", config=self.config)
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))
        self.agent = Agent(self.alpha, ready=self.config == ON)

    def tearDown(self):
        if self.agent.process.poll() is None:
            self.agent.stop()
        for node in (self.beta, self.alpha):
            node.stop()

    def run_there(self, *words, **more):
        more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
        return self.beta.ctl("exec", *words, **more)

    def start(self, *words, **more):
        more = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) | more
        return self.beta.place.start_ctl("exec", *words, **more)

    def assert_prints(self, printed, *words, **more):
        done = self.run_there(*words, **more)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, printed, ""), self.agent.log())


class Commands(Exec):
    def test_arguments_arrive_as_they_are_and_no_shell_looks_at_them(self):
        self.assert_prints(subprocess.run(["uname", "-a"], capture_output=True, text=True).stdout, "alpha", "--", "uname", "-a")
        odd = ["", "$HOME", "a b", "*", "-x", "--", "'\"\\", "\u00fc\U0001f600\u2028", "\n"]
        self.assert_prints("".join(f"[{word}]" for word in odd), "alpha", "printf", "[%s]", *odd)

    def test_status_is_that_of_the_command(self):
        for status in (0, 1, 2, 42, 255):
            self.assertEqual(self.run_there("alpha", "sh", "-c", f"exit {status}").returncode, status)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            done = self.run_there("alpha", "sh", "-c", f"kill -{int(number)} $$")
            self.assertEqual((done.returncode, done.stderr), (128 + number, ""))


if __name__ == "__main__":
    sys.exit(main())
