# SPDX-License-Identifier: LGPL-2.1-or-later
"""A relay of TCP connections that can go silent: nothing passes any more, in one direction or in both, and nobody is told."""

import contextlib
import random
import select
import socket
import threading

BLOCK = 65536


class Pipe:
    """One direction: what has been read and not been written."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting = b""
        self.ended = False

    def move(self, swallow):
        """SWALLOW: what is sent is taken, as a network does that loses it on the way later on."""
        if not self.waiting and not self.ended:
            try:
                self.waiting = self.source.recv(BLOCK)
                self.ended = not self.waiting
            except BlockingIOError:
                pass
        if swallow:
            self.waiting = b""
        if self.waiting:
            with contextlib.suppress(BlockingIOError):
                self.waiting = self.waiting[self.sink.send(self.waiting):]


class Pair:
    """A connection and the one that it is led to."""

    def __init__(self, near, far):
        self.ends = (near, far)
        self.pipes = (Pipe(near, far), Pipe(far, near))
        self.silent = set()  # pipes
        self.swallow = False
        self.gone = set()  # ends that have closed while it was silent

    def wanted(self):
        """What to wait for, by socket."""
        masks = dict.fromkeys(self.ends, select.POLLRDHUP if self.silent else 0)
        for pipe in self.pipes:
            if pipe not in self.silent or self.swallow:
                if pipe.waiting:
                    masks[pipe.sink] |= select.POLLOUT
                elif not pipe.ended:
                    masks[pipe.source] |= select.POLLIN
        return {end: mask for end, mask in masks.items() if end not in self.gone}

    def turn(self, end, events):
        """FALSE: it is over."""
        if self.silent and events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
            self.gone.add(end)
            return len(self.gone) < 2
        try:
            for pipe in self.pipes:
                if end in (pipe.source, pipe.sink) and (pipe not in self.silent or self.swallow):
                    pipe.move(pipe in self.silent)
        except OSError:
            self.gone.add(end)
            return bool(self.silent) and len(self.gone) < 2
        return not any(pipe.ended and not pipe.waiting for pipe in self.pipes) or bool(self.silent)

    def close(self):
        for end in self.ends:
            end.close()


class Relay:
    """Listens on each of HOSTS, and leads to PORT on 127.0.0.1 from the address that was connected to."""

    def __init__(self, hosts, port):
        self.target = ("127.0.0.1", port)
        self.listeners = [socket.create_server((host, 0)) for host in hosts]
        self.lock = threading.Lock()
        self.pairs = []
        self.wake_in, self.wake_out = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def endpoints(self):
        return ["tcp://{}:{}".format(*listener.getsockname()) for listener in self.listeners]

    def silence(self, chooser=random):
        """Makes one of the connections silent, if there is one that is not. Says whether there was."""
        with self.lock:
            live = [pair for pair in self.pairs if not pair.silent]
            if not live:
                return False
            pair = chooser.choice(live)
            pair.silent = set(chooser.choice([pair.pipes, pair.pipes[:1], pair.pipes[1:]]))
            pair.swallow = chooser.choice([False, True])
        self.wake_in.send(b"x")
        return True

    def accept(self, listener):
        near, _ = listener.accept()
        far = socket.socket()
        far.bind((listener.getsockname()[0], 0))
        try:
            far.connect(self.target)
        except OSError:
            near.close()
            far.close()
            return
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.append(Pair(near, far))

    def poll(self):
        """What is to be done: a listener, or an end of a pair with its events."""
        poller, known = select.poll(), {}
        for listener in [*self.listeners, self.wake_out]:
            poller.register(listener, select.POLLIN)
            known[listener.fileno()] = (None, listener)
        with self.lock:
            for pair in self.pairs:
                for end, mask in pair.wanted().items():
                    poller.register(end, mask)
                    known[end.fileno()] = (pair, end)
        return [(*known[fd], events) for fd, events in poller.poll()]

    def run(self):
        while True:
            for pair, end, events in self.poll():
                with self.lock:
                    if end is self.wake_out:
                        if not end.recv(BLOCK):
                            return
                    elif pair is None:
                        self.accept(end)
                    elif pair in self.pairs and not pair.turn(end, events):
                        self.pairs.remove(pair)
                        pair.close()

    def close(self):
        self.wake_in.close()
        self.thread.join()
        for listener in [*self.listeners, self.wake_out]:
            listener.close()
        for pair in self.pairs:
            pair.close()
