# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where one table is measured: the build, a folder, and processes that end with it."""

import collections
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile

from processes import DEADLINE, Failure, Processes, complain, cpu_seconds

Measured = collections.namedtuple("Measured", "value cpu each")


class Stand:
    """What every way has at hand. OPTIONS are those of the command line: megabytes, pings, brief."""

    def __init__(self, build, options, at_end):
        self.build = build
        self.options = options
        self.at_end = at_end  # an ExitStack
        # Short: the path of a socket has at most 107 characters.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hypha-bench-"))
        at_end.callback(shutil.rmtree, self.folder)
        self.processes = Processes(self.folder)
        at_end.callback(self.processes.end_all)
        self.receivers = {}
        self.asked = []
        self.folders = 0

    def make_folder(self):
        """A folder of its own for whoever asks."""
        self.folders += 1
        folder = self.folder / str(self.folders)
        folder.mkdir(mode=0o700)
        return folder

    def program(self, name):
        """A program of tests/bench."""
        return self.build / "tests/bench" / name

    def receiver(self, kind, cpu, program="bench-pipe"):
        """The far end on CPU, for KIND "unix" or "tcp", shared by all that ask: its process, and where it listens."""
        key = (kind, cpu, program)
        if key not in self.receivers:
            where = f"unix:{self.make_folder()}/sink" if kind == "unix" else "tcp:0"
            self.receivers[key] = self.serve(cpu, self.program(program), "serve", where)
        return self.receivers[key]

    def serve(self, cpu, *command, environment=None):
        """Starts what prints in its first line where it listens: its process, and that line."""
        process = self.processes.start(cpu, *command, stdout=subprocess.PIPE, text=True, environment=environment)
        return process, self.line(process, f"{command[0]} did not start").strip()

    def start(self, cpu, *command, environment=None):
        """Starts a program that can be asked."""
        return self.processes.start(cpu, *command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    environment=environment)

    def ask(self, near, others=(), what="the measurement"):
        """One measurement by NEAR, a program that prints a line when it is ready, and waits for a line; measures, prints one
        JSON value, and waits for another line before it makes itself ready again, if it can be asked again.

        Returns the value, and the CPU time in between, all together and of each: of NEAR, and of the processes OTHERS.
        """
        if near in self.asked:
            self.tell(near)
        self.asked.append(near)
        self.line(near, what)
        before = [cpu_seconds([one]) for one in (near, *others)]
        self.tell(near)
        value = json.loads(self.line(near, what))
        each = [cpu_seconds([one]) - start for one, start in zip((near, *others), before)]
        return Measured(value, sum(each), each)

    def run(self, cpu, *command, others=(), environment=None, what="the measurement"):
        """One measurement by a program that is started for it."""
        near = self.start(cpu, *command, environment=environment)
        try:
            return self.ask(near, others, what)
        finally:
            self.asked = [one for one in self.asked if one is not near]
            self.processes.end(near)

    @staticmethod
    def tell(process):
        """A line, for whoever waits for one."""
        process.stdin.write("go\n")
        process.stdin.flush()

    @staticmethod
    def line(process, what):
        """The next line that PROCESS prints."""
        signal.alarm(DEADLINE)
        line = process.stdout.readline()
        signal.alarm(0)
        if not line:
            process.wait()
            raise complain(process, what)
        return line


def on_alarm(*_):
    raise Failure(f"nothing came for {DEADLINE} s")
