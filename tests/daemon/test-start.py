#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starting, stopping, and being refused a start."""

import os
import re
import resource
import signal
import shutil
import stat
import subprocess
import sys
import unittest

from harness import DEADLINE, HYPHAD, Case, Node, main


class Start(Case):
    def test_ready_then_ends_with_0_on_sigterm(self):
        node = self.node("--listen", "tcp://127.0.0.1:0")
        self.assertRegex(node.ask("status")["listening"][0], r"^tcp://127\.0\.0\.1:[1-9]\d*$")
        node.stop()

    def test_ends_with_0_on_sigint(self):
        self.node().stop(signal.SIGINT)

    def test_takes_all_the_descriptors_it_may_have(self):
        def low():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1000))
        node = self.node(preexec_fn=low)
        self.assertEqual(resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE), (1000, 1000))
        node.stop()

    def test_says_that_it_is_stopping(self):
        node = self.node()
        notify = node.notify.dup()
        self.addCleanup(notify.close)
        node.stop()
        told = b""
        while not told.startswith(b"STOPPING=1\n"):
            told = notify.recv(4096)

    def test_identity_is_kept_private_and_lasts(self):
        place = self.place()
        first = Node(place)
        before = first.id()
        first.stop()
        key = place.private / "state" / "hypha" / "identity.pem"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(key.parent.stat().st_mode), 0o700)
        self.assertEqual(Node(place).id(), before)

    def test_identity_per_boot_lasts_until_then(self):
        place = self.place()
        first = Node(place, "--identity-per-boot")
        before = first.id()
        first.stop()
        key = place.private / "hypha" / "identity.pem"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        again = Node(place, "--identity-per-boot")
        self.assertEqual(again.id(), before)
        again.stop()
        # What a boot does to such a folder.
        shutil.rmtree(place.private / "hypha")
        self.assertNotEqual(Node(place, "--identity-per-boot").id(), before)
        self.assertFalse((place.private / "state").exists())

    def test_identity_per_boot_needs_a_folder_that_goes(self):
        place = self.place()
        self.assert_fails(place.hyphad("--identity-per-boot", "--identity", "x"), 2, "--identity-per-boot", "--identity")
        del place.environment["XDG_RUNTIME_DIR"]
        self.assert_fails(place.hyphad("--address", place.address, "--identity-per-boot"), 2, "XDG_RUNTIME_DIR")

    def test_loose_identity_is_refused_with_the_mending_command(self):
        place = self.place()
        Node(place).stop()
        key = place.private / "state" / "hypha" / "identity.pem"
        key.chmod(0o644)
        self.assert_fails(place.hyphad("--address", place.address), 1, str(key), "chmod")

    def test_second_on_the_same_bus_is_told_who_holds_it(self):
        node = self.node()
        other = node.place.private / "other" / "identity.pem"
        refused = node.place.hyphad("--address", node.place.address, "--identity", str(other))
        self.assert_fails(refused, 1, "org.hypha.Node1", f"process {node.process.pid} (hyphad)")
        node.ask("status")

    def test_second_with_the_same_identity_is_told_who_holds_it(self):
        node = self.node()
        other = self.place()
        key = node.place.private / "state" / "hypha" / "identity.pem"
        refused = other.hyphad("--address", other.address, "--identity", str(key))
        self.assert_fails(refused, 1, str(key), str(node.process.pid))
        node.ask("status")

    def test_no_bus_is_an_error_that_names_the_options(self):
        place = self.place()
        self.assert_fails(place.hyphad("--address", f"unix:path={place.path}/nowhere"), 1, "nowhere", "--system", "--user")

    def test_bus_that_goes_away_ends_it_with_1(self):
        node = self.node()
        node.place.bus.terminate()
        self.assertEqual(node.process.wait(DEADLINE), 1)
        self.assertIn("the bus is gone", node.log())

    def test_missing_schema_is_an_error_that_says_where_it_was_sought(self):
        place = self.place()
        empty = place.private / "empty"
        empty.mkdir()
        place.environment.update(GSETTINGS_SCHEMA_DIR=str(empty), XDG_DATA_DIRS=str(empty))
        self.assert_fails(place.hyphad("--address", place.address), 1, "org.hypha.node", str(empty), "glib-compile-schemas")

    def test_endpoint_on_the_command_line_is_checked(self):
        place = self.place()
        refused = place.hyphad("--address", place.address, "--listen", "tcp://127.0.0.1:65536")
        self.assert_fails(refused, 1, "--listen", "tcp://127.0.0.1:65536", "65536")
        refused = place.hyphad("--address", place.address, "--peer", "tcp://")
        self.assert_fails(refused, 1, "--peer tcp://")

    def test_endpoint_of_a_transport_that_is_not_here_is_told_and_passed_over(self):
        node = self.node("--listen", "nosuch://x:1", "--listen", "tcp://127.0.0.1:0")
        node.wait_log("nosuch")
        self.assertEqual(len(node.ask("status")["listening"]), 1)
        node.stop()
        # Once: the node's own words suffice.
        self.assertEqual(len(re.findall("WARNING.*nosuch", node.log())), 1, node.log())

    def test_peer_of_a_transport_that_is_not_here_is_told(self):
        node = self.node("--peer", "nosuch://x:1")
        node.wait_log("nosuch")
        node.stop()

    def test_mycelium_spellings(self):
        place = self.place()
        done = place.hyphad("--address", place.address, "--tcp-listen-port", "7", "--vsock-listen-port", "8", "--peers",
                            "tcp://192.0.2.1:9", "tcp://192.0.2.2:9", "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("listen=['tcp://[::]:7', 'vsock://any:8']", done.stdout)
        self.assertIn("peers=['tcp://192.0.2.1:9', 'tcp://192.0.2.2:9']", done.stdout)

    def test_usage_errors_name_the_word(self):
        place = self.place()
        self.assert_fails(place.hyphad("--frobnicate"), 2, "--frobnicate")
        self.assert_fails(place.hyphad("tcp://192.0.2.1:9"), 2, "tcp://192.0.2.1:9", "--peers")
        self.assert_fails(place.hyphad("--tcp-listen-port", "65536"), 2, "--tcp-listen-port", "65536")
        self.assert_fails(place.hyphad("--tcp-listen-port", "x"), 2, "x")
        self.assert_fails(place.hyphad("--system", "--user"), 2, "--system", "--user")

    def test_usage_errors_point_to_the_help(self):
        self.assert_fails(self.place().hyphad("--bogus"), 2, "--bogus", "hyphad --help")

    def test_empty_words_are_refused_by_name(self):
        place = self.place()
        for option in ("--config", "--identity", "--address", "--listen", "--peer", "--peers"):
            self.assert_fails(place.hyphad(option, ""), 2, f"what follows {option} is empty")
        self.assert_fails(place.hyphad("--peers", "tcp://192.0.2.1:9", ""), 2, "what follows --peers is empty")

    def test_argument_that_is_no_text_is_named_and_escaped(self):
        place = self.place()
        for words in (["--listen", b"tcp://\xff\x1b:1"], [b"--\xff\x1b"], ["--tcp-listen-port", b"\xff\x1b"]):
            done = place.hyphad(*words)
            self.assert_fails(done, 2, "\\377\\033", "not UTF-8")
            self.assertNotIn("\x1b", done.stderr)

    def test_file_may_have_a_name_that_is_no_text(self):
        place = self.place()
        config = os.fsencode(place.private) + b"/\xff.conf"
        with open(config, "w") as file:
            file.write("[org/hypha/node]\nname='strange'\n")
        done = place.hyphad("--config", config, "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("name='strange'", done.stdout)

    def test_version(self):
        self.assertRegex(self.place().hyphad("--version").stdout, r"^hyphad \d+\.\d+\.\d+\n$")

    @unittest.skipUnless(os.geteuid() == 0, "only root may become somebody else")
    def test_somebody_else_may_read_and_change_nothing(self):
        node = self.node()
        peer_id = "a" * 51 + "q"
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        read = node.call("/org/hypha/Node1", "org.freedesktop.DBus.Properties.Get", "org.hypha.Node1", "Id", **nobody)
        self.assertEqual(read.returncode, 0, read.stderr)
        for method, *arguments in (("Connect", "tcp://127.0.0.1:1", "{}"), ("Listen", "tcp://127.0.0.1:0", "{}"),
                                   ("Unlisten", "tcp://127.0.0.1:0"), ("Trust", peer_id, "eve"), ("Forget", peer_id)):
            refused = node.call("/org/hypha/Node1", f"org.hypha.Node1.{method}", *arguments, **nobody)
            self.assert_fails(refused, 1, "org.hypha.Error.PermissionDenied", "65534")
        open_to_all = node.call("/org/hypha/Node1", "org.hypha.Node1.Explain", "eve", **nobody)
        self.assert_fails(open_to_all, 1, "org.hypha.Error.NoSuchPeer")
        self.assertEqual(node.ask("peers"), [])


if __name__ == "__main__":
    sys.exit(main())
