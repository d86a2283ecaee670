#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench: what it measures, and what it says when the link changes meanwhile."""

import json
import pathlib
import re
import subprocess
import sys

from harness import DEADLINE, Case, main, trust_each_other, wait_for


class Bench(Case):
    def nodes(self, *more):
        alpha = self.node()
        beta = self.node("--listen", "tcp://127.0.0.1:0", *more)
        trust_each_other(alpha, beta)
        alpha.do("connect", beta.listening("tcp"))
        alpha.wait_peer("beta", state="online")
        return alpha, beta

    def hold(self, told):
        self.assertLessEqual(told["min-us"], told["average-us"])
        self.assertLessEqual(told["average-us"], told["max-us"])
        self.assertGreater(told["min-us"], 0)
        for service in ("discard", "echo"):
            count, us = told[f"{service}-bytes"], told[f"{service}-us"]
            self.assertGreater(count, 1 << 20)
            self.assertGreaterEqual(us, 1000000)
            self.assertAlmostEqual(told[f"{service}-bytes-per-second"], count * 1000000 / us, delta=1)

    def test_what_was_measured_is_what_the_peer_has_counted(self):
        alpha, beta = self.nodes()
        before = beta.ask("links")[0]["rx-bytes"]
        told = alpha.ask("bench", "beta", "--seconds", "1", "--streams", "4")
        self.hold(told)
        self.assertEqual((told["id"], told["streams"], told["direct"], told["round-trip-bytes"], told["link-transport"], told["link-changes"]),
                         (beta.id(), 4, False, 64, "tcp", 0))
        came = beta.ask("links")[0]["rx-bytes"] - before
        moved = told["discard-bytes"] + told["echo-bytes"]
        self.assertGreaterEqual(came, moved)
        self.assertLess(came, moved * 1.1)
        self.assertEqual(alpha.ask("streams"), [])
        beta.stop()
        alpha.stop()

    def test_columns_tell_both_services_and_the_round_trip(self):
        alpha, beta = self.nodes()
        shown = alpha.do("bench", "beta", "-s", "1")
        self.assertRegex(shown, r"round trip of 64 bytes: minimum [\d.]+ ms, average [\d.]+ ms, maximum [\d.]+ ms\n")
        self.assertTrue(re.search(r"^SERVICE +STREAMS +TIME +BYTES +PER SECOND$", shown, re.MULTILINE), shown)
        for service in ("discard", "echo"):
            self.assertTrue(re.search(rf"^{service} +1 +[\d.]+ s +[\d.]+ \wiB +[\d.]+ \wiB$", shown.replace("\xa0", " "), re.MULTILINE),
                            shown)
        self.assertIn("link: tcp\n", shown)
        beta.stop()
        alpha.stop()

    def test_change_of_link_is_survived_and_told(self):
        place = self.place()
        alpha, beta = self.nodes("--listen", f"unix://{place.private}/beta")
        alpha.do("connect", beta.listening("unix"))
        wait_for(lambda: [link for link in alpha.ask("links") if link["transport"] == "unix" and link["active"]], "the cheaper link")
        bench = alpha.place.start_ctl("bench", "beta", "--seconds", "2", "--json", stdout=subprocess.PIPE)
        wait_for(lambda: [s for s in alpha.ask("streams") if s["service"] == "discard"], "a stream of bench")
        link = [link for link in alpha.ask("links") if link["transport"] == "unix"][0]
        self.assertEqual(alpha.call(link["path"], "org.hypha.Link1.Close").returncode, 0)
        out, _ = bench.communicate(timeout=DEADLINE)
        self.assertEqual(bench.returncode, 0)
        told = json.loads(out)
        self.hold(told)
        self.assertGreaterEqual(told["link-changes"], 1)
        self.assertEqual(len(told["changes"]), told["link-changes"])
        self.assertTrue(told["changes"][0]["reason"])
        beta.stop()
        alpha.stop()

    def test_direct_streams_do_not_go_over_the_link(self):
        place = self.place()
        alpha, beta = self.nodes("--listen", f"unix://{place.private}/beta")
        # The link there is has TLS.
        self.assert_fails(alpha.ctl("bench", "beta", "--direct"), 1, "direct")
        alpha.do("connect", beta.listening("unix"))
        wait_for(lambda: [link for link in alpha.ask("links") if link["transport"] == "unix" and link["active"]], "the cheaper link")
        before = sum(link["rx-bytes"] for link in beta.ask("links"))
        told = alpha.ask("bench", "beta", "--seconds", "1", "--streams", "3", "--direct")
        self.hold(told)
        self.assertEqual((told["direct"], told["streams"], told["link-transport"]), (True, 3, "unix"))
        came = sum(link["rx-bytes"] for link in beta.ask("links")) - before
        self.assertLess(came, (told["discard-bytes"] + told["echo-bytes"]) / 100)
        self.assertRegex(alpha.do("bench", "beta", "--seconds", "1", "--direct"), r"(?m)^link: unix, beside which the streams were direct$")
        beta.stop()
        alpha.stop()

    def test_direct_stream_that_is_cut_is_no_measurement(self):
        place = self.place()
        alpha, beta = self.nodes("--listen", f"unix://{place.private}/beta")
        alpha.do("connect", beta.listening("unix"))
        wait_for(lambda: [link for link in alpha.ask("links") if link["transport"] == "unix" and link["active"]], "the cheaper link")
        bench = alpha.place.start_ctl("bench", "beta", "--seconds", "30", "--direct", stderr=subprocess.PIPE)
        # More than all round trips are.
        wait_for(lambda: int(re.search(r"rchar: (\d+)", pathlib.Path(f"/proc/{beta.process.pid}/io").read_text())[1]) > 16 << 20,
                 "what beta reads of the long stream")
        beta.kill()
        _, said = bench.communicate(timeout=DEADLINE)
        self.assertEqual(bench.returncode, 1, said)
        self.assertIn(b"service discard ended before", said)
        alpha.stop()

    def test_peer_that_is_gone_ends_it(self):
        alpha, beta = self.nodes()
        bench = alpha.place.start_ctl("bench", "beta", "--seconds", "30", stderr=subprocess.PIPE)
        # Not between two of its streams, which would find the next session.
        wait_for(lambda: any(s["service"] == "discard" and s["sent"] > 0 for s in alpha.ask("streams")), "the first long stream of bench")
        alpha.do("disconnect", "beta")
        _, said = bench.communicate(timeout=DEADLINE)
        self.assertEqual(bench.returncode, 1, said)
        self.assertIn(b"hyphactl: ", said)
        beta.stop()
        alpha.stop()

    def test_peer_that_is_not_online(self):
        alpha = self.node()
        alpha.do("trust", "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq", "beta")
        self.assert_fails(alpha.ctl("bench", "beta"), 1, "beta")
        alpha.stop()


if __name__ == "__main__":
    sys.exit(main())
