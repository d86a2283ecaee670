#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.hypha.Config1: what is set holds at once and lasts, what is refused changes nothing, and nobody's edit is lost."""

import os
import re
import subprocess
import sys
import threading

from harness import DEADLINE, ROOT, Case, Node, main, wait_for

CONFIG = "org.hypha.Config1."
ID = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
OTHER = "6pu2buq4rrzrugmmn2d2hcvjrvewcjoh6x5djrjxekn3jw4dgxyq"


class Config(Case):
    def done(self, node, method, *arguments):
        done = node.call(ROOT, CONFIG + method, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def refused(self, node, method, *arguments, error="InvalidSetting"):
        done = node.call(ROOT, CONFIG + method, *arguments)
        self.assert_fails(done, 1, f"GDBus.Error:org.hypha.Error.{error}: ")
        return done.stderr

    def holding(self, node):
        return {entry["key"]: entry for entry in node.ask("config", "list")}

    def set_many(self, node, key, count):
        many = subprocess.Popen([os.environ["SET_MANY"], node.place.address, key, str(count)], text=True,
                                env=node.place.environment, stdout=subprocess.PIPE)
        node.place.processes.append(many)
        return many


class Face(Config):
    def test_list_has_every_key_with_what_it_is(self):
        node = self.node(config="switch-margin=7\n")
        listed = self.done(node, "List")
        self.assertIn("('switch-margin', 'By how much another link has to be cheaper', <uint32 7>, <uint32 1>, true)", listed)
        keys = subprocess.run(["gsettings", "list-keys", "org.hypha.node"], env=node.place.environment, capture_output=True,
                              text=True, check=True, timeout=DEADLINE).stdout.split()
        self.assertEqual(sorted(self.holding(node)), sorted(keys))
        for entry in self.holding(node).values():
            self.assertTrue(entry["summary"], entry)
        node.stop()

    def test_get_set_and_reset(self):
        node = self.node(config="")
        self.assertEqual(self.done(node, "Get", "ping-interval"), "(<uint32 1000>,)")
        self.done(node, "Set", "ping-interval", "<uint32 500>")
        self.assertEqual(self.done(node, "Get", "ping-interval"), "(<uint32 500>,)")
        self.assertIn("ping-interval=500\n", node.config.read_text())
        self.done(node, "Reset", "ping-interval")
        self.assertEqual(self.done(node, "Get", "ping-interval"), "(<uint32 1000>,)")
        self.assertNotIn("ping-interval", node.config.read_text())
        # What is so already is no change.
        self.done(node, "Reset", "ping-interval")
        node.stop()

    def test_set_lasts_in_a_key_file_and_in_gsettings(self):
        for config in ("", None):
            place = self.place()
            node = Node(place, config=config)
            self.done(node, "Set", "name", "<'lasting'>")
            self.assertEqual(node.ask("status")["name"], "lasting")
            node.stop()
            node = Node(place, config=config)
            self.assertEqual(node.ask("status")["name"], "lasting")
            self.done(node, "Reset", "name")
            node.stop()
            node = Node(place, config=config)
            self.assertNotEqual(node.ask("status")["name"], "lasting")
            node.stop()

    def test_changes_are_told_wherever_they_come_from(self):
        node = self.node(config="")
        monitor = subprocess.Popen(["gdbus", "monitor", "--address", node.place.address, "--dest", "org.hypha.Node1",
                                    "--object-path", ROOT], env=node.place.environment, stdout=subprocess.PIPE, text=True)
        node.place.processes.append(monitor)
        seen = []
        threading.Thread(target=seen.extend, args=(monitor.stdout,), daemon=True).start()

        def told(change, line):
            change()
            wait_for(lambda: any(line in text for text in seen), line)

        def again():
            # It may not be listening yet.
            self.done(node, "Set", "switch-margin", "<uint32 5>")
            self.done(node, "Reset", "switch-margin")
            return any("Config1.Changed ('switch-margin', <uint32 1>)" in text for text in seen)
        wait_for(again, "a signal")
        told(lambda: node.config.write_text("[org/hypha/node]\nname=there\n"), "Config1.Changed ('name', <'there'>)")
        told(lambda: node.do("trust", ID, "eve"), "Config1.Changed ('trusted-peers', <{" + f"'{ID}'")
        told(lambda: node.call(ROOT, "org.hypha.Node1.Listen", f"unix://{node.place.private}/s", "{'persist': <true>}"),
             "Config1.Changed ('listen', <['unix://")
        node.stop()

    def test_refused_with_key_value_and_reason(self):
        node = self.node(config="# mine\nname=here\n")
        before = node.config.read_bytes()
        self.assertIn("there is no key 'frob'", self.refused(node, "Get", "frob"))
        self.assertIn("there is no key 'frob'", self.refused(node, "Set", "frob", "<1>"))
        self.assertIn("there is no key 'frob'", self.refused(node, "Reset", "frob"))
        self.assertIn("there is no key", self.refused(node, "Get", "x" * 100000)[:1000])
        self.assertIn("switch-margin = 5: it is of the type i, and has to be of the type u",
                      self.refused(node, "Set", "switch-margin", "<5>"))
        self.assertIn("ping-interval = 5: it is not within (50, 3600000)",
                      self.refused(node, "Set", "ping-interval", "<uint32 5>"))
        self.assertIn("listen = ['tcp://127.0.0.1:70000']: ", self.refused(node, "Set", "listen", "<['tcp://127.0.0.1:70000']>"))
        self.assertIn("below ping-interval", self.refused(node, "Set", "ping-interval", "<uint32 20000>"))
        deep = "<" * 40 + "1" + ">" * 40
        self.assertIn("D-Bus could not carry it", self.refused(node, "Set", "transport-options", f"<{{'frob': {{'x': {deep}}}}}>"))
        # A transport may have taken a part of what it was handed.
        self.refused(node, "Set", "transport-options", "<{'unix': {'mode': <'600'>}, 'tcp': {'frob': <1>}}>")
        self.assertEqual(self.done(node, "Get", "transport-options"), "(<@a{sa{sv}} {}>,)")
        # Neither a message nor a file of any length.
        long = self.refused(node, "Set", "name", "<'" + "x" * 100000 + "'>")
        self.assertLess(len(long), 1000)
        self.assertEqual(node.config.read_bytes(), before)
        node.stop()

    def test_what_the_command_line_adds_is_never_saved(self):
        place = self.place()
        node = Node(place, "--listen", "tcp://127.0.0.1:0", config="")
        self.assertEqual(self.done(node, "Get", "listen"), "(<@as []>,)")
        self.done(node, "Set", "listen", f"<['unix://{place.private}/s']>")
        self.assertEqual(len(node.ask("status")["listening"]), 2)
        self.assertNotIn("tcp", node.config.read_text())
        node.stop()

    def test_many_changes_at_once_harm_nobody(self):
        node = self.node(config="")
        many = [self.set_many(node, "session-timeout", 250) for _ in range(4)]
        while any(one.poll() is None for one in many):
            self.assertEqual(node.ask("id")["id"], node.id())
        results = [tuple(map(int, one.stdout.read().split())) for one in many]
        self.assertEqual(sum(done + busy for done, busy, _ in results), 1000)
        self.assertGreaterEqual(sum(done for done, _, _ in results), 250)
        value = node.do("config", "get", "session-timeout").strip()
        self.assertIn(int(value), [value for _, _, value in results])
        self.assertIn(f"session-timeout={value}\n", node.config.read_text())
        node.stop()


class KeyFile(Config):
    """The file is its administrator's; what he writes at the same time stays."""

    def test_comments_order_and_mode_stay(self):
        node = self.node(config="# first\nname='here'\n\n# second\npeers=[]\n# last\n")
        node.config.chmod(0o640)
        self.done(node, "Set", "name", "<'there'>")
        self.done(node, "Set", "switch-margin", "<uint32 2>")
        self.assertEqual(node.config.read_text(), "[org/hypha/node]\n# first\nname='there'\n\n# second\npeers=[]\n"
                         "switch-margin=2\n# last\n")
        self.assertEqual(node.config.stat().st_mode & 0o777, 0o640)
        self.done(node, "Reset", "switch-margin")
        self.done(node, "Set", "name", "<'here'>")
        self.assertEqual(node.config.read_text(), "[org/hypha/node]\n# first\nname='here'\n\n# second\npeers=[]\n# last\n")
        self.assertEqual([p.name for p in node.config.parent.iterdir() if p.name.startswith("node.conf")], ["node.conf"])
        node.stop()

    def test_edit_of_another_key_that_was_not_read_yet_is_taken_first(self):
        node = self.node(config="name='before'\n")
        for i in range(20):
            node.config.write_text(f"[org/hypha/node]\nname='edit-{i}'\n")
            self.done(node, "Set", "switch-margin", f"<uint32 {i}>")
            self.assertEqual(node.ask("status")["name"], f"edit-{i}")
            self.assertEqual(node.config.read_text(), f"[org/hypha/node]\nname='edit-{i}'\nswitch-margin={i}\n")
        node.stop()

    def test_trust_on_top_of_an_edit_of_the_same_key_keeps_both(self):
        node = self.node(config="")
        for _ in range(10):
            node.config.write_text(f"[org/hypha/node]\ntrusted-peers={{'{OTHER}': {{'name': <'other'>}}}}\n")
            node.do("trust", ID, "eve")
            self.assertIn(OTHER, node.config.read_text())
            self.assertIn(ID, node.config.read_text())
            node.do("forget", "eve")
            self.assertNotIn(ID, node.config.read_text())
            node.config.write_text("[org/hypha/node]\n")
            wait_for(lambda: node.ask("peers") == [], "nobody who is trusted")
        node.stop()

    def test_forward_on_top_of_an_edit_of_the_same_key_keeps_both(self):
        node = self.node(config="")
        theirs, ours = (f"unix://{node.place.private}/{name}" for name in ("theirs", "ours"))
        target = "tcp://127.0.0.1:1"

        def forwards():
            return sorted(re.findall(r"'Local': <'([^']*)'>", node.call(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects").stdout))
        for _ in range(10):
            node.config.write_text(f"[org/hypha/node]\nforwards=[{{'local': <'{theirs}'>, 'peer': <'{OTHER}'>, 'target': <'{target}'>}}]\n")
            done = node.call(ROOT, "org.hypha.Node1.AddForward", ours, OTHER, target, "{'persist': <true>}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(theirs, node.config.read_text())
            self.assertIn(ours, node.config.read_text())
            wait_for(lambda: len([f for f in forwards() if f in (theirs, ours)]) == 2, "both forwards")
            path = re.search(r"'(/[^']*)'", done.stdout)[1]
            self.assertEqual(node.call(path, "org.hypha.Forward1.Remove").returncode, 0)
            self.assertIn(theirs, node.config.read_text())
            self.assertNotIn(ours, node.config.read_text())
            node.config.write_text("[org/hypha/node]\n")
            wait_for(lambda: not [f for f in forwards() if f in (theirs, ours)], "no forwards")
        node.stop()

    def test_no_edit_is_lost_while_keys_are_set(self):
        node = self.node(config="")
        many = self.set_many(node, "session-timeout", 250)
        edits = 0
        while many.poll() is None:
            # As an administrator's script would.
            with open(node.config, "a") as file:
                file.write(f"# edit {edits}\n")
            edits += 1
            node.ask("id")
        done, busy, value = map(int, many.stdout.read().split())
        self.assertEqual(done + busy, 250)
        text = node.config.read_text()
        self.assertEqual(re.findall(r"^# edit (\d+)$", text, re.MULTILINE), [str(i) for i in range(edits)])
        self.assertIn(f"session-timeout={value}\n", text)
        node.stop()

    def test_file_with_a_wrong_line_is_not_written_but_for_that_line(self):
        node = self.node(config="name='before'\n")
        text = "[org/hypha/node]\nname='before'\nlisten=5\n"
        node.config.write_text(text)
        node.wait_log("line 3: listen")
        self.assertIn("line 3: listen = 5", self.refused(node, "Set", "name", "<'after'>"))
        self.assertEqual(node.config.read_text(), text)
        self.assertEqual(node.ask("status")["name"], "before")
        self.done(node, "Set", "listen", "<['tcp://127.0.0.1:0']>")
        self.done(node, "Set", "name", "<'after'>")
        self.assertEqual(node.config.read_text(), "[org/hypha/node]\nname='after'\nlisten=['tcp://127.0.0.1:0']\n")
        node.stop()

    def test_what_cannot_be_saved_does_not_hold_either(self):
        place = self.place()
        folder = place.private / "etc"
        folder.mkdir()
        config = folder / "node.conf"
        config.write_text("[org/hypha/node]\nname='before'\n")
        node = Node(place, "--config", str(config))
        self.assertTrue(self.holding(node)["name"]["writable"])
        folder.rename(place.private / "away")
        self.assertFalse(self.holding(node)["name"]["writable"])
        self.assertIn(str(config), self.refused(node, "Set", "name", "<'after'>"))
        self.assertEqual(node.ask("status")["name"], "before")
        node.stop()

    def test_unlisten_of_the_bound_port_takes_port_0_out(self):
        place = self.place()
        node = Node(place, "--listen", "tcp://127.0.0.2:0", config="listen=['tcp://127.0.0.1:0', 'tcp://[::1]:0']\n")
        for bound in node.ask("status")["listening"]:
            if "[::1]" not in bound:
                done = node.call(ROOT, "org.hypha.Node1.Unlisten", bound)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.done(node, "Get", "listen"), "(<['tcp://[::1]:0']>,)")
        # A change of the key does not bring back what the command line had.
        self.done(node, "Set", "listen", "<@as []>")
        self.assertEqual(node.ask("status")["listening"], [])
        self.assertNotIn("127.0.0.1", node.config.read_text())
        node.stop()


class Hostile(Config):
    """Whoever may write the file decides who comes in: so nobody else may."""

    def refused_file(self, prepare, *words):
        place = self.place()
        config = place.private / "node.conf"
        config.write_text("[org/hypha/node]\n")
        prepare(config)
        done = place.hyphad("--address", place.address, "--config", str(config))
        self.assert_fails(done, 1, str(config), *words)

    def test_file_that_everybody_may_write(self):
        self.refused_file(lambda config: config.chmod(0o666), "chmod o-w")

    def test_file_of_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root gives files away")
        self.refused_file(lambda config: os.chown(config, 12345, 12345), "12345", "chown root")

    def test_what_is_no_file(self):
        def fifo(config):
            config.unlink()
            os.mkfifo(config)

        def folder(config):
            config.unlink()
            config.mkdir()
        self.refused_file(fifo, "not a regular file")
        self.refused_file(folder, "not a regular file")

    def test_file_of_any_size_costs_nothing(self):
        self.refused_file(lambda config: os.truncate(config, 1 << 40), "larger")

    def test_file_that_turns_bad_is_told_and_the_last_good_values_stay(self):
        node = self.node(config="name='before'\n")
        new = node.config.with_suffix(".new")
        new.write_text("[org/hypha/node]\nname='after'\n")
        new.chmod(0o666)
        new.rename(node.config)
        node.wait_log("chmod o-w .*last good values stay")
        self.assertEqual(node.ask("status")["name"], "before")
        self.refused(node, "Set", "switch-margin", "<uint32 5>")
        node.config.unlink()
        os.mkfifo(node.config)
        self.refused(node, "Set", "switch-margin", "<uint32 5>")
        self.assertEqual(node.ask("status")["name"], "before")
        node.stop()


if __name__ == "__main__":
    sys.exit(main())
