#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that is nothing but busybox, without a library: one static program behind its initrd. Runs in a machine of run.py's."""

import pathlib
import sys

from guest import CID, Guest
from guest_image import BARE
from harness import Case, Node, main, wait_for


class Static(Case):
    def test_guest_without_any_library_is_there_trusted_and_takes_commands(self):
        place = self.place()
        host = Node(place, "--vsock-listen-port", "4974", config="name='host'\n")
        archive, initrd = place.path / "web1", place.path / "initrd"
        host.do("guest-initrd", "--static", "--exec", "--name", "web1", "--cid", str(CID), "--output", str(archive))
        initrd.write_bytes(pathlib.Path(BARE).read_bytes() + archive.read_bytes())
        guest = Guest(initrd=str(initrd))
        self.addCleanup(guest.close)
        guest.boot()
        try:
            [link] = wait_for(lambda: host.ask("links"), "the guest")
            host.wait_peer("web1", state="online")
            self.commands(host, guest)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe guest:\n{guest.log()}") from None
        self.assertRegex(link["remote"], rf"^vsock://{CID}:")
        self.assertEqual(guest.run("ls /sys/class/net").split(), ["lo"])
        self.assertEqual(guest.run("find / -xdev -name '*.so*'"), "")
        self.assertEqual(host.ctl("open", "web1", "echo", input="hello").stdout, "hello")
        host.stop()

    def commands(self, host, guest):
        def run(*words):
            return host.ctl("exec", "web1", "--", *words)
        # The agent is there a little later than the node.
        done = wait_for(lambda: (done := run("uname", "-a")).returncode == 0 and done, "a command")
        self.assertRegex(done.stdout, r"^Linux .* x86_64")
        self.assertEqual(run("sh", "-c", "id -un; exit 3").stdout, "root\n")
        self.assertEqual(run("sh", "-c", "exit 3").returncode, 3)
        # Once more, as whoever supervises it does; the first agent has ended, too.
        guest.run("kill $(pidof hyphad)")
        guest.run("while pidof hyphad hypha-agent; do sleep 0.1; done; /opt/hypha/start >>/run/hyphad.log 2>&1 &")
        wait_for(lambda: run("true").returncode == 0, "a command after a restart")
        self.assertEqual(len(guest.run("pidof hypha-agent").split()), 1)


if __name__ == "__main__":
    sys.exit(main())
