#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two nodes, as people run them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

from harness import DEADLINE, ROOT, Case, Node, main, trust_each_other, wait_for


class Strangers(Case):
    def test_stranger_is_refused_and_seen_on_both_sides(self):
        alpha = self.node("--listen", "tcp://127.0.0.1:0")
        beta = self.node()
        monitor = alpha.place.start_ctl("monitor", "--json", stdout=subprocess.PIPE, text=True)
        endpoint = alpha.listening("tcp")
        alpha.do("trust", beta.id(), "beta")
        self.assert_fails(beta.ctl("connect", endpoint), 1, "trust", alpha.id())
        self.assertEqual(beta.ask("peers")[0]["state"], "pending")
        self.assert_fails(beta.ctl("open", alpha.id(), "echo"), 1, f"hyphactl trust {alpha.id()}")
        alpha.do("forget", "beta")
        beta.do("trust", alpha.id()[:10], "alpha")
        self.assert_fails(beta.ctl("connect", endpoint), 1, "trust")
        pending = alpha.wait_peer(beta.id()[:8], state="pending")
        self.assertFalse(pending["trusted"])
        while json.loads(monitor.stdout.readline())["event"] != "peer-pending":
            pass
        alpha.stop()
        beta.stop()

    def test_another_than_the_expected_node_is_an_error(self):
        alpha = self.node("--listen", "tcp://127.0.0.1:0")
        beta = self.node()
        trust_each_other(alpha, beta)
        self.assert_fails(beta.ctl("connect", alpha.listening("tcp"), "--expect-id", beta.id()), 1)
        self.assertNotEqual(beta.peer("alpha")["state"], "online")
        alpha.stop()
        beta.stop()

    def test_connect_gives_up_at_its_deadline(self):
        beta = self.node()
        with socket.create_server(("127.0.0.1", 0)) as mute:
            endpoint = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
            done = beta.call(ROOT, "org.hypha.Node1.Connect", endpoint, "{'timeout': <uint32 200>}")
            self.assert_fails(done, 1, "org.hypha.Error.TimedOut")
        beta.stop()


class Pair(Case):
    """alpha listens, beta dials, each trusts the other."""

    config = ""
    beta_config = ""

    def setUp(self):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", "--listen", self.unix, config=self.config)
        self.beta = Node(self.place(), config=self.beta_config)
        trust_each_other(self.alpha, self.beta)
        self.tcp = self.alpha.listening("tcp")
        self.beta.do("connect", self.tcp)

    def tearDown(self):
        self.stop_all(self.alpha, self.beta)


class Links(Pair):
    def test_peer_link_and_explanation(self):
        peer = self.beta.wait_peer("alpha", state="online")
        self.assertEqual(peer["id"], self.alpha.id())
        self.assertTrue(peer["trusted"])
        [link] = self.beta.ask("links", "alpha")
        self.assertEqual((link["transport"], link["remote"], link["active"], link["encrypted"]),
                         ("tcp", self.tcp, True, True))
        self.assertEqual(peer["best-link"], link["path"])
        self.assertEqual(peer["links"], [link["path"]])
        [way] = self.beta.ask("explain", "alpha")
        self.assertEqual((way["endpoint"], way["chosen"], way["state"]), (self.tcp, True, "active"))
        self.assertEqual(way["cost"], way["static-cost"] + way["rtt-us"] // 1000 + way["penalty"])
        self.alpha.wait_peer("beta", state="online")

    def test_stream_survives_the_loss_of_its_link(self):
        self.beta.do("connect", self.unix)
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        for _ in range(4):
            cat.stdin.write(b"over")
            self.assertEqual(cat.stdout.read(4), b"over")
            active = wait_for(lambda: [l for l in self.beta.ask("links") if l["active"]], "a link in use")[0]
            done = self.beta.call(active["path"], "org.hypha.Link1.Close")
            self.assertEqual(done.returncode, 0, done.stderr)
        cat.stdin.close()
        self.assertEqual(cat.stdout.read(), b"")
        self.assertEqual(cat.wait(DEADLINE), 0)

    def test_disconnect_ends_the_streams_of_the_session(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        self.beta.do("disconnect", "alpha")
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.assertIn(b"ended", cat.stderr.read())

    def test_forget_ends_the_links(self):
        self.alpha.do("forget", "beta")
        self.beta.wait_peer("alpha", links=[])
        self.assertEqual(self.alpha.ask("links"), [])
        self.assert_fails(self.beta.ctl("open", "alpha", "echo", "--timeout", "500"), 1)

    def test_monitor_shows_links_coming_and_going_and_the_change(self):
        monitor = self.beta.place.start_ctl("monitor", "--json", stdout=subprocess.PIPE, text=True)
        # It may not be connected to the bus yet: make events until it shows one.
        seen = []
        threading.Thread(target=lambda: seen.extend(map(json.loads, monitor.stdout)), daemon=True).start()

        def again():
            self.beta.do("disconnect", "alpha")
            self.beta.do("connect", self.tcp)
            return {"added", "removed", "link-changed", "changed"} <= {e["event"] for e in seen}
        wait_for(again, "events")
        self.assertTrue(any(e["event"] == "changed" and e["details"]["property"] == "State" for e in seen))
        monitor.terminate()
        self.assertEqual(monitor.wait(DEADLINE), 0)

    def test_monitor_shows_people_that_there_is_no_cost_and_programs_the_number(self):
        seen = {"people": [], "programs": []}
        for reader, options in (("people", []), ("programs", ["--json"])):
            monitor = self.beta.place.start_ctl("monitor", *options, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=seen[reader].extend, args=(monitor.stdout,), daemon=True).start()

        def costs():
            # Neither may be connected to the bus yet.
            self.beta.do("disconnect", "alpha")
            self.beta.do("connect", self.tcp)
            details = [json.loads(line)["details"] for line in list(seen["programs"])]
            return ([line for line in list(seen["people"]) if "LinkCost is none" in line],
                    [d for d in details if d.get("property") == "LinkCost" and d["value"] == 4294967295])
        wait_for(lambda: all(costs()), "a cost of none")
        self.assertFalse([line for line in list(seen["people"]) if "4294967295" in line])

    def test_bus_that_goes_away_ends_its_clients_with_1(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        monitor = self.beta.place.start_ctl("monitor", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        # Give it something to tell until it does: then it is there.
        told = threading.Thread(target=monitor.stdout.readline)
        told.start()
        wait_for(lambda: self.beta.ctl("trust", self.alpha.id(), "alpha") and self.beta.ctl("connect", self.unix) and
                 not told.is_alive(), "a line of the monitor's")
        self.beta.place.bus.terminate()
        self.assertEqual(monitor.wait(DEADLINE), 1)
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.assertEqual(self.beta.process.wait(DEADLINE), 1)

    def test_client_library(self):
        environment = dict(self.beta.place.environment, HYPHA_TEST_ADDRESS=self.beta.place.address,
                           HYPHA_TEST_DAEMON=str(self.beta.process.pid))
        done = subprocess.run([os.environ["CLIENT_STREAMS"]], env=environment, capture_output=True, text=True,
                              timeout=2 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Mortal(Pair):
    beta_config = "session-timeout=500\n"

    def test_stream_to_a_node_that_died_expires(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        self.alpha.process.kill()
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.assertIn(b"session-timeout", cat.stderr.read())


class Reborn(Pair):
    def test_stream_to_a_node_that_died_and_came_back_ends_as_restarted(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        self.alpha.process.kill()
        self.alpha.process.wait(DEADLINE)
        self.alpha = Node(self.alpha.place, "--listen", self.tcp, config="")
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.assertIn(b"started anew", cat.stderr.read())
        self.beta.wait_peer("alpha", state="online")
        self.assertEqual(self.beta.ctl("open", "alpha", "echo", input="y").stdout, "y")


class Streams(Pair):
    """hyphactl open and ping."""

    @property
    def config(self):
        self.target = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.target.close)
        self.target.settimeout(DEADLINE)
        return f"services={{'web': {{'target': <'tcp://127.0.0.1:{self.target.getsockname()[1]}'>}}}}\n"

    def open(self, service, **more):
        more = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) | more
        return self.beta.place.start_ctl("open", "alpha", service, **more)

    def accept(self):
        connection, _ = self.target.accept()
        connection.settimeout(DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def test_ping(self):
        said = self.beta.ask("ping", "alpha", "--count", "3", "--interval", "1")
        self.assertEqual((said["count"], said["bytes"], said["link-transport"]), (3, 64, "tcp"))
        self.assertTrue(0 < said["min-us"] <= said["average-us"] <= said["max-us"])
        self.assertIn("3 probes", self.beta.do("ping", "alpha", "--count", "3", "--interval", "1"))

    def test_file_there_and_back(self):
        data = os.urandom(20_000_000)
        done = self.beta.ctl("open", "alpha", "echo", input=data, text=False)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)

    def test_files_both_ways_at_once_and_half_close(self):
        up, down = os.urandom(5_000_000), os.urandom(7_000_000)
        got = []

        def serve():
            connection = self.accept()
            sender = threading.Thread(target=connection.sendall, args=(down,))
            sender.start()
            while piece := connection.recv(65536):
                got.append(piece)
            sender.join()
            # The other direction was shut down long ago; this one still goes.
            connection.sendall(b"last words")
            connection.close()
        server = threading.Thread(target=serve)
        server.start()
        with open(self.beta.place.private / "up", "w+b") as source, open(self.beta.place.private / "down", "w+b") as sink:
            source.write(up)
            source.seek(0)
            relay = self.open("web", stdin=source, stdout=sink)
            status = relay.wait(DEADLINE)
            server.join()
            sink.seek(0)
            self.assertEqual((status, sink.read() == down + b"last words", b"".join(got) == up), (0, True, True),
                             relay.stderr.read())

    def test_end_of_the_peers_direction_is_seen_while_ours_goes_on(self):
        relay = self.open("web", bufsize=0)
        connection = self.accept()
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(relay.stdout.read(), b"bye")
        relay.stdin.write(b"still here")
        self.assertEqual(connection.recv(10, socket.MSG_WAITALL), b"still here")
        relay.stdin.close()
        self.assertEqual(connection.recv(1), b"")
        self.assertEqual(relay.wait(DEADLINE), 0)

    def test_reset_of_the_target_is_never_a_success(self):
        relay = self.open("web", bufsize=0)
        connection = self.accept()
        connection.sendall(b"half of")
        self.assertEqual(relay.stdout.read(7), b"half of")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        self.assertEqual(relay.wait(DEADLINE), 1)
        self.assertTrue(relay.stderr.read().startswith(b"hyphactl: "))

    def test_interrupted_client_is_a_reset_for_the_target(self):
        relay = self.open("web", bufsize=0)
        connection = self.accept()
        relay.stdin.write(b"half of")
        self.assertEqual(connection.recv(7, socket.MSG_WAITALL), b"half of")
        relay.terminate()
        self.assertEqual(relay.wait(DEADLINE), 1)
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            relay = self.open("web", stdout=full)
            connection = self.accept()
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x" * 1000)
            self.assertEqual(relay.wait(DEADLINE), 1)
        self.assertIn(b"standard output", relay.stderr.read())

    def test_daemon_that_ends_is_a_failure(self):
        relay = self.open("web", bufsize=0)
        self.accept()
        self.beta.stop()
        self.assertEqual(relay.wait(DEADLINE), 1)
        self.assertIn(b"hyphactl: ", relay.stderr.read())

    def test_service_that_is_not_there(self):
        self.assert_fails(self.beta.ctl("open", "alpha", "nosuch"), 1, "service")

    def test_target_that_is_not_there(self):
        self.target.close()
        self.assertEqual(self.beta.ctl("open", "alpha", "web").returncode, 1)

    def test_streams_lists_what_is_open(self):
        relay = self.open("web")
        self.accept()
        [stream] = self.beta.ask("streams", "alpha")
        self.assertEqual((stream["service"], stream["mine"], stream["peer"]), ("web", True, self.alpha.id()))
        [stream] = self.alpha.ask("streams")
        self.assertEqual((stream["service"], stream["mine"]), ("web", False))
        relay.stdin.close()

    def test_peer_is_a_name_an_id_or_a_unique_beginning(self):
        for peer in ("alpha", self.alpha.id(), self.alpha.id()[:4]):
            done = self.beta.ctl("open", peer, "echo", input="x")
            self.assertEqual((done.returncode, done.stdout), (0, "x"), done.stderr)
        self.assert_fails(self.beta.ctl("open", "alph", "echo"), 1, "alph", "hyphactl peers")


if __name__ == "__main__":
    sys.exit(main())
