#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every verb: its usage, its exit status, its JSON."""

import itertools
import json
import os
import pty
import re
import subprocess
import sys
import threading

from harness import DEADLINE, HYPHACTL, Case, Node, main, trust_each_other, wait_for

# Verb to the words it takes, and to an option with a value that is out of range.
VERBS = {
    "status": [], "id": [], "config": [], "transports": [], "plugins": [], "plugin": [], "peers": [], "links": ["[PEER]"], "connect": ["ENDPOINT"],
    "disconnect": ["PEER"], "trust": ["ID", "NAME"], "forget": ["PEER"], "explain": ["PEER"], "monitor": ["[PEER]"],
    "pending": [], "pair": [], "wait": ["[PEER]"], "guest-config": [], "guest-initrd": [],
    "ping": ["PEER"], "streams": ["[PEER]"], "services": [], "open": ["PEER", "SERVICE"], "forward": [], "mux": ["PEER", "PATH"],
    "exec": ["PEER", "COMMAND", "[ARG...]"], "cp": ["SOURCE...", "DEST"],
    "mirror": ["PEER"],
    "dial": ["ENDPOINT"], "accept": ["ENDPOINT"], "attach": ["[FROM]"], "bench": ["PEER"],
}
# Of verbs with several forms: the first word of each to the others.
FORMS = {
    "config": {"list": [], "get": ["KEY"], "set": ["KEY", "VALUE"], "reset": ["KEY"]},
    "plugin": {"new": ["NAME"], "check": ["FILE"]},
    "forward": {"list": [], "add": ["LOCAL", "PEER", "TARGET"], "remove": ["LOCAL..."]},
}
# Its status is that of a command, but for this one.
ANOTHERS = {"exec": 255}
# They ask no node.
BY_THEMSELVES = {"dial", "accept", "plugin"}
RANGES = [("ping", ["x"], "--count", "0"), ("ping", ["x"], "--interval", "-1"), ("ping", ["x"], "--timeout", "0"),
          ("connect", ["x"], "--timeout", "-1"), ("open", ["x", "y"], "--timeout", "0"), ("wait", ["x"], "--timeout", "0"),
          ("dial", ["x"], "--timeout", "0"), ("accept", ["x"], "--timeout", "-1"),
          ("bench", ["x"], "--seconds", "0"), ("bench", ["x"], "--streams", "65"),
          ("pair", [], "--seconds", "121"), ("guest-config", ["--name", "x"], "--cid", "1"),
          ("guest-config", ["--name", "x"], "--cid", "0"), ("guest-config", ["--name", "x"], "--cid", "-1"),
          ("guest-initrd", ["--name", "x"], "--cid", "1")]
# Options without which a verb is not understood.
NEEDED = {"config": ["list"], "wait": ["--node"], "guest-config": ["--name", "x"], "guest-initrd": ["--name", "x"]}


def run(*arguments, **more):
    return subprocess.run([HYPHACTL, *arguments], capture_output=True, text=True, timeout=DEADLINE, **more)


class Usage(Case):
    """Whoever types something wrong is told which word, with status 2, before anything is asked of a node."""

    def test_help_names_every_verb(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(re.findall(r"^  ([\w-]+)", done.stdout, re.MULTILINE)), sorted(VERBS))

    def test_help_of_every_verb(self):
        for verb, words in VERBS.items():
            done = run(verb, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(" ".join(["hyphactl", verb]), " ".join(done.stdout.replace("[OPTION…]", "").split()))
            for word in words + ["--json", "--address"]:
                self.assertIn(word, done.stdout)

    def test_no_verb_and_unknown_verb(self):
        self.assert_fails(run(), 2, "a verb is missing")
        self.assert_fails(run("frobnicate"), 2, "'frobnicate'")
        self.assert_fails(run(""), 2, "''")

    def test_verb_that_is_nearly_one_is_suggested(self):
        for typed, meant in (("stauts", "status"), ("peer", "peers"), ("trsut", "trust"), ("exp", "explain"), ("links2", "links")):
            self.assert_fails(run(typed), 2, f"there is no verb '{typed}'; there is {meant}")
        # Nothing is near, and what is for the shells only is never shown.
        for typed in ("x", "frobnicate", "complet"):
            self.assertNotIn("there is ", run(typed).stderr.replace("there is no verb", ""))

    def test_unknown_option(self):
        self.assert_fails(run("--frob", "status"), 2, "--frob")
        for verb in VERBS:
            self.assert_fails(run(verb, "--frob"), ANOTHERS.get(verb, 2), "--frob", f"hyphactl {verb}")

    def test_missing_words(self):
        for verb, words in VERBS.items():
            wanted = [w for w in words if w[0] != "["]
            for n in range(len(wanted)):
                self.assert_fails(run(verb, *["x"] * n), ANOTHERS.get(verb, 2), f"{wanted[n]} is missing", f"Usage: hyphactl {verb}")

    def test_words_that_are_too_many_or_empty(self):
        for verb, words in VERBS.items():
            if not any("..." in word for word in words):
                self.assert_fails(run(verb, *["x"] * len(words), "surplus"), 2, "'surplus'")
            if words:
                self.assert_fails(run(verb, *[""] * len(words)), ANOTHERS.get(verb, 2), "is empty")

    def test_words_of_every_form(self):
        for verb, forms in FORMS.items():
            usage = " ".join(run(verb, "--help").stdout.split())
            self.assert_fails(run(verb, "frob"), 2, f"'frob' is none of {', '.join(forms)}")
            self.assert_fails(run(verb, ""), 2, f"'' is none of {', '.join(forms)}")
            for form, words in forms.items():
                self.assertIn(" ".join(["", form, *words]), usage.replace("[list]", " list"))
                for n, word in enumerate(words):
                    self.assert_fails(run(verb, form, *["x"] * n), 2, f"{form}: {word} is missing", f"Usage: hyphactl {verb}")
                    if word != "VALUE":
                        self.assert_fails(run(verb, form, *["x"] * n, "", *words[n + 1:]), 2, f"{form}: {word} is empty")
                if not words or "..." not in words[-1]:
                    self.assert_fails(run(verb, form, *words, "surplus"), 2, f"{form}: there is no place for 'surplus'")

    def test_values_out_of_range(self):
        for verb, words, option, value in RANGES:
            self.assert_fails(run(verb, *words, option, value), 2, option, value)
            self.assert_fails(run(verb, *words, option, "many"), 2, "many")
            self.assert_fails(run(verb, *words, option), 2, option)

    def test_empty_address_says_what_to_give(self):
        self.assert_fails(run("--address", "", "status"), 2, "--address is empty", "DBUS_SESSION_BUS_ADDRESS")
        self.assert_fails(run("status", "--address="), 2, "--address is empty")

    def test_buses_exclude_each_other_before_and_after_the_verb(self):
        self.assert_fails(run("--system", "status", "--user"), 2, "--system", "--user")

    def test_what_was_typed_is_escaped(self):
        done = run("\x1b[31m")
        self.assertNotIn("\x1b", done.stderr)
        self.assertIn(r"\u{1b}", done.stderr)

    def test_argument_that_is_no_text_is_named_and_escaped(self):
        place = self.place()
        for words in ([b"\xff\x1b"], ["trust", b"\xff\x1b", "eve"], ["ping", "eve", "--count", b"\xff\x1b"],
                      ["--address", b"\xff\x1b", "status"]):
            self.assert_fails(run(*words, env=place.environment), 2, r"'\xff\u{1b}' is not UTF-8")

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^hyphactl \d+\.\d+\.\d+\n$")


class NoNode(Case):
    def test_every_verb_says_what_to_start(self):
        place = self.place()
        for verb, words in VERBS.items():
            if verb in BY_THEMSELVES:
                continue
            done = place.ctl(verb, *["x:" if w == "DEST" else "x" for w in words if w[0] != "["], *NEEDED.get(verb, []),
                             *(["--timeout", "1"] if verb == "wait" else []))
            self.assert_fails(done, ANOTHERS.get(verb, 1), place.address, "hyphad --address")

    def test_no_bus(self):
        self.assert_fails(run("--address", "unix:path=/nonexistent/bus", "status"), 1, "/nonexistent/bus", "--address")


class OneNode(Case):
    def test_json_of_every_verb_that_prints(self):
        node = self.node("--listen", "tcp://127.0.0.1:0")
        for verb in ("status", "id"):
            self.assertEqual(node.ask(verb)["id"], node.id())
        self.assertEqual([t["name"] for t in node.ask("transports")], ["hvsock", "tcp", "udp", "unix", "via"])
        self.assertEqual([p["state"] for p in node.ask("plugins")], ["ready"] * 5)
        for verb in ("peers", "pending", "links", "streams", "forward"):
            self.assertEqual(node.ask(verb), [])
        before = json.loads(node.ctl("--json", "status").stdout)
        self.assertEqual(before, node.ask("status"))
        node.stop()

    def test_keys_come_in_one_order(self):
        node = self.node()
        self.assertEqual(list(json.loads(node.ctl("status", "--json").stdout)),
                         ["id", "name", "version", "features", "listening", "troubles", "plugin-troubles", "peers-online",
                          "peers-pending", "peers-other", "links", "pending"])
        node.stop()

    def test_address_that_is_taken_is_told_with_its_holder(self):
        first = self.node("--listen", "tcp://127.0.0.1:0")
        taken = first.listening("tcp")
        second = self.node("--listen", taken)
        # On a machine that is busy it may not be found in time at the first attempt.
        wait_for(lambda: str(first.process.pid) in second.ask("status")["troubles"].get(taken, ""), "the holder's process")
        self.assertRegex(second.do("status"), f"Trouble +{taken}: .*{first.process.pid}")
        # And it goes when its cause does.
        first.stop()
        wait_for(lambda: taken in second.ask("status")["listening"], "the address")
        self.assertEqual(second.ask("status")["troubles"], {})
        second.stop()

    def test_full_disk_is_a_failure(self):
        node = self.node()
        with open("/dev/full", "w") as full:
            done = subprocess.run([HYPHACTL, "--address", node.place.address, "peers"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=DEADLINE, env=node.place.environment)
        self.assert_fails(done, 1, "standard output")
        node.stop()

    def test_columns_fit_the_terminal_and_go_whole_into_a_pipe(self):
        node = self.node()
        node.do("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", "eve")
        self.assertIn("3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", node.do("peers"))
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        subprocess.run(["stty", "cols", "60"], stdin=follower, check=True, timeout=DEADLINE)
        done = subprocess.run([HYPHACTL, "--address", node.place.address, "peers"], stdout=follower, timeout=DEADLINE,
                              env=node.place.environment)
        os.close(follower)
        self.assertEqual(done.returncode, 0)
        lines = os.read(leader, 65536).decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(all(len(line) <= 60 for line in lines), lines)
        self.assertIn("eve", lines[1])
        self.assertTrue(lines[1].endswith("…"))
        node.stop()

    def test_trust_goes_to_an_id_and_never_to_a_name(self):
        node = self.node()
        node.do("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", "eve")
        self.assert_fails(node.ctl("trust", "eve", "adam"), 1, "'eve' is a name")
        node.do("trust", "3awbtv", "adam")
        self.assertEqual([p["name"] for p in node.ask("peers")], ["adam"])
        self.assert_fails(node.ctl("trust", "4", "adam"), 1, "4")
        node.stop()

    def test_trust_in_what_is_no_id_says_what_is_wrong_with_which(self):
        node = self.node()
        self.assert_fails(node.ctl("trust", "abc", "adam"), 1, "'abc'", "52 characters")
        self.assert_fails(node.ctl("trust", "a" * 52, "adam"), 1, "a" * 52 + ": ")
        self.assertNotIn("52", node.ctl("forget", "abc").stderr)
        node.stop()

    def test_peer_that_is_not_there(self):
        node = self.node()
        for verb, *words in (("disconnect", "eve"), ("forget", "eve"), ("explain", "eve"), ("ping", "eve"), ("links", "eve"), ("monitor", "eve"),
                             ("streams", "eve"), ("open", "eve", "echo"), ("mirror", "eve"),
                             ("forward", "add", "tcp://127.0.0.1:0", "eve", "echo")):
            self.assert_fails(node.ctl(verb, *words), 1, "'eve'", "hyphactl peers")
        node.stop()

    def test_beginning_that_fits_several_peers(self):
        node = self.node()
        node.do("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", "eve")
        node.do("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvzq", "adam")
        self.assert_fails(node.ctl("explain", "3awbtv"), 1, "several", "'3awbtv'")
        # A whole id, and a name, go before a beginning.
        node.do("explain", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq")
        node.do("forget", "eve")
        node.do("trust", "cg7bv53knww7isjgconzdc2frvjvj632q6ha256wqkpb7igr542q", "3a")
        node.do("forget", "3a")
        self.assertEqual([p["name"] for p in node.ask("peers") if p["trusted"]], ["adam"])
        node.stop()


class TwoNodes(Case):
    def test_wait_goes_on_until_a_peer_is_there_and_online_and_through_a_restart(self):
        alpha = self.node("--listen", "tcp://127.0.0.1:0")
        beta = self.node()
        online = beta.place.start_ctl("wait", "alpha", "--timeout", str(int(DEADLINE)))
        trust_each_other(alpha, beta)
        self.assertIsNone(online.poll())
        beta.do("connect", alpha.listening("tcp"))
        self.assertEqual(online.wait(DEADLINE), 0)
        offline = beta.place.start_ctl("wait", "--node", "alpha", "--state", "offline")
        self.assertIsNone(offline.poll())
        beta.stop()
        again = Node(beta.place)
        self.assertEqual(offline.wait(DEADLINE), 0)
        again.stop()
        alpha.stop()

    def test_pending_lists_who_knocked_with_the_command_that_lets_it_in(self):
        alpha = self.node("--listen", "tcp://127.0.0.1:0")
        beta = self.node("--peer", alpha.listening("tcp"))
        beta.do("trust", alpha.id(), "alpha")
        [knocked] = wait_for(lambda: alpha.ask("pending"), "a knock")
        self.assertEqual(knocked["id"], beta.id())
        self.assertIn("hyphactl trust ID NAME", alpha.do("pending"))
        self.assertRegex(alpha.do("status"), f"Pending +.*hyphactl trust {beta.id()} NAME")
        alpha.do("trust", beta.id()[:12], "beta")
        self.assertEqual(alpha.ask("pending"), [])
        self.assertEqual(alpha.ctl("pending").stdout.count("\n"), 1)
        beta.stop()
        alpha.stop()

    def test_monitor_goes_on_with_the_next_daemon(self):
        node = self.node()
        monitor = node.place.start_ctl("monitor", stdout=subprocess.PIPE, text=True)
        seen = []
        threading.Thread(target=lambda: seen.extend(monitor.stdout), daemon=True).start()
        # Each time another name, or there is nothing to see for a monitor that came late.
        times = itertools.count()
        wait_for(lambda: node.ctl("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", f"eve{next(times)}") and seen, "a line")
        node.stop()
        again = Node(node.place)
        # What happens before the monitor has found the next daemon is no event.
        wait_for(lambda: again.ctl("trust", "cg7bv53knww7isjgconzdc2frvjvj632q6ha256wqkpb7igr542q", f"after{next(times)}") and
                 [line for line in seen if "after" in line or "cg7bv53knww7" in line], "an event of the next daemon")
        text = "".join(seen)
        self.assertIn("the node is gone", text)
        self.assertIn("the node is here", text)
        monitor.terminate()
        self.assertEqual(monitor.wait(DEADLINE), 0)
        again.stop()


if __name__ == "__main__":
    sys.exit(main())
