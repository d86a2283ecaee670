#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl guest-config and guest-initrd on a real node: what is made is what a guest's hyphad starts with."""

import json
import os
import pathlib
import sys

from harness import Case, Node, main


class Guest(Case):
    def host(self):
        """A node with vsock, in a place where its programs are in PATH."""
        plugins = os.environ["HYPHA_PLUGIN_PATH"]
        vsock = pathlib.Path(plugins.split(":")[0]).parent / "vsock"
        if not list(vsock.glob("*.so")):
            self.skipTest("the plug-in vsock is not built")
        place = self.place()
        place.environment["HYPHA_PLUGIN_PATH"] = f"{plugins}:{vsock}"
        place.environment["PATH"] = f"{os.path.dirname(os.environ['HYPHAD'])}:{os.environ['PATH']}"
        host = Node(place)
        if not any("guests" in transport["details"] for transport in host.ask("transports")):
            self.skipTest("this kernel has no vsock")
        return place, host

    def test_key_file_and_key_are_what_hyphad_starts_with(self):
        place, host = self.host()
        made = json.loads(host.ctl("guest-config", "--name", "guest7", "--cid", "42", "--json").stdout)
        self.assertEqual([(peer["id"], peer["name"]) for peer in host.ask("peers")], [(made["id"], "guest7")])
        # Bound, and still so after a restart.
        host.stop()
        again = Node(place)
        self.assertIn("vsock://42:4974", json.dumps(again.ask("config", "get", "trusted-peers")))
        again.stop()
        guest_place = self.place()
        guest_place.environment["HYPHA_PLUGIN_PATH"] = os.environ["HYPHA_PLUGIN_PATH"]
        config = guest_place.private / "guest.conf"
        config.write_text(made["config"])
        done = guest_place.hyphad("--config", str(config), "--identity", made["identity"], "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("guest7", done.stdout)

    def test_guest_whose_archive_cannot_be_made_is_not_trusted(self):
        place, host = self.host()
        # Where there is nothing but hyphad.
        empty = place.path / "empty"
        empty.mkdir()
        (empty / "hyphad").symlink_to(os.environ["HYPHAD"])
        place.environment["PATH"] = str(empty)
        self.assert_fails(host.ctl("guest-initrd", "--name", "web1", "--output", str(place.private / "web1")), 1,
                          "glib-compile-schemas")
        self.assertEqual((host.ask("peers"), (place.private / "web1").exists()), ([], False))
        host.stop()

    def test_archive_replaces_nothing_but_a_file(self):
        place, host = self.host()
        pipe, link, kept = place.private / "pipe", place.private / "link", place.private / "kept"
        os.mkfifo(pipe)
        kept.write_text("kept")
        link.symlink_to(kept)
        for path in (pipe, link, place.private):
            self.assert_fails(host.ctl("guest-initrd", "--name", "web1", "--output", str(path)), 2,
                              f"--output {path} is no regular file")
        self.assert_fails(host.ctl("guest-initrd", "--name", "web1", "--output", str(place.path / "none" / "web1")), 2,
                          f"--output {place.path}/none/web1: there is no folder {place.path}/none")
        self.assertTrue(pipe.is_fifo() and link.is_symlink())
        self.assertEqual((kept.read_text(), host.ask("peers")), ("kept", []))
        # Whoever could read what is there reads no key.
        kept.chmod(0o644)
        host.do("guest-initrd", "--name", "web1", "--output", str(kept))
        self.assertEqual((kept.read_bytes()[:6], kept.stat().st_mode & 0o777), (b"070701", 0o600))
        self.assertEqual([peer["name"] for peer in host.ask("peers")], ["web1"])
        host.stop()


if __name__ == "__main__":
    sys.exit(main())
