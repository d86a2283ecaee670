# SPDX-License-Identifier: LGPL-2.1-or-later
"""Load upon two nodes by the program mill, and what holds of each of its streams; and what a node's process has of the machine."""

import collections
import contextlib
import ipaddress
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


def listening_queue(node, port):
    """How many connections to a TCP port of NODE wait to be accepted."""
    with open(f"/proc/{node.process.pid}/net/tcp") as table:
        for line in table.readlines()[1:]:
            _, local, _, state, queues, *_ = line.split()
            if state == "0A" and int(local.split(":")[1], 16) == int(port):
                return int(queues.split(":")[1], 16)
    return 0


def kinds_of_sockets(node):
    """What each socket that NODE's process can see is, and who is at its other end, by its inode."""
    kinds = {}
    folder = pathlib.Path(f"/proc/{node.process.pid}/net")
    states = {"01": "established", "08": "closed by the other end", "0A": "listening"}
    for line in (folder / "tcp").read_text().splitlines()[1:]:
        words = line.split()
        address, port = words[2].split(":")
        host = ipaddress.IPv4Address(int(address, 16).to_bytes(4, "little"))
        # A flood comes from many ports of one address: those are one kind.
        kinds[words[9]] = f"TCP socket, {states.get(words[3], 'state ' + words[3])}, other end {host}"
    for line in (folder / "unix").read_text().splitlines()[1:]:
        words = line.split()
        kinds[words[6]] = "Unix socket" + "".join(f" at {path}" for path in words[7:])
    return kinds


def describe_descriptors(node):
    """How many descriptors of each kind NODE has."""
    sockets, found = kinds_of_sockets(node), collections.Counter()
    folder = pathlib.Path(f"/proc/{node.process.pid}/fd")
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            kind = os.readlink(entry)
            inode = re.fullmatch(r"socket:\[(\d+)\]", kind)
            found[sockets.get(inode[1], "socket of another family, or in no state") if inode else kind] += 1
    return found


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
