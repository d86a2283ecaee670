#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a stranger gets in: by hand, by a rule, by pairing; and how a node begins anew."""

import ctypes
import os
import re
import subprocess
import sys

from harness import DEADLINE, NAME, ROOT, Case, Node, main, trust_each_other, wait_for

NODE1 = "org.hypha.Node1."
IN_MOVED_TO = 0x80


class Signals:
    """What a node emits at its root, as a foreign program sees it."""

    def __init__(self, node):
        self.path = node.place.path / "signals"
        with open(self.path, "w") as out:
            process = subprocess.Popen(["gdbus", "monitor", "--address", node.place.address, "--dest", NAME, "--object-path",
                                        ROOT], env=node.place.environment, stdout=out, stdin=subprocess.DEVNULL)
        node.place.processes.append(process)
        wait_for(lambda: "is owned by" in self.path.read_text(), "a monitor that listens")

    def codes(self):
        return re.findall(r"PairingCode \('([a-z2-7]{52})', '(\d{6})'\)", self.path.read_text())

    def wait_code(self):
        return wait_for(self.codes, "digits")[-1]


class WaysIn(Case):
    def run_node(self, config="", *arguments):
        return Node(self.place(), *arguments, config=config)

    def must(self, node, method, *arguments):
        done = node.call(ROOT, NODE1 + method, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    def peer_property(self, node, peer, name):
        done = node.call(f"{ROOT}/peer/{peer}", "org.freedesktop.DBus.Properties.Get", "org.hypha.Peer1", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.fullmatch(r"\(<(.*)>,\)", done.stdout.strip()).group(1).strip("'")

    def trusted(self, node):
        """The line of the key file: it outlives the process."""
        return next((line for line in node.config.read_text().splitlines() if line.startswith("trusted-peers=")), "")

    def rules(self, node):
        return next(line for line in node.config.read_text().splitlines() if line.startswith("trust-rules="))


class Pending(WaysIn):
    def test_stranger_tells_where_it_knocked_until_it_is_trusted(self):
        alpha = self.run_node("", "--listen", "tcp://127.0.0.1:0")
        beta = self.run_node()
        beta.do("trust", alpha.id(), "alpha")
        done = beta.ctl("connect", alpha.listening("tcp"))
        # Each side is told what mends it, with the whole id.
        self.assert_fails(done, 1, f"hyphactl trust {beta.id()}", "on that side")
        alpha.wait_log(f"hyphactl trust {beta.id()} NAME")
        self.assertRegex(self.peer_property(alpha, beta.id(), "From"), r"^tcp://127\.0\.0\.1:\d+$")
        self.assertEqual(self.peer_property(beta, alpha.id(), "From"), "")
        alpha.do("trust", beta.id(), "beta")
        self.assertEqual(self.peer_property(alpha, beta.id(), "From"), "")
        beta.do("connect", alpha.listening("tcp"))
        alpha.wait_peer("beta", state="online")


class Rules(WaysIn):
    def setUp(self):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.rule = f"{self.unix}?uid={os.geteuid()}"
        self.alpha = Node(place, config=f"listen=['{self.unix}']\ntrust-rules={{'{self.rule}': 'guest'}}\n")
        self.beta = self.run_node()
        self.beta.do("trust", self.alpha.id(), "alpha")

    def restart_alpha(self):
        self.alpha.stop()
        self.alpha = Node(self.alpha.place, config="")

    def test_rule_lets_in_the_first_and_nobody_else(self):
        self.beta.do("connect", self.unix)
        self.alpha.wait_peer("guest", state="online", id=self.beta.id())
        self.assertIn(self.beta.id(), self.trusted(self.alpha))
        self.assertIn(f"'endpoints': <['{self.rule}']>", self.trusted(self.alpha))
        gamma = self.run_node()
        gamma.do("trust", self.alpha.id(), "alpha")
        self.assert_fails(gamma.ctl("connect", self.unix), 1, f"hyphactl trust {gamma.id()}")
        self.alpha.wait_log(f"{gamma.id()} at .* is not let in by the trust rule '{re.escape(self.rule)}', "
                            rf"which was used up by guest \({self.beta.id()}\)")
        # Nor after a restart; but the first is.
        self.restart_alpha()
        self.assert_fails(gamma.ctl("connect", self.unix), 1, "not trusted")
        self.alpha.wait_peer("guest", state="online")

    def test_forget_suspends_the_rule_also_after_a_restart(self):
        self.beta.do("connect", self.unix)
        self.alpha.wait_peer("guest", state="online")
        self.alpha.do("forget", "guest")
        self.assertIn(f"'guest suspended {self.beta.id()}'", self.rules(self.alpha))
        self.assertNotIn(self.beta.id(), self.trusted(self.alpha))
        self.restart_alpha()
        # It goes on dialling, and waits in front of the door.
        self.alpha.wait_peer(self.beta.id()[:8], state="pending")
        gamma = self.run_node()
        gamma.do("trust", self.alpha.id(), "alpha")
        self.assert_fails(gamma.ctl("connect", self.unix), 1, "not trusted")
        # The rule written anew lets in whoever comes first.
        self.alpha.do("forget", self.beta.id())
        self.beta.do("forget", "alpha")
        config = self.alpha.config.read_text()
        self.alpha.config.write_text(re.sub(r"trust-rules=.*", f"trust-rules={{'{self.rule}': 'anew'}}", config))
        wait_for(lambda: gamma.ctl("connect", self.unix).returncode == 0, "a rule that holds again")
        self.alpha.wait_peer("anew", state="online", id=gamma.id())

    def writes(self, node, *arguments):
        """How often the key file was replaced while NODE carried out a command."""
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.assertGreaterEqual(libc.inotify_add_watch(watch, os.fsencode(node.config.parent), IN_MOVED_TO), 0)
        try:
            node.do(*arguments)
            return os.read(watch, 65536).count(os.fsencode(node.config.name) + b"\0")
        finally:
            os.close(watch)

    def test_trust_by_hand_resumes_the_rule(self):
        self.beta.do("connect", self.unix)
        self.alpha.wait_peer("guest", state="online")
        # A rule without its mark and without its peer would be open to anybody after a crash in between.
        self.assertEqual(self.writes(self.alpha, "forget", "guest"), 1)
        self.assertEqual(self.writes(self.alpha, "trust", self.beta.id(), "guest"), 1)
        self.assertNotIn("suspended", self.rules(self.alpha))
        self.assertIn(f"'rule': <'{self.rule}'>", self.trusted(self.alpha))
        self.alpha.wait_peer("guest", state="online")

    def test_rule_that_nobody_vouches_for_is_told_and_passed_over(self):
        self.alpha.stop()
        self.alpha.config.write_text("[org/hypha/node]\ntrust-rules={'tcp://127.0.0.1:*': 'anybody'}\n")
        self.alpha = Node(self.alpha.place, config="")
        self.alpha.wait_log(r"trust-rules.*tcp://127\.0\.0\.1:\*.*neither kernel nor hypervisor vouches")


class Pairing(WaysIn):
    def setUp(self):
        self.alpha = self.run_node("name='alpha'\n", "--listen", "tcp://127.0.0.1:0")
        self.beta = self.run_node("name='beta'\n", "--peer", self.alpha.listening("tcp"))
        self.alpha_signals, self.beta_signals = Signals(self.alpha), Signals(self.beta)

    def pair(self):
        self.must(self.alpha, "Pair", "60")
        self.must(self.beta, "Pair", "60")
        (from_beta, code), (from_alpha, same) = self.alpha_signals.wait_code(), self.beta_signals.wait_code()
        self.assertEqual((from_beta, from_alpha), (self.beta.id(), self.alpha.id()))
        self.assertEqual(code, same)

    def test_same_digits_confirmed_on_both_sides_join(self):
        self.pair()
        self.must(self.beta, "ConfirmPairing", self.alpha.id(), "true")
        self.assertEqual(self.beta.ask("links"), [])
        self.must(self.alpha, "ConfirmPairing", self.beta.id(), "true")
        self.alpha.wait_peer("beta", state="online")
        self.beta.wait_peer("alpha", state="online")
        wait_for(lambda: "'alpha'" in self.trusted(self.beta), "the name in the settings")
        self.assertIn("'beta'", self.trusted(self.alpha))
        self.assertEqual(len(self.alpha_signals.codes() + self.beta_signals.codes()), 2)

    def test_other_digits_are_given_up(self):
        self.pair()
        self.must(self.alpha, "ConfirmPairing", self.beta.id(), "false")
        done = self.alpha.call(ROOT, NODE1 + "ConfirmPairing", self.beta.id(), "true")
        self.assert_fails(done, 1, "org.hypha.Error.InvalidArgument", "hyphactl pair")
        self.must(self.beta, "ConfirmPairing", self.alpha.id(), "true")
        self.alpha.wait_peer(self.beta.id()[:8], state="pending")
        self.assertEqual(self.trusted(self.alpha), "")

    def test_window_has_bounds_and_strangers_have_no_digits(self):
        self.assert_fails(self.alpha.call(ROOT, NODE1 + "Pair", "121"), 1, "InvalidArgument", "120")
        self.must(self.alpha, "Pair", "0")
        self.assert_fails(self.alpha.call(ROOT, NODE1 + "ConfirmPairing", self.beta.id(), "true"), 1, "InvalidArgument")
        self.assert_fails(self.alpha.call(ROOT, NODE1 + "ConfirmPairing", "nonsense", "true"), 1, "InvalidId")


class Renew(WaysIn):
    def test_open_stream_ends_as_restarted_and_the_peers_meet_again(self):
        alpha = self.run_node("", "--listen", "tcp://127.0.0.1:0")
        beta = self.run_node()
        trust_each_other(alpha, beta)
        beta.do("connect", alpha.listening("tcp"))
        for renewed in (alpha, beta):
            alpha.wait_peer("beta", state="online")
            beta.wait_peer("alpha", state="online")
            links = beta.ask("links")
            cat = beta.place.start_ctl("open", "alpha", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, bufsize=0)
            cat.stdin.write(b"x")
            self.assertEqual(cat.stdout.read(1), b"x")
            self.must(renewed, "Renew")
            self.assertEqual(cat.wait(DEADLINE), 1)
            self.assertRegex(cat.stderr.read().decode(), "started anew|shutting down")
            wait_for(lambda: beta.ask("links") and beta.ask("links") != links, "another link")
        beta.wait_peer("alpha", state="online")
        alpha.stop()
        beta.stop()


if __name__ == "__main__":
    sys.exit(main())
