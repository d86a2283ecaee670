#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what on a bus with the rules of the system bus and our policy, where polkit is asked: as root, for it takes others."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from harness import DEADLINE, NAME, ROOT, Case, Node, Place, main, wait_for
from raw import Raw, message, text

POLICY = os.environ["HYPHA_DBUS_POLICY"]
ACTIONS = os.environ["HYPHA_POLKIT_POLICY"]
MOCK = str(pathlib.Path(__file__).with_name("mock-polkit.py"))
POLKITD = "/usr/lib/polkit-1/polkitd"
PEER = "a" * 51 + "q"
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


def python_with(module):
    """An interpreter that has what Debian packages; the one that runs this may be another."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return python
    return None


class SystemPlace(Place):
    # As /usr/share/dbus-1/system.conf, with our policy and room for a polkit.
    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig>
      <type>system</type>
      <listen>unix:path={path}</listen>
      <auth>EXTERNAL</auth>
      <policy context="default">
        <allow user="*"/>
        <deny own="*"/>
        <deny send_type="method_call"/>
        <allow send_type="signal"/>
        <allow send_requested_reply="true" send_type="method_return"/>
        <allow send_requested_reply="true" send_type="error"/>
        <allow receive_type="method_call"/>
        <allow receive_type="method_return"/>
        <allow receive_type="error"/>
        <allow receive_type="signal"/>
        <allow send_destination="org.freedesktop.DBus"/>
        <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
      </policy>
      <policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy>
      <policy user="polkitd"><allow own="org.freedesktop.PolicyKit1"/></policy>
      <policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
      <include>""" + POLICY + """</include>
    </busconfig>"""


@unittest.skipUnless(os.geteuid() == 0, "only root may become somebody else")
class SystemBus(Case):
    def setUp(self):
        self.system = SystemPlace()
        self.addCleanup(self.system.close)
        self.node = Node(self.system)

    def tearDown(self):
        if self.node.process.poll() is None:
            self.node.stop()

    def nobody(self, path, method, *arguments):
        return self.system.call(path, method, *arguments, **NOBODY)

    def trust(self):
        return self.nobody(ROOT, "org.hypha.Node1.Trust", PEER, "eve")

    def polkit(self, answer):
        python = python_with("gi")
        if python is None:
            self.skipTest("no python3 has gi (python3-gi)")
        log = self.system.path / "polkit.log"
        log.write_text("")
        process = subprocess.Popen([python, MOCK, self.system.address, answer, str(log)], stdout=subprocess.PIPE, text=True)
        self.system.processes.append(process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.asked = lambda: [json.loads(line) for line in log.read_text().splitlines()]
        return process


class System(SystemBus):
    def test_everybody_may_read(self):
        read = self.nobody(ROOT, "org.freedesktop.DBus.Properties.Get", NAME, "Id")
        self.assertIn(self.node.id(), read.stdout, read.stderr)
        listed = self.nobody(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        self.assertIn("org.hypha.Plugin1", listed.stdout, listed.stderr)
        self.assert_fails(self.nobody(ROOT, "org.hypha.Node1.Explain", "eve"), 1, "org.hypha.Error.NoSuchPeer")
        self.assertEqual(self.system.ctl("status", **NOBODY).returncode, 0)

    def test_without_polkit_nobody_else_changes_anything_and_is_told_who_may(self):
        for method, *arguments in (("Connect", "tcp://127.0.0.1:1", "{}"), ("Listen", "tcp://127.0.0.1:0", "{}"),
                                   ("Trust", PEER, "eve"), ("Forget", PEER), ("Unlisten", "tcp://127.0.0.1:1")):
            self.assert_fails(self.nobody(ROOT, f"org.hypha.Node1.{method}", *arguments), 1,
                              "org.hypha.Error.PermissionDenied", "user 65534", method, "no polkit", "root may")
        self.assert_fails(self.system.ctl("trust", PEER, "eve", **NOBODY), 1, "root may")
        self.assertEqual(self.node.ask("peers"), [])
        self.node.do("trust", PEER, "eve")

    def test_polkit_is_asked_with_the_action_and_the_caller_and_obeyed(self):
        self.polkit("yes")
        done = self.trust()
        self.assertEqual(done.returncode, 0, done.stderr)
        [[method, subject, action, details, flags, _cancellation]] = self.asked()
        self.assertEqual((method, action, details), ("CheckAuthorization", "org.hypha.trust", {}))
        self.assertEqual(subject[0], "system-bus-name")
        self.assertRegex(subject[1]["name"], r"^:1\.\d+$")
        self.assertEqual(self.node.ask("peers")[0]["name"], "eve")
        # A program that did not say so does not make somebody type a password; hyphactl says so.
        self.assertEqual(flags, 0)
        self.assertEqual(self.system.ctl("forget", "eve", **NOBODY).returncode, 0)
        self.assertEqual(self.asked()[-1][4], 1)

    def test_root_is_not_asked_about(self):
        self.polkit("no")
        self.node.do("trust", PEER, "eve")
        self.assertEqual(self.asked(), [])

    def test_no_is_no(self):
        self.polkit("no")
        self.assert_fails(self.trust(), 1, "org.hypha.Error.PermissionDenied", "polkit says no", "org.hypha.trust")
        self.assertEqual(self.node.ask("peers"), [])

    def test_password_that_nobody_can_be_asked_for_is_told(self):
        self.polkit("challenge")
        self.assert_fails(self.trust(), 1, "org.hypha.Error.PermissionDenied", "password")

    def test_what_is_to_last_needs_another_action(self):
        self.polkit("no")
        self.assert_fails(self.nobody(ROOT, "org.hypha.Node1.Connect", "tcp://127.0.0.1:1", "{}"), 1, "org.hypha.connect")
        self.assert_fails(self.nobody(ROOT, "org.hypha.Node1.Connect", "tcp://127.0.0.1:1", "{'persist': <true>}"), 1,
                          "org.hypha.configure")

    def test_every_change_has_its_action(self):
        self.polkit("no")
        self.node.do("trust", PEER, "eve")
        actions = {
            "Node1": {"connect": [("Connect", "tcp://127.0.0.1:1", "{}")], "dial": [("Dial", "tcp://127.0.0.1:1", "{}")],
                      "attach": [("Attach", "tcp://127.0.0.1:1", "{}")],
                      "serve": [("RegisterService", "mine", "/")],
                      "trust": [("Trust", PEER, "eve"), ("Forget", PEER), ("Pair", "1"), ("ConfirmPairing", PEER, "true")],
                      "configure": [("Listen", "tcp://127.0.0.1:0", "{}"), ("Unlisten", "tcp://127.0.0.1:1"), ("Renew",),
                                    ("AddForward", "tcp://127.0.0.1:0", "eve", "echo", "{}")]},
            "Config1": {"configure": [("Set", "name", "<'x'>"), ("Reset", "name")]},
            "Peer1": {"connect": [("Disconnect",)], "open-stream": [("OpenStream", "echo", "{}"), ("CloseStream", "1")]},
        }
        for interface, methods in actions.items():
            path = f"{ROOT}/peer/{PEER}" if interface == "Peer1" else ROOT
            for action, calls in methods.items():
                for method, *arguments in calls:
                    self.assert_fails(self.nobody(path, f"org.hypha.{interface}.{method}", *arguments), 1,
                                      "org.hypha.Error.PermissionDenied")
                    self.assertEqual(self.asked()[-1][2], f"org.hypha.{action}", method)
        self.assertEqual([peer["name"] for peer in self.node.ask("peers")], ["eve"])

    def raw_nobody(self):
        os.setegid(NOBODY["group"])
        os.seteuid(NOBODY["user"])
        try:
            raw = Raw(self.system.path / "bus", DEADLINE)
        finally:
            os.seteuid(0)
            os.setegid(0)
        self.addCleanup(raw.close)
        raw.say_hello()
        return raw

    def test_others_with_many_connections_cannot_keep_root_out(self):
        self.polkit("hang")
        # As many calls, and as large ones, as may be under way in all.
        for calls, size in ((128, 10), (4, 1020 * 1024)):
            many = [self.raw_nobody() for _ in range(17)]
            for raw in many:
                for serial in range(10, 10 + calls):
                    raw.send(message(serial, ROOT, NAME, "Forget", "s", text("x" * size), destination=NAME))
                raw.send(message(1000, ROOT, "org.freedesktop.DBus.Peer", "Ping", destination=NAME))
            for raw in many:
                raw.answer(1000)
            self.node.do("trust", PEER, "eve")
            self.node.do("forget", "eve")
            for raw in many:
                raw.close()

    def test_polkit_that_vanishes_is_a_no(self):
        self.polkit("vanish")
        self.assert_fails(self.trust(), 1, "org.hypha.Error.PermissionDenied", "polkit")

    def test_question_is_taken_back_when_the_caller_leaves(self):
        self.polkit("hang")
        process = subprocess.Popen(["gdbus", "call", "--address", self.system.address, "--dest", NAME, "--object-path", ROOT,
                                    "--method", "org.hypha.Node1.Trust", PEER, "eve"], stderr=subprocess.DEVNULL,
                                   env=self.system.environment, **NOBODY)
        self.system.processes.append(process)
        [check] = wait_for(self.asked, "a question")
        process.kill()
        wait_for(lambda: ["CancelCheckAuthorization", check[5]] in self.asked(), "the question taken back")

    def test_somebody_else_can_neither_be_polkit_nor_the_node(self):
        for name in (NAME, "org.freedesktop.PolicyKit1"):
            done = subprocess.run(["gdbus", "call", "--address", self.system.address, "--dest", "org.freedesktop.DBus",
                                   "--object-path", "/org/freedesktop/DBus", "--method", "org.freedesktop.DBus.RequestName",
                                   name, "4"], env=self.system.environment, capture_output=True, text=True, **NOBODY)
            self.assert_fails(done, 1, "AccessDenied")

    def test_policy_lets_pass_only_the_interfaces_that_are_there(self):
        done = self.nobody(ROOT, "org.example.Other.Method")
        self.assert_fails(done, 1, "AccessDenied")

    def test_polkits_own_daemon_takes_the_actions(self):
        if not os.access(POLKITD, os.X_OK):
            self.skipTest("there is no polkitd")
        installed = pathlib.Path("/usr/share/polkit-1/actions/org.hypha.policy")
        if not shutil.which("unshare"):
            self.skipTest("there is no unshare, to show polkitd the policy")
        # It reads its actions from one place only.
        actions = self.system.path / "actions"
        shutil.copytree(installed.parent, actions)
        shutil.copy(ACTIONS, actions / installed.name)
        script = f"mount --bind '{actions}' '{installed.parent}' && exec '{POLKITD}' --no-debug"
        environment = dict(self.system.environment, DBUS_SYSTEM_BUS_ADDRESS=self.system.address)
        with open(self.system.path / "polkitd.log", "w") as log:
            process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], env=environment, stdout=log, stderr=log)
        self.system.processes.append(process)

        def owned():
            if process.poll() is not None:
                self.skipTest("polkitd does not run here: " + (self.system.path / "polkitd.log").read_text()[-300:])
            return "true" in subprocess.run(
                ["gdbus", "call", "--address", self.system.address, "--dest", "org.freedesktop.DBus", "--object-path",
                 "/org/freedesktop/DBus", "--method", "org.freedesktop.DBus.NameHasOwner", "org.freedesktop.PolicyKit1"],
                capture_output=True, text=True, env=environment).stdout
        wait_for(owned, "polkitd")
        for method, *arguments in (("Trust", PEER, "eve"), ("Listen", "tcp://127.0.0.1:0", "{}")):
            refused = self.nobody(ROOT, f"org.hypha.Node1.{method}", *arguments)
            self.assert_fails(refused, 1, "org.hypha.Error.PermissionDenied", "password")


class Deadline(SystemBus):
    def test_polkit_that_hangs_is_a_no_and_keeps_nobody_else_waiting(self):
        self.polkit("hang")
        process = subprocess.Popen(["gdbus", "call", "--address", self.system.address, "--dest", NAME, "--object-path", ROOT,
                                    "--method", "org.hypha.Node1.Trust", PEER, "eve"], stderr=subprocess.PIPE, text=True,
                                   env=self.system.environment, **NOBODY)
        self.system.processes.append(process)
        wait_for(self.asked, "a question")
        self.node.do("trust", PEER, "adam")
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn("in time", process.stderr.read())
        self.assertEqual(self.node.ask("peers")[0]["name"], "adam")


if __name__ == "__main__":
    sys.exit(main())
