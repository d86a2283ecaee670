# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the bench starts, and what it costs."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

DEADLINE = 120  # seconds for anything at all: a way that hangs is a failure, not a figure


class Failure(Exception):
    """What a person has to know, without a stack trace."""


class Unavailable(Exception):
    """This cannot be measured on this machine, and why."""


class Processes:
    """Everything that was started here; ended by pid, the last one first."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.logs = 0

    def start(self, cpu, *command, environment=None, **more):
        """Starts COMMAND, bound to CPU."""
        self.logs += 1
        log = self.folder / f"log-{self.logs}"
        with open(log, "wb") as sink:
            more.setdefault("stdin", subprocess.DEVNULL)
            more.setdefault("stdout", sink)
            # Away from the terminal's ctrl-C, so that all end in order.
            process = subprocess.Popen(["taskset", "-c", str(cpu), *map(str, command)], stderr=sink, env=environment,
                                       start_new_session=True, **more)
        process.log = log
        self.running.append(process)
        return process

    def end(self, process, number=signal.SIGTERM):
        """Ends PROCESS and what it has started, and returns its status."""
        if process not in self.running:
            return None
        if process.poll() is None:
            for pid in descendants(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        self.running.remove(process)
        return process.returncode

    def end_all(self):
        """At once: a hyphad would give open streams their time, and all that these leave behind is in our folder."""
        while self.running:
            self.end(self.running[-1], signal.SIGKILL)


def complain(process, what):
    text = process.log.read_text(errors="replace").strip()
    return Failure(f"{what}: {text or 'without a word'}")


def descendants(pid):
    """PID and all that it has started, as long as they run."""
    found = [pid]
    for one in found:
        for children in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(processes):
    """What all threads of PROCESSES and of their descendants have run so far."""
    total = 0
    for process in processes:
        for pid in descendants(process.pid):
            for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(thread.read_text().split()[0])
    return total / 1e9


def wait_for(look, process, what):
    """Until LOOK () is true, as long as PROCESS lives."""
    end = time.monotonic() + DEADLINE
    while not look():
        if process.poll() is not None:
            raise complain(process, f"there is no {what}")
        if time.monotonic() > end:
            raise Failure(f"there is no {what} after {DEADLINE} s")
        time.sleep(0.005)


def wait_until_listening(path, process):
    """The file is there before somebody listens on it, and to connect would use up the one connection that socat takes."""
    accepting = re.compile(rf"^\S+ \S+ \S+ 00010000 .* {re.escape(str(path))}$", re.MULTILINE)
    wait_for(lambda: accepting.search(pathlib.Path("/proc/net/unix").read_text()), process, f"listener on {path}")
