#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verbs that two real nodes are needed for: pairing by both sides, and a guest's key file that a guest starts with."""

import json
import os
import pathlib
import subprocess
import sys
import threading

from harness import DEADLINE, Case, Node, main, wait_for


class Pairing(Case):
    """Both sides run pair as programs do: each is told the digits that the other one shows."""

    def sides(self):
        alpha = self.node("--listen", "tcp://127.0.0.1:0", config="name='alpha'\n")
        beta = self.node(config="name='beta'\n")
        started = [node.place.start_ctl("pair", "--json", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True) for node in (alpha, beta)]
        for process in started:
            self.assertEqual(json.loads(process.stdout.readline())["event"], "waiting")
        # It is refused at first, for nobody is trusted; dialling goes on.
        threading.Thread(target=beta.ctl, args=("connect", alpha.listening("tcp")), daemon=True).start()
        codes = [json.loads(process.stdout.readline()) for process in started]
        self.assertEqual([code["id"] for code in codes], [beta.id(), alpha.id()])
        return alpha, beta, started, [code["code"] for code in codes]

    def test_the_same_digits_on_both_sides_make_both_trust_each_other(self):
        alpha, beta, (one, other), codes = self.sides()
        self.assertEqual(codes[0], codes[1])
        self.assertRegex(codes[0], r"^\d{6}$")
        for process, code in ((one, codes[1]), (other, codes[0])):
            process.stdin.write(code + "\n")
            process.stdin.flush()
            out, err = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(json.loads(out)["event"], "paired")
        alpha.wait_peer("beta", state="online")
        beta.wait_peer("alpha", state="online")
        beta.stop()
        alpha.stop()

    def test_other_digits_leave_both_strangers(self):
        alpha, beta, (one, other), codes = self.sides()
        for process in (one, other):
            _, err = process.communicate("000000\n" if codes[0] != "000000" else "111111\n", timeout=DEADLINE)
            self.assertEqual(process.returncode, 1)
            self.assertIn("given up", err)
        for node in (alpha, beta):
            self.assertEqual([peer for peer in node.ask("peers") if peer["trusted"]], [])
        beta.stop()
        alpha.stop()


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
