# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links through a real sshd, by the transport ssh and hyphactl attach."""

import contextlib
import getpass
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

from harness import DEADLINE, HYPHACTL, Case, Node, main, trust_each_other, wait_for
from sshd import WHY_NOT, Sshd

PLUGINS = os.environ["HYPHA_PLUGIN_PATH"].split(":")
# As people name hosts in their configuration.
ALIAS = "far_1.example-net"
CONFIG = """Host {alias} nobody.invalid
  HostName 127.0.0.1
  HostKeyAlias far
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  IdentityAgent {agent}
  ControlPath none
  UserKnownHostsFile {known}
  StrictHostKeyChecking {check}
  HashKnownHosts no
"""


def children(pid, *names):
    """Processes of one of these names below PID."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                head, tail = (entry / "stat").read_text().rsplit(") ", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(tail.split()[1]) == pid and head.split("(", 1)[1] in names:
                found.append(int(entry.name))
    return found


@unittest.skipIf(WHY_NOT, WHY_NOT)
class SshLink(Case):
    def setUp(self):
        ssh_plugin = pathlib.Path(PLUGINS[0]).parent / "ssh"
        far, near = self.place(), self.place()
        for place in (far, near):
            place.environment["HYPHA_PLUGIN_PATH"] = ":".join([*PLUGINS, str(ssh_plugin)])
        # What a session there finds: hyphactl, and the node by itself.
        bin = far.private / "bin"
        bin.mkdir()
        (bin / "hyphactl").symlink_to(HYPHACTL)
        self.far_bin = bin
        self.sshd = Sshd(far.private, tcp=True, more=f"SetEnv PATH={bin}:{os.environ['PATH']} DBUS_SYSTEM_BUS_ADDRESS={far.address} "
                         f"DBUS_SESSION_BUS_ADDRESS={far.address}\n")
        self.addCleanup(self.sshd.close)
        self.known = near.private / "known"
        self.known.write_text("far " + (far.private / "host.pub").read_text())
        self.key = near.private / "key"
        shutil.copy(far.private / "user", self.key)
        # ssh looks for its configuration where the user's home is, whatever HOME says.
        self.config = near.private / "ssh_config"
        self.configure()
        self.program = near.private / "bin" / "ssh"
        self.program.parent.mkdir()
        self.program.write_text(f"#!/bin/sh\nexec {shutil.which('ssh')} -F {self.config} \"$@\"\n")
        self.program.chmod(0o755)
        near.environment["PATH"] = f"{self.program.parent}:{os.environ['PATH']}"
        self.agent = near.private / "agent"
        near.environment["SSH_AUTH_SOCK"] = str(self.agent)
        self.far = Node(far, "--listen", "tcp://127.0.0.1:0")
        self.near = Node(near)
        trust_each_other(self.far, self.near, "far", "near")

    def configure(self, check="yes", more="", agent="none"):
        self.config.write_text(CONFIG.format(alias=ALIAS, port=self.sshd.port, user=getpass.getuser(), key=self.key, known=self.known,
                                             check=check, agent=agent) + more)

    def link(self, node, transport="ssh"):
        return next((link for link in node.ask("links") if link["transport"] == transport), None)

    def wait_link(self, node, transport="ssh"):
        """The node that was dialled knows of it a moment after the one that dialled."""
        return wait_for(lambda: self.link(node, transport), f"a link by {transport}")

    def echo(self, data):
        """What comes back from the peer, whole, after the end of one direction."""
        done = self.near.ctl("open", "far", "echo", input=data, text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), hashlib.sha256(data).hexdigest())

    def ssh_of_near(self):
        return children(self.near.process.pid, "ssh")

    def test_link_over_ssh_as_both_ends_see_it(self):
        self.near.do("connect", f"ssh://{ALIAS}/")
        here, there = self.link(self.near), self.wait_link(self.far)
        self.assertEqual((here["remote"], there["remote"]), (f"ssh://{ALIAS}", "attached:ssh://127.0.0.1"))
        for link in (here, there):
            self.assertEqual((link["static-cost"], link["encrypted"]), (25, True))
            self.assertGreaterEqual(link["cost"], 25)
        self.echo(os.urandom(3 << 20))

    def test_key_that_may_do_nothing_else(self):
        keys = self.far.place.private / "user.pub"
        keys.write_text('restrict,command="hyphactl attach ssh" ' + keys.read_text())
        self.near.do("config", "set", "transport-options", "{'ssh': {'command': <'echo something else'>}}")
        self.near.do("connect", f"ssh://{ALIAS}")
        self.assertEqual(self.wait_link(self.far)["remote"], "attached:ssh://127.0.0.1")

    def test_key_that_only_the_users_agent_has(self):
        if not (shutil.which("ssh-agent") and shutil.which("ssh-add")):
            self.skipTest("ssh-agent and ssh-add are not installed")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", self.agent], stdout=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        # It answers that it has no keys.
        wait_for(lambda: subprocess.run(["ssh-add", "-l"], env=self.near.place.environment, capture_output=True).returncode == 1, "an agent")
        subprocess.run(["ssh-add", "-q", self.key], env=self.near.place.environment, check=True, stderr=subprocess.DEVNULL)
        # Of the file, only which key it is.
        shutil.copy(self.far.place.private / "user.pub", self.key.with_suffix(".pub"))
        self.key.unlink()
        self.assert_no_way("does not let this user in", "Permission denied")
        self.configure(agent="SSH_AUTH_SOCK")
        self.near.do("connect", f"ssh://{ALIAS}")
        self.echo(os.urandom(1 << 16))

    def test_configuration_that_has_other_plans_for_the_streams(self):
        failed = {}
        for line in ("ForkAfterAuthentication yes", "StdinNull yes", "SessionType none", "SessionType subsystem", "RequestTTY force",
                     "RemoteCommand uname", "PermitLocalCommand yes\n  LocalCommand head -c 20000 /dev/zero",
                     "PermitLocalCommand yes\n  LocalCommand cat >/dev/null", "IgnoreUnknown UseKeychain\n  UseKeychain yes"):
            self.configure(more=f"  {line}\n")
            done = self.near.ctl("connect", f"ssh://{ALIAS}", "--timeout", "20000")
            if done.returncode != 0:
                failed[line] = done.stderr
                continue
            self.echo(os.urandom(1 << 16))
            self.near.do("disconnect", "far")
        self.assertEqual(failed, {})

    def test_ssh_goes_with_its_link_and_with_its_node(self):
        self.near.do("connect", f"ssh://{ALIAS}")
        [ssh] = self.ssh_of_near()
        self.near.do("disconnect", "far")
        wait_for(lambda: not pathlib.Path(f"/proc/{ssh}").exists(), "the end of ssh")
        wait_for(lambda: not self.link(self.far), "no link at the other end")
        self.near.do("connect", f"ssh://{ALIAS}")
        [ssh] = self.ssh_of_near()
        self.near.process.kill()
        self.near.process.wait()
        wait_for(lambda: not pathlib.Path(f"/proc/{ssh}").exists(), "the end of ssh")
        wait_for(lambda: not self.link(self.far), "no link at the other end")

    def stream_across(self, interrupt):
        """A stream that is interrupted in its middle, and comes out whole."""
        data = os.urandom(1 << 20)
        stream = self.near.place.start_ctl("open", "far", "echo", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stream.stdin.write(data[:1000])
        stream.stdin.flush()
        self.assertEqual(stream.stdout.read(1000), data[:1000])
        interrupt()
        rest, _ = stream.communicate(data[1000:], timeout=DEADLINE)
        self.assertEqual((rest == data[1000:], stream.returncode), (True, 0))

    def kill_sessions(self):
        """Those that serve a session: the network is as good as gone."""
        for process in self.sshd.processes:
            # Where it is another user than root it has a child that holds the connection (from OpenSSH 9.8 under another name).
            for pid in [process.pid, *children(process.pid, "sshd", "sshd-session")]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def test_session_goes_on_when_sshd_is_killed(self):
        self.near.do("connect", f"ssh://{ALIAS}")
        self.stream_across(self.kill_sessions)
        self.near.wait_log(r"Link with ssh://far_1\.example-net: .*: ssh ended with status 255")
        self.assertEqual(len(self.ssh_of_near()), 1)

    def test_session_moves_to_another_link(self):
        self.near.do("connect", f"ssh://{ALIAS}?cost=1")
        self.near.do("connect", self.far.listening("tcp"))
        self.assertTrue(self.link(self.near)["active"])
        # No way back.
        self.program.unlink()
        self.stream_across(self.kill_sessions)
        self.assertTrue(self.link(self.near, "tcp")["active"])

    def test_far_node_that_dies_ends_the_link(self):
        self.near.do("connect", f"ssh://{ALIAS}")
        self.far.process.kill()
        wait_for(lambda: not self.link(self.near), "no link")

    def test_bare_channel(self):
        done = self.near.ctl("dial", f"ssh://{ALIAS}", input="")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        # The far node wants a handshake, and this is none.
        done = self.near.ctl("dial", f"ssh://{ALIAS}", input="x" * 100)
        self.assertEqual(done.stdout, "")
        self.far.wait_log("An incoming handshake failed")

    def bind_near(self, *endpoints):
        self.far.do("config", "set", "trusted-peers", f"{{'{self.near.id()}': {{'name': <'near'>, 'endpoints': <{list(endpoints)}>}}}}")

    def test_what_attach_says_is_not_what_a_peer_is_bound_to(self):
        self.near.do("config", "set", "transport-options", "{'ssh': {'command': <'hyphactl attach tcp://127.0.0.1:1'>}}")
        self.bind_near("tcp://127.0.0.1:*", "tcp://127.0.0.1:1")
        done = self.near.ctl("connect", f"ssh://{ALIAS}")
        self.assert_fails(done, 1, "trust")
        self.far.wait_log("near is bound to other endpoints than attached:tcp://127.0.0.1:1")
        self.bind_near("attached:tcp://127.0.0.1:*")
        self.near.do("connect", f"ssh://{ALIAS}")
        self.assertEqual(self.wait_link(self.far, "tcp")["remote"], "attached:tcp://127.0.0.1:1")

    def test_bare_channel_that_is_cut_is_no_finished_one(self):
        process = self.near.place.start_ctl("dial", f"ssh://{ALIAS}", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Its threads are there once it is connected.
        tasks = pathlib.Path(f"/proc/{process.pid}/task")
        wait_for(lambda: "up\n" in [(task / "comm").read_text() for task in tasks.iterdir()], "a dial that is connected")
        self.kill_sessions()
        _, said = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"ssh ended with status 255", said)

    # What can be wrong, and what is said of it.

    def assert_no_way(self, *words, endpoint=f"ssh://{ALIAS}"):
        done = self.near.ctl("connect", endpoint)
        self.assert_fails(done, 1, f"{endpoint}: ", *words)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        wait_for(lambda: not self.ssh_of_near(), "no ssh left")

    def test_wrong_key(self):
        self.key.unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key], check=True)
        self.assert_no_way("does not let this user in", "Permission denied", f"ssh {ALIAS} -o BatchMode=yes true")

    def test_host_that_is_not_known_and_one_that_is_another(self):
        self.known.write_text("")
        self.configure(check="ask")
        self.assert_no_way("does not know the other machine", "Host key verification failed", f"ssh {ALIAS}")
        self.known.write_text("far " + (self.far.place.private / "user.pub").read_text())
        self.assert_no_way("does not know the other machine", "IDENTIFICATION HAS CHANGED")

    def test_nobody_listens(self):
        self.sshd.close()
        self.assert_no_way("ssh could not connect", "Connection refused")

    def test_no_hyphactl_there(self):
        (self.far_bin / "hyphactl").unlink()
        self.assert_no_way("cannot run 'hyphactl attach ssh'", "not found", "the option 'command' of the transport ssh")

    def test_no_node_there(self):
        self.far.stop()
        self.assert_no_way("'hyphactl attach ssh' at the other machine did not attach (status 1): hyphactl: ")

    def test_no_ssh_here(self):
        self.program.unlink()
        done = self.near.ctl("config", "set", "transport-options", "{'ssh': {'ssh': <'/nonexistent/ssh'>}}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_fails(self.near.ctl("connect", f"ssh://{ALIAS}"), 1, "/nonexistent/ssh", "openssh-client")

    def test_nothing_to_listen_on(self):
        done = self.near.call("/org/hypha/Node1", "org.hypha.Node1.Listen", "'ssh://anywhere'", "{}")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("hyphactl attach", done.stderr)


class Attach(Case):
    """hyphactl attach without any ssh."""

    def attach(self, node, *words, **more):
        process = node.place.start_ctl("attach", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.assertEqual(process.stdout.readline(), b"hypha attached\n")
        return process

    def test_leaves_the_bus_when_it_is_attached(self):
        node = self.node(config="handshake-timeout=60000\nfirst-byte-timeout=60000\n")

        def names():
            done = subprocess.run(["gdbus", "call", "--address", node.place.address, "--dest", "org.freedesktop.DBus", "--object-path",
                                   "/org/freedesktop/DBus", "--method", "org.freedesktop.DBus.ListNames"], capture_output=True, text=True)
            return done.stdout.count("':")

        before = wait_for(names, "names on the bus")
        process = self.attach(node)
        wait_for(lambda: names() == before, "as many names as before")
        self.assertIsNone(process.poll())
        process.communicate(b"x" * 100, timeout=DEADLINE)
        self.assertEqual(process.returncode, 0)

    def test_ends_with_its_input(self):
        node = self.node()
        process = self.attach(node)
        self.assertEqual(process.communicate(timeout=DEADLINE), (b"", b""))
        self.assertEqual(process.returncode, 0)

    def test_ends_with_the_node(self):
        node = self.node()
        process = self.attach(node)
        node.stop()
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_silence_is_given_up(self):
        node = self.node(config="handshake-timeout=300\nfirst-byte-timeout=200\n")
        process = self.attach(node)
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_where_it_says_that_it_comes_from_is_checked(self):
        node = self.node()
        for wrong, part in (("ssh://a?tls=never", "options"), ("attached:tcp://127.0.0.1:1", "attached"), ("tcp://:1", "tcp://:1"),
                            ("x:" + "a" * 600, "at most 512"), ("no scheme:", "scheme")):
            done = node.ctl("attach", wrong, input="")
            self.assert_fails(done, 1, part)
            self.assertEqual((done.stdout, "GDBus" in done.stderr), ("", False), done.stderr)

    def test_says_where_the_client_of_ssh_is(self):
        node = self.node()
        for connection, host in (("192.0.2.7 40000 192.0.2.1 22", "192.0.2.7"), ("fe80::1%eth0 40000 fe80::2%eth0 22", "[fe80::1]"),
                                 ("2001:DB8::7 1 ::1 22", "[2001:db8::7]"), ("UNKNOWN 65535 UNKNOWN 65535", "localhost"), ("", "localhost")):
            node.place.environment["SSH_CONNECTION"] = connection
            process = self.attach(node, "pipe")
            process.communicate(b"x" * 100, timeout=DEADLINE)
            node.wait_log(re.escape(f"attached:pipe://{host}:"))

    def test_share_of_the_handshakes_is_the_callers(self):
        node = self.node(config="max-handshakes-per-source=3\nhandshake-timeout=60000\nfirst-byte-timeout=60000\n")
        held = [self.attach(node, f"pipe://{number}") for number in range(6)]
        # Three have had to go, whatever they said.
        wait_for(lambda: sum(process.poll() is not None for process in held) == 3, "three that have gone")


if __name__ == "__main__":
    sys.exit(main())
