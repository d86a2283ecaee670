#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl guest-initrd --static, against a fake node: what is in the archive, and that it runs. In real kernels: tests/vm."""

import os
import pathlib
import stat
import subprocess
import sys

from fake import ME, NODE, FakeCase
from harness import DEADLINE, HYPHACTL, main

GUEST = os.environ.get("HYPHA_GUEST")
FOLDER = "opt/hypha"
HEAD = 110


def entries(archive):
    """Path to (mode, content) of an archive of format newc; nobody else's, and of no time."""
    data, at, found = archive.read_bytes(), 0, {}
    while True:
        assert data[at:at + 6] == b"070701", data[at:at + 6]
        fields = [int(data[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        mode, owner, group, time, size, length = (fields[n] for n in (1, 2, 3, 5, 6, 11))
        name = data[at + HEAD:at + HEAD + length - 1].decode()
        at += HEAD + length + -(HEAD + length) % 4
        if name == "TRAILER!!!":
            return found
        assert (owner, group, time) == (0, 0, 0) and name not in found, name
        found[name] = (mode, data[at:at + size])
        at += size + -size % 4


def unpack(found, folder):
    for name, (mode, content) in found.items():
        path = folder / name
        if stat.S_ISDIR(mode):
            path.mkdir()
        elif stat.S_ISLNK(mode):
            path.symlink_to(content.decode())
        else:
            path.write_bytes(content)
        if not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode))


class Static(FakeCase):
    def set_up(self, path=None):
        """A node, and whoever makes an archive there, with hypha-guest in PATH."""
        if not GUEST:
            self.skipTest("hypha-guest was not built")
        self.maker = self.scene().place
        self.maker.environment["PATH"] = f"{path or os.path.dirname(GUEST)}:{os.environ['PATH']}"
        self.archive = self.maker.path / "web1.cpio"

    def make(self, *words):
        return self.maker.ctl("guest-initrd", "--static", "--name", "web1", "--output", str(self.archive), *words)

    def test_archive_has_one_program_and_what_starts_it(self):
        self.set_up()
        done = self.make("--exec")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(stat.S_IMODE(self.archive.stat().st_mode), 0o600)
        found = entries(self.archive)
        modes = {name: mode for name, (mode, _) in found.items() if not stat.S_ISDIR(mode)}
        script, secret, text, link = (kind | mode for kind, mode in ((stat.S_IFREG, 0o755), (stat.S_IFREG, 0o600), (stat.S_IFREG, 0o644),
                                                                     (stat.S_IFLNK, 0o777)))
        self.assertEqual(modes, {
            f"{FOLDER}/hyphad": script, f"{FOLDER}/hypha-agent": link, f"{FOLDER}/start": script, f"{FOLDER}/node.conf": secret,
            f"{FOLDER}/identity/key.pem": secret, f"{FOLDER}/schemas/gschemas.compiled": text,
            "etc/systemd/system/hypha-initrd.service": text, "etc/systemd/system/sysinit.target.wants/hypha-initrd.service": link,
            "etc/init.d/hypha": script, "etc/runlevels/boot/hypha": link})
        self.assertEqual(found[f"{FOLDER}/identity"][0], stat.S_IFDIR | 0o700)
        # Each folder comes before what is in it.
        names = list(found)
        for name in names:
            above = os.path.dirname(name)
            self.assertTrue(above == "" or names.index(above) < names.index(name), name)
        self.assertEqual(found[f"{FOLDER}/hyphad"][1], pathlib.Path(GUEST).read_bytes())
        self.assertIn(f"services={{'exec': {{'peers': <['{ME}']>}}}}\n", found[f"{FOLDER}/node.conf"][1].decode())
        for name in (f"{FOLDER}/start", "etc/init.d/hypha"):
            checked = subprocess.run(["sh", "-n"], input=found[name][1], capture_output=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, b""), name)

    def test_archive_is_the_same_every_time(self):
        self.set_up()
        self.make("--exec")
        first = self.archive.read_bytes()
        self.archive.unlink()
        self.assertEqual(self.make("--exec").returncode, 0)
        self.assertEqual(self.archive.read_bytes(), first)

    def test_nothing_runs_for_the_host_unless_it_was_asked_for(self):
        self.set_up()
        self.make()
        found = entries(self.archive)
        for name in ("start", "node.conf"):
            self.assertNotRegex(found[f"{FOLDER}/{name}"][1].decode(), "agent|exec'|services")

    def test_what_is_unpacked_runs_with_nothing_else(self):
        self.set_up()
        self.make("--exec")
        root = self.archive.parent / "root"
        root.mkdir()
        unpack(entries(self.archive), root)
        folder = root / FOLDER
        # It does no more than print: its peer is CID 2, which on a building machine is nobody to be dialled.
        nothing = {"GSETTINGS_SCHEMA_DIR": str(folder / "schemas")}
        done = subprocess.run([folder / "hyphad", "--config", folder / "node.conf", "--identity", folder / "identity/key.pem", "--print-config"],
                              env=nothing, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("name='web1'", done.stdout)
        self.assertIn(f"id={ME}", done.stdout)
        said = subprocess.check_output([folder / "hypha-agent", "--version"], env={}, text=True, timeout=DEADLINE)
        self.assertTrue(said.startswith("hypha-agent "), said)

    def test_program_takes_no_character_set_from_its_environment(self):
        """Each but its own would be a module, of another C library."""
        if not GUEST:
            self.skipTest("hypha-guest was not built")
        place = self.place()
        config = place.path / "node.conf"
        config.write_text("[org/hypha/node]\nname='w\u00f6b'\n", encoding="utf-8")
        foreign = place.environment | {"CHARSET": "EUC-JP", "G_FILENAME_ENCODING": "EUC-JP", "LC_ALL": "ja_JP.EUC-JP"}
        done = subprocess.run([GUEST, "--config", config, "--listen", "unix:///tmp/z\u00f6", "--print-config"], env=foreign,
                              capture_output=True, encoding="utf-8", timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("name='w\u00f6b'\n", done.stdout)
        self.assertIn("unix:///tmp/z\u00f6'", done.stdout)

    def test_program_that_would_not_run_there_is_refused(self):
        odd = self.place().path / "odd"
        odd.mkdir()
        self.set_up(odd)
        program = odd / "hypha-guest"
        program.symlink_to(HYPHACTL)
        self.assert_fails(self.make(), 1, "hyphactl is no program that is linked statically")
        for content in (b"#!/bin/sh\n", b"", b"\x7fELF", pathlib.Path(GUEST).read_bytes()[:64]):
            program.unlink()
            program.write_bytes(content)
            program.chmod(0o755)
            self.assert_fails(self.make(), 1, "is no program that is linked statically")
            self.assertFalse(self.archive.exists())

    def test_program_that_is_not_there_is_named(self):
        place = self.place()
        tools = place.path / "tools"
        tools.mkdir()
        fake = self.scene()
        fake.place.environment["PATH"] = str(tools)
        done = fake.place.ctl("guest-initrd", "--static", "--name", "web1", "--output", str(place.path / "x"))
        self.assert_fails(done, 1, "for --static is not installed", "there is no hypha-guest in PATH")
        self.assertEqual(fake.calls(f"{NODE}.Trust"), [])
        self.assertFalse((place.path / "x").exists())


if __name__ == "__main__":
    sys.exit(main())
