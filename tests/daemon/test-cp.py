#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl cp and the service cp of hypha-agent: trees between two nodes, over real links."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time

from agent import AGENT, Agent
from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

# What is said over the stream: core/copy/words.h.
REQUEST = 1
DIRECTORY, FILE, LINK, HARD_LINK, DIRECTORY_END, FROM, DATA, HOLE, FILE_END, FILE_BROKEN, MISSING, END = range(2, 14)
HAVE, PROBLEM, DONE = 32, 33, 34
FAILED = 48
SIZE = 96 << 20  # of a file that is broken off


def number(value):
    return struct.pack(">Q", value)


def entry(name, size=0, mode=0o755, flags=0, target=b"", modified=(1000000000, 5)):
    return (struct.pack(">IqIqIBQH", mode, 1000000000, 0, *modified, flags, size, len(name)) + name + target)


def parcel(kind, data=b""):
    return bytes([kind]) + struct.pack(">I", len(data)) + data


def describe(top):
    """Everything that a copy keeps, of a tree: by path."""
    found, links = {}, {}
    top = os.fsencode(top)
    for folder, folders, files in os.walk(top):
        for name in [b"."] + folders + files if folder == top else folders + files:
            path = os.path.normpath(os.path.join(folder, name))
            st = os.lstat(path)
            what = [stat.S_IFMT(st.st_mode), st.st_mtime_ns]
            if stat.S_ISLNK(st.st_mode):
                what += [os.readlink(path)]
            else:
                what += [stat.S_IMODE(st.st_mode) & 0o777]
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    what += [hashlib.sha256(file.read()).hexdigest()]
                what += [links.setdefault((st.st_dev, st.st_ino), os.path.relpath(path, top))]
            found[os.path.relpath(path, top)] = what
    return found


class Copies(Case):
    """alpha has an agent and two roots, beta copies."""

    def setUp(self):
        place = self.place()
        self.root, self.other = place.path / "root", place.path / "other"
        self.home = place.path / "here"  # of who copies
        for folder in (self.root, self.other, self.home):
            folder.mkdir(mode=0o755)
        # What cannot be written to cannot be cleaned up.
        self.addCleanup(subprocess.run, ["chmod", "-R", "u+rwX", self.root, self.home])
        config = f"services={{'cp': {{'peers': <['beta']>, 'roots': <['{self.root}', '{self.other}']>}}}}\n"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", config=config, runner=self.runner())
        self.beta = self.node(runner=self.runner())
        trust_each_other(self.alpha, self.beta)
        self.endpoint = self.alpha.listening("tcp")
        self.beta.do("connect", self.endpoint)
        self.agent = Agent(self.alpha, service="cp")

    def runner(self):
        return ()

    def tearDown(self):
        self.stop_all(self.agent, self.beta, self.alpha)

    def cp(self, *words, **more):
        return self.beta.ctl("cp", *map(str, words), cwd=self.home, stdin=subprocess.DEVNULL, **more)

    def start(self, *words, **more):
        more = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.home) | more
        return self.beta.place.start_ctl("cp", *map(str, words), **more)

    def copy(self, *words, **more):
        """It has to succeed, without a word."""
        done = self.cp(*words, **more)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), self.agent.log())

    def counts(self, *words):
        done = self.cp("--json", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), self.agent.log())
        return json.loads(done.stdout)

    def assert_same(self, here, there):
        self.assertEqual(describe(here), describe(there))

    def large(self, path, size=24 << 20):
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
        return path

    def parts(self, folder):
        return sorted(folder.glob(".*.hypha-part"))


def make_tree(top):
    top.mkdir()
    (top / "empty").mkdir(mode=0o750)
    (top / "file").write_bytes(b"content")
    (top / "program").write_bytes(b"#!/bin/sh\n")
    (top / "program").chmod(0o4755)
    (top / "secret").write_bytes(os.urandom(3 << 20))
    (top / "secret").chmod(0o600)
    (top / "nothing").touch()
    (top / "a").mkdir()
    (top / "a" / "b").mkdir()
    (top / "a" / "b" / "deep").write_bytes(b"x" * 70000)
    os.link(top / "a" / "b" / "deep", top / "a" / "again")
    os.link(top / "secret", top / "a" / "b" / "secret too")
    (top / "a" / "link").symlink_to("b/deep")
    (top / "a" / "up").symlink_to("../..")
    (top / "dangling").symlink_to("/no/such/place")
    for name in (b"new\nline", b"\xff\xfe no text", b"x" * 255, b"-rf", b"a:b", b" ", b"*", "\u202e\U0001f600".encode(), b"\\x41", b".hidden"):
        with open(os.path.join(os.fsencode(top), name), "wb") as file:
            file.write(name)
    with open(top / "sparse", "wb") as file:
        file.truncate(20 << 20)
        file.seek(5 << 20)
        file.write(b"in the middle")
    (top / "closed").mkdir()
    (top / "closed" / "in it").write_bytes(b"1")
    (top / "closed").chmod(0o555)
    for n, path in enumerate(sorted(top.rglob("*"))):
        os.utime(path, ns=(1600000000_000000001 + n, 1234567890_123456789 + n), follow_symlinks=False)
    os.utime(top, ns=(1, 1300000000_000000007))


class Trees(Copies):
    def test_tree_is_the_same_there_and_back(self):
        make_tree(self.home / "tree")
        counts = self.counts("tree", "alpha:")
        self.assert_same(self.home / "tree", self.root / "tree")
        self.assertEqual((counts["directories"], counts["resumed"], counts["skipped"]), (5, 0, 0))
        self.assertEqual((counts["files"], counts["links"]), (17, 5))
        self.copy("alpha:tree", "back")
        self.assert_same(self.home / "tree", self.home / "back")
        self.assertLess(os.stat(self.home / "back" / "sparse").st_blocks * 512, 2 << 20)
        self.assertLess(os.stat(self.root / "tree" / "sparse").st_blocks * 512, 2 << 20)
        self.assertEqual(os.stat(self.root / "tree" / "program").st_mode & 0o7777, 0o755)
        # Again, over what is there; what is large and the same is not sent.
        self.assertGreaterEqual(self.counts("tree", "alpha:")["resumed"], 3 << 20)
        self.assert_same(self.home / "tree", self.root / "tree")
        self.assertEqual(self.parts(self.root / "tree"), [])

    def test_where_it_goes(self):
        for name in "one", "two":
            (self.home / name).write_text(name)
        (self.home / "folder").mkdir()
        (self.home / "folder" / "x").write_text("x")
        (self.root / "in").mkdir()
        self.copy("one", "alpha:new name")
        self.assertEqual((self.root / "new name").read_text(), "one")
        self.copy("one", f"alpha:{self.other}")
        self.assertEqual((self.other / "one").read_text(), "one")
        self.copy("-r", "one", "two", "folder", "alpha:in/")
        self.assertEqual(sorted(path.name for path in (self.root / "in").iterdir()), ["folder", "one", "two"])
        self.copy("folder", "alpha:made/")
        self.assertEqual((self.root / "made" / "x").read_text(), "x")
        self.copy("folder/.", "alpha:in")
        self.assertEqual((self.root / "in" / "x").read_text(), "x")
        self.copy("alpha:in/one", f"alpha:{self.root}//in///two", ".")
        self.copy("alpha:in/one", "./a:b")
        self.assertEqual((self.home / "a:b").read_text(), "one")
        self.copy("./a:b", "alpha:")
        (self.root / "way").symlink_to("in")
        self.copy("alpha:way", "alpha:way/x", ".")
        self.assertEqual(os.readlink(self.home / "way"), "in")
        self.copy("alpha:way/", "all")
        self.assertEqual(sorted(os.listdir(self.home / "all")), ["folder", "one", "two", "x"])
        self.copy("alpha:", "whole")
        self.assertIn("made", os.listdir(self.home / "whole"))
        self.copy(f"alpha:{self.root}", "whole")
        self.assertIn("made", os.listdir(self.home / "whole" / "root"))
        self.copy("one", "alpha:way")
        self.assertTrue((self.root / "way").is_symlink())
        self.assert_fails(self.cp("one", "two", "alpha:nowhere"), 1, "nowhere", "No such file")
        self.assert_fails(self.cp("one", "alpha:no/where"), 1, "no/where", "No such file")
        self.assert_fails(self.cp("one", "alpha:nowhere/"), 1, "nowhere", "no directory")
        self.assert_fails(self.cp("alpha:in/one", "no/where"), 1, "no/where", "No such file")
        self.assert_fails(self.cp("no such", "alpha:"), 1, "no such", "No such file")
        self.assert_fails(self.cp("alpha:no such", "."), 1, "alpha: ", "no such", "No such file")

    def test_what_is_in_the_way(self):
        (self.home / "thing").write_text("new")
        (self.root / "thing").mkdir()
        (self.root / "elsewhere").write_text("old")
        self.assert_fails(self.cp("thing", "alpha:"), 1, "directory of this name")
        (self.root / "thing").rmdir()
        (self.root / "thing").symlink_to("elsewhere")
        self.copy("thing", "alpha:")
        self.assertEqual(((self.root / "thing").read_text(), (self.root / "elsewhere").read_text()), ("new", "old"))
        self.assertFalse((self.root / "thing").is_symlink())
        (self.home / "folder").mkdir()
        (self.home / "folder" / "elsewhere").mkdir()
        (self.home / "folder" / "elsewhere" / "large").write_bytes(bytes(4 << 20))
        (self.home / "folder" / "and").write_text("and")
        (self.root / "folder").mkdir()
        (self.root / "folder" / "elsewhere").symlink_to("..")
        self.assert_fails(self.cp("folder", "alpha:"), 1, "elsewhere: there is something of this name that is no directory")
        self.assertEqual((self.root / "folder" / "and").read_text(), "and")
        self.assertFalse((self.root / "large").exists())
        os.mkfifo(self.root / "pipe")
        self.assert_fails(self.cp("thing", "alpha:pipe"), 1, "no file")
        (self.home / "thing").unlink()
        (self.home / "thing").symlink_to("/somewhere")
        self.copy("thing", "alpha:")
        self.assertEqual(os.readlink(self.root / "thing"), "/somewhere")

    def test_directories_that_are_there_keep_their_special_bits(self):
        for name in "all", "group", "new":
            (self.home / "tree" / name).mkdir(parents=True)
            (self.home / "tree" / name).chmod(0o777)
        for name, mode in ("all", 0o1777), ("group", 0o2750):
            (self.root / "tree" / name).mkdir(parents=True)
            (self.root / "tree" / name).chmod(mode)
        self.copy("tree", "alpha:")
        modes = {path.name: path.stat().st_mode & 0o7777 for path in (self.root / "tree").iterdir()}
        self.assertEqual(modes, {"all": 0o1777, "group": 0o2777, "new": 0o777})

    def test_what_is_no_file_is_not_opened_and_told(self):
        for top in self.home / "odd", self.root / "odd":
            top.mkdir()
            os.mkfifo(top / "pipe")
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(str(top / "socket"))
            (top / "file").write_text("file")
            (top / ".x.hypha-part").write_text("left")
        for words in (("odd", "alpha:there"), ("alpha:odd", "back")):
            done = self.cp("--json", *words)
            self.assert_fails(done, 1, "odd/pipe: it is neither", "odd/socket: it is neither", ".x.hypha-part: only a part")
            self.assertEqual(json.loads(done.stdout)["skipped"], 3)
        for top in self.root / "there", self.home / "back":
            self.assertEqual(os.listdir(top), ["file"])

    def test_trouble_with_one_is_told_and_the_rest_is_copied(self):
        if os.geteuid() == 0:
            self.skipTest("root may do everything")
        for top in self.home / "tree", self.root / "tree":
            make_tree(top)
            (top / "file").chmod(0)
        self.assert_fails(self.cp("tree", "alpha:there"), 1, "tree/file: Permission denied")
        self.assert_fails(self.cp("alpha:tree", "back"), 1, "alpha: ", "tree/file: Permission denied")
        for top in self.root / "there", self.home / "back":
            self.assertEqual((top / "a" / "b" / "deep").stat().st_size, 70000)

    def test_as_another_user(self):
        (self.home / "x").write_text("x")
        if os.geteuid() != 0:
            self.assert_fails(self.cp("-l", "root", "x", "alpha:"), 1, "cannot become user root")
            return
        reachable = subprocess.run([sys.executable, "-c", "import os, sys; os.setuid(65534); sys.exit(not os.access(sys.argv[1], os.X_OK))",
                                    AGENT]).returncode == 0
        if not reachable:
            self.skipTest("nobody cannot run what was built here")
        (self.root / "open").mkdir()
        (self.root / "open").chmod(0o777)
        self.copy("--login", "nobody", "x", "alpha:open")
        self.assertEqual((self.root / "open" / "x").stat().st_uid, 65534)
        self.assert_fails(self.cp("-l", "nobody", "x", "alpha:"), 1, "Permission denied")
        self.assert_fails(self.cp("-l", "no-such-user", "x", "alpha:"), 1, "no user 'no-such-user'")

    def test_file_that_changes_while_it_is_sent_is_told(self):
        self.assert_fails(self.cp("/proc/self/status", "alpha:status"), 1, "status: it has changed")
        self.assertEqual(list(self.root.iterdir()), [])

    def test_usage(self):
        for words, why in ((["x"], "DEST is missing"), ([], "SOURCE... is missing"), (["x", "y"], "PEER:PATH"),
                           (["alpha:x", "alpha:y"], "PEER:PATH"), (["x", "alpha:y", "z"], "PEER:PATH"), (["alpha:x", "beta:y", "."], "same peer"),
                           ([":x", "."], "./NAME"), (["a/x", "b/x", "alpha:"], "called x"), (["--nonsense", "x", "alpha:"], "nonsense")):
            self.assert_fails(self.cp(*words), 2, why)
        self.assert_fails(self.cp("x", "nobody:"), 1, "'nobody'")


class Confined(Copies):
    def setUp(self):
        super().setUp()
        self.outside = self.alpha.place.path / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")
        (self.home / "x").write_text("x")

    def assert_untouched(self):
        self.assertEqual(os.listdir(self.outside), ["secret"])
        self.assertEqual([path for path in self.home.rglob("*") if path.name != "x"], [])

    def test_path_outside_names_the_roots(self):
        for path in (self.outside, self.outside / "secret", "/etc/passwd", "/", str(self.root) + "more", self.root.parent):
            self.assert_fails(self.cp(f"alpha:{path}", "."), 1, str(path), "outside", str(self.root), str(self.other))
            self.assert_fails(self.cp("x", f"alpha:{path}"), 1, str(path), "outside", str(self.root), str(self.other))
        self.assert_untouched()

    def test_nothing_leads_out(self):
        (self.root / "sub").mkdir()
        (self.root / "absolute").symlink_to(self.outside)
        (self.root / "relative").symlink_to("../outside")
        (self.root / "sub" / "far").symlink_to("../../../../../../../../../.." + str(self.outside))
        (self.root / "file").symlink_to(self.outside / "secret")
        for way in ("..", "../outside", "sub/../../outside", "absolute", "relative", "sub/far", f"{self.root}/../outside"):
            self.assertEqual(self.cp(f"alpha:{way}/secret", "got").returncode, 1, way)
            if not way.endswith(".."):
                self.assertEqual(self.cp("x", f"alpha:{way}/put").returncode, 1, way)
        # Whatever is up there is the root again.
        self.copy("x", "alpha:../../x")
        self.assertEqual((self.root / "x").read_text(), "x")
        self.assert_untouched()
        self.copy("alpha:file", "x")
        self.assertTrue((self.home / "x").is_symlink())

    def test_magic_links_lead_nowhere(self):
        self.alpha.do("config", "set", "services", "{'cp': {'peers': <['beta']>, 'roots': <['/proc']>}}")
        wait_for(lambda: self.cp("alpha:/proc/version", "version").returncode == 1 and "has changed" in
                 self.cp("alpha:/proc/version", "version").stderr, "the root /proc")
        pid = os.getpid()
        done = self.cp(f"alpha:/proc/{pid}/root{self.outside}/secret", "got")
        self.assert_fails(done, 1, os.strerror(errno.ELOOP))
        self.assert_fails(self.cp("x", f"alpha:/proc/{pid}/cwd/x"), 1, os.strerror(errno.ELOOP))

    def test_link_that_is_swapped_for_a_directory_leads_nowhere(self):
        (self.root / "way").mkdir()
        (self.root / "way" / "secret").write_text("harmless")
        (self.root / "link").symlink_to(self.outside)
        over = threading.Event()

        def swap():
            while not over.is_set():
                os.rename(self.root / "way", self.root / "kept")
                os.rename(self.root / "link", self.root / "way")
                os.rename(self.root / "way", self.root / "link")
                os.rename(self.root / "kept", self.root / "way")

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for n in range(12):
                self.cp("alpha:way/secret", f"got{n}")
                self.cp("x", "alpha:way/secret2")
        finally:
            over.set()
            thread.join()
        self.assertEqual(os.listdir(self.outside), ["secret"])
        for got in self.home.glob("got*"):
            self.assertEqual(got.read_text(), "harmless")

    def test_longest_root_wins(self):
        inner = self.root / "inner"
        inner.mkdir()
        (inner / "up").symlink_to("..")
        (self.root / "mark").write_text("mark")
        self.copy("alpha:inner/up/mark", "mark")
        self.alpha.do("config", "set", "services", f"{{'cp': {{'peers': <['beta']>, 'roots': <['{self.root}', '{inner}']>}}}}")
        wait_for(lambda: self.cp(f"alpha:{inner}/up/mark", "mark2").returncode == 1, "the longer root")
        self.assertFalse((self.home / "mark2").exists())


class Resumed(Copies):
    def stopped(self, *words, look, stop):
        """A copy that is broken off when LOOK has seen enough."""
        process = self.start(*words)
        wait_for(look, "a part of the file")
        stop()
        out, said = process.communicate(timeout=DEADLINE)
        self.assertEqual(out, b"")
        return process.returncode, said.decode()

    def some_of(self, folder):
        return lambda: [part for part in self.parts(folder) if part.stat().st_size > 2 << 20]

    def assert_goes_on(self, *words, least=1 << 20):
        counts = self.counts(*words)
        self.assertGreaterEqual(counts["resumed"], least, counts)
        self.assertEqual(counts["resumed"] + counts["bytes"], SIZE)

    def sparse_large(self, path):
        """Too large to be through before it is broken off, and made at once."""
        block = os.urandom(1 << 20)
        with open(path, "wb") as file:
            for n in range(SIZE >> 20):
                file.write(struct.pack(">I", n) + block[4:])
        return path

    def again(self):
        self.agent.process.wait()
        self.agent = Agent(self.alpha, service="cp")

    def test_agent_that_is_killed_while_it_receives(self):
        self.sparse_large(self.home / "large")
        status, said = self.stopped("large", "alpha:", look=self.some_of(self.root), stop=self.agent.process.kill)
        self.assertEqual((status, "broken off" in said, "same command" in said), (1, True, True), said)
        self.assertFalse((self.root / "large").exists())
        self.again()
        self.assert_goes_on("large", "alpha:")
        self.assertEqual(describe(self.home)[b"large"], describe(self.root)[b"large"])

    def test_agent_that_is_killed_while_it_sends(self):
        self.sparse_large(self.root / "large")
        status, said = self.stopped("alpha:large", ".", look=self.some_of(self.home), stop=self.agent.process.kill)
        self.assertEqual((status, "broken off" in said), (1, True), said)
        self.again()
        self.assert_goes_on("alpha:large", ".")
        self.assertEqual(describe(self.home)[b"large"], describe(self.root)[b"large"])

    def test_agent_that_is_asked_to_end(self):
        self.sparse_large(self.home / "large")
        status, said = self.stopped("large", "alpha:", look=self.some_of(self.root), stop=self.agent.stop)
        self.assertEqual((status, "broken off" in said), (1, True), said)
        self.again()
        self.assert_goes_on("large", "alpha:")

    def test_caller_that_is_killed(self):
        self.sparse_large(self.home / "large")
        process = self.start("large", "alpha:")
        wait_for(self.some_of(self.root), "a part of the file")
        process.kill()
        process.wait()
        wait_for(lambda: not self.agent.children(), "the end of the copy")
        self.assert_goes_on("large", "alpha:")
        self.assertEqual(self.parts(self.root), [])

    def test_node_that_is_killed(self):
        self.sparse_large(self.home / "large")
        status, said = self.stopped("large", "alpha:", look=self.some_of(self.root), stop=self.beta.process.kill)
        self.assertEqual(status, 1, said)
        self.beta.kill()
        self.beta = Node(self.beta.place)
        self.beta.do("trust", self.alpha.id(), "alpha")
        self.beta.do("connect", self.endpoint)
        self.assert_goes_on("large", "alpha:")
        self.assertEqual((self.home / "large").read_bytes(), (self.root / "large").read_bytes())

    def test_tree_goes_on_with_what_is_not_there(self):
        (self.home / "tree").mkdir()
        for name in "abc":
            self.large(self.home / "tree" / name, 3 << 20)
        (self.home / "tree").chmod(0o555)
        self.copy("tree", "alpha:")
        (self.root / "tree").chmod(0o755)
        (self.root / "tree" / "b").unlink()
        with open(self.home / "tree" / "b", "rb") as whole:
            (self.root / "tree" / ".b.hypha-part").write_bytes(whole.read(2 << 20))
        (self.root / "tree").chmod(0o555)
        counts = self.counts("tree", "alpha:")
        self.assertEqual((counts["resumed"], counts["bytes"], counts["files"]), (8 << 20, 1 << 20, 3))
        self.assert_same(self.home / "tree", self.root / "tree")

    def test_part_of_something_else_is_not_used(self):
        data = self.large(self.home / "large", 4 << 20).read_bytes()
        for part in (os.urandom(2 << 20), b"\0" + data[1:3 << 20], data + b"x", data[:100] + b"x"):
            (self.root / ".large.hypha-part").write_bytes(part)
            self.assertEqual(self.counts("large", "alpha:")["resumed"], 0)
            self.assertEqual((self.root / "large").read_bytes(), data)
            (self.root / "large").unlink()
        (self.root / ".large.hypha-part").write_bytes(data)
        self.assertEqual(self.counts("large", "alpha:")["resumed"], 4 << 20)
        self.assertEqual((self.root / "large").read_bytes(), data)

    def test_same_size_and_time_is_not_enough(self):
        data = self.large(self.home / "large", 2 << 20).read_bytes()
        self.copy("large", "alpha:")
        st = os.stat(self.root / "large")
        (self.root / "large").write_bytes(b"x" + data[1:])
        os.utime(self.root / "large", ns=(st.st_atime_ns, st.st_mtime_ns))
        self.assertEqual(self.counts("large", "alpha:")["resumed"], 0)
        self.assertEqual((self.root / "large").read_bytes(), data)

    def test_part_that_is_somebody_elses_is_not_written(self):
        self.large(self.home / "large", 2 << 20)
        (self.other / "victim").write_text("victim")
        part = self.root / ".large.hypha-part"
        part.symlink_to(self.other / "victim")
        self.copy("large", "alpha:")
        (self.root / "large").unlink()
        os.link(self.other / "victim", part)
        self.copy("large", "alpha:")
        (self.root / "large").unlink()
        self.assertEqual((self.other / "victim").read_text(), "victim")
        part.mkdir()
        self.assert_fails(self.cp("large", "alpha:"), 1, "large: ")

    def test_two_copies_of_one_file_do_not_mix(self):
        self.large(self.home / "large", 2 << 20)
        with open(self.root / ".large.hypha-part", "wb") as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            self.assert_fails(self.cp("large", "alpha:"), 1, "another copy of it is under way")
        self.copy("large", "alpha:")

    def test_holes_are_kept_when_it_goes_on(self):
        with open(self.home / "sparse", "wb") as file:
            file.write(os.urandom(2 << 20))
            file.truncate(20 << 20)
            file.seek(20 << 20)
            file.write(b"end")
        with open(self.root / ".sparse.hypha-part", "wb") as part:
            part.write((self.home / "sparse").read_bytes()[:2 << 20])
            part.truncate(10 << 20)
        self.assertEqual(self.counts("sparse", "alpha:")["resumed"], 10 << 20)
        self.assertEqual((self.home / "sparse").read_bytes(), (self.root / "sparse").read_bytes())
        self.assertLess((self.root / "sparse").stat().st_blocks * 512, 4 << 20)


    def test_holes_cost_nothing_however_large_they_are(self):
        large = 1 << 40
        for top in self.home, self.root:
            with open(top / "sparse", "wb") as file:
                file.write(b"begin")
                file.seek(large // 2 + 3)
                file.write(b"middle")
                try:
                    file.truncate(large)
                except OSError as error:
                    self.skipTest(f"no large files here: {error}")
            os.utime(top / "sparse", (1, 1))
        self.assertEqual(self.counts("sparse", "alpha:")["resumed"], large)
        # Zeros are zeros, with or without room.
        with open(self.root / "sparse", "r+b") as file:
            file.seek(large // 2 + (1 << 20))
            file.write(bytes(1 << 20))
        os.utime(self.root / "sparse", (1, 1))
        self.assertEqual(self.counts("sparse", "alpha:")["resumed"], large)
        for at, what in (large // 2 + 4, b"M"), (large - 1, b"e"), (large // 4, b"more"):
            with open(self.root / "sparse", "r+b") as file:
                file.seek(at)
                file.write(what)
            os.utime(self.root / "sparse", (1, 1))
            self.assertEqual(self.counts("sparse", "alpha:")["resumed"], 0)
            with open(self.root / "sparse", "rb") as file:
                file.seek(at)
                self.assertNotEqual(file.read(len(what)), what)


class Links(Copies):
    def runner(self):
        return [os.environ["SEVER"], "--allow"]

    def test_copy_outlives_its_link(self):
        self.large(self.home / "large", SIZE)
        process = self.start("--json", "large", "alpha:")
        for _ in range(3):
            [child] = wait_for(self.agent.children, "the copy")
            # It cannot be over before its link is.
            os.kill(child, signal.SIGSTOP)
            gone = {link["path"] for link in self.beta.ask("links")}
            done = subprocess.run([os.environ["SEVER"], str(self.beta.process.pid), f":{self.endpoint.rsplit(':', 1)[1]}:"],
                                  capture_output=True, text=True)
            if "ptrace" in done.stderr:
                os.kill(child, signal.SIGCONT)
                process.kill()
                self.skipTest(done.stderr.strip())
            wait_for(lambda: not gone & {link["path"] for link in self.beta.ask("links")}, "the end of the link")
            self.assertIsNone(process.poll())
            before = self.beta.ask("streams")[0]["sent"]
            os.kill(child, signal.SIGCONT)
            self.beta.ctl("connect", self.endpoint)
            wait_for(lambda: all(stream["sent"] > before for stream in self.beta.ask("streams")), "more of it")
            if not self.agent.children():
                break
        out, said = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, said), (0, b""))
        self.assertEqual(json.loads(out)["bytes"], SIZE)
        self.assertEqual((self.home / "large").read_bytes(), (self.root / "large").read_bytes())


class Terminals(Copies):
    def on_terminal(self, *words):
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 60, 0, 0))
        process = self.start(*words, stderr=theirs)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while select.select([ours], [], [], DEADLINE)[0]:
                data = os.read(ours, 4096)
                if not data:
                    break
                shown += data
        return process.wait(DEADLINE), shown.decode(), process.stdout.read()

    def test_bar_fits_and_names_are_harmless(self):
        name = "evil\x1b[2J\u202e" + "x" * 80
        self.large(self.home / name, 8 << 20)
        status, shown, out = self.on_terminal(name, "alpha:")
        self.assertEqual((status, out), (0, b""), shown)
        self.assertNotIn("\x1b", shown)
        lines = [line for line in shown.split("\r") if line.strip()]
        self.assertRegex(lines[0], r"^evil\\u\{1b\}.* 0%  .*/s  ")
        for line in lines:
            self.assertLess(len(line), 60)
        self.assertEqual(shown[-1:], "\r", "the line stays")

    def test_no_bar_if_it_is_not_wanted(self):
        self.large(self.home / "large", 2 << 20)
        self.assertEqual(self.on_terminal("-q", "large", "alpha:"), (0, "", b""))

    def test_what_went_wrong_has_a_line_of_its_own(self):
        (self.home / "tree").mkdir()
        os.mkfifo(self.home / "tree" / "evil\x1b[2J")
        self.large(self.home / "tree" / "large", 2 << 20)
        status, shown, _ = self.on_terminal("tree", "alpha:")
        self.assertEqual(status, 1)
        self.assertRegex(shown, r"(^|\r|\n)hyphactl: tree/evil\\u\{1b\}\[2J: it is neither")
        self.assertNotIn("\x1b", shown)


class Room(Copies):
    """The other root is a small file system of its own, which only the agent sees."""

    def setUp(self):
        super().setUp()
        self.agent.stop()
        mount = 'mount -t tmpfs -o size=3M,mode=1777 none "$0" && exec '
        self.runs_in = ["unshare", "--mount", "sh", "-c", mount + '"$@"', str(self.other)]
        if os.geteuid() != 0:
            # It takes a root of its own to mount, and the agent is to be who it was.
            back = f'unshare --user --map-user={os.geteuid()} --map-group={os.getegid()} "$@"'
            self.runs_in = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount + back, str(self.other)]
        if subprocess.run([*self.runs_in, "true"], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted in a user namespace here")

    def test_disk_that_is_full_ends_it_and_says_so(self):
        self.agent = Agent(self.alpha, service="cp", runner=self.runs_in)
        self.large(self.home / "a large one", 5 << 20)
        self.assert_fails(self.cp("a large one", f"alpha:{self.other}"), 1, "a large one", os.strerror(errno.ENOSPC), "same command")
        # What came of it waits for its rest.
        self.assert_fails(self.cp("a large one", f"alpha:{self.other}"), 1, os.strerror(errno.ENOSPC))
        done = self.cp(f"alpha:{self.other}", "back")
        self.assert_fails(done, 1, ".a large one.hypha-part: only a part")


class Hostile(Copies):
    """What the two ends of a stream are told by somebody who has the right to be there, and is neither of ours."""

    def say(self, *said):
        """To the agent; what comes back."""
        done = self.beta.ctl("open", "alpha", "cp", input=b"".join(said), text=False)
        return self.read(done.stdout)

    def talk(self, *said):
        """The same, from somebody who then waits for the end."""
        process = self.beta.place.start_ctl("open", "alpha", "cp", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(b"".join(said))
        process.stdin.flush()
        answers = []
        while not answers or answers[-1][0] not in (END, FAILED):
            kind, length = struct.unpack(">BI", process.stdout.read(5))
            answers.append((kind, process.stdout.read(length)))
        process.stdin.close()
        process.wait(DEADLINE)
        return answers

    @staticmethod
    def read(rest):
        answers = []
        while rest:
            length = struct.unpack(">I", rest[1:5])[0]
            answers.append((rest[0], rest[5:5 + length]))
            rest = rest[5 + length:]
        return answers

    def put(self, *said, path=""):
        return self.say(parcel(REQUEST, json.dumps({"put": path}).encode()), *said)

    def assert_refused(self, why, answers):
        self.assertTrue(answers and answers[-1][0] == FAILED, (answers, why))
        self.assertIn(why, answers[-1][1].decode())

    def assert_nothing(self, folder):
        self.assertEqual([path for path in folder.rglob("*")], [])

    WRONG = (
        ("name", parcel(FILE, entry(b"../x"))), ("name", parcel(FILE, entry(b".."))), ("name", parcel(FILE, entry(b"."))),
        ("name", parcel(FILE, entry(b""))), ("name", parcel(FILE, entry(b"a\0b"))), ("name", parcel(FILE, entry(b"/etc/x"))),
        ("name", parcel(FILE, entry(b"x" * 256))), ("name", parcel(DIRECTORY, entry(b"x" * 256))), ("name", parcel(LINK, entry(b"", target=b"x"))),
        ("name", parcel(DIRECTORY, entry(b"d")) + parcel(DIRECTORY, entry(b""))),
        ("leads nowhere", parcel(LINK, entry(b"l"))), ("leads nowhere", parcel(LINK, entry(b"l", target=b"x" * 4096))),
        ("leads nowhere", parcel(LINK, entry(b"l", target=b"x\0y"))), ("leads nowhere", parcel(FILE, entry(b"l", target=b"x"))),
        ("too short", parcel(FILE, entry(b"")[:-1])), ("too short", parcel(DIRECTORY)), ("size", parcel(FILE, entry(b"x", size=1 << 63))),
        ("a time", parcel(FILE, entry(b"x", modified=(1, 1000000000)))), ("unknown kind", parcel(99)), ("unknown kind", parcel(REQUEST, b"{}")),
        ("unknown kind", parcel(DATA, b"x")), ("has not begun", parcel(DIRECTORY_END)),
        ("without an end", parcel(DIRECTORY, entry(b"d")) + parcel(END)),
        ("without an end", parcel(FILE, entry(b"x", 5)) + parcel(FILE, entry(b"y", 5))), ("without an end", parcel(FILE, entry(b"x")) + parcel(END)),
        ("more of a file", parcel(FILE, entry(b"x", 5)) + parcel(DATA, b"123456")),
        ("more of a file", parcel(FILE, entry(b"x", 5)) + parcel(HOLE, number(6))),
        ("more of a file", parcel(FILE, entry(b"x", 5)) + parcel(HOLE, number(3)) + parcel(HOLE, number(2**64 - 1))),
        ("without a length", parcel(FILE, entry(b"x", 5)) + parcel(HOLE, b"1234567")),
        ("not whole", parcel(FILE, entry(b"x", 5)) + parcel(DATA, b"1234") + parcel(FILE_END)),
        ("not broken off", parcel(FILE, entry(b"x", 5)) + parcel(FROM, number(1))),
        ("not broken off", parcel(FILE, entry(b"x", 5, flags=1)) + parcel(FROM, number(1))),
        ("not broken off", parcel(FILE, entry(b"x", 5, flags=1)) + parcel(DATA, b"12345")),
        ("no directory for it", parcel(HARD_LINK, entry(b"x", target=b"y"))),
        ("in each other", parcel(DIRECTORY, entry(b"d")) * 300),
        ("65537 bytes", bytes([DATA]) + struct.pack(">I", 65537)),
    )

    def test_sender_that_lies_to_the_agent(self):
        for why, said in self.WRONG:
            self.assert_refused(why, self.put(said))
            for path in self.root.iterdir():
                self.assertEqual(path.name, "d")
        self.assertEqual(list(self.other.iterdir()), [])
        subprocess.run(["rm", "-r", self.root / "d"], check=True)
        self.assert_refused("one name for it", self.put(parcel(FILE, entry(b"x")), parcel(FILE_END), parcel(FILE, entry(b"y")), path="new"))
        self.copy(self.large(self.home / "still", 1 << 20), "alpha:")

    def test_no_more_than_64_at_once(self):
        request = parcel(REQUEST, json.dumps({"put": ""}).encode())
        many = [self.beta.place.start_ctl("open", "alpha", "cp", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(64)]
        for one in many:
            one.stdin.write(request)
            one.stdin.flush()
        wait_for(lambda: len(self.agent.children()) == 64, "64 copies")
        self.assert_fails(self.cp("alpha:", "back"), 1, "64 commands and copies")
        for one in many:
            one.stdin.close()
        wait_for(lambda: not self.agent.children(), "the end of them")
        self.copy("alpha:", "back")

    def test_links_that_came_are_not_followed(self):
        outside = self.alpha.place.path / "outside"
        outside.mkdir()
        way = parcel(LINK, entry(b"way", target=os.fsencode(outside)))
        for said in (parcel(DIRECTORY, entry(b"way")) + parcel(FILE, entry(b"x")) + parcel(FILE_END) + parcel(DIRECTORY_END),
                     parcel(FILE, entry(b"way")) + parcel(FILE_END)):
            self.put(way, said, parcel(END))
            self.assert_nothing(outside)

    def test_hard_links_only_to_what_came(self):
        (self.root / "d").mkdir()
        (self.root / "d" / "mine").write_text("mine")
        (self.root / "secret").write_text("secret")
        there = parcel(DIRECTORY, entry(b"d")) + parcel(FILE, entry(b"came", flags=2)) + parcel(FILE_END)
        for target in (b"mine", b"../secret", os.fsencode(self.root / "secret"), b"./came", b"d/../came", b"", b"/", b"came/", b"//came"):
            if target:
                answers = self.put(there, parcel(HARD_LINK, entry(b"got", target=target)), parcel(DIRECTORY_END), parcel(END))
                self.assertEqual([kind for kind, _ in answers], [PROBLEM, DONE], target)
            self.assertFalse((self.root / "d" / "got").exists())
        answers = self.put(there, parcel(HARD_LINK, entry(b"got", target=b"came")), parcel(DIRECTORY_END), parcel(END))
        self.assertEqual([kind for kind, _ in answers], [DONE])
        self.assertEqual((self.root / "d" / "came").stat().st_nlink, 2)

    def test_end_in_the_middle_leaves_no_file(self):
        for said in (parcel(FILE, entry(b"x", 5)), parcel(FILE, entry(b"x", 5)) + parcel(DATA, b"1234"), parcel(FILE, entry(b"x", 5))[:-1],
                     parcel(FILE, entry(b"x", 5)) + parcel(DATA, b"12345"), parcel(FILE, entry(b"x", 5)) + parcel(FILE_BROKEN, b"why")):
            self.put(said)
            wait_for(lambda: not self.agent.children(), "the end of the copy")
            self.assert_nothing(self.root)

    def test_small_files_that_wait_for_each_other(self):
        def file(name, data):
            return parcel(FILE, entry(name, len(data))) + parcel(DATA, data) + parcel(FILE_END)

        # Each that is whole is there, wherever it breaks off.
        self.put(*(file(b"f%d" % n, b"%d" % n) for n in range(100)), parcel(FILE, entry(b"half", 5)), parcel(DATA, b"123"))
        wait_for(lambda: not self.agent.children(), "the end of the copy")
        self.assertEqual({path.name: path.read_text() for path in self.root.iterdir()}, {f"f{n}": str(n) for n in range(100)})
        # What comes later is what is there.
        answers = self.put(file(b"a", b"1"), file(b"a", b"22"), file(b"l", b"x"), parcel(LINK, entry(b"l", target=b"a")),
                           file(b"d", b""), parcel(DIRECTORY, entry(b"d")), parcel(DIRECTORY_END), parcel(END))
        self.assertEqual([kind for kind, _ in answers], [PROBLEM, DONE])
        self.assertEqual(struct.unpack(">5Q", answers[1][1]), (4, 0, 1, 4, 0))
        self.assertEqual(((self.root / "a").read_text(), os.readlink(self.root / "l"), (self.root / "d").read_text()), ("22", "a", ""))
        self.assertEqual(self.parts(self.root), [])

    def test_requests_that_are_wrong(self):
        for request, why in ((b"", "JSON"), (b"[]", "object"), (b"{}", "either"), (b'{"get": [], "put": ""}', "get"), (b'{"get": ["x"], "put": ""}', "either"),
                             (b'{"get": "x"}', "get"), (b'{"get": [1]}', "get"), (b'{"put": 1}', "put"), (b'{"put": "", "into": 1}', "into"),
                             (b'{"put": "", "user": []}', "user"), (b'{"put": "", "x": 1}', "'x'"), (b'{"put": "a\\u0000b"}', "NUL"),
                             (b'{"put": "\xff"}', "UTF-8"), (b"[" * 60000, "deep"), (b'{"put": "", "user": "no-such-user"}', "no user")):
            self.assert_refused(why, self.say(parcel(REQUEST, request)))
        self.assert_refused("does not begin", self.say(parcel(DATA, b"x")))
        self.assert_refused("does not begin", self.say(bytes([REQUEST]) + struct.pack(">I", 65537)))
        self.assertEqual(self.say(parcel(REQUEST, b"{}")[:-1]), [])
        self.assertEqual(self.agent.children(), [])

    def test_receiver_that_lies_to_the_agent(self):
        self.large(self.root / "large", 2 << 20)
        request = parcel(REQUEST, json.dumps({"get": ["large"]}).encode())
        for said, why in ((parcel(DONE, bytes(40)), "before everything"), (parcel(99), "unknown"), (parcel(PROBLEM, b"1234567"), "unknown"),
                          (parcel(HAVE, bytes(39)), "nobody asked"), (parcel(HAVE, bytes(40)) * 2, "nobody asked")):
            self.assert_refused(why, self.say(request, said))
        for have in (1 << 20, 3 << 20, 2**64 - 1, 2**63):
            answers = self.talk(request, parcel(HAVE, number(have) + bytes(32)))
            self.assertEqual([data for kind, data in answers if kind == FROM], [number(0)])
        answers = self.talk(request, parcel(PROBLEM, number(1) + b"no"))
        self.assertEqual([kind for kind, _ in answers], [FILE, FILE_BROKEN, END])

    def service(self, answer):
        """A service cp of alpha that is not an agent: it reads the request and says this, and reads on unless it is to break off; HOLD: more may follow."""
        self.agent.stop()
        listener = socket.socket(socket.AF_UNIX)
        path = self.alpha.place.private / f"liar-{len(os.listdir(self.alpha.place.private))}"
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as one:
                        one.recv(65536)
                        one.sendall(answer[0])
                        if answer[1:] != ["hold"]:
                            one.shutdown(socket.SHUT_WR)
                        while answer[1:] != ["break off"] and one.recv(65536):
                            pass

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(listener.close)
        self.alpha.do("config", "set", "services", f"{{'cp': {{'target': <'unix://{path}'>}}}}")

    def test_who_is_asked_to_end_leaves_nothing_half(self):
        names = [f"f{n}" for n in range(10)]
        said = parcel(DIRECTORY, entry(b"d"))
        said += b"".join(parcel(FILE, entry(name.encode(), 1)) + parcel(DATA, b"x") + parcel(FILE_END) for name in names)
        said += parcel(FILE, entry(b"half", 5)) + parcel(DATA, b"123")

        def is_under_way(top):
            return (top / "d" / ".half.hypha-part").exists()

        process = self.beta.place.start_ctl("open", "alpha", "cp", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL)
        process.stdin.write(parcel(REQUEST, b'{"put": ""}') + said)
        process.stdin.flush()
        wait_for(lambda: is_under_way(self.root), "the last file")
        self.agent.stop()
        self.assertEqual(sorted(os.listdir(self.root / "d")), names)
        process.stdin.close()
        process.wait(DEADLINE)
        self.service([said, "hold"])
        process = self.start("alpha:d", ".")
        wait_for(lambda: is_under_way(self.home), "the last file")
        process.send_signal(signal.SIGINT)
        self.assertEqual((process.communicate(timeout=DEADLINE), process.returncode), ((b"", b""), -signal.SIGINT))
        self.assertEqual(sorted(os.listdir(self.home / "d")), names)

    def test_sender_that_lies_to_hyphactl(self):
        answer = [b""]
        self.service(answer)
        (self.home / "in").mkdir()
        for why, said in self.WRONG:
            answer[0] = said
            done = self.cp("alpha:x", "alpha:d", "in")
            self.assert_fails(done, 1, why)
            self.assertEqual(os.listdir(self.home), ["in"], why)
            for path in (self.home / "in").iterdir():
                self.assertEqual(path.name, "d")
        subprocess.run(["rm", "-r", self.home / "in" / "d"], check=True)
        for said in (b"", parcel(FILE, entry(b"x", 5)) + parcel(DATA, b"12345"), parcel(FILE, entry(b"x")) + parcel(FILE_END)):
            answer[:] = said, "break off"
            self.assert_fails(self.cp("alpha:x", "in"), 1, "broken off")
            answer[:] = [said + parcel(FAILED, b"evil\x1b[2J\xff")]
            self.assert_fails(self.cp("alpha:x", "in"), 1, "evil\\u{1b}[2J\\xff")
        outside = self.home / "outside"
        outside.mkdir()
        answer[0] = (parcel(DIRECTORY, entry(b"d")) + parcel(LINK, entry(b"way", target=os.fsencode(outside))) + parcel(DIRECTORY, entry(b"way")) +
                     parcel(FILE, entry(b"x")) + parcel(FILE_END) + parcel(DIRECTORY_END) * 2 + parcel(END))
        self.assert_fails(self.cp("alpha:d", "in"), 1, "way", "no directory")
        self.assert_nothing(outside)

    def test_sender_may_not_choose_what_comes(self):
        answer = [b""]
        self.service(answer)
        (self.home / "in").mkdir()
        (self.home / "in" / ".profile").write_text("mine")

        def file(name, data=b"evil"):
            return parcel(FILE, entry(name, len(data))) + parcel(DATA, data) + parcel(FILE_END)

        evil = file(b".profile")
        for said in (evil, file(b"x") + evil, file(b"x") * 2, parcel(LINK, entry(b".profile", target=b"x")), parcel(DIRECTORY, entry(b".ssh")),
                     parcel(DIRECTORY, entry(b"")) + evil + parcel(DIRECTORY_END)):
            answer[0] = said + parcel(END)
            for words in (("alpha:x", "in"), ("alpha:some/x/", "alpha:y", "in")):
                self.assert_fails(self.cp(*words), 1, "not asked for")
            self.assertLessEqual(set(os.listdir(self.home / "in")), {".profile", "x"})
            self.assertEqual((self.home / "in" / ".profile").read_text(), "mine")
        # What is in a directory is not known before; and a name for what comes is the caller's.
        answer[0] = parcel(DIRECTORY, entry(b"")) + file(b"y") + parcel(DIRECTORY_END) + parcel(END)
        for path in "", ".", "some/.", "..", "/":
            self.copy(f"alpha:{path}", "in")
            (self.home / "in" / "y").unlink()

    def test_sender_that_has_less_than_was_asked_for(self):
        answer = [b""]
        self.service(answer)
        x = parcel(FILE, entry(b"x")) + parcel(FILE_END)
        d = parcel(DIRECTORY, entry(b"x")) + parcel(MISSING, b"in it") + parcel(DIRECTORY_END)
        for said in (b"", x, d):
            answer[0] = said + parcel(END)
            self.assert_fails(self.cp("alpha:x", "alpha:y", "."), 1, "not all that was asked for")
        answer[0] = parcel(FILE, entry(b"x", 4)) + parcel(DATA, b"half") + parcel(FILE_BROKEN) + parcel(END)
        self.assert_fails(self.cp("alpha:x", "got"), 1, "without an end")
        self.assertFalse((self.home / "got").exists())
        answer[0] = x + parcel(MISSING, b"no y") + parcel(END)
        self.assert_fails(self.cp("alpha:x", "alpha:y", "."), 1, "no y")

    def test_receiver_that_lies_to_hyphactl(self):
        answer = [b""]
        self.service(answer)
        self.large(self.home / "large", 2 << 20)
        for said, why in ((b"", "broken off"), (parcel(DONE, bytes(40)), "before everything"), (parcel(DONE, bytes(39)), "before everything"),
                          (parcel(HAVE, bytes(40)) * 2, "nobody asked"), (parcel(99), "unknown"), (parcel(FAILED), "")):
            answer[:] = [said] if said else [said, "break off"]
            self.assert_fails(self.cp("large", "alpha:"), 1, why)


class Deadline(Copies):
    def test_caller_that_says_nothing_is_told_after_ten_seconds(self):
        process = self.beta.place.start_ctl("open", "alpha", "cp", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said = process.stdout.read()
        self.assertIn(b"no request came within 10 seconds", said)
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 0)


class Settings(Case):
    def setUp(self):
        place = self.place()
        self.root = place.path / "root"
        self.root.mkdir()
        (self.root / "x").write_text("x")
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", config="")
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))
        self.agent = Agent(self.alpha, ready=False)
        self.agent.wait_log("service 'cp' is off, until .* roots: ")

    def tearDown(self):
        self.agent.stop()
        for node in (self.beta, self.alpha):
            node.stop()

    def set(self, entry):
        return self.alpha.ctl("config", "set", "services", f"{{'cp': {entry}}}")

    def cp(self):
        return self.beta.ctl("cp", "alpha:x", str(self.beta.place.path / "x"), stdin=subprocess.DEVNULL)

    def test_off_until_peers_and_roots_are_named(self):
        self.assert_fails(self.cp(), 1, "hypha-agent has to run there", "roots")
        self.assertEqual(self.set("{'peers': <['beta']>}").returncode, 0)
        self.agent.wait_log("service 'cp' is off, until .* roots: ", times=2)
        self.assert_fails(self.cp(), 1, "roots")
        self.assertEqual(self.set(f"{{'roots': <['{self.root}']>}}").returncode, 0)
        self.assert_fails(self.cp(), 1, "roots")
        self.assertEqual(self.set(f"{{'peers': <['gamma']>, 'roots': <['{self.root}']>}}").returncode, 0)
        self.agent.wait_log("service 'cp' is on")
        self.assert_fails(self.cp(), 1, "cp")
        self.assertEqual(self.set(f"{{'peers': <['beta']>, 'roots': <['{self.root}']>}}").returncode, 0)
        done = self.cp()
        self.assertEqual((done.returncode, done.stderr), (0, ""), self.agent.log())
        self.assertEqual(self.set("{'peers': <['beta']>, 'roots': <['/no/such/root']>}").returncode, 0)
        wait_for(lambda: "/no/such/root" in self.cp().stderr, "the other root")
        self.alpha.do("config", "reset", "services")
        self.agent.wait_log("service 'cp' is off\n")
        self.assert_fails(self.cp(), 1, "hypha-agent has to run there")

    def test_roots_that_are_wrong_are_refused(self):
        for roots, why in (("<@as []>", "name a directory"), ("<['srv']>", "'srv'"), ("<['/srv/']>", "'/srv/'"), ("<['/a', '/a/../b']>", "'/a/../b'"),
                           ("<['//srv']>", "'//srv'"), ("<['/a/./b']>", "'/a/./b'"), ("<['']>", "''"), ("<'/srv'>", "roots"), ("<[1]>", "roots")):
            self.assert_fails(self.set(f"{{'peers': <['beta']>, 'roots': {roots}}}"), 1, why)
        self.assert_fails(self.set("{'target': <'echo'>, 'roots': <['/srv']>}"), 1, "'roots' is for services of programs")
        self.assertEqual(self.set("{'peers': <['beta']>, 'roots': <['/']>}").returncode, 0)


if __name__ == "__main__":
    sys.exit(main())
