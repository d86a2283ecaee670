#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where there is no message bus: the same objects on a socket of hyphad's own."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import unittest

from harness import DEADLINE, HYPHACTL, HYPHAD, NAME, ROOT, Case, Node, Place, main, trust_each_other, wait_for
from raw import Raw

MAX_CONNECTIONS = 64
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


class Lonely(Place):
    """A place whose bus nobody can reach: hyphad has a socket instead."""

    def __init__(self, which=("--user",)):
        super().__init__()
        self.socket = self.private / "hypha" / "bus"
        self.bus_address = self.address
        self.address = f"unix:path={self.socket}"
        self.which = list(which)
        self.environment.update(DBUS_SESSION_BUS_ADDRESS=f"unix:path={self.path}/none",
                                DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={self.path}/none")

    def user(self, *arguments, **more):
        """hyphactl, that has to find the node by itself."""
        environment = dict(self.environment, **more.pop("environment", {}))
        return subprocess.run([HYPHACTL, "--user", *arguments], env=environment, capture_output=True, text=True,
                              timeout=DEADLINE, **more)

    def gdbus(self, *arguments):
        return subprocess.run(["gdbus", arguments[0], "--address", self.address, "--dest", NAME, *arguments[1:]], env=self.environment,
                              capture_output=True, text=True, timeout=DEADLINE)


class LonelyCase(Case):
    def place(self):
        place = Lonely()
        self.addCleanup(place.close)
        return place


class Socket(LonelyCase):
    def test_clients_find_it_by_themselves_and_by_its_address(self):
        node = self.node("--listen", "tcp://127.0.0.1:0")
        self.assertIn(node.id(), node.place.user("id").stdout)
        self.assertEqual(node.ask("plugins")[0]["state"], "ready")
        node.stop()

    def test_connections_are_attached_there_too(self):
        node = self.node()
        done = node.place.user("attach", input="")
        self.assertEqual((done.returncode, done.stdout), (0, "hypha attached\n"), done.stderr)
        node.stop()

    def test_bus_comes_first_and_the_socket_after_it(self):
        lonely = self.node()
        place = lonely.place
        bus = {"DBUS_SESSION_BUS_ADDRESS": place.bus_address}
        # A bus is there, but no node on it.
        self.assertIn(lonely.id(), place.user("id", environment=bus).stdout)
        other = Place()
        self.addCleanup(other.close)
        there = Node(other)
        bus = {"DBUS_SESSION_BUS_ADDRESS": other.address}
        self.assertIn(there.id(), place.user("id", environment=bus).stdout)
        there.stop()
        lonely.stop()

    def test_neither_bus_nor_socket_is_told_with_both(self):
        place = self.place()
        self.assert_fails(place.user("id"), 1, "session bus", str(place.socket))

    def test_named_address_without_a_bus_is_an_error_and_no_socket(self):
        place = self.place()
        self.assert_fails(place.hyphad("--address", f"unix:path={place.path}/none"), 1, f"{place.path}/none")
        self.assertFalse(place.socket.exists())

    def test_nobody_else_gets_there_and_it_goes_with_the_daemon(self):
        node = self.node()
        socket = node.place.socket
        self.assertEqual(stat.S_IMODE(socket.parent.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(socket.stat().st_mode), 0o600)
        node.stop()
        self.assertEqual(list(socket.parent.iterdir()), [])

    def test_socket_of_a_dead_process_is_replaced(self):
        place = self.place()
        first = Node(place)
        first.process.kill()
        first.process.wait()
        self.assertTrue(place.socket.exists())
        self.assert_fails(place.user("id"), 1, str(place.socket))
        Node(place).stop()

    def test_living_process_is_told_by_number_and_name(self):
        node = self.node()
        other = node.place.private / "other" / "identity.pem"
        refused = node.place.hyphad("--user", "--identity", str(other))
        self.assert_fails(refused, 1, str(node.place.socket), f"process {node.process.pid} (hyphad)")
        node.ask("status")
        node.stop()

    def test_folder_that_others_may_write_is_refused_with_the_mending_command(self):
        place = self.place()
        place.socket.parent.mkdir(mode=0o700)
        place.socket.parent.chmod(0o777)
        self.assert_fails(place.hyphad("--user"), 1, str(place.socket.parent), "chmod")

    def test_monitor_sees_the_daemon_go_and_the_next_one_come(self):
        node = self.node()
        monitor = node.place.start_ctl("monitor", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        seen = []
        threading.Thread(target=lambda: seen.extend(json.loads(line)["event"] for line in monitor.stdout), daemon=True).start()
        wait_for(lambda: node.ctl("trust", "a" * 51 + "q", "eve") and node.ctl("forget", "eve") and seen, "an event")
        node.stop()
        wait_for(lambda: "node-gone" in seen, "the end of the node")
        again = Node(node.place)
        wait_for(lambda: "node-here" in seen[seen.index("node-gone"):], "the node again")
        again.stop()
        monitor.terminate()
        self.assertEqual(monitor.wait(DEADLINE), 0)

    def test_as_many_as_there_is_room_for_and_one_more_is_turned_away(self):
        node = self.node()
        members = [Raw(node.place.socket, DEADLINE) for _ in range(MAX_CONNECTIONS)]
        with self.assertRaises((EOFError, ConnectionError)):
            Raw(node.place.socket, DEADLINE)
        node.wait_log("64 clients")
        for member in members:
            member.close()
        wait_for(lambda: node.ctl("id").returncode == 0, "room again")
        node.stop()

    def test_gdbus_calls_and_introspects(self):
        node = self.node()
        place = node.place
        done = place.gdbus("introspect", "--object-path", ROOT)
        self.assertIn("org.hypha.Node1", done.stdout, done.stderr)
        done = place.gdbus("call", "--object-path", ROOT, "--method", "org.hypha.Node1.Listen", "tcp://127.0.0.1:0", "{}")
        self.assertIn("tcp://127.0.0.1:", done.stdout, done.stderr)
        done = place.gdbus("call", "--object-path", ROOT, "--method", "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        self.assertIn(f"{ROOT}/plugin/tcp", done.stdout, done.stderr)
        self.assert_fails(place.gdbus("call", "--object-path", ROOT, "--method", "org.hypha.Node1.Explain", "eve"), 1,
                          "org.hypha.Error.NoSuchPeer")
        node.stop()

    @unittest.skipUnless(shutil.which("busctl"), "there is no busctl")
    def test_busctl_calls_and_introspects(self):
        node = self.node()

        def busctl(*arguments):
            return subprocess.run(["busctl", f"--address={node.place.address}", *arguments], env=node.place.environment,
                                  capture_output=True, text=True, timeout=DEADLINE)
        done = busctl("introspect", NAME, ROOT)
        self.assertRegex(done.stdout, r"\.Connect +method", done.stderr)
        self.assertIn(node.id(), busctl("get-property", NAME, ROOT, NAME, "Id").stdout)
        self.assertIn("tcp://127.0.0.1:", busctl("call", NAME, ROOT, NAME, "Listen", "sa{sv}", "tcp://127.0.0.1:0", "0").stdout)
        node.stop()

    @unittest.skipUnless(os.geteuid() == 0, "only root may become somebody else")
    def test_somebody_else_is_kept_out_even_where_the_file_lets_him(self):
        node = self.node()
        for path, mode in ((node.place.private, 0o711), (node.place.socket.parent, 0o711), (node.place.socket, 0o666)):
            path.chmod(mode)
        done = node.call(ROOT, "org.hypha.Node1.Explain", "eve", **NOBODY)
        self.assertEqual(done.returncode, 1)
        node.wait_log("neither root nor user")
        node.place.socket.chmod(0o600)
        self.assert_fails(node.place.user("id", **NOBODY), 1, "only root", str(node.place.socket))
        node.place.socket.parent.chmod(0o700)
        node.stop()


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "only root may have a /run of its own (unshare)")
class Machine(LonelyCase):
    def test_root_without_any_bus_is_served_at_run_hypha_bus(self):
        place = self.place()
        config = place.private / "node.conf"
        config.write_text("[org/hypha/node]\nname='guest'\n")
        identity = place.private / "identity.pem"
        script = (f"mount -t tmpfs none /run || exit 77; '{HYPHAD}' --config '{config}' --identity '{identity}' & daemon=$!; "
                  f"n=0; until [ -S /run/hypha/bus ] || [ $n -gt 1000 ]; do sleep 0.01; n=$((n+1)); done; "
                  f"'{HYPHACTL}' status; status=$?; kill $daemon; wait $daemon; exit $status")
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], env=place.environment, capture_output=True, text=True,
                              timeout=DEADLINE)
        if done.returncode == 77 or done.stderr.startswith("unshare: "):
            self.skipTest("no mount namespace of its own is allowed here")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("guest", done.stdout)
        self.assertIn("/run/hypha/bus", done.stderr)


class Pair(LonelyCase):
    """Two nodes without a bus, each trusting the other."""

    def setUp(self):
        self.alpha = self.node("--listen", "tcp://127.0.0.1:0")
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.tcp = self.alpha.listening("tcp")
        self.beta.do("connect", self.tcp)

    def tearDown(self):
        self.stop_all(self.alpha, self.beta)

    def test_stream_carries_and_ends_as_it_should(self):
        self.assertEqual(self.beta.ctl("open", "alpha", "echo", input="there and back").stdout, "there and back")
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        self.beta.do("disconnect", "alpha")
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.assertIn(b"ended", cat.stderr.read())

    def test_agent_finds_its_node_serves_it_and_ends_with_it(self):
        self.alpha.do("config", "set", "services", "{'exec': {'peers': <['beta']>}}")
        log = self.alpha.place.path / "log-of-the-agent"
        with open(log, "w") as output:
            agent = subprocess.Popen([os.environ["HYPHA_AGENT"], "--user"], env=self.alpha.place.environment, stdout=output,
                                     stderr=output)
        self.alpha.place.processes.append(agent)
        wait_for(lambda: "'exec' is on" in log.read_text(), "the service")
        done = self.beta.ctl("exec", "alpha", "cat", input="there and back")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "there and back", ""))
        # The next one has another socket: whoever watches over the agent starts it anew.
        self.alpha.stop()
        self.assertEqual(agent.wait(DEADLINE), 1)
        self.assertIn("the connection to the node is gone", log.read_text())

    def test_client_library(self):
        environment = dict(self.beta.place.environment, HYPHA_TEST_ADDRESS=self.beta.place.address,
                           HYPHA_TEST_DAEMON=str(self.beta.process.pid))
        done = subprocess.run([os.environ["CLIENT_STREAMS"]], env=environment, capture_output=True, text=True,
                              timeout=2 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_result_belongs_to_the_connection_that_opened_the_stream(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        [stream] = self.beta.ask("streams", "alpha")
        done = self.beta.place.gdbus("call", "--object-path", f"{ROOT}/peer/{self.alpha.id()}", "--method",
                                     "org.hypha.Peer1.StreamResult", str(stream["id"]))
        self.assert_fails(done, 1, "org.hypha.Error.Gone")
        cat.stdin.close()
        self.assertEqual(cat.wait(DEADLINE), 0)

    def test_stream_of_a_client_that_is_killed_ends(self):
        cat = self.beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)
        cat.stdin.write(b"x")
        self.assertEqual(cat.stdout.read(1), b"x")
        cat.send_signal(signal.SIGKILL)
        wait_for(lambda: self.beta.ask("streams", "alpha") == [], "the end of the stream")

    def test_two_monitors_see_the_same_signals(self):
        seen = []
        for _ in range(2):
            monitor = self.beta.place.start_ctl("monitor", "--json", stdout=subprocess.PIPE, text=True)
            events = []
            seen.append(events)
            threading.Thread(target=lambda to=events, of=monitor.stdout: to.extend(map(json.loads, of)), daemon=True).start()

        def again():
            self.beta.do("disconnect", "alpha")
            self.beta.do("connect", self.tcp)
            return all({"added", "removed", "link-changed", "changed"} <= {e["event"] for e in events} for events in seen)
        wait_for(again, "events")
        # One change is told once.
        added = [e["details"]["path"] for e in seen[0] if e["event"] == "added"]
        self.assertEqual(len(added), len(set(added)))


if __name__ == "__main__":
    sys.exit(main())
