#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl plugin: new and check. That what is written is built, passes and is loaded is seen by tests/install/check.py."""

import json
import os
import pathlib
import stat
import subprocess
import sys

from harness import DEADLINE, HYPHACTL, Case, main

TAP = """# there is no bad.contract
1..4
ok 1 - load/is-ready
ok 2 - parse/is-strict
not ok 3 - channel/half-close-arrives
# held to: the end of one direction arrives
# assertion failed\x1b[31m
ok 4 - connect/honours-the-deadline # SKIP there is no silent endpoint
"""
PRINTED = """         there is no bad.contract
ok       load/is-ready
ok       parse/is-strict
failed   channel/half-close-arrives
         held to: the end of one direction arrives
         assertion failed\\u{1b}[31m
skipped  connect/honours-the-deadline: there is no silent endpoint
Tests: 2 ok, 1 failed, 1 skipped
"""


class Plugin(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.place().private

    def ctl(self, *arguments, **environment):
        return subprocess.run([HYPHACTL, *arguments], capture_output=True, text=True, timeout=DEADLINE, cwd=self.folder,
                              env={**os.environ, "LC_ALL": "C.UTF-8", **environment})

    def check(self, printed, status, *arguments):
        """What check makes of a contract that prints this and ends so."""
        program = self.folder / "contract"
        (self.folder / "tap").write_text(printed)
        program.write_text(f"#!/bin/sh\necho \"$@\" > '{self.folder}/words'\ncat '{self.folder}/tap'\n{status}\n")
        program.chmod(0o755)
        (self.folder / "bad.so").touch()
        return self.ctl("plugin", "check", "bad.so", *arguments, HYPHA_CONTRACT=str(program))

    # ---- new ----

    def test_new_writes_a_folder_in_which_the_name_is_everywhere(self):
        done = self.ctl("plugin", "new", "my-ring")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        written = {str(path.relative_to(self.folder)) for path in (self.folder / "my-ring").iterdir()}
        self.assertEqual(set(done.stdout.split()), written)
        self.assertLessEqual({f"my-ring/{name}" for name in ("my-ring.c", "my-ring.contract", "meson.build", "README.md")}, written)
        for path in (self.folder / "my-ring").iterdir():
            self.assertNotRegex(path.read_text(), "@[A-Z]+@", path)
        self.assertIn("HYPHA_DEFINE_PLUGIN (my_ring, \"my-ring\",", (self.folder / "my-ring" / "my-ring.c").read_text())
        self.assertEqual(os.listdir(self.folder), ["my-ring"])

    def test_new_in_json_and_in_another_directory(self):
        (self.folder / "there").mkdir()
        done = self.ctl("plugin", "new", "ring", "--directory", "there", "--language", "c", "--json")
        made = json.loads(done.stdout)
        self.assertEqual(made["folder"], "there/ring")
        self.assertEqual(sorted(made["files"]), sorted(os.listdir(self.folder / "there" / "ring")))

    def test_new_follows_the_umask(self):
        subprocess.run(["sh", "-c", "umask 077; exec \"$0\" plugin new ring", HYPHACTL], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        modes = [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [self.folder / "ring", *(self.folder / "ring").iterdir()]]
        self.assertEqual(set(modes), {0})

    def test_new_refuses_names_that_are_none(self):
        for name in ("Ring", "1ring", "ring_", "-ring", "ring-", "a--b", "../x", "a/b", "", "é", "x" * 33, "ring.so"):
            done = self.ctl("plugin", "new", "--", name)
            self.assertEqual(done.returncode, 2, name)
        # Meson has targets of that name, and Hypha types.
        for name in ("test", "install", "meson-ring", "hypha", "hypha-base"):
            self.assert_fails(self.ctl("plugin", "new", name), 2, f"'{name}'", "choose another")
        self.assertEqual(os.listdir(self.folder), [])

    def test_new_leaves_what_is_there(self):
        (self.folder / "ring").mkdir()
        (self.folder / "line").symlink_to("nowhere")
        for name in ("ring", "line"):
            self.assert_fails(self.ctl("plugin", "new", name), 1, "is there already")
        self.assertEqual((sorted(os.listdir(self.folder)), os.listdir(self.folder / "ring")), (["line", "ring"], []))

    def test_new_that_fails_leaves_nothing(self):
        self.assert_fails(self.ctl("plugin", "new", "ring", "--directory", "nowhere"), 1, "nowhere/ring")
        self.assert_fails(self.ctl("plugin", "new", "ring", "--language", "cobol"), 2, "cobol")
        self.assert_fails(self.ctl("plugin", "new", "ring", "--language", "c/.."), 2, "c/..")
        # Not even where the disk is full, half-way.
        command = ["sh", "-c", "ulimit -f 1; trap '' XFSZ; exec \"$0\" plugin new ring", HYPHACTL]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_new_in_python_is_a_transport_as_it_stands(self):
        self.assertEqual(self.ctl("plugin", "new", "ring", "--language", "python").returncode, 0)
        done = self.ctl("plugin", "check", "ring/ring.json", "--only", "channel/half-close-arrives", "--only", "parse/*")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ok       channel/half-close-arrives\n", done.stdout)

    # ---- check ----

    def test_check_prints_what_becomes_of_each_test(self):
        done = self.check(TAP, "exit 1")
        self.assertEqual((done.returncode, done.stdout), (1, PRINTED))
        self.assertEqual(done.stderr, "hyphactl: bad.so does not keep the contract of transports\n")

    def test_check_in_json(self):
        done = self.check(TAP, "exit 1", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([(result["test"], result["result"]) for result in json.loads(done.stdout)],
                         [("load/is-ready", "ok"), ("parse/is-strict", "ok"), ("channel/half-close-arrives", "failed"),
                          ("connect/honours-the-deadline", "skipped")])
        self.assertEqual(json.loads(done.stdout)[2]["reason"], "held to: the end of one direction arrives\nassertion failed\x1b[31m")

    def test_check_of_what_is_good_succeeds(self):
        done = self.check("1..1\nok 1 - load/is-ready\n", "exit 0")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ok       load/is-ready\nTests: 1 ok, 0 failed, 0 skipped\n", ""))

    def test_check_passes_options_on(self):
        contract = self.folder / "x.contract"
        contract.touch()
        self.check("", "exit 0", "--contract", str(contract), "--only", "a/*", "--only", "b", "--bytes", "5")
        self.assertEqual((self.folder / "words").read_text(), f"--contract {contract} --only a/* --only b --bytes=5 -- bad.so\n")

    def test_check_that_comes_to_no_end_is_no_success(self):
        for printed, status, why in (("1..2\nok 1 - a/b\n", "kill -SEGV $$", "came to no end"), ("ok 1 - a/b\nBail out! no\n", "exit 1", "came to no end"),
                                     ("", "exit 0", "no test was run"), ("1..0 # SKIP no such kernel\n", "exit 0", "no such kernel"),
                                     ("ok 1 - a/b\n", "exit 1", "came to no end"), ("\xff\xfe garbage\n", "exit 3", "came to no end")):
            self.assert_fails(self.check(printed, status), 1, why)

    def test_check_of_what_is_not_there(self):
        self.assert_fails(self.ctl("plugin", "check", "nowhere.so"), 1, "nowhere.so")
        (self.folder / "bad.so").touch()
        self.assert_fails(self.ctl("plugin", "check", "bad.so", "--contract", "nowhere.contract"), 1, "nowhere.contract")
        self.assert_fails(self.ctl("plugin", "check", "bad.so", HYPHA_CONTRACT="/nowhere/contract"), 1, "/nowhere/contract")

    def test_options_belong_to_one_form(self):
        self.assert_fails(self.ctl("plugin", "check", "x", "--directory", "."), 2, "--directory")
        self.assert_fails(self.ctl("plugin", "new", "x", "--only", "y"), 2, "--only")
        self.assert_fails(self.ctl("plugin", "check", "x", "--bytes", "-1"), 2, "--bytes")
        self.assert_fails(self.ctl("plugin"), 2, "new|check")

    def test_check_of_a_real_plugin(self):
        folder = pathlib.Path(os.environ["HYPHA_PLUGIN_PATH"].split(":")[1])
        done = self.ctl("plugin", "check", str(next(folder.glob("*.so"))), "--only", "parse/*", "--only", "channel/has-its-traits")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ok       channel/has-its-traits\n", done.stdout)
        # What is no plug-in is told as hyphad tells it.
        (self.folder / "bad.so").write_bytes(b"nothing")
        done = self.ctl("plugin", "check", "bad.so")
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed   load/is-ready\n", done.stdout)


if __name__ == "__main__":
    sys.exit(main())
