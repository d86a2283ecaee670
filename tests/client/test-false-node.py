#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client library with nodes that lie, stop in the middle or lose their bus: an error each, and nothing is left behind."""

import gc
import os
import resource
import sys

try:
    import gi
except ImportError:
    print("1..0 # SKIP python3-gi is not installed")
    sys.exit(0)
gi.require_version("Hypha", "1")
from gi.repository import Gio, GLib, Hypha  # noqa: E402

from bindings import BindingCase, ended, items, open_stream, until, wait  # noqa: E402
from fake import ME, PEER, STRANGER, WEB, Fake, peer_path  # noqa: E402
from harness import main  # noqa: E402

OPEN, RESULT = PEER + ".OpenStream", PEER + ".StreamResult"


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


class FalseNodes(BindingCase):
    def setUp(self):
        # What a library says of a broken promise of its own ends the program.
        self.levels = GLib.log_set_always_fatal(GLib.LogLevelFlags.LEVEL_CRITICAL | GLib.LogLevelFlags.LEVEL_ERROR)
        self.addCleanup(GLib.log_set_always_fatal, self.levels)
        self.fake = Fake(self.place())
        self.fake.add_node()
        self.fake.add_peer(WEB, "web1", "'online'", Trusted="true")
        self.fake.order("take-name")

    def node(self):
        client = Hypha.Client.new(self.fake.place.address, None)
        return client, client.lookup_peer("web1")

    def test_answers_without_a_stream(self):
        client, peer = self.node()
        with self.subTest("nothing"):
            self.fake.order("answer", OPEN, "(0, 4)")
            self.assert_hypha_error(Hypha.Error.PROTOCOL, open_stream, peer, "echo")
        before = descriptors()
        for handle in (1, 7, 2147483647, -1, -2147483648):
            with self.subTest(handle=handle):
                self.fake.order("answer", OPEN, f"({handle}, 4)", "socket")
                self.assert_hypha_error(Hypha.Error.PROTOCOL, open_stream, peer, "echo")
        with self.subTest("no socket"):
            self.fake.order("answer", OPEN, "(0, 4)", "pipe")
            self.assert_hypha_error(Hypha.Error.PROTOCOL, open_stream, peer, "echo")
        self.assertEqual(descriptors(), before)

    def test_more_descriptors_than_one_are_closed(self):
        client, peer = self.node()
        before = descriptors()
        self.fake.order("answer", OPEN, "(1, 18446744073709551615)", "socket", "socket", "pipe")
        stream = open_stream(peer, "echo")
        self.assertEqual(stream.get_id(), 2**64 - 1)
        self.assertFalse(os.get_inheritable(stream.get_fd()))
        stream.close()
        self.assertEqual(descriptors(), before)

    def test_a_number_that_comes_twice_ends_the_first_stream(self):
        client, peer = self.node()
        self.fake.order("answer", OPEN, "(0, 4)", "socket")
        first, second = open_stream(peer, "echo"), open_stream(peer, "echo")
        self.assert_hypha_error(Hypha.Error.PROTOCOL, ended, first)
        self.fake.order("answer", RESULT, "('', 3, 5)")
        self.fake.order("signal", peer_path(WEB), PEER, "StreamClosed", "(4, '', 3, 5)")
        self.assertEqual(ended(second), (True, 3, 5))

    def test_a_bus_that_goes_takes_the_node_along(self):
        client, peer = self.node()
        self.fake.order("answer", OPEN, "(0, 4)", "socket")
        stream = open_stream(peer, "echo")
        told = []
        client.connect("notify::running", lambda client, pspec: told.append(client.get_running()))
        self.fake.place.bus.kill()
        self.assert_hypha_error(Hypha.Error.UNAVAILABLE, ended, stream)
        until(lambda: not client.get_running(), "a node that has gone")
        until(lambda: told, "a word of it")
        self.assertEqual(items(client.get_peers()), [])
        with self.assertRaises(GLib.Error):
            open_stream(peer, "echo")
        with self.assertRaises(GLib.Error):
            client.trust_finish(wait(client.trust_async, STRANGER, "x"))

    def test_a_peer_keeps_its_id_when_its_node_has_gone(self):
        client, peer = self.node()
        self.fake.order("drop-name")
        until(lambda: not items(client.get_peers()), "an empty list")
        self.assertEqual(peer.dup_id(), WEB)

    def test_nodes_that_stop_before_they_answer(self):
        client, peer = self.node()
        results = []
        self.fake.process.kill()
        for _ in range(3):
            peer.open_stream_async("echo", 0, None, lambda source, result, *data: results.append(result))
        until(lambda: len(results) == 3, "answers")
        for result in results:
            with self.assertRaises(GLib.Error) as caught:
                peer.open_stream_finish(result)
            self.assertIn(caught.exception.code, (Hypha.Error.RESTARTED, Hypha.Error.UNAVAILABLE), caught.exception)

    def test_a_call_that_was_cancelled_leaves_no_descriptor(self):
        client, peer = self.node()
        self.fake.order("answer", OPEN, "(0, 4)", "socket")
        before = descriptors()
        for _ in range(20):
            cancellable, results = Gio.Cancellable(), []
            peer.open_stream_async("echo", 0, cancellable, lambda source, result, *data: results.append(result))
            cancellable.cancel()
            until(lambda: results, "an answer")
            self.assert_error(Gio.IOErrorEnum.CANCELLED, Gio.io_error_quark(), peer.open_stream_finish, results[0])
        # A last call, after which the answers to the others have come.
        open_stream(peer, "echo").close()
        results.clear()
        self.assertEqual(descriptors(), before)

    def test_a_program_without_descriptors_is_told_so(self):
        client, peer = self.node()
        self.fake.order("answer", OPEN, "(0, 4)", "socket")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 12, limits[1]))
        streams = []
        with self.assertRaises(GLib.Error) as caught:
            while True:
                streams.append(open_stream(peer, "echo"))
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertIn("has this program descriptors left", caught.exception.message)
        self.assertTrue(streams)


if __name__ == "__main__":
    sys.exit(main())
