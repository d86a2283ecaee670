#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl pair on two real nodes."""

import json
import subprocess
import sys
import threading

from harness import DEADLINE, Case, main


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
        for process, name, node in ((one, "beta", beta), (other, "alpha", alpha)):
            out, err = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(json.loads(out), {"event": "paired", "id": node.id(), "name": name, "online": True})
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


if __name__ == "__main__":
    sys.exit(main())
