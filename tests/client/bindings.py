# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of the library in Python share: waiting in the main context, and streams as plain functions."""

import gi

gi.require_version("Hypha", "1")
from gi.repository import GLib, Hypha  # noqa: E402

from harness import DEADLINE, Case, trust_each_other  # noqa: E402

CONTEXT = GLib.MainContext.default()


class TimedOut(Exception):
    """The test waits for something that does not come."""


def until(look, what):
    """Runs the main context until there is something true."""
    late = []
    timer = GLib.timeout_add(int(DEADLINE * 1000), late.append, True)
    while not (found := look()):
        if late:
            raise TimedOut(f"there never was {what}")
        CONTEXT.iteration(True)
    if not late:
        GLib.source_remove(timer)
    return found


def wait(start, *arguments):
    """Calls an asynchronous function, and gives its result or raises its error."""
    results = []
    start(*arguments, None, lambda source, result, *data: results.append(result))
    return until(lambda: results, f"an end of {start}")[0]


def dial(endpoint, timeout=0):
    return Hypha.dial_finish(wait(Hypha.dial_async, endpoint, timeout))


def listen(endpoint):
    return Hypha.listen_finish(wait(Hypha.listen_async, endpoint))


def open_stream(peer, service, timeout=20000):
    return peer.open_stream_finish(wait(peer.open_stream_async, service, timeout))


def ended(stream):
    """Whether it was finished, and the counts."""
    return stream.wait_end_finish(wait(stream.wait_end_async))


def read(stream, count=65536):
    source = stream.get_input_stream()
    return source.read_bytes_finish(wait(source.read_bytes_async, count, GLib.PRIORITY_DEFAULT)).get_data()


def read_all(stream):
    pieces = []
    while piece := read(stream):
        pieces.append(piece)
    return b"".join(pieces)


def write(stream, data):
    """By GBytes, for a copy that is made of DATA for a call is gone as soon as that returns."""
    sink = stream.get_output_stream()
    while data:
        done = wait(sink.write_bytes_async, GLib.Bytes.new(data), GLib.PRIORITY_DEFAULT)
        data = data[sink.write_bytes_finish(done):]


def items(model):
    return [model.get_item(i) for i in range(model.get_n_items())]


class BindingCase(Case):
    def assert_error(self, code, domain, call, *arguments):
        with self.assertRaises(GLib.Error) as caught:
            call(*arguments)
        self.assertTrue(caught.exception.matches(domain, code), caught.exception)
        return caught.exception

    def assert_hypha_error(self, code, call, *arguments):
        return self.assert_error(code, Hypha.error_quark(), call, *arguments)

    def hyphad(self, name):
        return self.node(config=f"name='{name}'\nlisten=['tcp://127.0.0.1:0']\n")

    def pair(self):
        """Two nodes that trust each other; beta has a link to alpha."""
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        trust_each_other(alpha, beta)
        beta.do("connect", alpha.listening("tcp"))
        return alpha, beta

    def client(self, node):
        return Hypha.Client.new(node.place.address, None)
