# SPDX-License-Identifier: LGPL-2.1-or-later
"""Load upon two nodes by the program mill, and what holds of each of its streams; and what a node's process has of the machine."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import threading

from harness import DEADLINE, wait_for

HEADER = 8  # what a stream begins with


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def memory(node, what="Private_Dirty"):
    """Bytes."""
    with open(f"/proc/{node.process.pid}/smaps_rollup") as text:
        return 1024 * int(re.search(rf"^{what}: +(\d+) kB", text.read(), re.MULTILINE)[1])


def is_sanitized(node):
    """Then its memory is not what it uses: what was freed is kept for a while."""
    # gcc has the sanitizer in a library, clang in the program itself; both have the program call it.
    return b"__asan_init" in pathlib.Path(f"/proc/{node.process.pid}/exe").read_bytes()


class Watching(threading.Thread):
    """Looks at what NODE has, all the time, and keeps the most there was."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.descriptors, self.memory = node, 0, 0
        self.over = threading.Event()
        self.start()

    def run(self):
        with contextlib.suppress(OSError):  # it may end before
            while not self.over.wait(0.01):
                self.descriptors = max(self.descriptors, descriptors(self.node))
                self.memory = max(self.memory, memory(self.node))

    def stop(self):
        self.over.set()
        self.join()


class Load:
    """Streams from the node NEAR to FAR. What is said of their ends is in `lines`."""

    def __init__(self, near, far, lasting=4, short=2):
        self.name = far.id()[:8]
        self.process = subprocess.Popen([os.environ["MILL"], near.place.address, far.id(), str(lasting), str(short)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        near.place.processes.append(self.process)
        self.target = f"tcp://127.0.0.1:{self.process.stdout.readline().strip()}"
        self.serve_at(far)
        self.lines, self.progress = [], []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.process.stdin.write("go\n")

    def serve_at(self, far):
        far.do("config", "set", "services", f"{{'mill': {{'target': <'{self.target}'>}}}}")

    def read(self):
        for text in self.process.stdout:
            line = json.loads(text)
            (self.progress if line["end"] == "now" else self.lines).append(line)

    def moved(self):
        """How many bytes have come, at both ends of all streams."""
        seen = len(self.progress)
        self.process.stdin.write("how much?\n")
        return wait_for(lambda: self.progress[seen:], f"an answer of the mill to {self.name}")[0]["moved"]

    def finish(self, deadline=DEADLINE):
        """Lets all streams come to their end."""
        self.process.stdin.close()
        status = self.process.wait(deadline)
        self.reader.join(deadline)
        if status != 0:
            raise AssertionError(f"the mill to {self.name} ended with {status}")

    def of(self, end):
        return {line["seed"]: line for line in self.lines if line["end"] == end}

    def check_whole(self):
        """Every stream was opened and finished, with every byte of both directions in its place. Says how many there were."""
        opened, served = self.of("opener"), self.of("server")
        wrong = [line for line in self.lines if line["end"] == "none"]
        for seed in opened.keys() | served.keys():
            near, far = opened.get(seed), served.get(seed)
            if not (near and far and self.is_whole(near, far)):
                wrong.append((near, far))
        if wrong:
            raise AssertionError(f"{len(wrong)} streams to {self.name} of {len(opened)}: {wrong[:5]}")
        return len(opened)

    @staticmethod
    def is_whole(near, far):
        return (all(end["eof"] and end["errno"] == "" and end["wrong"] == -1 for end in (near, far)) and
                near["error"] == near["unanswered"] == "" and
                far["read"] == near["written"] == near["sent"] - HEADER and near["read"] == far["written"] == near["received"])
