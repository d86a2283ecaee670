#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verbs that wait, ask or go on: pair, wait, monitor, guest-config; and what a terminal is shown. Against a fake node."""

import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import threading

from fake import HYPHACTL, LAPTOP, ME, NODE, PEER, ROOT, STRANGER, WEB, Fake, FakeCase, Terminal, peer_path
from harness import DEADLINE, main, wait_for

CODE = f"('{STRANGER}', '123456')"


def lines(process):
    """What a process prints, as it comes."""
    seen = []
    threading.Thread(target=lambda: seen.extend(process.stdout), daemon=True).start()
    return seen


class Colours(FakeCase):
    def test_colours_are_on_a_terminal_only_and_as_the_user_wants_them(self):
        fake = self.scene()
        for words, environment, coloured in ((["peers"], {}, True), (["peers"], {"NO_COLOR": "1"}, False),
                                             (["peers"], {"NO_COLOR": ""}, True), (["peers"], {"TERM": "dumb"}, False),
                                             (["peers", "--color=never"], {}, False),
                                             (["--color", "always", "peers"], {"TERM": "dumb", "NO_COLOR": "1"}, True)):
            _, seen = Terminal(fake.place, *words, **environment).finish()
            self.assertEqual("\x1b[32monline\x1b[0m" in seen, coloured, (words, environment))
            # What the stranger calls itself is never obeyed.
            self.assertNotIn("\x1b[31mil", seen)
        self.assertNotIn("\x1b", fake.place.ctl("peers").stdout)
        self.assertIn("\x1b[32m", fake.place.ctl("--color=always", "peers").stdout)
        self.assert_fails(fake.place.ctl("--color=blue", "peers"), 2, "--color blue", "auto, always or never")

    def test_columns_in_the_environment_is_the_width_of_a_terminal(self):
        fake = self.scene()
        _, seen = Terminal(fake.place, "peers", columns=200, COLUMNS="60").finish()
        self.assertTrue(all(len(re.sub("\x1b\\[\\d+m", "", line)) <= 60 for line in seen.splitlines()), seen)
        _, wide = Terminal(fake.place, "peers", columns=200, COLUMNS="many").finish()
        self.assertIn(WEB, wide)


class PairWithPeople(FakeCase):
    """Somebody sits at the terminal and compares."""

    def pair(self, fake, *words):
        terminal = Terminal(fake.place, "pair", *words)
        terminal.wait_text(ME)
        wait_for(lambda: fake.calls(f"{NODE}.Pair"), "a call of Pair")
        return terminal

    def test_yes_confirms_and_tells_the_name(self):
        fake = self.scene()
        terminal = self.pair(fake, "--seconds", "30")
        self.assertEqual(fake.calls(f"{NODE}.Pair"), ["(30,)"])
        fake.order("signal", ROOT, NODE, "PairingCode", CODE)
        terminal.wait_text(f"{STRANGER}.*\n.*123456(.*\n)*Same on the other side\\? \\[y/N\\] $")
        # The daemon names it when it is confirmed.
        terminal.type("y\n")
        wait_for(lambda: fake.calls(f"{NODE}.ConfirmPairing"), "a call of ConfirmPairing")
        self.assertIsNone(terminal.process.poll())
        fake.order("set", peer_path(STRANGER), PEER, "Name", "'eve'")
        # And the other side confirms, too.
        fake.order("set", peer_path(STRANGER), PEER, "State", "'online'")
        status, seen = terminal.finish()
        self.assertEqual(status, 0, seen)
        self.assertIn("trusted here as eve", seen)
        self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', true)"])
        self.assertEqual(len(fake.calls(f"{NODE}.Pair")), 1)

    def test_anything_but_yes_gives_the_pairing_up(self):
        for answer in ("n\n", "\n", "123456\n", "yesterday\n", "\x04"):
            fake = self.scene()
            terminal = self.pair(fake)
            fake.order("signal", ROOT, NODE, "PairingCode", CODE)
            terminal.wait_text("y/N")
            terminal.type(answer)
            status, seen = terminal.finish()
            self.assertEqual(status, 1, seen)
            self.assertIn("given up", seen)
            self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', false)"])
            self.assertEqual(fake.calls(f"{NODE}.Pair")[-1], "(0,)")

    def test_ctrl_c_before_and_after_the_digits_closes_the_window(self):
        for digits in (False, True):
            fake = self.scene()
            terminal = self.pair(fake)
            if digits:
                fake.order("signal", ROOT, NODE, "PairingCode", CODE)
                terminal.wait_text("y/N")
            terminal.type("\x03")
            status, seen = terminal.finish()
            self.assertEqual(status, 1, seen)
            self.assertIn("given up", seen)
            self.assertEqual(fake.calls(f"{NODE}.Pair")[-1], "(0,)")
            self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [])

    def test_second_code_does_not_replace_the_one_that_is_compared(self):
        fake = self.scene()
        terminal = self.pair(fake)
        fake.order("signal", ROOT, NODE, "PairingCode", CODE)
        fake.order("signal", ROOT, NODE, "PairingCode", f"('{WEB}', '999999')")
        fake.order("set", peer_path(STRANGER), PEER, "State", "'online'")
        terminal.wait_text("y/N")
        terminal.type("y\n")
        self.assertEqual(terminal.finish()[0], 0)
        self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', true)"])


class PairWithPrograms(FakeCase):
    def start(self, fake, *words, **more):
        fake.order("set", peer_path(STRANGER), PEER, "State", "'online'")
        process = fake.place.start_ctl("pair", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.assertTrue(process.stdout.readline())
        return process

    def test_yes_if_confirms_the_same_digits_only(self):
        for given, same in (("123456", "true"), ("123 456", "true"), ("123457", "false")):
            fake = self.scene()
            process = self.start(fake, "--json", "--yes-if", given, stdin=subprocess.DEVNULL)
            fake.order("signal", ROOT, NODE, "PairingCode", CODE)
            out, err = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 0 if same == "true" else 1, err)
            self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', {same})"])
            self.assertEqual([json.loads(line)["event"] for line in out.splitlines()], ["code", "paired"] if same == "true" else ["code"])

    def test_program_on_a_pipe_has_to_say_the_digits_yes_is_not_enough(self):
        for answer, same in (("123456\n", "true"), ("y\n", "false"), ("", "false")):
            fake = self.scene()
            process = self.start(fake, stdin=subprocess.PIPE)
            fake.order("signal", ROOT, NODE, "PairingCode", CODE)
            process.communicate(answer, timeout=DEADLINE)
            self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', {same})"])

    def test_other_side_that_never_confirms_is_told(self):
        fake = self.scene()
        process = fake.place.start_ctl("pair", "--seconds", "1", "--yes-if", "123456", stdout=subprocess.PIPE, text=True)
        self.assertTrue(process.stdout.readline())
        fake.order("signal", ROOT, NODE, "PairingCode", CODE)
        out, _ = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0)
        self.assertIn("The other side has not confirmed yet", out)
        # The window is not closed: the node goes on trying.
        self.assertEqual(fake.calls(f"{NODE}.Pair"), ["(1,)"])

    def test_nobody_came_in_time(self):
        fake = self.scene()
        done = fake.place.ctl("pair", "--seconds", "1", stdin=subprocess.DEVNULL)
        self.assert_fails(done, 1, "nobody shook hands within 1 seconds", "hyphactl connect")
        self.assertEqual(fake.calls(f"{NODE}.Pair"), ["(1,)", "(0,)"])

    def test_node_that_goes_away_ends_it(self):
        fake = self.scene()
        process = self.start(fake, stdin=subprocess.PIPE)
        fake.order("drop-name")
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 1)
        self.assertIn("the node has ended", err)

    def test_node_that_refuses_is_heard(self):
        fake = self.scene()
        fake.order("fail", f"{NODE}.Pair", "org.hypha.Error.PermissionDenied", "only root may: use sudo")
        self.assert_fails(fake.place.ctl("pair"), 1, "only root may: use sudo")

    def test_wrong_digits_to_wait_for_are_a_wrong_usage(self):
        for code in ("12345", "1234567", "abcdef", ""):
            self.assert_fails(self.scene().place.ctl("pair", "--yes-if", code), 2, "--yes-if")


class Wait(FakeCase):
    def start(self, fake, *words):
        return fake.place.start_ctl("wait", *words, stderr=subprocess.PIPE, text=True)

    def test_returns_when_the_peer_comes_online(self):
        fake = self.scene()
        process = self.start(fake, "Läptöp-電腦")
        for state in ("connecting", "online"):
            self.assertIsNone(process.poll())
            fake.order("set", peer_path(LAPTOP), PEER, "State", f"'{state}'")
        self.assertEqual(process.wait(DEADLINE), 0, process.stderr.read())

    def test_peer_need_not_be_known_yet(self):
        fake = self.scene()
        process = self.start(fake, "later", "--state", "suspect")
        fake.add_peer(LAPTOP[::-1], "later", "online", Trusted="true")
        self.assertIsNone(process.poll())
        fake.order("set", peer_path(LAPTOP[::-1]), PEER, "State", "'suspect'")
        self.assertEqual(process.wait(DEADLINE), 0, process.stderr.read())

    def test_time_that_is_up_says_how_things_are(self):
        place = self.scene().place
        self.assert_fails(place.ctl("wait", "Läptöp-電腦", "--timeout", "1"), 1, "is offline, not online", "hyphactl explain")
        self.assert_fails(place.ctl("wait", "nobody", "--timeout", "1"), 1, "the time is up", "'nobody'")

    def test_node_that_is_not_there_yet(self):
        place = self.place()
        self.assert_fails(place.ctl("wait", "web1"), 1, "hyphad --address")
        self.assert_fails(place.ctl("wait", "--node", "--timeout", "1"), 1, "the time is up", "hyphad --address")
        node = place.start_ctl("wait", "--node")
        peer = place.start_ctl("wait", "--node", "web1")
        Fake(place).set_scene()
        self.assertEqual(node.wait(DEADLINE), 0)
        self.assertEqual(peer.wait(DEADLINE), 0)

    def test_goes_on_through_a_restart_of_the_node(self):
        fake = self.scene()
        process = self.start(fake, "Läptöp-電腦")
        fake.order("drop-name")
        fake.order("take-name")
        self.assertIsNone(process.poll())
        fake.order("set", peer_path(LAPTOP), PEER, "State", "'online'")
        self.assertEqual(process.wait(DEADLINE), 0, process.stderr.read())

    def test_usage(self):
        place = self.place()
        self.assert_fails(place.ctl("wait"), 2, "PEER or --node is missing")
        self.assert_fails(place.ctl("wait", "x", "--state", "happy"), 2, "--state happy", "online")


class Monitor(FakeCase):
    def start(self, fake, *words, **more):
        process = fake.place.start_ctl("monitor", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        seen = lines(process)

        def tell():
            fake.order("signal", ROOT, NODE, "PeerPending", f"('{WEB}', 'here')")
            return seen
        wait_for(tell, "a first line")
        return process, seen

    def test_goes_on_through_a_restart_of_the_node_and_says_so(self):
        fake = self.scene()
        process, seen = self.start(fake, "--json")
        fake.order("drop-name")
        wait_for(lambda: [line for line in seen if '"node-gone"' in line], "the end")
        fake.order("take-name")
        wait_for(lambda: [line for line in seen if '"node-here"' in line], "the new beginning")
        wait_for(lambda: [line for line in seen if '"added"' in line and "link/10" in line], "the links")
        fake.order("signal", ROOT, NODE, "PeerPending", f"('{LAPTOP}', 'after')")
        wait_for(lambda: [line for line in seen if '"after"' in line], "an event after it")
        for line in seen:
            self.assertEqual(list(json.loads(line)), ["time", "event", "details"])
        process.terminate()
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_only_one_peer_if_it_is_named(self):
        fake = self.scene()
        process, seen = self.start(fake, "web1")
        fake.order("set", peer_path(LAPTOP), PEER, "State", "'connecting'")
        fake.order("set", ROOT, NODE, "Name", "'other'")
        fake.order("remove", f"{ROOT}/transport/tcp")
        fake.order("signal", peer_path(WEB), PEER, "LinkChanged", f"('{ROOT}/link/2', '/', 'it died')")
        fake.order("set", f"{ROOT}/link/10", "org.hypha.Link1", "State", "'closed'")
        fake.order("remove", f"{ROOT}/link/10")
        wait_for(lambda: [line for line in seen if "link 10 removed" in line], "the last event")
        text = "".join(seen)
        self.assertIn("peer web1: from link 2 to none: it died", text)
        self.assertIn("link 10: State is closed", text)
        for other in ("Läptöp", "transport", "other"):
            self.assertNotIn(other, text)
        self.assertRegex(seen[0], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")
        process.terminate()
        process.wait(DEADLINE)

    def test_reader_that_goes_away_ends_it_at_once_and_quietly(self):
        fake = self.scene()
        reader, writer = os.pipe()
        process = fake.place.start_ctl("monitor", stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        wait_for(lambda: fake.order("signal", ROOT, NODE, "PeerPending", CODE) and readable(reader), "a line")
        # Nothing more happens: the broken pipe itself is enough.
        os.close(reader)
        self.assertEqual(process.wait(DEADLINE), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), "")

    def memory(self, process):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{process.pid}/status").read())[1])

    def test_hundred_thousand_signals_take_no_memory(self):
        if b"__asan_init" in open(HYPHACTL, "rb").read():
            self.skipTest("a sanitizer keeps what was freed")
        fake = self.scene()
        process, seen = self.start(fake)

        def flood(times, mark):
            """Then a mark, again and again until one is not dropped."""
            fake.order("signal", peer_path(WEB), PEER, "LinkChanged", f"('{ROOT}/link/2', '/', 'flood')", times)
            wait_for(lambda: fake.order("signal", ROOT, NODE, "PeerPending", f"('{WEB}', '{mark}')") and
                     [line for line in list(seen)[-50:] if mark in line], "the mark")
            del seen[:]
            return self.memory(process)
        flood(25000, "tcp://first")
        first = flood(25000, "tcp://second")
        second = flood(100000, "tcp://third")
        print(f"# RSS after 50,000 signals {first} KiB, after 100,000 more {second} KiB", flush=True)
        # What 5,000 signals that wait take, and 20,000 lines; how much of it a flood fills, chance decides.
        self.assertLess(max(first, second), 28672)
        process.terminate()
        process.wait(DEADLINE)

    def test_reader_that_stands_still_is_told_what_it_missed(self):
        fake = self.scene()
        reader, writer = os.pipe()
        process = fake.place.start_ctl("monitor", "--json", stdout=writer)
        os.close(writer)
        wait_for(lambda: fake.order("signal", ROOT, NODE, "PeerPending", CODE) and readable(reader), "a line")
        fake.order("signal", peer_path(WEB), PEER, "LinkChanged", f"('{ROOT}/link/2', '/', 'flood')", 60000)
        fake.order("signal", ROOT, NODE, "PeerPending", f"('{LAPTOP}', 'last')")
        fake.order("drop-name")
        wait_for(lambda: self.idle(process), "an idle monitor")
        seen = []
        with os.fdopen(reader) as file:
            for line in file:
                seen.append(json.loads(line))
                if len(seen) == 100:
                    fake.order("take-name")
                if seen[-1]["event"] == "node-here":
                    break
        lost = [event["details"]["count"] for event in seen if event["event"] == "lost"]
        self.assertTrue(lost and sum(lost) > 20000, lost)
        self.assertGreater(sum(lost) + len(seen), 60000)
        process.wait(DEADLINE)

    def idle(self, process):
        """No processor time within a while."""
        def ticks():
            return sum(map(int, open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        before = ticks()
        threading.Event().wait(0.3)
        return ticks() == before


def readable(fd):
    return select.select([fd], [], [], 0.05)[0]


class GuestConfig(FakeCase):
    def test_key_trust_and_a_key_file_for_a_guest(self):
        fake = self.scene()
        folder = fake.place.private / "guest"
        folder.mkdir(mode=0o700)
        key = folder / "web1.pem"
        words = ["guest-config", "--name", "guest7", "--identity", str(key), "--listen-port", "5000"]
        done = fake.place.ctl(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.assertIn("BEGIN PRIVATE KEY", key.read_text())
        [call] = fake.calls(f"{NODE}.Trust")
        guest = re.fullmatch(r"\('([a-z2-7]{52})', 'guest7'\)", call)[1]
        self.assertEqual(done.stdout, f"[org/hypha/node]\nname='guest7'\npeers=['vsock://2:5000?id={ME}']\n"
                                      f"trusted-peers={{'{ME}': {{'name': <'alpha'>}}}}\n")
        self.assertIn("does not listen on vsock://any:5000 yet", done.stderr)
        self.assertEqual(fake.calls("org.hypha.Config1.Set"), [])
        # Commands for this node, by its id, and for nobody unless it was asked for.
        more = fake.place.ctl(*words, "--exec")
        self.assertEqual(more.stdout, done.stdout + f"services={{'exec': {{'peers': <['{ME}']>}}}}\n")
        # The key that is there is taken again.
        again = json.loads(fake.place.ctl("--json", *words).stdout)
        self.assertEqual(again, {"id": guest, "name": "guest7", "identity": str(key), "config": done.stdout})

    def test_guest_is_bound_to_its_cid(self):
        fake = self.scene()
        words = ["guest-config", "--name", "guest7", "--json"]
        known = json.loads(fake.place.ctl(*words).stdout)
        self.assertTrue(known["identity"].endswith("/hypha/guests/guest7.pem"))
        self.assertEqual(fake.calls("org.hypha.Config1.Set"), [])
        # As the node has it once it trusts the guest.
        guest = known["id"]
        fake.order("answer", "org.hypha.Config1.Get", f"(<{{'{WEB}': {{'name': <'other'>}}, '{guest}': {{'name': <'guest7'>}}}}>,)")
        done = fake.place.ctl(*words, "--cid", "42")
        self.assertEqual(done.returncode, 0, done.stderr)
        [call] = fake.calls("org.hypha.Config1.Set")
        self.assertIn(f"'{WEB}': {{'name': <'other'>}}", call)
        entry = re.search(f"'{guest}': {{([^}}]*)}}", call)[1]
        self.assertIn("'name': <'guest7'>", entry)
        self.assertIn("'endpoints': <['vsock://42:4974']>", entry)

    def test_guest_that_cannot_be_bound_is_not_trusted(self):
        fake = self.scene()
        fake.order("fail", "org.hypha.Config1.Set", "org.hypha.Error.InvalidSetting", "no such thing")
        done = fake.place.ctl("guest-config", "--name", "guest7", "--cid", "42")
        self.assert_fails(done, 1, "could not be bound to CID 42", "no such thing")
        self.assertEqual(len(fake.calls(f"{NODE}.Forget")), 1)
        self.assertEqual(list((fake.place.private / "state").rglob("*.pem")), [])

    def test_usage(self):
        place = self.place()
        self.assert_fails(place.ctl("guest-config"), 2, "--name NAME is missing")
        for words in (["--cid", "2"], ["--cid", "4294967295"], ["--listen-port", "0"], ["--identity", ""]):
            self.assert_fails(place.ctl("guest-config", "--name", "x", *words), 2, words[0])
        self.assert_fails(place.ctl("guest-config", "--name", "../x"), 2, "--identity FILE")


class Pipes(FakeCase):
    def test_reader_that_has_seen_enough_is_no_error(self):
        fake = self.scene()
        reader, writer = os.pipe()
        os.close(reader)
        process = fake.place.start_ctl("peers", stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.assertEqual(process.wait(DEADLINE), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")


if __name__ == "__main__":
    sys.exit(main())
