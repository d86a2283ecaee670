#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract finds what is bad: each fault of faulty.c fails the test that is named here, and without one all are passed."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from harness import main

PROGRAM = os.environ["HYPHA_CONTRACT"]
PLUGIN = os.environ["FAULTY"]
# A transport whose listeners are files, which go a while after their listener: HOW LONG is to be put in.
SLOW = """#!/usr/bin/env python3
import json, os, pathlib, socket, threading
node, paths = socket.socket(fileno=os.dup(0)), {}
for line in node.makefile():
    asked = json.loads(line)
    if asked["do"] == "close":
        threading.Timer(HOW LONG, pathlib.Path(paths.pop(asked["id"])).unlink, [True]).start()
    elif asked["do"] == "listen":
        paths[asked["id"]] = asked["endpoint"].removeprefix("slow://")
        open(paths[asked["id"]], "w").close()
        node.sendall(json.dumps({"id": asked["id"], "bound": asked["endpoint"]}).encode() + b"\\n")
    else:
        node.sendall(json.dumps({"id": asked["id"]}).encode() + b"\\n")
"""
CONTRACT = pathlib.Path(__file__).with_name("faulty.contract")
# Bad or good shows in little.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "HYPHA_CONTRACT_BYTES"}
FAULTS = {
    "misprints-a-port": "parse/random-spellings-round-trip",
    "is-not-called-by-its-first-scheme": "schemes/first-is-canonical",
    "costs-more-than-promised": "link-cost/typical-is-the-dearest",
    "costs-more-each-time": "link-cost/of-an-endpoint-stays",
    "vouches-for-others": "channel/has-its-traits",
    "changes-a-byte": "channel/carries-a-lot-both-ways-at-once",
    "reads-without-bound": "channel/slow-reader-stops-the-writer",
    "spins": "channel/idle-costs-nothing",
    "ends-both-ways-at-once": "channel/half-close-arrives",
    "throttles-after-half-close": "channel/half-close-leaves-the-other-way-whole",
    "blames-a-good-end": "channel/good-end-is-no-error",
    "tells-no-close": "channel/close-is-seen-after-the-last-byte",
    "forgets-what-was-last": "channel/what-was-written-before-the-close-arrives",
    "swallows-what-nobody-reads": "channel/close-with-unread-ends-it",
    "waits-for-a-first-byte": "channel/closed-at-once-by-who-accepts",
    "accepts-nobody-after-one-who-is-gone": "channel/closed-at-once-by-who-dials",
    "serves-fifty": "channel/100-exchange-at-once",
    "keeps-its-queue": "listen/closed-under-load",
    "ignores-the-deadline": "connect/honours-the-deadline",
    "ignores-cancelling": "connect/cancelled-leaves-nothing",
    "leaks-where-it-fails": "connect/cancelled-leaves-nothing",
    "leaks-at-its-second-step": "connect/cancelled-at-every-step-leaves-nothing",
    "leaks-threads": "rest/no-memory-and-no-thread-is-left",
    "leaks-memory": "rest/no-memory-and-no-thread-is-left",
    "crashes": "channel/outlives-its-listener",
}
# What the sanitizers look at themselves, or end otherwise.
NOT_SANITIZED = {"leaks-memory", "leaks-threads"}


def processes_with(entry):
    """Those with this in their environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if entry.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            pass  # it has ended, or is somebody else's
    return found


def run(fault, *arguments, patience="2", **more):
    return subprocess.run([PROGRAM, "--contract", CONTRACT, "--timeout", "40", *arguments, PLUGIN], capture_output=True, text=True,
                          env=dict(ENVIRONMENT, HYPHA_FAULT=fault, HYPHA_CONTRACT_PATIENCE=patience, **more), timeout=200)


def look(fault):
    return fault, run(fault, "--only", FAULTS[fault])


class Faults(unittest.TestCase):
    def test_good_transport_passes_all(self):
        done = run("", patience="30")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertNotIn("not ok", done.stdout)
        skipped = re.findall(r"^ok \d+ - (\S+) # SKIP", done.stdout, re.M)
        self.assertEqual(skipped, ["channel/cut-is-told", "adopt/serves-a-socket-that-is-handed-over", "stop/ends-what-was-handed-over"])

    def test_each_fault_is_found(self):
        sanitized = "SANITIZED" in os.environ
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            missed = [(fault, done.stdout + done.stderr)
                      for fault, done in pool.map(look, [fault for fault in FAULTS if not (sanitized and fault in NOT_SANITIZED)])
                      if done.returncode != 1 or f"\nnot ok 2 - {FAULTS[fault]}\n" not in done.stdout]
        self.assertEqual(missed, [])

    def assert_broken(self, promise, name, fault=""):
        """A contract with this PROMISE in place of its cost is not kept, and that test finds it."""
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            contract = pathlib.Path(directory, "faulty.contract")
            contract.write_text(CONTRACT.read_text().replace("cost=20", promise))
            done = run(fault, "--contract", contract, "--only", name)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, f"(?m)^not ok 2 - {name}$")

    def test_promise_that_is_not_kept_is_found(self):
        self.assert_broken("cost=21", "link-cost/typical-is-the-dearest")
        self.assert_broken("tells-cut=true", "channel/cut-is-told")

    def test_binding_that_all_channels_have_is_found(self):
        self.assert_broken("encrypted=true", "channel/has-its-traits", "binds-all-alike")

    def test_transport_that_cannot_work_here_is_skipped(self):
        done = run("is-unavailable")
        self.assertEqual((done.returncode, done.stdout), (0, "1..0 # SKIP not on this machine\n"))

    def test_transport_that_hangs_is_told(self):
        done = run("hangs", "--timeout", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not ok 1 - load/is-ready", done.stdout)
        self.assertIn("did not end in time", done.stdout)

    def test_nothing_is_left_of_what_crashes_hangs_or_starts_processes(self):
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            self.assertEqual(os.listdir(directory), [])
            mark = f"HYPHA_MARK={directory}"
            for fault in ("crashes", "leaves-a-process", "hangs"):
                done = run(fault, "--timeout", "2", "--only", "channel/half-close-arrives", TMPDIR=directory, HYPHA_MARK=directory)
                self.assertEqual((fault, done.returncode), (fault, 0 if fault == "leaves-a-process" else 1), done.stdout)
                self.assertEqual((fault, os.listdir(directory)), (fault, []))
                self.assertEqual((fault, processes_with(mark)), (fault, []))

    def test_who_is_not_heard_any_more_ends(self):
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            process = subprocess.Popen([PROGRAM, "--contract", CONTRACT, PLUGIN], stdout=subprocess.PIPE,
                                       env=dict(ENVIRONMENT, HYPHA_FAULT="tells-no-close", TMPDIR=directory, HYPHA_MARK=directory))
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(20), 1)
            self.assertEqual(os.listdir(directory), [])
            self.assertEqual(processes_with(f"HYPHA_MARK={directory}"), [])

    def test_test_that_there_is_not_is_told(self):
        done = run("", "--only", "chanel/*")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("no test is called 'chanel/*'", done.stderr)
        done = run("", "--only", "channel/carries-datagrams-of-any-size")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Bail out! none of the tests", done.stdout)

    def test_program_has_all_that_lies_beside_its_manifest(self):
        template = pathlib.Path(__file__).parents[2] / "data" / "plugin" / "python"
        with tempfile.TemporaryDirectory(prefix="hypha-") as directory:
            folder = pathlib.Path(directory, "ring")
            (folder / "bin" / "parts").mkdir(parents=True)
            text = {name: (template / f"template.{name}").read_text().replace("@NAME@", "ring") for name in ("json", "py", "contract")}
            (folder / "ring.json").write_text(text["json"].replace('"ring.py"', '"bin/ring"'))
            (folder / "ring.contract").write_text(text["contract"])
            (folder / "bin" / "parts" / "network.py").write_text(text["py"])
            (folder / "bin" / "ring").write_text(f"#!{sys.executable}\nimport parts.network\nparts.network.main()\n")
            (folder / "bin" / "ring").chmod(0o755)
            done = subprocess.run([PROGRAM, "--only", "channel/has-its-traits", folder / "ring.json"], capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual((done.returncode, done.stdout), (0, "1..2\nok 1 - load/is-ready\nok 2 - channel/has-its-traits\n"), done.stderr)

    def test_program_that_cleans_up_is_waited_for_but_not_for_ever(self):
        for long, status in (("0.2", 0), ("60", 1)):
            with self.subTest(long), tempfile.TemporaryDirectory(prefix="hypha-") as directory:
                program = pathlib.Path(directory, "slow.py")
                program.write_text(SLOW.replace("HOW LONG", long))
                program.chmod(0o755)
                manifest = {"protocol": 1, "name": "slow", "version": "1", "schemes": ["slow"], "cost": 20, "endpoint": "path", "command": ["slow.py"]}
                pathlib.Path(directory, "slow.json").write_text(json.dumps(manifest))
                pathlib.Path(directory, "slow.contract").write_text("[Contract]\nlisten=slow://${dir}/file\n")
                done = subprocess.run([PROGRAM, "--only", "listen/last-unref-closes", pathlib.Path(directory, "slow.json")], capture_output=True,
                                      text=True, env=dict(ENVIRONMENT, HYPHA_CONTRACT_PATIENCE="5"))
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                self.assertEqual("left behind: " in done.stdout, status != 0, done.stdout)

    def test_file_that_is_no_plugin_is_told(self):
        done = subprocess.run([PROGRAM, __file__], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("NAME.so", done.stdout)
        done = subprocess.run([PROGRAM, "/nowhere/x.so"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/x.so", done.stderr)
        self.assertEqual(subprocess.run([PROGRAM], capture_output=True).returncode, 2)


if __name__ == "__main__":
    sys.exit(main())
