#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check.py BUILD: what was installed from there is complete, and the READMEs tell the truth about it.

Every example of a README is run here by its name (tests/examples.py).
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTIONS = {option["name"]: option["value"] for option in json.loads(subprocess.run(
    ["meson", "introspect", "--buildoptions", sys.argv.pop(1)], check=True, capture_output=True, text=True).stdout)}
PREFIX = pathlib.Path(OPTIONS["prefix"])
LIBDIR = PREFIX / OPTIONS["libdir"]
os.environ.update(
    HYPHAD=str(PREFIX / "bin" / "hyphad"), HYPHACTL=str(PREFIX / "bin" / "hyphactl"),
    PATH=f"{PREFIX / 'bin'}:{os.environ['PATH']}", LD_LIBRARY_PATH=str(LIBDIR), GI_TYPELIB_PATH=str(LIBDIR / "girepository-1.0"),
    PKG_CONFIG_PATH=str(LIBDIR / "pkgconfig"),
    XDG_DATA_DIRS=f"{PREFIX / 'share'}:{os.environ.get('XDG_DATA_DIRS', '/usr/local/share:/usr/share')}")
for name in ("HYPHA_PLUGIN_PATH", "GSETTINGS_SCHEMA_DIR"):
    os.environ.pop(name, None)
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "daemon")]

from examples import blocks  # noqa: E402
from harness import DEADLINE, Case, Place, main, trust_each_other, wait_for  # noqa: E402

FAR = "tcp://192.0.2.7:4974"  # what the README calls another machine
EXAMPLES = blocks()


def compile_example(name, output, *flags):
    source = output.with_suffix(".c")
    source.write_text(EXAMPLES[name])
    package = subprocess.run(["pkg-config", "--cflags", "--libs", "hypha-1"], check=True, capture_output=True, text=True).stdout
    subprocess.run(["cc", "-Wall", "-Werror", *flags, "-o", output, source, *package.split()], check=True)


class Files(Case):
    def test_everything_is_where_it_belongs_and_nothing_else(self):
        wanted = [line for line in (ROOT / "tests" / "install" / "files.txt").read_text().splitlines() if not line.startswith("#")]
        found = []
        for path in PREFIX.rglob("*"):
            if path.is_file():
                inside = path.is_relative_to(LIBDIR)
                found.append("LIBDIR/" + str(path.relative_to(LIBDIR)) if inside else str(path.relative_to(PREFIX)))
        self.assertEqual(sorted(found), sorted(wanted))

    def test_manual_is_found_and_shown(self):
        for page in ("hypha-agent", "hyphactl", "hyphad", "hypha-node.conf"):
            done = subprocess.run(["man", "-M", PREFIX / "share" / "man", page], capture_output=True, text=True,
                                  env=dict(os.environ, MANPAGER="cat", LC_ALL="C.UTF-8"))
            self.assertIn("NAME", done.stdout, done.stderr)


class Readmes(Case):
    """Each example by its name."""

    def pair(self):
        near, far = self.node(config="name='near'\n"), self.node(config="name='far'\nlisten=['tcp://127.0.0.1:0']\n")
        return near, far

    def node(self, *arguments, **more):
        node = super().node(*arguments, **more)
        # Root's commands look on the system bus.
        node.place.environment["DBUS_SYSTEM_BUS_ADDRESS"] = node.place.address
        return node

    def shell(self, node, name, names):
        text = EXAMPLES[name]
        for old, new in names.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        return subprocess.run(["bash", "-euo", "pipefail"], input=text, capture_output=True, text=True, timeout=DEADLINE,
                              env=node.place.environment, cwd=node.place.private)

    def test_every_example_has_a_name_and_is_run(self):
        self.assertEqual(EXAMPLES[None], [])
        source = pathlib.Path(__file__).read_text()
        for name in EXAMPLES:
            if name is not None:
                self.assertIn(f'"{name}"', source, f"nothing here runs the example {name}")

    def test_first_steps_lead_to_an_echo(self):
        near, far = self.pair()
        far.do("trust", near.id(), "laptop")
        done = self.shell(near, "first-steps", {"3kq4…": far.id(), FAR: far.listening("tcp"), "127.0.0.1:2222": "127.0.0.1:0",
                                                "127.0.0.1:5353": "127.0.0.1:0"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("hello\n"), done.stdout)

    def test_key_file_is_taken_and_holds(self):
        place = self.place()
        text = EXAMPLES["key-file"]
        config = place.private / "example.conf"
        config.write_text(text)
        printed = place.hyphad("--config", str(config), "--print-config")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        for line in text.splitlines()[1:]:
            self.assertIn(line.split("=")[0] + "=", printed.stdout)

    def test_settings_change_while_the_node_runs(self):
        node = self.node()
        done = self.shell(node, "settings", {})
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for(lambda: any(e.startswith("tcp://127.0.0.1:") for e in node.ask("status")["listening"]), "the endpoint of the example")

    def test_plugin_is_built_apart_dropped_in_and_loaded(self):
        node = self.node()
        (node.place.private / "exec.c").write_text(EXAMPLES["plugin"])
        home = node.place.private / "data" / "hypha-1" / "transports"
        done = self.shell(node, "plugin-install", {"~/.local/share/hypha-1/transports": str(home)})
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for(lambda: any(p["name"] == "exec" and p["state"] == "ready" for p in node.ask("plugins")), "the plug-in exec, ready")
        if shutil.which("socat") is None:
            self.skipTest("socat is not installed")
        # One that only connects: the test listens in its place.
        contract = node.place.private / "exec.contract"
        contract.write_text("[Contract]\nfar=exec:socat%20-%20UNIX-CONNECT:${far-unix}\ncost=50\n")
        done = subprocess.run(["hyphactl", "plugin", "check", node.place.private / "exec.so", "--only", "channel/close*", "--only", "channel/h*traits",
                               "--only", "listen/*"], env=node.place.environment, capture_output=True, text=True, timeout=4 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ok       channel/has-its-traits\n", done.stdout)
        self.assertIn("skipped  listen/bound-can-be-dialled: this transport only connects\n", done.stdout)

    def test_new_plugin_is_built_checked_dropped_in_and_loaded(self):
        if shutil.which("meson") is None:
            self.skipTest("meson is not installed")
        node = self.node()
        home = node.place.private / "data" / "hypha-1" / "transports"
        done = self.shell(node, "plugin-new", {"~/.local/share/hypha-1/transports": str(home)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Tests: 41 ok, 0 failed, 2 skipped", done.stdout)
        wait_for(lambda: any(p["name"] == "ring" and p["state"] == "ready" for p in node.ask("plugins")), "the plug-in ring, ready")

    def test_new_plugin_in_python_is_checked_dropped_in_and_loaded(self):
        node = self.node()
        home = node.place.private / "data" / "hypha-1" / "transports"
        done = self.shell(node, "plugin-new-python", {"~/.local/share/hypha-1/transports": str(home)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Tests: 41 ok, 0 failed, 2 skipped", done.stdout)
        wait_for(lambda: any(p["name"] == "wing" and p["state"] == "ready" for p in node.ask("plugins")), "the plug-in wing, ready")

    def test_client_in_c_prints_the_peers(self):
        near, far = self.pair()
        trust_each_other(near, far, "near", "far")
        near.do("connect", far.listening("tcp"))
        near.wait_peer("far", state="online")
        program = near.place.private / "peers"
        compile_example("client-c", program)
        done = subprocess.run([program, near.place.address], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (0, "far online\n"), done.stderr)

    def test_node_in_a_program_is_reached(self):
        near = self.node()
        program = near.place.private / "node"
        compile_example("node-c", program)
        endpoint = f"unix://{near.place.path}/node.sock"
        process = subprocess.Popen([program, near.place.private / "keys" / "identity", endpoint, near.id()], stdout=subprocess.PIPE,
                                   text=True, env=near.place.environment)
        near.place.processes.append(process)
        near.do("trust", process.stdout.readline().strip(), "embedded")
        near.do("connect", endpoint)
        near.ctl("open", "embedded", "ring", input="")
        self.assertEqual(process.stdout.readline(), "friend opens ring\n")
        self.assertEqual(process.wait(DEADLINE), 0)

    def echo_client(self, peer, *command):
        """What a program prints that opens echo of PEER."""
        near, far = self.pair()
        trust_each_other(near, far, "near", peer)
        near.do("connect", far.listening("tcp"))
        near.wait_peer(peer, state="online")
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=near.place.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def python(self):
        for python in ("python3", "/usr/bin/python3"):
            if subprocess.run([python, "-c", "import gi"], capture_output=True).returncode == 0:
                return python
        self.skipTest("no Python here has the bindings of GObject (python3-gi)")

    def test_client_in_python_reads_what_it_wrote(self):
        self.assertEqual(self.echo_client("web1", self.python(), "-c", EXAMPLES["client-python"]), "hello\n")

    def test_client_in_python_learns_how_a_stream_ends(self):
        printed = self.echo_client("web1", self.python(), "-c", EXAMPLES["client-python-end"])
        self.assertEqual(printed, "b'hello'\n(True, received=5, sent=5)\n")

    def test_client_in_python_is_answered_in_json(self):
        self.assertEqual(self.echo_client("web1", self.python(), "-c", EXAMPLES["client-json-python"]), "world\n")

    def test_client_in_c_is_answered_in_json(self):
        program = self.place().private / "call"
        compile_example("client-json-c", program)
        self.assertEqual(self.echo_client("web1", program), "world\n")

    def test_client_in_javascript_reads_what_it_wrote(self):
        if shutil.which("gjs") is None:
            self.skipTest("gjs is not installed")
        script = self.place().private / "client.js"
        script.write_text(EXAMPLES["client-js"])
        self.assertEqual(self.echo_client("web1", "gjs", "-m", script), "hello\n")


class Without(Case):
    """A machine that lacks what some transports need: their build says so, and leaves them out."""

    def test_transports_whose_libraries_are_missing_are_left_out_with_a_word(self):
        if shutil.which("meson") is None:
            self.skipTest("meson is not installed")
        folder = self.place().private
        packages = folder / "packages"
        packages.mkdir()
        path = subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"], check=True, capture_output=True, text=True).stdout.strip()
        for package in [package for place in path.split(":") for package in pathlib.Path(place).glob("*.pc")]:
            if not package.name.startswith(("libngtcp2", "libsoup")) and not (packages / package.name).exists():
                (packages / package.name).symlink_to(package)
        environment = {name: value for name, value in os.environ.items() if name != "PKG_CONFIG_PATH"}
        environment["PKG_CONFIG_LIBDIR"] = str(packages)
        done = subprocess.run(["meson", "setup", "-Dtests=true", folder / "build", ROOT], capture_output=True, text=True, env=environment,
                              timeout=4 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("quic is left out: it needs libngtcp2 and libngtcp2_crypto_gnutls (Debian: libngtcp2-dev, libngtcp2-crypto-gnutls-dev)",
                      done.stdout)
        self.assertRegex(done.stdout, "QUIC +: no: quic-stub says so to whoever asks for it")
        self.assertIn("the transport websocket (ws: and wss:) is left out: install libsoup-3.0-dev", done.stdout)
        targets = json.loads(subprocess.run(["meson", "introspect", "--targets", folder / "build"], check=True, capture_output=True).stdout)
        modules = {target["name"] for target in targets if target["type"] == "shared module"}
        self.assertEqual(modules & {"quic", "quic-stub", "websocket", "tcp"}, {"quic-stub", "tcp"})


class Activation(Case):
    def test_session_bus_starts_the_node_that_is_asked_for(self):
        place = Place()
        self.addCleanup(place.close)
        config = place.path / "starting.conf"
        services = PREFIX / "share" / "dbus-1" / "services"
        config.write_text(place.BUS.format(path=place.path / "starting").replace("<policy", f"<servicedir>{services}</servicedir><policy", 1))
        address = f"unix:path={place.path}/starting"
        environment = dict(place.environment, DBUS_SESSION_BUS_ADDRESS=address)
        bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        place.processes.append(bus)
        bus.stdout.readline()
        done = subprocess.run(["hyphactl", "--address", address, "status", "--json"], env=environment, capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        pid = subprocess.run(["gdbus", "call", "--address", address, "--dest", "org.freedesktop.DBus", "--object-path", "/", "--method",
                              "org.freedesktop.DBus.GetConnectionUnixProcessID", "org.hypha.Node1"], capture_output=True, text=True,
                             check=True).stdout
        pid = int(re.search(r"uint32 (\d+)", pid)[1])
        self.assertEqual(os.readlink(f"/proc/{pid}/exe"), str(PREFIX / "bin" / "hyphad"))
        bus.terminate()  # its node ends with it
        bus.wait(DEADLINE)
        wait_for(lambda: not pathlib.Path(f"/proc/{pid}/exe").exists(), "the end of the node whose bus is gone")


if __name__ == "__main__":
    sys.exit(main())
