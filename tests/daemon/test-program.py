#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A transport that is a program: the example in Python, dropped into the directory of daemons that run."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import unittest

from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for
from load import Load

EXAMPLE = pathlib.Path(os.environ["HYPHA_EXAMPLE_PLUGIN"])
MEGABYTE = 1 << 20


class Alone(unittest.TestCase):
    """What the example answers, by the rules of plugins/any-language.md."""

    def setUp(self):
        self.node, other = socket.socketpair()
        self.addCleanup(self.node.close)
        self.node.settimeout(DEADLINE)
        with other:
            program = subprocess.Popen([EXAMPLE / "pytcp.py"], stdin=other, stdout=other)
        # The end of its input is what ends it.
        self.addCleanup(program.wait, DEADLINE)
        self.addCleanup(self.node.shutdown, socket.SHUT_RDWR)
        self.answers = self.node.makefile("rb")
        self.addCleanup(self.answers.close)
        self.ask({"do": "hello", "id": 1, "protocol": 1, "name": "pytcp", "options": {}, "rendezvous": "/nowhere"})
        self.assertEqual(self.answer(), {"id": 1})

    def ask(self, *requests):
        """All of them in one piece."""
        self.node.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def answer(self):
        return json.loads(self.answers.readline())

    def test_request_that_is_cancelled_before_it_was_begun_is_answered_once(self):
        for number, what in enumerate(("connect", "listen", "probe", "configure"), 2):
            self.ask({"do": what, "id": number, "endpoint": "pytcp://127.0.0.1:0", "ticket": "t", "timeout-ms": 1000, "options": {}},
                     {"do": "cancel", "id": number})
            answer = self.answer()
            self.assertEqual((answer["id"], answer["error"]["message"]), (number, "cancelled"))
        self.ask({"do": "unheard-of", "id": 10})
        answer = self.answer()
        self.assertEqual((answer["id"], answer["error"]["code"]), (10, "not-supported"))

    def test_close_of_what_is_no_listener_is_passed_over(self):
        self.ask({"do": "close", "id": 7}, {"do": "cancel", "id": 7}, {"do": "probe", "id": 2})
        self.assertEqual(self.answer()["id"], 2)


class Program(Case):
    patience = 4 * Case.patience

    def start(self, *arguments, config=""):
        place = self.place()
        plugins = place.private / "plugins"
        plugins.mkdir()
        place.environment["HYPHA_PLUGIN_PATH"] = f"{plugins}:{place.environment['HYPHA_PLUGIN_PATH']}"
        return Node(place, *arguments, config=config)

    def drop_in(self, node):
        """As people should: the program first, and into its place by its name."""
        plugins = node.place.private / "plugins"
        for name in ("pytcp.py", "pytcp.json"):
            shutil.copy(EXAMPLE / name, plugins / f".{name}")
            (plugins / f".{name}").rename(plugins / name)

    def plugin(self, node):
        return next((p for p in node.ask("plugins") if p["name"] == "pytcp"), {"state": None, "reason": None})

    def wait_plugin(self, node, state):
        return wait_for(lambda: self.plugin(node)["state"] == state and self.plugin(node), f"the plug-in {state}")

    def pid(self, node):
        """Of the program, once it has said that it works."""
        def look():
            found = next((t for t in node.ask("transports") if t["name"] == "pytcp"), {"details": {}})["details"]
            return found.get("ipv6") is not None and found["pid"]
        return wait_for(look, "an answer of the program")

    def pair(self, config=""):
        self.alpha = self.start("--listen", "pytcp://127.0.0.1:0", config=config)
        self.drop_in(self.alpha)
        self.wait_plugin(self.alpha, "ready")
        endpoint = wait_for(lambda: [e for e in self.alpha.ask("status")["listening"] if not e.endswith(":0")], "a listener")[0]
        self.beta = self.start(config=f"{config}peers=['{endpoint}']\n")
        self.drop_in(self.beta)
        self.wait_plugin(self.beta, "ready")
        trust_each_other(self.alpha, self.beta)
        self.beta.wait_peer("alpha", state="online")
        self.load = Load(self.beta, self.alpha, 2, 1)
        self.goes_on()

    def goes_on(self):
        before = self.load.moved()
        wait_for(lambda: self.load.moved() > before + MEGABYTE, "another MiB")

    def links(self):
        return {link["id"] if "id" in link else (link["local"], link["remote"]) for link in self.beta.ask("links")}

    def end_well(self):
        self.goes_on()
        self.load.finish()
        self.load.check_whole()
        programs = [self.pid(self.alpha), self.pid(self.beta)]
        self.alpha.stop()
        self.beta.stop()
        for pid in programs:
            wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the end of the program")
        for node in (self.alpha, self.beta):
            self.assertEqual(list(node.place.private.glob("hypha-program-*")), [])

    def test_channel_by_descriptor_outlives_its_program(self):
        self.pair()
        before = self.links()
        for node in (self.alpha, self.beta):
            pid = self.pid(node)
            os.kill(pid, signal.SIGKILL)
            self.assertIn("signal 9", self.wait_plugin(node, "unavailable")["reason"])
            self.wait_plugin(node, "ready")
            self.assertNotEqual(self.pid(node), pid)
        self.goes_on()
        self.assertEqual(self.links(), before)
        # And it listens again.
        wait_for(lambda: self.alpha.listening("pytcp"), "a listener")
        self.end_well()

    def test_session_outlives_its_program(self):
        self.pair("transport-options={'pytcp': {'hand-over': <'rendezvous'>}}\n")
        before = self.links()
        os.kill(self.pid(self.beta), signal.SIGKILL)
        wait_for(lambda: self.links() and not self.links() & before, "another link")
        self.end_well()

    def test_taken_away_and_back(self):
        self.pair()
        pid, manifest = self.pid(self.alpha), self.alpha.place.private / "plugins" / "pytcp.json"
        manifest.rename(manifest.with_suffix(".off"))
        wait_for(lambda: self.plugin(self.alpha)["state"] is None, "a list without the plug-in")
        wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the end of the program")
        self.assertEqual(self.alpha.ask("status")["listening"], [])
        self.goes_on()  # what is there goes on
        manifest.with_suffix(".off").rename(manifest)
        self.wait_plugin(self.alpha, "ready")
        wait_for(lambda: self.alpha.ask("status")["listening"], "a listener")
        self.end_well()

    def test_changed_manifest_is_taken_up(self):
        node = self.start()
        self.drop_in(node)
        pid, manifest = self.pid(node), node.place.private / "plugins" / "pytcp.json"
        other = manifest.with_suffix(".new")
        other.write_text(manifest.read_text().replace('"cost": 20', '"cost": 21').replace('"1.0"', '"1.1"'))
        other.rename(manifest)
        wait_for(lambda: any(t["name"] == "pytcp" and t["link-cost"] == 21 for t in node.ask("transports")), "the new cost")
        self.assertEqual([p["version"] for p in node.ask("plugins") if p["name"] == "pytcp"], ["1.1"])
        wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the end of the program")
        self.pid(node)
        node.stop()

    def test_wrong_options_are_told(self):
        node = self.start(config="transport-options={'pytcp': {'hand-over': <'by mail'>}}\n")
        self.drop_in(node)
        self.assertIn("neither 'descriptor' nor 'rendezvous'", self.wait_plugin(node, "unavailable")["reason"])
        node.do("config", "set", "transport-options", "{'pytcp': {'hand-over': <'descriptor'>}}")
        self.wait_plugin(node, "ready")
        done = node.ctl("config", "set", "transport-options", "{'pytcp': {'hand-over': <7>}}")
        self.assertIn("hand-over", done.stderr + self.plugin(node)["reason"])
        node.stop()


if __name__ == "__main__":
    sys.exit(main())
