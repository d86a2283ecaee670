#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units: whether systemd understands them, how it rates the sandbox, and whether hyphad works in it."""

import getpass
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import unittest

from harness import DEADLINE, HYPHACTL, HYPHAD, Case, Node, main, trust_each_other, wait_for
from sshd import WHY_NOT, Sshd

UNITS = pathlib.Path(os.environ["UNITS"])
SOURCE_UNITS = pathlib.Path(__file__).resolve().parents[2] / "data/systemd"
SANDBOX = pathlib.Path(__file__).with_name("sandbox.py")
PLUGINS = [pathlib.Path(path) for path in os.environ["HYPHA_PLUGIN_PATH"].split(":")]
VSOCK_PLUGIN = PLUGINS[0].parent / "vsock"
SSH_PLUGIN = PLUGINS[0].parent / "ssh"
# A second hop, as ssh makes it by a shell and another ssh.
SSH_CONFIG = """Host near far
  HostName 127.0.0.1
  HostKeyAlias far
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {known}
  StrictHostKeyChecking yes
Host far
  ProxyJump near
"""
MOST_EXPOSURE = 2.0


class Units(Case):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        self.folder = self.place().private

    def unit(self, scope, name="hyphad", program=HYPHAD):
        """The unit with a program that is there."""
        path = self.folder / f"{name}.service"
        text = (UNITS / scope / f"{name}.service").read_text()
        text, n = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={program}", text)
        self.assertEqual(n, 1)
        path.write_text(text)
        return path

    def analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True,
                              env=dict(os.environ, XDG_RUNTIME_DIR=str(self.folder), LC_ALL="C.UTF-8"))
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done

    def verify(self, *arguments):
        # What it only warns of does not change its status.
        self.assertEqual(self.analyze("verify", "--man=no", *arguments).stderr, "")

    def test_units_of_the_system_are_understood(self):
        sockets = [shutil.copy(path, self.folder) for path in SOURCE_UNITS.glob("system/*.socket")]
        self.assertEqual(len(sockets), 2)
        self.verify(str(self.unit("system")), *map(str, sockets))

    def test_unit_of_a_user_is_understood(self):
        self.verify("--user", str(self.unit("user")))

    def test_units_of_the_agent_are_understood(self):
        agent = ("hypha-agent", os.environ["HYPHA_AGENT"])
        self.verify(str(self.unit("system")), str(self.unit("system", *agent)))
        self.verify("--user", str(self.unit("user")), str(self.unit("user", *agent)))

    def test_exposure_of_the_system_unit_is_2_at_most(self):
        told = self.analyze("security", "--offline=true", "--no-pager", str(self.unit("system"))).stdout
        exposure = float(re.search(r"Overall exposure level for hyphad.service: ([\d.]+)", told)[1])
        self.assertLessEqual(exposure, MOST_EXPOSURE, told)

    def test_user_of_the_service_is_made(self):
        if not shutil.which("systemd-sysusers"):
            self.skipTest("there is no systemd-sysusers")
        root = self.folder / "root"
        (root / "etc").mkdir(parents=True)
        done = subprocess.run(["systemd-sysusers", f"--root={root}", str(SOURCE_UNITS / "hypha.sysusers")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex((root / "etc/passwd").read_text(), r"(?m)^hypha:.*:/var/lib/hypha:")
        self.assertEqual(re.search(r"(?m)^User=(.*)$", self.unit("system").read_text())[1], "hypha")


class Sandbox(Case):
    """By hand, under what sandbox.py can do of it."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root can build the sandbox")
        for tool in ("systemd-analyze", "cc"):
            if not shutil.which(tool):
                self.skipTest(f"there is no {tool}")
        reachable = subprocess.run([sys.executable, "-c", "import os, sys; os.setuid(65534); sys.exit(not os.access(sys.argv[1], os.X_OK))",
                                    HYPHAD])
        if reachable.returncode:
            self.skipTest(f"another user cannot run {HYPHAD}")
        private = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
        if private.returncode:
            self.skipTest(f"no mounts of one's own here: {private.stderr.strip()}")

    def confined(self, *arguments, **more):
        place = self.place()
        plugins = place.path / "plugins"
        plugins.mkdir()
        plugins.chmod(0o755)
        for path in [*PLUGINS, VSOCK_PLUGIN, SSH_PLUGIN]:
            shutil.copy(path / f"{path.name}.so", plugins)
        # Where the build has a leak checker: that wants to trace the process, which is forbidden here.
        place.environment.update(HYPHA_PLUGIN_PATH=str(plugins), LSAN_OPTIONS="detect_leaks=0")
        run = place.path / "run"
        run.mkdir()
        (place.private / "node.conf").write_text("[org/hypha/node]\n")
        for path in (run, place.private, place.private / "node.conf"):
            os.chown(path, 65534, 65534)
        node = Node(place, *arguments, config="", runner=[sys.executable, str(SANDBOX), str(UNITS / "system/hyphad.service"),
                                                          f"{run}:{place.private}"], ready=False)
        (place.path / f"notify-{len(place.nodes)}").chmod(0o777)
        wait_for(node.is_ready, f"READY:\n{node.log()}")
        return node

    def status(self, node):
        text = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def test_it_is_as_tight_as_it_says(self):
        node = self.confined()
        status = self.status(node)
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(status["Uid"].split(), ["65534"] * 4)
        self.assertEqual(int(status["CapEff"], 16), 1 << 10)
        mounts = pathlib.Path(f"/proc/{node.process.pid}/mounts").read_text()
        writable = [line.split()[1] for line in mounts.splitlines() if "rw" in line.split()[3].split(",")]
        self.assertCountEqual(writable, [str(node.place.path / "run"), str(node.place.private)])
        node.stop()

    def test_plug_ins_links_and_streams_work_in_it(self):
        path = "run/node.sock"
        node = self.confined("--listen", "tcp://127.0.0.1:0", "--listen", "tcp://[::1]:0")
        other = self.node()
        states = {plugin["name"]: plugin["state"] for plugin in node.ask("plugins")}
        self.assertEqual({name: states[name] for name in ("tcp", "unix")}, {"tcp": "ready", "unix": "ready"})
        self.assertIn(states["vsock"], ("ready", "unavailable"))
        unix = f"unix://{node.place.path}/{path}"
        listen = node.call("/org/hypha/Node1", "org.hypha.Node1.Listen", f"'{unix}'", "{}")
        self.assertEqual(listen.returncode, 0, listen.stderr)
        trust_each_other(other, node, "free", "confined")
        for endpoint in (unix, node.listening("tcp")):
            other.do("connect", endpoint)
        self.assertEqual(len(other.ask("links")), 2)
        done = other.ctl("open", "confined", "echo", input="x" * 1_000_000)
        self.assertEqual((done.returncode, len(done.stdout)), (0, 1_000_000), done.stderr)
        # Dialling outwards, and what it has to write to last.
        other.do("disconnect", "confined")
        node.stop()
        self.assertIn(other.id(), node.config.read_text())
        key = node.place.private / "state/hypha/identity.pem"
        self.assertEqual((stat.S_IMODE(key.stat().st_mode), key.stat().st_uid), (0o600, 65534))
        self.assertNotRegex(node.log(), "not permitted|Read-only|WARNING")

    @unittest.skipIf(WHY_NOT, WHY_NOT)
    def test_links_through_ssh_work_in_it(self):
        node, far = self.confined(), self.node()
        folder = far.place.private / "bin"
        folder.mkdir()
        (folder / "hyphactl").symlink_to(HYPHACTL)
        sshd = Sshd(far.place.private, tcp=True, more=f"SetEnv PATH={folder}:{os.environ['PATH']} DBUS_SYSTEM_BUS_ADDRESS={far.place.address} "
                    f"DBUS_SESSION_BUS_ADDRESS={far.place.address}\n")
        self.addCleanup(sshd.close)
        known, key, config, program = (node.place.private / name for name in ("known", "key", "ssh_config", "ssh"))
        known.write_text("far " + (far.place.private / "host.pub").read_text())
        shutil.copy(far.place.private / "user", key)
        config.write_text(SSH_CONFIG.format(port=sshd.port, user=getpass.getuser(), key=key, known=known))
        program.write_text(f"#!/bin/sh\nexec {shutil.which('ssh')} -F {config} \"$@\"\n")
        program.chmod(0o755)
        for path in (known, key, config, program):
            os.chown(path, 65534, 65534)
        trust_each_other(far, node, "far", "confined")
        node.do("config", "set", "transport-options", f"{{'ssh': {{'ssh': <'{program}'>}}}}")
        for host in ("near", "far"):
            node.do("connect", f"ssh://{host}")
            self.assertEqual([link["transport"] for link in node.ask("links")], ["ssh"])
            node.do("disconnect", "far")
        node.stop()

    def test_plug_in_that_is_dropped_in_is_loaded_in_it(self):
        node = self.confined()
        folder = node.place.path / "plugins"
        stub = PLUGINS[0].parent / "quic-stub" / "quic-stub.so"
        shutil.copy(stub, folder)
        # It runs, and says that there is nothing behind it.
        wait_for(lambda: any(plugin["path"] == str(folder / stub.name) and plugin["state"] == "unavailable"
                             for plugin in node.ask("plugins")), "the new plug-in")
        node.stop()

    def test_plug_in_that_is_a_program_runs_in_it(self):
        node = self.confined("--listen", "pytcp://127.0.0.1:0")
        folder, example = node.place.path / "plugins", pathlib.Path(os.environ["HYPHA_EXAMPLE_PLUGIN"])
        for name in ("pytcp.py", "pytcp.json"):
            shutil.copy(example / name, folder)
        wait_for(lambda: any(e.startswith("pytcp:") and not e.endswith(":0") for e in node.ask("status")["listening"]),
                 "the listener of a program")
        node.stop()

    def test_targets_of_services_are_reached_from_it(self):
        node = self.confined("--listen", "tcp://127.0.0.1:0")
        other = self.node()
        trust_each_other(other, node, "free", "confined")
        path = str(node.place.path / "target")
        with socket.socket(socket.AF_UNIX) as target:
            target.bind(path)
            os.chmod(path, 0o666)
            target.listen()
            target.settimeout(DEADLINE)
            with open(node.config, "a") as config:
                config.write(f"services={{'hello': {{'target': <'unix://{path}'>}}}}\n")
            node.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "READY=1" in node.told(), "the end of the reload")
            other.do("connect", node.listening("tcp"))
            stream = other.place.start_ctl("open", "confined", "hello", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            with target.accept()[0] as program:
                self.assertEqual(program.recv(1), b"")
                program.sendall(b"hello")
            self.assertEqual((stream.wait(DEADLINE), stream.stdout.read()), (0, b"hello"))
        node.stop()


if __name__ == "__main__":
    sys.exit(main())
