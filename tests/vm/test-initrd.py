#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that has nothing of Hypha but what was written behind its initrd. Runs in a machine of run.py's."""

import gzip
import pathlib
import sys

from guest import CID, Guest
from harness import Case, Node, main, wait_for

FOLDER = "/opt/hypha"


class Initrd(Case):
    def test_guest_is_there_and_trusted_before_it_has_an_address(self):
        place = self.place()
        host = Node(place, "--vsock-listen-port", "4974", config="name='host'\n")
        archive, initrd = place.path / "web1", place.path / "initrd"
        host.do("guest-initrd", "--exec", "--name", "web1", "--cid", str(CID), "--output", str(archive))
        self.assertEqual(archive.stat().st_mode & 0o777, 0o600)
        # As the manual says. A kernel does not find it behind a compressed one that ends elsewhere, as this does.
        before = gzip.compress(pathlib.Path("/guest/initramfs").read_bytes(), 1)
        while len(before) % 4 == 0:
            before = gzip.compress(gzip.decompress(before) + bytes(512), 1)
        initrd.write_bytes(before + bytes(-len(before) % 4) + archive.read_bytes())
        guest = Guest(initrd=str(initrd))
        self.addCleanup(guest.close)
        guest.boot()
        try:
            [link] = wait_for(lambda: host.ask("links"), "the guest")
            host.wait_peer("web1", state="online")
            # The agent is there a little later than the node.
            wait_for(lambda: host.ctl("exec", "web1", "--", "uname").stdout == "Linux\n", "a command")
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe guest:\n{guest.log()}") from None
        self.assertRegex(link["remote"], rf"^vsock://{CID}:")
        self.assertEqual(guest.run("ls /sys/class/net").split(), ["lo"])
        self.assertIn("host", guest.run(f"{FOLDER}/hyphactl peers"))
        self.assertEqual(host.ctl("open", "web1", "echo", input="hello").stdout, "hello")
        host.stop()


if __name__ == "__main__":
    sys.exit(main())
