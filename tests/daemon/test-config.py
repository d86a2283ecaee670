#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings: what is wrong is named, what was good stays, what changes takes effect."""

import os
import pathlib
import re
import signal
import subprocess
import sys

from harness import DEADLINE, Case, Node, main, wait_for

ID = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"

# What a GVariant can be, and no message can have in it: the daemon's answer would be lost, or the daemon.
UNTOLD = [f"{{'frob': {{'x': {value}}}}}" for value in
          ("<just 5>", "<()>", "<@mas nothing>", "<@a() []>", "<handle 0>", "<" * 80 + "1" + ">" * 80, "<" + "[" * 70 + "1" + "]" * 70 + ">")]


class Bad(Case):
    """A key file that is wrong is refused with file, line, key, value and reason."""

    def refused(self, text, *words):
        place = self.place()
        config = place.private / "node.conf"
        config.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = place.hyphad("--address", place.address, "--config", str(config))
        self.assert_fails(done, 1, str(config), *words)

    def test_value_of_the_wrong_type(self):
        self.refused("[org/hypha/node]\n# where\n\nlisten=5\n", "line 4", "listen", "5", "type as")

    def test_value_that_does_not_parse(self):
        self.refused("[org/hypha/node]\nlisten=['tcp://[::]:1'\n", "line 2", "listen = ['tcp://[::]:1'")

    def test_value_out_of_range(self):
        self.refused("[org/hypha/node]\nping-interval=0\n", "line 2", "ping-interval = 0", "50", "3600000")

    def test_value_that_d_bus_cannot_carry(self):
        for value in UNTOLD:
            self.refused(f"[org/hypha/node]\ntransport-options={value}\n", "line 2", "transport-options", "D-Bus could not carry it")

    def test_value_that_overflows(self):
        self.refused("[org/hypha/node]\nping-interval=4294967296\n", "line 2", "ping-interval = 4294967296")

    def test_unknown_key(self):
        self.refused("[org/hypha/node]\nlistn=[]\n", "line 2", "listn", "no such key")

    def test_key_given_twice(self):
        self.refused("[org/hypha/node]\nname='a'\nname='b'\n", "line 3", "name = 'b'", "line 2")

    def test_wrong_group(self):
        self.refused("[org.hypha.node]\nname='a'\n", "line 1", "[org.hypha.node]", "[org/hypha/node]")

    def test_key_before_any_group(self):
        self.refused("name='a'\n", "line 1", "name", "[org/hypha/node]")

    def test_line_that_is_no_pair(self):
        self.refused("[org/hypha/node]\nlisten\n", "line 2", "listen", "KEY=VALUE")

    def test_not_utf8(self):
        self.refused(b"[org/hypha/node]\nname='\xff'\n", "line 2", "UTF-8")

    def test_every_wrong_line_is_named(self):
        self.refused("[org/hypha/node]\nlisten=5\npeers=6\nfoo=7\n", "line 2", "line 3", "line 4")

    def test_control_characters_are_escaped(self):
        self.refused("[org/hypha/node]\nname=\x1b[31m\x07\nlisten=\x1b[2J\n", "line 3", "\\033[2J")

    def test_missing_file(self):
        place = self.place()
        missing = place.private / "nowhere.conf"
        done = place.hyphad("--address", place.address, "--config", str(missing))
        self.assert_fails(done, 1, f"no key file {missing}", "without --config")
        # What it tells to do helps.
        command = re.search(r"hyphad (--print-config) > '(.*?)'", done.stderr)
        self.assertEqual(command[2], str(missing))
        missing.write_text(place.hyphad("--address", place.address, command[1]).stdout)
        Node(place, "--config", str(missing)).stop()

    def test_huge_file(self):
        self.refused("#" * (2 << 20), "larger")


class Print(Case):
    def test_print_config_is_a_config(self):
        place = self.place()
        config = place.private / "node.conf"
        config.write_text("[org/hypha/node]\nname=hypha\nlink-costs={'tcp': 4}\n")
        first = place.hyphad("--config", str(config), "--print-config")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("\nname='hypha'\n", first.stdout)
        config.write_text(first.stdout)
        self.assertEqual(place.hyphad("--config", str(config), "--print-config").stdout, first.stdout)

    def test_example_has_every_key_and_is_printed_as_it_is(self):
        place = self.place()
        example = pathlib.Path(os.environ["EXAMPLE_CONFIG"])
        config = place.private / "node.conf"
        config.write_text(example.read_text())
        printed = place.hyphad("--config", str(config), "--print-config")
        self.assertEqual(printed.returncode, 0, printed.stderr)

        def lines(text):
            return sorted(line for line in text.splitlines() if line and not line.startswith(("#", "[")))
        self.assertEqual(lines(printed.stdout), lines(example.read_text()))
        # A daemon does it, too, all of it.
        node = Node(place, "--config", str(config))
        self.assertNotIn("last good value", node.log())
        node.stop()

    def test_print_config_prints_every_key_of_gsettings_too(self):
        place = self.place()
        for key, value in (("name", "'web 1'"), ("link-costs", "{'tcp': 4}"), ("peers", "['tcp://[::1]:1']")):
            subprocess.run(["gsettings", "set", "org.hypha.node", key, value], env=place.environment, check=True,
                           timeout=DEADLINE)
        keys = subprocess.run(["gsettings", "list-keys", "org.hypha.node"], env=place.environment, check=True,
                              capture_output=True, text=True, timeout=DEADLINE).stdout.split()
        first = place.hyphad("--print-config")
        self.assertEqual(sorted(re.findall(r"^([a-z-]+)=", first.stdout, re.MULTILINE)), sorted(keys))
        config = place.private / "node.conf"
        config.write_text(first.stdout)
        self.assertEqual(place.hyphad("--config", str(config), "--print-config").stdout, first.stdout)

    def test_print_config_tells_what_is_wrong(self):
        place = self.place()
        config = place.private / "node.conf"
        config.write_text("[org/hypha/node]\nlisten=5\n")
        self.assert_fails(place.hyphad("--config", str(config), "--print-config"), 1, "line 2")


class Live(Case):
    """A running daemon follows its key file."""

    def rename_into_place(self, node, text):
        new = node.config.with_suffix(".new")
        new.write_text("[org/hypha/node]\n" + text)
        new.rename(node.config)

    def names(self, node):
        return node.ask("status")["name"]

    def test_file_renamed_into_place_takes_effect(self):
        node = self.node(config="name='before'\n")
        self.assertEqual(self.names(node), "before")
        self.rename_into_place(node, "name='after'\n")
        wait_for(lambda: self.names(node) == "after", "the new name")
        node.stop()

    def test_file_written_in_place_takes_effect(self):
        node = self.node(config="name='before'\n")
        node.config.write_text("[org/hypha/node]\nname='after'\n")
        wait_for(lambda: self.names(node) == "after", "the new name")
        node.stop()

    def test_sighup_reads_the_file_anew(self):
        node = self.node(config="name='before'\n")
        node.process.send_signal(signal.SIGHUP)
        node.wait_log("read anew")
        node.stop()

    def test_listeners_come_and_go(self):
        node = self.node(config="listen=['tcp://127.0.0.1:0']\n")
        first = node.ask("status")["listening"]
        socket = node.place.private / "socket"
        self.rename_into_place(node, f"listen=['tcp://127.0.0.1:0', 'unix://{socket}']\n")
        both = wait_for(lambda: (lambda l: len(l) == 2 and l)(node.ask("status")["listening"]), "a second listener")
        self.assertEqual([e for e in both if e in first], first)
        self.rename_into_place(node, "")
        wait_for(lambda: node.ask("status")["listening"] == [], "no listener")
        node.stop()

    def test_wrong_value_is_told_and_the_last_good_one_stays(self):
        node = self.node(config="name='before'\nlisten=['tcp://127.0.0.1:0']\n")
        listening = node.ask("status")["listening"]
        self.rename_into_place(node, "name='after'\nlisten=['tcp://127.0.0.1:0\n")
        node.wait_log(r"line 3: listen = \['tcp://127\.0\.0\.1:0: .*last good value stays")
        wait_for(lambda: self.names(node) == "after", "the new name")
        self.assertEqual(node.ask("status")["listening"], listening)
        node.stop()

    def test_endpoint_that_does_not_parse_is_told_and_the_last_good_list_stays(self):
        node = self.node(config="listen=['tcp://127.0.0.1:0']\n")
        listening = node.ask("status")["listening"]
        self.rename_into_place(node, "listen=['tcp://127.0.0.1:70000']\n")
        node.wait_log(r"line 2: listen = \['tcp://127\.0\.0\.1:70000'\]: .*70000.*last good value stays")
        self.assertEqual(node.ask("status")["listening"], listening)
        node.stop()

    def test_service_that_is_wrong_is_told(self):
        node = self.node(config="")
        self.rename_into_place(node, "services={'web': {'target': <'nowhere'>}}\n")
        node.wait_log(r"line 2: services = .*web.*last good value stays")
        node.stop()

    def test_trusted_peer_that_is_wrong_is_told(self):
        node = self.node(config="")
        self.rename_into_place(node, "trusted-peers={'xyz': {}}\n")
        node.wait_log(r"line 2: trusted-peers = .*xyz.*last good value stays")
        self.assertEqual(node.ask("peers"), [])
        node.stop()

    def test_keys_that_must_agree_are_taken_together(self):
        node = self.node(config="")
        # One after the other they would contradict each other for a moment.
        self.rename_into_place(node, "ping-interval=20000\nlink-timeout=60000\nname='x'\n")
        wait_for(lambda: self.names(node) == "x", "the new name")
        self.assertNotIn("last good", node.log())
        self.rename_into_place(node, "ping-interval=20000\nlink-timeout=10000\n")
        node.wait_log(r"link-timeout = 10000: .*below ping-interval.*last good")
        self.rename_into_place(node, "session-window=65536\n")
        node.wait_log(r"session-window = 65536: .*below max-streams")
        node.stop()

    def test_file_that_is_gone_is_told_when_it_is_read(self):
        node = self.node(config="name='before'\n")
        node.config.unlink()
        node.process.send_signal(signal.SIGHUP)
        node.wait_log("No such file.*last good values stay")
        self.assertEqual(self.names(node), "before")
        node.stop()

    def test_trust_and_forget_are_written_and_last(self):
        place = self.place()
        node = Node(place, config="# kept\nname='here'\n")
        node.do("trust", ID, "eve")
        text = node.config.read_text()
        self.assertIn("# kept", text)
        self.assertIn(ID, text)
        node.stop()
        node = Node(place, config="")
        self.assertEqual(node.peer("eve")["id"], ID)
        node.do("forget", "eve")
        self.assertNotIn(ID, node.config.read_text())
        node.stop()
        self.assertEqual(Node(place, config="").ask("peers"), [])

    def test_trust_on_top_of_an_edit_that_was_not_read_yet_loses_nothing(self):
        node = self.node(config="name='before'\n")
        self.rename_into_place(node, "name='after'\n")
        node.do("trust", ID, "eve")
        self.assertIn("name='after'", node.config.read_text())
        wait_for(lambda: self.names(node) == "after", "the new name")
        self.assertEqual(node.peer("eve")["id"], ID)
        node.stop()

    def test_trust_does_not_destroy_a_file_with_a_broken_line(self):
        node = self.node(config="name='before'\n")
        node.config.write_text("[org/hypha/node]\nname='before'\nbroken\n")
        node.wait_log("line 3: broken")
        refused = node.ctl("trust", ID, "eve")
        self.assert_fails(refused, 1, "trusted-peers", str(node.config), "broken")
        self.assertEqual(node.config.read_text(), "[org/hypha/node]\nname='before'\nbroken\n")
        node.stop()

    def test_persistent_listener_is_written_and_taken_out_again(self):
        place = self.place()
        node = Node(place, config="name='here'\n")
        endpoint = f"unix://{place.private}/socket"
        done = node.call("/org/hypha/Node1", "org.hypha.Node1.Listen", endpoint, "{'persist': <true>}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(endpoint, node.config.read_text())
        node.stop()
        node = Node(place, config="")
        self.assertEqual(node.ask("status")["listening"], [endpoint])
        done = node.call("/org/hypha/Node1", "org.hypha.Node1.Unlisten", endpoint)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(node.ask("status")["listening"], [])
        self.assertNotIn(endpoint, node.config.read_text())
        node.stop()


class GSettings(Case):
    def gsettings(self, node, *arguments):
        subprocess.run(["gsettings", *arguments], env=node.place.environment, check=True, timeout=DEADLINE)

    def test_change_takes_effect_at_once(self):
        node = self.node()
        self.gsettings(node, "set", "org.hypha.node", "name", "'set'")
        wait_for(lambda: node.ask("status")["name"] == "set", "the new name")
        node.stop()

    def test_wrong_endpoint_is_told(self):
        node = self.node()
        self.gsettings(node, "set", "org.hypha.node", "listen", "['tcp://x:99999']")
        node.wait_log(r"setting listen = \['tcp://x:99999'\]: .*last good value stays")
        node.stop()

    def test_value_that_d_bus_cannot_carry_is_told_and_the_last_good_one_stays(self):
        node = self.node()
        for count, value in enumerate(UNTOLD, 1):
            self.gsettings(node, "set", "org.hypha.node", "transport-options", value)
            wait_for(lambda n=count: node.log().count("D-Bus could not carry it") >= n, "the warning")
            self.assertEqual(node.do("config", "get", "transport-options"), "{}\n")
        node.stop()
        # Nor does it keep the node from starting.
        node = Node(node.place)
        self.assertEqual(node.do("config", "get", "transport-options"), "{}\n")
        node.stop()

    def test_trust_lasts(self):
        place = self.place()
        node = Node(place)
        node.do("trust", ID, "eve")
        node.stop()
        self.assertEqual(Node(place).peer("eve")["id"], ID)


if __name__ == "__main__":
    sys.exit(main())
