#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that is killed and comes back, or is held up, under load: what becomes of its peer's streams."""

import re
import signal
import socket
import subprocess
import sys
import time

from harness import DEADLINE, ROOT, Case, Node, main, trust_each_other, wait_for
from load import HEADER, Load

MEGABYTE = 1 << 20
SOME = 32 << 10  # more than a receiver of 4 KiB has room for, and less than the kernel of a sender
LASTING, SHORT = 3, 2
RESET = "Connection reset by peer"


class Pair(Case):
    """alpha listens, beta dials for ever."""

    patience = 4 * DEADLINE
    config = ""

    def pair(self):
        place = self.place()
        self.listen = ["--listen", f"unix://{place.private}/socket"]
        self.alpha = Node(place, *self.listen, config=self.config)
        self.beta = Node(self.place(), config=f"{self.config}peers=['{self.listen[1]}']\n")
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.listen[1])
        self.alpha.wait_peer("beta", state="online")

    def tearDown(self):
        for node in (self.alpha, self.beta):
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)  # a test may have failed before it
                node.stop()

    def restart(self, victim):
        arguments = self.listen if victim is self.alpha else []
        again = Node(victim.place, *arguments, config="")
        if victim is self.alpha:
            self.alpha = again
        else:
            self.beta = again
        return again

    def kill(self, victim):
        victim.process.kill()
        victim.process.wait(DEADLINE)


class Loaded(Pair):
    """Both open streams to each other."""

    def setUp(self):
        self.pair()
        self.loads = {self.beta: Load(self.beta, self.alpha, LASTING, SHORT), self.alpha: Load(self.alpha, self.beta, LASTING, SHORT)}
        for load in self.loads.values():
            self.goes_on(load)

    def goes_on(self, load):
        """Bytes move, on all its streams taken together."""
        before = load.moved()
        wait_for(lambda: load.moved() > before + MEGABYTE, f"another MiB of the streams to {load.name}")


class Killed(Loaded):
    def check(self, load, opener_lives):
        """Each stream is whole, or says why it is not: at the opener by its result, at a target by a reset. Where the daemon of
        an opener has died there is no result, and that is an error as well."""
        opened, served = load.of("opener"), load.of("server")
        whole, ended = [], []
        for seed, near in opened.items():
            far = served.get(seed)
            if far and load.is_whole(near, far):
                whole.append(seed)
                continue
            ended.append(seed)
            self.assertTrue(near["error"] or near["unanswered"], (near, far))
            if opener_lives:
                self.assertRegex(near["error"], "^Restarted: .*started anew", (near, far))
                self.assertLessEqual(near["read"], near["received"], (near, far))
                self.assertLessEqual(near["sent"], near["written"] + HEADER, (near, far))
            else:
                self.assertEqual(near["error"], "", near)
            if far and not (near["finished"] and far["read"] == near["written"]):
                self.assertFalse(far["eof"], (near, far))
                self.assertIn(far["errno"], (RESET, "Broken pipe"), (near, far))
        for line in load.lines:
            if line["end"] == "none":
                self.assertRegex(line["error"], r"^org\.hypha\.Error\." if opener_lives else r"^org\.(hypha|freedesktop\.DBus)\.Error\.")
            else:
                # Whatever came was right, and in its place.
                self.assertEqual(line["wrong"], -1, line)
        # Each that lasted was ended by the kill, and so was its successor by nothing.
        self.assertGreaterEqual(len(ended), LASTING, load.lines)
        self.assertGreaterEqual(len(whole), LASTING, load.lines)
        return len(whole), len(ended)

    def run_with(self, victim, survivor, kill):
        of_victim, of_survivor = self.loads[victim], self.loads[survivor]
        kill()
        again = self.restart(victim)
        # By themselves: nobody asks for a link.
        for load in (of_victim, of_survivor):
            wait_for(lambda: sum(bool(line["error"] or line["unanswered"]) for line in load.lines if line["end"] == "opener") >= LASTING,
                     f"an end of the streams to {load.name}: {load.lines}\n{survivor.log()[-1000:]}")
            self.goes_on(load)
        for load in (of_victim, of_survivor):
            load.finish()
        print("# of the streams that {} opened, {} were whole and {} ended with an error".format(
            "the survivor", *self.check(of_survivor, True)), flush=True)
        print("# of the streams that {} opened, {} were whole and {} ended with an error".format(
            "the killed", *self.check(of_victim, False)), flush=True)
        for node in (again, survivor):
            wait_for(lambda: not node.ask("streams"), "an end of all streams")

    def test_listener_that_is_killed_under_load(self):
        self.run_with(self.alpha, self.beta, lambda: self.kill(self.alpha))

    def test_dialler_that_is_killed_under_load(self):
        self.run_with(self.beta, self.alpha, lambda: self.kill(self.beta))

    def test_node_that_owes_the_other_acknowledgements(self):
        """It is held up first: whatever the other has sent meanwhile nobody has acknowledged, or taken."""
        def kill():
            self.alpha.process.send_signal(signal.SIGSTOP)
            self.stalls(self.loads[self.beta])
            self.kill(self.alpha)
        self.run_with(self.alpha, self.beta, kill)

    def test_node_to_which_the_other_owes_acknowledgements(self):
        def kill():
            self.beta.process.send_signal(signal.SIGSTOP)
            self.stalls(self.loads[self.alpha])
            self.kill(self.alpha)
            self.beta.process.send_signal(signal.SIGCONT)
        self.run_with(self.alpha, self.beta, kill)

    def stalls(self, load):
        """All that has room anywhere is full."""
        def look():
            before = load.moved()
            return all(load.moved() == before for _ in range(100))
        wait_for(look, f"a standstill of the streams to {load.name}")


class KilledIdle(Pair):
    """Nothing is under way that the kernel would miss: it is up to the daemon what its death looks like."""

    def setUp(self):
        self.target = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.target.close)
        self.target.settimeout(DEADLINE)
        self.pair()
        self.alpha.do("config", "set", "services", f"{{'app': {{'target': <'tcp://127.0.0.1:{self.target.getsockname()[1]}'>}}}}")

    def talk(self, near, far):
        for one, other in ((near, far), (far, near)):
            one.sendall(b"x")
            self.assertEqual(other.recv(1), b"x")

    def through_a_forward(self):
        """A program at beta, and the target at alpha."""
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", "tcp://127.0.0.1:0", "alpha", "app", "{}")
        path = re.search("objectpath '(.*)'", done.stdout)[1]

        def bound():
            done = self.beta.call(path, "org.freedesktop.DBus.Properties.Get", "org.hypha.Forward1", "Local")
            return re.search("tcp://(.*):([1-9][0-9]*)", done.stdout)
        host, port = wait_for(bound, "the forward's port").groups()
        near = socket.socket()
        near.settimeout(DEADLINE)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near.connect((host, int(port)))
        far, _ = self.target.accept()
        far.settimeout(DEADLINE)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.talk(near, far)
        return near, far

    def test_target_of_a_killed_node_is_reset(self):
        near, far = self.through_a_forward()
        self.kill(self.alpha)
        self.assertRaises(ConnectionResetError, far.recv, 1)
        self.restart(self.alpha)
        self.assertRaises(ConnectionResetError, near.recv, 1)
        self.talk(*self.through_a_forward())

    def test_program_whose_forward_is_killed_is_reset(self):
        near, far = self.through_a_forward()
        self.kill(self.beta)
        self.assertRaises(ConnectionResetError, near.recv, 1)
        self.restart(self.beta)
        self.assertRaises(ConnectionResetError, far.recv, 1)
        self.beta.wait_peer("alpha", state="online")
        self.talk(*self.through_a_forward())

    def test_target_that_ends_in_peace_is_not_reset(self):
        near, far = self.through_a_forward()
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(far.recv(1), b"")
        far.sendall(b"z" * SOME)
        far.close()
        # The daemon is done with it. The kernel is not: near has room for a part only.
        wait_for(lambda: not self.beta.ask("streams"), "an end of the stream at beta")
        self.assertEqual(sum(iter(lambda: len(near.recv(65536)), 0)), SOME)


class HeldUp(Loaded):
    """For longer than a link lives, and not as long as a session: the default of session-timeout is a minute."""

    config = "ping-interval=100\nlink-timeout=500\n"

    def hold_up(self, node, other):
        before = [link["path"] for link in other.ask("links")]
        node.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: not set(before) & {link["path"] for link in other.ask("links")}, "an end of the links")
        self.assertTrue(other.ask("streams"))
        node.process.send_signal(signal.SIGCONT)
        for load in self.loads.values():
            self.goes_on(load)
            self.assertFalse([line for line in load.lines if line["end"] == "opener" and line["error"]])
        for load in self.loads.values():
            load.finish()
            self.assertGreaterEqual(load.check_whole(), LASTING)

    def test_streams_go_on_where_the_listener_was_held_up(self):
        self.hold_up(self.alpha, self.beta)

    def test_streams_go_on_where_the_dialler_was_held_up(self):
        self.hold_up(self.beta, self.alpha)


class Deadline(Pair):
    """Held up for longer than a session lives, as when a machine is a file for a while."""

    SECONDS = 5
    config = f"ping-interval=100\nlink-timeout=500\nsession-timeout={1000 * SECONDS}\n"

    def setUp(self):
        self.pair()
        self.streams = [near.place.start_ctl("open", far, "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                             bufsize=0) for near, far in ((self.alpha, "beta"), (self.beta, "alpha"))]
        for stream in self.streams:
            self.echo(stream, b"before\n")

    def echo(self, stream, text):
        stream.stdin.write(text)
        self.assertEqual(stream.stdout.readline(), text)

    def hold_up(self, *nodes):
        for node in nodes:
            node.process.send_signal(signal.SIGSTOP)
        # It is time itself that has to pass.
        time.sleep(self.SECONDS + 1)

    def test_streams_go_on_where_both_were_held_up(self):
        self.hold_up(self.alpha, self.beta)
        for node in (self.alpha, self.beta):
            node.process.send_signal(signal.SIGCONT)
        for stream in self.streams:
            self.echo(stream, b"after\n")

    def test_streams_go_on_where_both_were_held_up_while_they_had_no_link(self):
        """The time in which they could not look for each other does not count."""
        endpoint = self.listen[1]
        self.assertEqual(self.alpha.call(ROOT, "org.hypha.Node1.Unlisten", endpoint).returncode, 0)
        [link] = self.alpha.ask("links")
        self.assertEqual(self.alpha.call(link["path"], "org.hypha.Link1.Close").returncode, 0)
        for node in (self.alpha, self.beta):
            wait_for(lambda: not node.ask("links"), "an end of the link")
        self.hold_up(self.alpha, self.beta)
        self.alpha.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.alpha.call(ROOT, "org.hypha.Node1.Listen", endpoint, "{}").returncode, 0)
        self.beta.process.send_signal(signal.SIGCONT)
        for stream in self.streams:
            self.echo(stream, b"after\n")

    def test_streams_end_where_one_was_held_up(self):
        """The other one has given them up, and both say why. What is opened then is as good as ever."""
        self.hold_up(self.alpha)
        self.assertEqual(self.streams[1].wait(DEADLINE), 1)
        self.assertIn(b"no link to the peer for longer than session-timeout", self.streams[1].stderr.read())
        self.alpha.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.streams[0].wait(DEADLINE), 1)
        self.assertIn(b"the peer lost the session", self.streams[0].stderr.read())
        for node, peer in ((self.alpha, "beta"), (self.beta, "alpha")):
            self.assertEqual(node.ctl("open", peer, "echo", input="anew").stdout, "anew")


if __name__ == "__main__":
    sys.exit(main())
