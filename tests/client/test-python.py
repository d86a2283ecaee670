#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as programs in Python see it: with a node on a bus, holding one, and with bare channels."""

import gc
import os
import socket
import struct
import subprocess
import sys

try:
    import gi
except ImportError:
    print("1..0 # SKIP python3-gi is not installed")
    sys.exit(0)
gi.require_version("Hypha", "1")
from gi.repository import Gio, GLib, Hypha, Json  # noqa: E402

from bindings import BindingCase, dial, ended, items, listen, open_stream, read, read_all, until, wait, write  # noqa: E402
from harness import DEADLINE, NAME, ROOT, Node, main, trust_each_other  # noqa: E402


class Clients(BindingCase):
    def test_tells_who_the_node_is(self):
        node = self.hyphad("alpha")
        client = Hypha.Client.new_finish(wait(Hypha.Client.new_async, node.place.address))
        self.assertEqual((client.get_running(), client.props.id, client.props.name), (True, node.id(), "alpha"))
        self.assertEqual(client.dup_listening(), [node.listening("tcp")])

    def test_says_that_there_is_no_bus_or_no_node(self):
        self.assert_hypha_error(Hypha.Error.UNAVAILABLE, Hypha.Client.new, "unix:path=/nonexistent/bus", None)
        self.assert_hypha_error(Hypha.Error.UNAVAILABLE, Hypha.Client.new, self.place().address, None)

    def test_lists_peers_and_follows_them(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        client = self.client(beta)
        peers = client.get_peers()
        changes = []
        peers.connect("items-changed", lambda model, *change: changes.append(change))
        self.assertEqual(items(peers), [])
        client.trust_finish(wait(client.trust_async, alpha.id(), "alpha"))
        until(lambda: changes, "a change of the list")
        self.assertEqual(changes, [(0, 0, 1)])
        peer = items(peers)[0]
        until(lambda: peer.props.trusted and peer.props.name == "alpha", "the trust")
        self.assertEqual(client.lookup_peer("alpha"), peer)
        self.assertEqual((peer.props.id, peer.props.name, peer.props.trusted), (alpha.id(), "alpha", True))
        self.assertEqual(peer.props.state, Hypha.PeerState.OFFLINE)
        self.assertEqual(peer.get_link_cost(), 2**32 - 1)
        states = []
        peer.connect("notify::state", lambda peer, pspec: states.append(peer.get_state()))
        alpha.do("trust", beta.id(), "beta")
        again = client.connect_finish(wait(client.connect_async, alpha.listening("tcp"), None))
        self.assertEqual(again, peer)
        until(lambda: Hypha.PeerState.ONLINE in states, "a peer that is online")
        self.assert_hypha_error(Hypha.Error.NO_SUCH_PEER, client.lookup_peer, "gamma")
        client.forget_finish(wait(client.forget_async, alpha.id()))
        until(lambda: peers.get_n_items() == 0, "an empty list")

    def test_makes_the_node_connect_and_listen(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        trust_each_other(alpha, beta)
        client = self.client(beta)
        bound = client.listen_finish(wait(client.listen_async, "tcp://127.0.0.1:0", None))
        self.assertIn(bound, client.dup_listening())
        client.unlisten_finish(wait(client.unlisten_async, bound))
        until(lambda: bound not in client.dup_listening(), "an endpoint less")
        self.assert_hypha_error(Hypha.Error.INVALID_ARGUMENT, client.unlisten_finish, wait(client.unlisten_async, bound))
        options = GLib.Variant("a{sv}", {"expect-id": GLib.Variant("s", beta.id())})
        self.assert_hypha_error(Hypha.Error.INVALID_ENDPOINT, client.listen_finish,
                                wait(client.listen_async, "tcp://127.0.0.1", None))
        with self.assertRaises(GLib.Error):
            client.connect_finish(wait(client.connect_async, alpha.listening("tcp"), options))

    def test_hears_who_knocks(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        client = self.client(beta)
        knocks = []
        client.connect("peer-pending", lambda client, id, origin: knocks.append(id))
        alpha.do("trust", beta.id(), "beta")
        alpha.ctl("connect", beta.listening("tcp"))
        until(lambda: knocks, "somebody who knocks")
        self.assertEqual(knocks[0], alpha.id())

    def test_pairs(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        clients = [self.client(alpha), self.client(beta)]
        codes = {}
        for client in clients:
            client.connect("pairing-code", lambda client, id, code: codes.update({client: (id, code)}))
            client.pair_finish(wait(client.pair_async, 60))
        clients[1].connect_async(alpha.listening("tcp"), None, None, lambda *_: None)
        until(lambda: len(codes) == 2, "digits on both sides")
        for client in clients:
            client.confirm_pairing_finish(wait(client.confirm_pairing_async, codes[client][0], True))
        self.assertEqual(codes[clients[0]][1], codes[clients[1]][1])
        beta.wait_peer("alpha", state="online")

    def test_misses_nothing_while_it_is_being_made(self):
        alpha, beta = self.hyphad("alpha"), self.hyphad("beta")
        results = []
        Hypha.Client.new_async(beta.place.address, None, lambda source, result: results.append(result))
        beta.do("trust", alpha.id(), "alpha")
        until(lambda: results, "a client")
        client = Hypha.Client.new_finish(results[0])
        until(lambda: client.props.peers.get_n_items() == 1, "the peer")

    def test_sees_the_node_go_and_come_back(self):
        alpha, beta = self.pair()
        client = self.client(beta)
        stream = open_stream(client.lookup_peer("alpha"), "echo")
        beta.stop()
        until(lambda: not client.get_running(), "a node that has gone")
        until(lambda: client.get_peers().get_n_items() == 0, "an empty list")
        with self.assertRaises(GLib.Error):
            ended(stream)
        self.assertIsNone(client.dup_id())
        Node(beta.place, config="")
        until(lambda: client.props.running and client.props.id, "a node that is back")
        until(lambda: client.get_peers().get_n_items() == 1, "its peer")


class Streams(BindingCase):
    def test_are_read_and_written_and_finish(self):
        alpha, beta = self.pair()
        stream = open_stream(self.client(beta).lookup_peer("alpha"), "echo")
        self.assertEqual(stream.get_service(), "echo")
        data = os.urandom(300_000)
        write(stream, data[:1000])
        self.assertEqual(read(stream, 10), data[:10])
        write(stream, data[1000:])
        self.assertTrue(stream.close_write())
        self.assertEqual(read_all(stream), data[10:])
        self.assertEqual(ended(stream), (True, len(data), len(data)))

    def test_have_deadlines_and_go_on_after_them(self):
        alpha, beta = self.pair()
        stream = open_stream(self.client(beta).lookup_peer("alpha"), "echo")
        stream.set_timeout(30)
        source = stream.get_input_stream()
        timed_out = Gio.IOErrorEnum.TIMED_OUT, Gio.io_error_quark()
        self.assert_error(*timed_out, read, stream)
        self.assert_error(*timed_out, source.read_bytes, 10, None)
        stream.props.timeout = int(DEADLINE * 1000)
        write(stream, b"still here")
        self.assertEqual(source.read_bytes(10, None).get_data(), b"still here")

    def test_close_their_directions_apart(self):
        alpha, beta = self.pair()
        stream = open_stream(self.client(beta).lookup_peer("alpha"), "discard")
        write(stream, b"one")
        stream.close_read()
        write(stream, b"two")
        stream.close_write()
        _, received, sent = ended(stream)
        self.assertEqual((received, sent), (0, 6))

    def test_tell_that_they_were_cut_off(self):
        alpha, beta = self.pair()
        peer = self.client(beta).lookup_peer("alpha")
        stream = open_stream(peer, "echo")
        peer.disconnect_finish(wait(peer.disconnect_async))
        self.assertEqual(read_all(stream), b"")
        self.assert_hypha_error(Hypha.Error.DISCONNECTED, ended, stream)

    def test_are_refused_with_the_reason(self):
        alpha, beta = self.pair()
        peer = self.client(beta).lookup_peer("alpha")
        self.assert_hypha_error(Hypha.Error.NO_SUCH_SERVICE, open_stream, peer, "nothing")


class BareChannels(BindingCase):
    def accept(self, endpoint):
        """A listener, and the streams that come of it."""
        listener = listen(endpoint)
        self.addCleanup(listener.close)
        accepted = []
        listener.connect("accepted", lambda listener, channel: accepted.append(Hypha.Stream.new_for_channel(channel)))
        return listener.get_bound().to_string(), accepted

    def check_conversation(self, endpoint):
        bound, accepted = self.accept(endpoint)
        ours = dial(bound)
        theirs = until(lambda: accepted, "an accepted stream")[0]
        write(ours, b"question")
        ours.close_write()
        self.assertEqual(read_all(theirs), b"question")
        write(theirs, b"the answer")
        theirs.close_write()
        self.assertEqual(read_all(ours), b"the answer")
        self.assertEqual(ended(ours), (True, 10, 8))
        self.assertEqual(ended(theirs), (True, 8, 10))

    def test_carry_bytes_and_half_close_over_tcp(self):
        self.check_conversation("tcp://127.0.0.1:0")

    def test_carry_bytes_and_half_close_over_a_unix_socket(self):
        self.check_conversation(f"unix://{self.place().path}/bare")

    def test_have_deadlines(self):
        bound, accepted = self.accept("tcp://127.0.0.1:0")
        stream = dial(bound)
        stream.set_timeout(20)
        self.assert_error(Gio.IOErrorEnum.TIMED_OUT, Gio.io_error_quark(), read, stream)

    def test_tell_a_reset_from_an_end(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        stream = dial("tcp://127.0.0.1:%d" % server.getsockname()[1])
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with self.assertRaises(GLib.Error):
            read_all(stream)
        self.assert_hypha_error(Hypha.Error.RESET, ended, stream)

    def test_closing_before_the_end_is_no_finish(self):
        bound, accepted = self.accept("tcp://127.0.0.1:0")
        stream = dial(bound)
        stream.close()
        self.assert_hypha_error(Hypha.Error.RESET, ended, stream)

    def test_say_why_there_is_none(self):
        self.assert_hypha_error(Hypha.Error.INVALID_ENDPOINT, dial, "tcp://127.0.0.1:99999")
        self.assert_hypha_error(Hypha.Error.NO_TRANSPORT, dial, "pigeon://loft")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assert_hypha_error(Hypha.Error.CONNECT, dial, f"tcp://127.0.0.1:{port}")
        bound, accepted = self.accept("tcp://127.0.0.1:0")
        self.assert_hypha_error(Hypha.Error.ADDRESS_IN_USE, listen, bound)

    def test_dialling_is_given_up_when_cancelled(self):
        cancellable = Gio.Cancellable()
        cancellable.cancel()
        results = []
        Hypha.dial_async("tcp://127.0.0.1:1", 0, cancellable, lambda source, result: results.append(result))
        until(lambda: results, "an answer")
        self.assert_error(Gio.IOErrorEnum.CANCELLED, Gio.io_error_quark(), Hypha.dial_finish, results[0])

    def dial_by(self, node, endpoint, **options):
        """Node1.Dial: a socket."""
        bus = Gio.DBusConnection.new_for_address_sync(
            node.place.address,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        reply, fds = bus.call_with_unix_fd_list_sync(
            NAME, ROOT, NAME, "Dial", GLib.Variant("(sa{sv})", (endpoint, options)), GLib.VariantType("(h)"),
            Gio.DBusCallFlags.NONE, -1, None, None)
        return socket.socket(fileno=fds.get(reply.unpack()[0]))

    def test_come_from_a_node_too(self):
        node = self.hyphad("alpha")
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = "tcp://127.0.0.1:%d" % server.getsockname()[1]
            ours = self.dial_by(node, endpoint, timeout=GLib.Variant("u", 5000))
            theirs, _ = server.accept()
            theirs.sendall(b"hello")
            ours.setblocking(True)
            self.assertEqual(ours.recv(5), b"hello")
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(theirs.recv(5), b"")
            ours.close()
            theirs.close()
        for arguments, error in ((("pigeon://loft",), "NoTransport"), ((endpoint,), "Connect")):
            with self.assertRaises(GLib.Error) as caught:
                self.dial_by(node, *arguments)
            self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), f"org.hypha.Error.{error}")
        with self.assertRaises(GLib.Error) as caught:
            self.dial_by(node, endpoint, speed=GLib.Variant("u", 1))
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), "org.hypha.Error.InvalidArgument")


class JsonChannels(BindingCase):
    def value(self, text):
        return Json.from_string(text)

    def text(self, node):
        return Json.to_string(node, False)

    def channel(self, framing):
        """Upon a stream to echo: what it sends comes back."""
        alpha, beta = self.pair()
        stream = open_stream(self.client(beta).lookup_peer("alpha"), "echo")
        return Hypha.JsonChannel(stream=stream, framing=framing, timeout=20000), stream

    def test_call_and_receive(self):
        for framing in (Hypha.JsonFraming.LENGTH, Hypha.JsonFraming.LINES):
            channel, stream = self.channel(framing)
            self.assertEqual((channel.props.stream, channel.props.framing), (stream, framing))
            self.assertEqual(self.text(channel.call(self.value('{"a": [1, "\u00e9"]}'), None)), '{"a":[1,"\u00e9"]}')
            done = []
            for number in range(10):
                channel.call_async(self.value(f"[{number}]"), None, lambda channel, result: done.append(channel.call_finish(result)))
            until(lambda: len(done) == 10, "ten replies")
            self.assertEqual([self.text(node) for node in done], [f"[{number}]" for number in range(10)])
            channel.send_finish(wait(channel.send_async, self.value("null")))
            received = channel.receive_finish(wait(channel.receive_async))
            self.assertEqual(received.get_node_type(), Json.NodeType.NULL)
            stream.close_write()
            self.assertIsNone(channel.receive_finish(wait(channel.receive_async)))
            self.assertIsNone(channel.receive(None))

    def test_name_their_limits(self):
        channel, stream = self.channel(Hypha.JsonFraming.LENGTH)
        channel.set_max_size(10)
        error = self.assert_hypha_error(Hypha.Error.INVALID_ARGUMENT, channel.send, self.value('"1234567890"'), None)
        self.assertIn("12 bytes", error.message)
        write(stream, b"\0\0\0\x02{}" + b"\0\1\0\0")
        self.assertEqual(self.text(channel.receive(None)), "{}")
        error = self.assert_hypha_error(Hypha.Error.PROTOCOL, channel.receive, None)
        self.assertIn("65536 bytes, and at most 10", error.message)
        self.assert_error(Gio.IOErrorEnum.CLOSED, Gio.io_error_quark(), channel.receive, None)

    def test_go_over_a_node_of_the_own_process(self):
        alpha = self.hyphad("alpha")
        node = Hypha.Node.new_ephemeral()
        self.addCleanup(node.stop)
        alpha.do("trust", node.dup_id(), "embedded")
        node.trust(alpha.id(), "alpha")
        peer = node.connect_finish(wait(node.connect_async, alpha.listening("tcp"), None))
        channel = Hypha.JsonChannel.new(open_stream(peer, "echo"), Hypha.JsonFraming.LENGTH)
        long = '"' + "x" * 1000000 + '"'
        self.assertEqual(self.text(channel.call_finish(wait(channel.call_async, self.value(long)))), long)
        channel.set_timeout(30)
        self.assert_hypha_error(Hypha.Error.TIMED_OUT, channel.receive, None)
        self.assertEqual(self.text(channel.call(self.value("[1]"), None)), "[1]")


class EmbeddedNodes(BindingCase):
    def embedded(self, *arguments):
        node = Hypha.Node.new_for_file(*arguments) if arguments else Hypha.Node.new_ephemeral()
        self.addCleanup(node.stop)
        return node

    def joined(self):
        """A hyphad, an embedded node that trusts it and the other way round, and the hyphad as its peer."""
        alpha = self.hyphad("alpha")
        node = self.embedded()
        node.set_name("embedded")
        alpha.do("trust", node.dup_id(), "embedded")
        node.trust(alpha.id(), "alpha")
        return alpha, node, node.connect_finish(wait(node.connect_async, alpha.listening("tcp"), None))

    def test_keep_their_identity_in_a_file(self):
        path = str(self.place().private / "keys" / "identity")
        first = Hypha.Node.new_for_file(path)
        # One at a time: the lock goes with the last reference.
        self.assert_hypha_error(Hypha.Error.IDENTITY, Hypha.Node.new_for_file, path)
        name = first.dup_id()
        first.stop()
        del first
        gc.collect()
        self.assertEqual(self.embedded(path).dup_id(), name)

    def test_list_their_peers_and_open_streams(self):
        alpha, node, peer = self.joined()
        self.assertEqual(peer, node.lookup_peer("alpha"))
        self.assertEqual(items(node.get_peers()), [peer])
        self.assertEqual(peer.get_state(), Hypha.PeerState.ONLINE)
        stream = open_stream(peer, "echo")
        write(stream, b"there and back")
        stream.close_write()
        self.assertEqual(read_all(stream), b"there and back")
        self.assertEqual(ended(stream), (True, 14, 14))

    def test_offer_services(self):
        alpha, node, peer = self.joined()
        taken = []

        def greet(node, from_peer, stream):
            taken.append((from_peer, stream))
            return True

        node.connect("incoming-stream::greet", greet)
        node.connect("incoming-stream::shy", lambda node, from_peer, stream: False)
        beside = self.client(alpha).lookup_peer("embedded")
        stream = open_stream(beside, "greet")
        from_peer, theirs = until(lambda: taken, "an incoming stream")[0]
        self.assertEqual((from_peer, theirs.get_service()), (peer, "greet"))
        write(stream, b"hello")
        stream.close_write()
        self.assertEqual(read_all(theirs), b"hello")
        write(theirs, b"welcome")
        theirs.close_write()
        self.assertEqual(read_all(stream), b"welcome")
        self.assertEqual(ended(stream), (True, 7, 5))
        self.assertEqual(ended(theirs), (True, 5, 7))
        self.assert_hypha_error(Hypha.Error.REFUSED, open_stream, beside, "shy")
        self.assert_hypha_error(Hypha.Error.NO_SUCH_SERVICE, open_stream, beside, "absent")

    def test_reset_what_they_drop(self):
        alpha, node, peer = self.joined()
        taken = []
        node.connect("incoming-stream", lambda node, from_peer, stream: not taken.append(stream))
        stream = open_stream(self.client(alpha).lookup_peer("embedded"), "anything")
        until(lambda: taken, "an incoming stream")
        write(stream, b"nobody will read this")
        taken.pop().close()
        with self.assertRaises(GLib.Error) as caught:
            ended(stream)
        self.assertIn(caught.exception.code, (Hypha.Error.RESET, Hypha.Error.GONE))

    def test_listen_and_are_met(self):
        alpha, node = self.hyphad("alpha"), self.embedded()
        bound = node.listen_finish(wait(node.listen_async, "tcp://127.0.0.1:0", None))
        self.assertEqual(node.dup_listening(), [bound])
        knocks = []
        node.connect("peer-pending", lambda node, id, origin: knocks.append(id))
        alpha.do("trust", node.dup_id(), "embedded")
        process = alpha.place.start_ctl("connect", bound, stderr=subprocess.DEVNULL)
        until(lambda: knocks, "somebody who knocks")
        self.assertEqual(knocks[0], alpha.id())
        node.trust(alpha.id(), "alpha")
        peer = node.lookup_peer("alpha")
        until(lambda: process.poll() is not None, "an answer to alpha")
        alpha.place.start_ctl("connect", bound)
        until(lambda: peer.get_state() == Hypha.PeerState.ONLINE, "a link")
        self.assertTrue(node.unlisten(bound))
        self.assertEqual(node.dup_listening(), [])

    def test_keep_settings_whole_when_one_is_wrong(self):
        node = self.embedded()
        self.assertTrue(node.set_listen(["tcp://127.0.0.1:0"]))
        until(lambda: node.dup_listening(), "a bound endpoint")
        self.assert_hypha_error(Hypha.Error.INVALID_ENDPOINT, node.set_listen, ["tcp://127.0.0.1:0", "tcp://nowhere"])
        self.assertEqual(len(node.dup_listening()), 1)
        self.assertTrue(node.set_peers([]))

    def two(self):
        """Two nodes in this process, of which one listens."""
        one, other = self.embedded(), self.embedded()
        return one, other, one.listen_finish(wait(one.listen_async, "tcp://127.0.0.1:0", None))

    def test_meet_in_one_process(self):
        one, other, bound = self.two()
        one.trust(other.props.id, "other")
        other.trust(one.dup_id(), "one")
        self.assertEqual(other.props.peers, other.get_peers())
        peer = other.connect_finish(wait(other.connect_async, bound, GLib.Variant("a{sv}", {})))
        taken = []
        one.connect("incoming-stream::greet", lambda node, peer, stream: not taken.append(stream))
        stream = open_stream(peer, "greet")
        results = []
        stream.get_input_stream().read_bytes_async(1, 0, None, lambda source, result: results.append(result))
        peer.open_stream_async("none", 0, None, lambda source, result: results.append(result))
        other.connect_async("tcp://127.0.0.1:1", None, None, lambda source, result: results.append(result))
        # With a read, an OpenStream and a dialling under way: each is answered.
        other.stop()
        one.stop()
        until(lambda: len(results) == 3, "answers")
        self.assert_hypha_error(Hypha.Error.DISCONNECTED, ended, stream)
        with self.assertRaises(GLib.Error):
            other.connect_finish(wait(other.connect_async, bound, None))

    def test_pair(self):
        one, other, bound = self.two()
        codes = {}
        for node in (one, other):
            node.connect("pairing-code", lambda node, id, code: codes.update({node: (id, code)}))
            node.pair(60)
        self.assert_hypha_error(Hypha.Error.INVALID_ARGUMENT, one.pair, 1000)
        done = []
        other.connect_async(bound, None, None, lambda node, result: done.append(result))
        until(lambda: len(codes) == 2, "digits on both sides")
        self.assertEqual(codes[one][1], codes[other][1])
        self.assertEqual((codes[one][0], codes[other][0]), (other.dup_id(), one.dup_id()))
        for node in (one, other):
            self.assertTrue(node.confirm_pairing(codes[node][0], True))
        until(lambda: one.lookup_peer(other.dup_id()).get_state() == Hypha.PeerState.ONLINE, "a link")

    def test_find_a_friend_before_a_stranger_whose_id_begins_like_its_name(self):
        one, other, bound = self.two()
        name = other.dup_id()[:8]
        other.trust(one.dup_id(), "one")
        with self.assertRaises(GLib.Error):
            other.connect_finish(wait(other.connect_async, bound, None))
        until(lambda: items(one.get_peers()), "a stranger")
        friend = self.embedded().dup_id()
        one.trust(friend, name)
        self.assertEqual(one.lookup_peer(name).dup_id(), friend)

    def test_say_which_option_is_wrong(self):
        node = self.embedded()
        options = GLib.Variant("a{sv}", {"persist": GLib.Variant("b", True)})
        for start, finish in ((node.listen_async, node.listen_finish), (node.connect_async, node.connect_finish)):
            self.assert_hypha_error(Hypha.Error.INVALID_ARGUMENT, finish, wait(start, "tcp://127.0.0.1:0", options))

    def test_live_without_any_transport(self):
        """In a process of its own: plug-ins are looked for once."""
        program = """if True:
            import gi
            gi.require_version("Hypha", "1")
            from bindings import Hypha, GLib, dial, wait
            node = Hypha.Node.new_ephemeral()
            for call in (lambda: node.listen_finish(wait(node.listen_async, "tcp://127.0.0.1:0", None)),
                         lambda: node.connect_finish(wait(node.connect_async, "tcp://127.0.0.1:1", None)),
                         lambda: dial("tcp://127.0.0.1:1")):
                try:
                    call()
                    raise SystemExit("it did not fail")
                except GLib.Error as error:
                    assert error.matches(Hypha.error_quark(), Hypha.Error.NO_TRANSPORT), error
            node.stop()
        """
        for path in ("/nonexistent/transports", str(self.place().path)):
            environment = {**os.environ, "HYPHA_PLUGIN_PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True,
                                  timeout=DEADLINE)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_leave_an_identity_to_the_daemon_that_has_it(self):
        place = self.place()
        path = place.private / "keys" / "identity"
        Node(place, "--identity", str(path), config="")
        error = self.assert_hypha_error(Hypha.Error.IDENTITY, Hypha.Node.new_for_file, str(path))
        self.assertIn(str(path), error.message)

    def test_end_streams_when_they_stop(self):
        alpha, node, peer = self.joined()
        stream = open_stream(peer, "echo")
        node.stop()
        self.assert_hypha_error(Hypha.Error.DISCONNECTED, ended, stream)
        self.assertEqual(items(node.get_peers()), [])


if __name__ == "__main__":
    sys.exit(main())
