# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream that is under way while its link goes."""

import hashlib
import os
import subprocess
import threading

from harness import DEADLINE, wait_for


def active(links):
    """The transport in use."""
    return next((link["transport"] for link in links if link["active"]), None)


def cross(node, peer, steps, size):
    """Sends SIZE random bytes to the peer's echo, in as many parts as there are STEPS and one more; as soon as half of a part is back,
    carries out the next step, before any byte of the next part is sent. The SHA-256 of what was sent and of what came back."""
    data = os.urandom(size)
    part = size // (len(steps) + 1)
    back, turns = bytearray(), threading.Semaphore(0)
    stream = node.place.start_ctl("open", peer, "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def send():
        for i in range(len(steps)):
            stream.stdin.write(data[i * part:(i + 1) * part])
            turns.acquire()
        stream.stdin.write(data[len(steps) * part:])
        stream.stdin.close()

    def receive():
        while piece := stream.stdout.read(65536):
            back.extend(piece)
    threads = [threading.Thread(target=target, daemon=True) for target in (send, receive)]
    for thread in threads:
        thread.start()
    for i, step in enumerate(steps):
        wait_for(lambda: len(back) >= i * part + part // 2, f"half of part {i + 1} of the file")
        step()
        turns.release()
    status = stream.wait(2 * DEADLINE)
    threads[1].join()
    if status != 0:
        raise AssertionError(f"hyphactl open ended with {status} after {len(back)} of {size} bytes:\n{node.log()}")
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(back).hexdigest()
