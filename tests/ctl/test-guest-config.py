#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl guest-config on a real node: what it makes is what a guest's hyphad starts with."""

import json
import os
import pathlib
import sys

from harness import Case, Node, main


class Guest(Case):
    def test_key_file_and_key_are_what_hyphad_starts_with(self):
        plugins = os.environ["HYPHA_PLUGIN_PATH"]
        vsock = pathlib.Path(plugins.split(":")[0]).parent / "vsock"
        if not list(vsock.glob("*.so")):
            self.skipTest("the plug-in vsock is not built")
        place = self.place()
        place.environment["HYPHA_PLUGIN_PATH"] = f"{plugins}:{vsock}"
        host = Node(place)
        if not any("guests" in transport["details"] for transport in host.ask("transports")):
            self.skipTest("this kernel has no vsock")
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


if __name__ == "__main__":
    sys.exit(main())
