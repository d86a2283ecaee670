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


def cross(node, peer, cut, size):
    """Sends SIZE random bytes to the peer's echo; as soon as a quarter is back and before half is sent, calls CUT. The SHA-256 of
    what was sent and of what came back."""
    data = os.urandom(size)
    back, is_cut = bytearray(), threading.Event()
    stream = node.place.start_ctl("open", peer, "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def send():
        stream.stdin.write(data[:size // 2])
        is_cut.wait()
        stream.stdin.write(data[size // 2:])
        stream.stdin.close()

    def receive():
        while piece := stream.stdout.read(65536):
            back.extend(piece)
    threads = [threading.Thread(target=target, daemon=True) for target in (send, receive)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(back) >= size // 4, "a quarter of the file")
    cut()
    is_cut.set()
    status = stream.wait(2 * DEADLINE)
    threads[1].join()
    if status != 0:
        raise AssertionError(f"hyphactl open ended with {status} after {len(back)} of {size} bytes:\n{node.log()}")
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(back).hexdigest()
