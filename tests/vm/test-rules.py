#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that is let in by a trust rule, because the hypervisor vouches for its CID. Runs in a machine of run.py's."""

import sys

from guest import CID
from harness import main
from nested import SERVICES, Nested

RULES_OF_HOST = f"trust-rules={{'vsock://{CID}:*': 'guest'}}\n"
RULES_OF_GUEST = "name='guest'\ntrust-rules={'vsock://2:974': 'host'}\n"


class Rules(Nested):
    def test_rule_lets_the_guest_in_plain_on_port_974(self):
        self.start_host("--vsock-listen-port", "974", config=RULES_OF_HOST)
        self.guest.start_node("--peers", "vsock://2:974", config=RULES_OF_GUEST + SERVICES)
        self.wait_for_one_another()
        self.assertEqual(self.host.peer("guest")["id"], self.guest.id())
        self.check_cids(974)
        self.check_encrypted(False)
        self.check_file_each_way()
        self.guest.stop_node()
        self.host.stop()

    def test_rule_lets_in_the_first_and_no_other_from_that_cid(self):
        self.start_host("--vsock-listen-port", "974", config=RULES_OF_HOST)
        self.guest.start_node("--peers", "vsock://2:974", config=RULES_OF_GUEST)
        self.wait_for_one_another()
        first = self.guest.id()
        self.guest.stop_node()
        self.guest.start_node("--peers", "vsock://2:974", config=RULES_OF_GUEST)
        second = self.guest.id()
        self.assertNotEqual(first, second)
        self.wait(lambda: [peer for peer in self.host.ask("peers") if peer["id"] == second and peer["state"] == "pending"],
                 "the second guest, pending")
        self.assertEqual(self.host.peer("guest")["id"], first)
        self.guest.stop_node()
        self.host.stop()

    def test_no_rule_holds_where_any_program_of_the_guest_may_dial(self):
        self.start_host("--vsock-listen-port", "4974", config=RULES_OF_HOST)
        self.guest.start_node("--peers", "vsock://2:4974", config=RULES_OF_GUEST)
        guest = self.guest.id()
        # Or it would be the guest that refuses, and the host would not learn who it is.
        self.guest.run(f"hyphactl trust {self.host.id()} host")
        self.wait(lambda: [peer for peer in self.host.ask("peers") if peer["id"] == guest and peer["state"] == "pending"],
                 "the guest, pending")
        self.guest.stop_node()
        self.host.stop()


if __name__ == "__main__":
    sys.exit(main())
