#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every key of the schema: what it does to a running daemon, and what happens to a wrong value.

The tables below have every key; a key that is in the schema and not in them fails a test. Keys are set by gsettings, as people do,
from outside, into the key file back-end of GSettings (and one of them through dconf).
"""

import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

from harness import DEADLINE, ROOT, Case, Node, main, trust_each_other, wait_for

SCHEMA = "org.hypha.node"
ID = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
# The first bytes of a TLS handshake: whoever sends them has been heard, and has not said who it is.
SPEAKS = b"\x16\x03\x01"

# Of each key: values that are of another type or out of range, and values that only the daemon can tell are wrong, with a word
# of the reason.
WRONG = {
    "name": ([], [("'two words'", "spaces"), ("'a\u202eb'", "202E"), ("'" + "x" * 65 + "'", "64")]),
    "listen": (["'tcp://[::]:1'", "[5]"], [("['tcp://127.0.0.1:70000']", "70000"), ("['']", "entry ''")]),
    "peers": (["5"], [("['tcp://']", "tcp://"), ("['tcp://127.0.0.1:1?frob=1']", "frob")]),
    "trusted-peers": (["['x']"], [("{'abc': {}}", "abc"), (f"{{'{ID}': {{'tls': <'perhaps'>}}}}", "always")]),
    "trust-rules": (["['x']"], [("{'tcp://127.0.0.1:*': 'x'}", "tcp"), ("{'unix:///run/x?uid=y': 'x'}", "uid")]),
    "services": (["{'x': 'echo'}"], [("{'x': {'target': <'nowhere'>}}", "target"), ("{'a b': {'target': <'echo'>}}", "a b"),
                                    ("{'tcp:*': {}}", "tcp:*"), ("{'tcp:*': {'target': <'tcp://:*'>}}", "tcp://:*")]),
    "forwards": (["{'local': 'x'}"], [("[{}]", "local"), ("[{'local': <'tcp://x'>, 'peer': <'p'>, 'target': <'t'>}]", "tcp://x")]),
    "disabled-transports": (["'tcp'"], [("['']", "scheme"), ("['tcp:']", "tcp:")]),
    "link-costs": (["{'tcp': -1}", "{'tcp': 4294967296}"], [("{'t cp': 1}", "t cp"), ("{'tcp://x': 1}", "tcp://x")]),
    "transport-options": (["{'tcp': 1}"], [("{'tcp': {'frob': <1>}}", "frob"), ("{'tcp': {'nodelay': <1>}}", "nodelay")]),
    "switch-margin": (["-1", "1000001", "'x'"], []),
    "ping-interval": (["49", "3600001"], [("20000", "link-timeout")]),
    "link-timeout": (["99", "86400001"], [("999", "ping-interval")]),
    "session-timeout": (["604800001", "1.5"], []),
    "first-byte-timeout": (["49", "600001"], []),
    "handshake-timeout": (["99", "600001"], []),
    "max-handshakes": (["0", "65537"], []),
    "max-handshakes-per-source": (["0", "65537"], []),
    "max-pending-peers": (["65537"], []),
    "max-streams": (["0", "65537"], [("2000", "session-window")]),
    "spin": (["101", "-1"], []),
    "session-window": (["65535", "1073741825"], [("65536", "max-streams")]),
}


class Settings(Case):
    """alpha is a user's daemon that takes its settings from GSettings; beta is another node."""

    def alpha_and_beta(self, *, config=""):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0")
        self.beta = Node(self.place(), config=config)
        trust_each_other(self.alpha, self.beta)
        self.tcp = self.alpha.listening("tcp")
        self.beta.do("connect", self.tcp)
        self.alpha.wait_peer("beta", state="online")

    def alone(self):
        self.alpha = self.node("--listen", "tcp://127.0.0.1:0")
        self.tcp = self.alpha.listening("tcp")

    def set(self, key, value):
        subprocess.run(["gsettings", "set", SCHEMA, key, value], env=self.alpha.place.environment, check=True, timeout=DEADLINE)

    def set_at_once(self, **values):
        """Sets keys whose effect cannot be seen by itself, and waits until they hold."""
        for key, value in values.items():
            key = key.replace("_", "-")
            self.set(key, value)
            wait_for(lambda: self.alpha.do("config", "get", key).strip() == value, f"{key} = {value}")

    def links(self, node=None):
        return {link["transport"]: link for link in (node or self.alpha).ask("links")}

    def two_links(self):
        """alpha and beta, with a link over tcp and a cheaper one over a Unix socket."""
        self.alpha_and_beta()
        self.alpha.call(ROOT, "org.hypha.Node1.Listen", self.unix, "{}")
        self.beta.do("connect", self.unix)
        wait_for(lambda: len(self.links()) == 2 and self.links()["unix"]["active"], "streams over the Unix socket")

    def open(self, node, *arguments):
        return node.place.start_ctl("open", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    bufsize=0)

    def echo(self, stream):
        stream.stdin.write(b"x")
        return stream.stdout.read(1) == b"x"

    def knock(self, says=b""):
        host, port = self.tcp.removeprefix("tcp://").rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
        self.addCleanup(connection.close)
        connection.sendall(says)
        return connection

    def is_closed(self, connection):
        connection.setblocking(False)
        try:
            return connection.recv(4096) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def wait_closed(self, connection):
        wait_for(lambda: self.is_closed(connection), "the end of the connection")

    def stranger(self):
        node = self.node()
        node.do("trust", self.alpha.id(), "alpha")
        node.ctl("connect", self.tcp)
        return node

    # ---- what each key does ----

    def effect_of_name(self):
        self.alone()
        self.set("name", "'other'")
        wait_for(lambda: self.alpha.ask("status")["name"] == "other", "the new name")
        self.set("name", "''")
        wait_for(lambda: self.alpha.ask("status")["name"] == socket.gethostname(), "the name of the host")

    def effect_of_listen(self):
        self.alpha_and_beta()
        [link] = self.alpha.ask("links")
        self.set("listen", f"['{self.unix}']")
        wait_for(lambda: self.unix in self.alpha.ask("status")["listening"], "a listener")
        self.beta.do("connect", self.unix)
        self.set("listen", "[]")
        wait_for(lambda: self.alpha.ask("status")["listening"] == [self.tcp], "the end of the listener")
        # Neither the link over it nor the other one has gone.
        self.assertIn(link["path"], [l["path"] for l in self.alpha.ask("links")])
        self.assertEqual(len(self.alpha.ask("links")), 2)

    def effect_of_peers(self):
        self.alone()
        self.beta = self.node("--listen", "tcp://127.0.0.1:0")
        trust_each_other(self.alpha, self.beta)
        endpoint = self.beta.listening("tcp")
        self.set("peers", f"['{endpoint}']")
        self.alpha.wait_peer("beta", state="online")
        [link] = self.alpha.ask("links")
        self.set("peers", "[]")
        wait_for(lambda: self.alpha.do("config", "get", "peers") == "[]\n", "no peers")
        self.assertEqual([l["path"] for l in self.alpha.ask("links")], [link["path"]])
        # Nobody dials any more.
        self.beta.stop()
        wait_for(lambda: self.alpha.ask("links") == [], "the end of the link")
        self.assertEqual(self.alpha.ask("explain", "beta"), [])

    def effect_of_trusted_peers(self):
        self.alpha_and_beta()
        gamma = self.stranger()
        [link] = self.alpha.ask("links")
        both = f"{{'{self.beta.id()}': {{'name': <'beta'>}}, '{gamma.id()}': {{'name': <'gamma'>}}}}"
        self.set("trusted-peers", both)
        self.alpha.wait_peer("gamma", trusted=True)
        gamma.do("connect", self.tcp)
        self.alpha.wait_peer("gamma", state="online")
        self.set("trusted-peers", f"{{'{self.beta.id()}': {{'name': <'beta'>}}}}")
        wait_for(lambda: not self.alpha.peer("gamma"), "the end of the trust")
        wait_for(lambda: len(self.alpha.ask("links")) == 1, "the end of gamma's link")
        self.assertEqual(self.alpha.ask("links")[0]["path"], link["path"])

    def effect_of_trust_rules(self):
        self.alone()
        path = f"unix://{self.alpha.place.private}/socket"
        self.set("listen", f"['{path}']")
        wait_for(lambda: path in self.alpha.ask("status")["listening"], "a listener")
        self.beta = self.node()
        self.beta.do("trust", self.alpha.id(), "alpha")
        self.set("trust-rules", f"{{'{path}?uid={os.geteuid()}': 'guest'}}")
        wait_for(lambda: "guest" in self.alpha.do("config", "get", "trust-rules"), "the rule")
        self.beta.do("connect", path)
        self.assertEqual(self.alpha.wait_peer("guest", state="online")["id"], self.beta.id())
        # Without the rule, whom it has let in stays.
        self.set("trust-rules", "{}")
        wait_for(lambda: "guest" not in self.alpha.do("config", "get", "trust-rules"), "the end of the rule")
        self.assertEqual(self.alpha.peer("guest")["state"], "online")

    def effect_of_services(self):
        self.alpha_and_beta()
        self.set("services", "{'mine': {'target': <'echo'>}}")
        wait_for(lambda: "mine" in self.alpha.do("config", "get", "services"), "the service")
        stream = self.open(self.beta, "alpha", "mine")
        self.assertTrue(self.echo(stream))
        self.set("services", "{'echo': {'target': <'off'>}}")
        wait_for(lambda: "off" in self.alpha.do("config", "get", "services"), "the end of the service")
        for service in ("mine", "echo"):
            self.assert_fails(self.beta.ctl("open", "alpha", service, stdin=subprocess.DEVNULL), 1, service)
        # A stream that was there stays.
        self.assertTrue(self.echo(stream))
        stream.stdin.close()
        self.assertEqual(stream.wait(DEADLINE), 0)

    def effect_of_forwards(self):
        self.alpha_and_beta()
        path = str(self.alpha.place.private / "forward")
        self.set("forwards", f"[{{'local': <'unix://{path}'>, 'peer': <'beta'>, 'target': <'echo'>}}]")
        wait_for(lambda: os.path.exists(path), "a forward")
        with socket.socket(socket.AF_UNIX) as program:
            program.settimeout(DEADLINE)
            program.connect(path)
            program.sendall(b"there")
            self.assertEqual(program.recv(5, socket.MSG_WAITALL), b"there")
            self.set("forwards", "[]")
            wait_for(lambda: not os.path.exists(path), "the end of the forward")
            # What it carries stays.
            program.sendall(b"again")
            self.assertEqual(program.recv(5, socket.MSG_WAITALL), b"again")

    def effect_of_disabled_transports(self):
        self.two_links()
        stream = self.open(self.beta, "alpha", "echo")
        self.assertTrue(self.echo(stream))
        self.set("disabled-transports", "['tcp']")
        trouble = wait_for(lambda: self.alpha.ask("status")["troubles"], "a trouble")
        self.assertIn("tcp://127.0.0.1:0", str(trouble))
        self.assertEqual(self.alpha.ask("status")["listening"], [self.unix])
        self.assertTrue(self.links()["unix"]["active"])
        self.assertTrue(self.echo(stream))
        self.set("disabled-transports", "[]")
        wait_for(lambda: not self.alpha.ask("status")["troubles"], "the end of the trouble")
        self.assertTrue(self.alpha.listening("tcp"))

    def effect_of_link_costs(self):
        self.two_links()
        paths = {l["path"] for l in self.alpha.ask("links")}
        self.set("link-costs", "{'unix': 5000}")
        wait_for(lambda: self.links()["unix"]["static-cost"] == 5000, "the new price")
        wait_for(lambda: self.links()["tcp"]["active"], "the choice of the cheaper link")
        self.set("link-costs", "{}")
        wait_for(lambda: self.links()["unix"]["static-cost"] < 10, "the old price")
        self.assertEqual({l["path"] for l in self.alpha.ask("links")}, paths)

    def effect_of_transport_options(self):
        self.alone()
        path = self.alpha.place.private / "socket"
        self.set("transport-options", "{'unix': {'mode': <'640'>}}")
        wait_for(lambda: "640" in self.alpha.do("config", "get", "transport-options"), "the options")
        self.set("listen", f"['unix://{path}']")
        wait_for(path.exists, "a socket")
        wait_for(lambda: stat.S_IMODE(path.stat().st_mode) == 0o640, "its mode")

    def effect_of_switch_margin(self):
        self.two_links()
        self.set_at_once(switch_margin="100000")
        self.set("link-costs", "{'unix': 5000}")
        wait_for(lambda: self.links()["unix"]["static-cost"] == 5000, "the new price")
        # For more than the second that a link has to be cheaper, answers pass over the dear one.
        self.alpha.do("ping", "beta", "--count", "16", "--interval", "100")
        self.assertTrue(self.links()["unix"]["active"])
        self.set("switch-margin", "0")
        wait_for(lambda: self.links()["tcp"]["active"], "the choice of the cheaper link")

    def effect_of_ping_interval(self):
        # beta is silent: what it says are answers.
        self.alpha_and_beta(config="link-timeout=86400000\nping-interval=3600000\n")
        self.set_at_once(link_timeout="86400000", ping_interval="3600000")
        first = self.links()["tcp"]
        self.set("ping-interval", "50")
        wait_for(lambda: self.links()["tcp"]["rx-bytes"] > first["rx-bytes"] + 10 * 12, "ten answers")
        self.assertEqual(self.links()["tcp"]["path"], first["path"])

    def effect_of_link_timeout(self):
        self.alpha_and_beta()
        self.set_at_once(link_timeout="86400000", ping_interval="50")
        self.beta.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: self.links()["tcp"]["state"] == "suspect", "a suspicion")
            self.set("link-timeout", "200")
            wait_for(lambda: self.alpha.ask("links") == [], "the end of the link")
        finally:
            self.beta.process.send_signal(signal.SIGCONT)

    def effect_of_session_timeout(self):
        self.alpha_and_beta(config="session-timeout=604800000\n")
        self.set_at_once(session_timeout="604800000")
        stream = self.open(self.alpha, "beta", "echo")
        self.assertTrue(self.echo(stream))
        self.beta.process.kill()
        self.alpha.wait_peer("beta", links=[])
        self.assertIsNone(stream.poll())
        self.set("session-timeout", "100")
        self.assertEqual(stream.wait(DEADLINE), 1)
        self.assertIn(b"link", stream.stderr.read())

    def effect_of_first_byte_timeout(self):
        self.alone()
        self.set_at_once(first_byte_timeout="600000")
        patient = self.knock()
        self.set_at_once(first_byte_timeout="50")
        self.wait_closed(self.knock())
        self.assertFalse(self.is_closed(patient))

    def effect_of_handshake_timeout(self):
        self.alone()
        self.set_at_once(handshake_timeout="600000")
        patient = self.knock(SPEAKS)
        self.set_at_once(handshake_timeout="100")
        self.wait_closed(self.knock(SPEAKS))
        self.assertFalse(self.is_closed(patient))

    def effect_of_max_handshakes(self, key="max-handshakes"):
        self.alone()
        self.set_at_once(handshake_timeout="600000")
        many = [self.knock(SPEAKS) for _ in range(6)]
        self.set("max-handshakes-per-source", "4")
        if key == "max-handshakes":
            self.set("max-handshakes-per-source", "100")
            self.set(key, "4")
        wait_for(lambda: self.alpha.do("config", "get", key) == "4\n", "the limit")
        # Those who came before are not concerned, but each one more takes another's place.
        self.assertFalse(any(map(self.is_closed, many)))
        many.append(self.knock(SPEAKS))
        wait_for(lambda: any(map(self.is_closed, many)), "a handshake that is given up")
        self.assertEqual(sum(map(self.is_closed, many)), 1)

    def effect_of_max_handshakes_per_source(self):
        self.effect_of_max_handshakes("max-handshakes-per-source")

    def effect_of_max_pending_peers(self):
        self.alone()
        strangers = [self.stranger().id() for _ in range(2)]
        wait_for(lambda: len(self.alpha.ask("peers")) == 2, "two that knocked")
        self.set("max-pending-peers", "1")
        [left] = wait_for(lambda: (lambda p: len(p) == 1 and p)(self.alpha.ask("peers")), "one that is remembered")
        self.assertEqual(left["id"], strangers[1])
        self.set("max-pending-peers", "0")
        wait_for(lambda: self.alpha.ask("peers") == [], "nobody who is remembered")
        self.stranger()
        self.assertEqual(self.alpha.ask("peers"), [])

    def effect_of_spin(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("nobody stays awake on the only CPU")
        self.alpha_and_beta()
        stream = self.open(self.alpha, "beta", "echo")
        self.assertTrue(self.echo(stream))

        def worker_time():
            tasks = pathlib.Path(f"/proc/{self.alpha.process.pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks
                       if (task / "comm").read_text().startswith("hypha-"))

        def time_of_a_trip(n=100):
            before = worker_time()
            for _ in range(n):
                self.assertTrue(self.echo(stream))
            return (worker_time() - before) / n / 1000

        asleep = min(time_of_a_trip() for _ in range(3))
        self.set("spin", "100")
        try:
            wait_for(lambda: time_of_a_trip() > asleep + 50, "a worker that stays awake")
        except AssertionError:
            # It yields to whoever else wants the CPU.
            if os.getloadavg()[0] > len(os.sched_getaffinity(0)):
                self.skipTest("others need the CPUs too much for a worker to stay awake")
            raise
        self.set("spin", "0")
        wait_for(lambda: time_of_a_trip() < asleep + 50, "a worker that sleeps")

    def effect_of_max_streams(self):
        self.alpha_and_beta()
        self.set_at_once(max_streams="2")
        streams = [self.open(self.beta, "alpha", "echo") for _ in range(2)]
        for stream in streams:
            self.assertTrue(self.echo(stream))
        self.assert_fails(self.beta.ctl("open", "alpha", "echo", stdin=subprocess.DEVNULL), 1)
        self.set_at_once(max_streams="3")
        one_more = self.open(self.beta, "alpha", "echo")
        self.assertTrue(self.echo(one_more))
        # Smaller than what is open: nothing ends.
        self.set_at_once(max_streams="1")
        self.assertTrue(all(map(self.echo, [*streams, one_more])))

    def effect_of_session_window(self):
        self.alpha_and_beta()
        program = socket.socket(socket.AF_UNIX)
        self.addCleanup(program.close)
        program.bind(str(self.alpha.place.private / "slow"))
        program.listen()
        self.set("services", f"{{'slow': {{'target': <'unix://{self.alpha.place.private}/slow'>}}}}")
        self.set_at_once(max_streams="4")

        def under_way(enough):
            """Waits until ENOUGH has come for a program that has read for a while, and then reads no more."""
            before, read = self.links()["tcp"]["rx-bytes"], 0
            with open("/dev/zero", "rb") as zero:
                stream = self.beta.place.start_ctl("open", "alpha", "slow", stdin=zero, stdout=subprocess.DEVNULL)
            connection, _ = program.accept()
            with connection:
                while read < 4 << 20:
                    read += len(connection.recv(65536))
                def came():
                    return self.links()["tcp"]["rx-bytes"] - before - read
                wait_for(lambda: enough(came), "a stream that waits for its program")
                most = came()
            stream.wait(DEADLINE)
            return most

        def stands(came):
            several = [came() for _ in range(8)]
            return several[-1] - several[0] < 1024

        self.set_at_once(session_window="65536")
        self.assertLess(under_way(stands), 1 << 20)
        self.set_at_once(session_window="67108864")
        # A busy machine may pause on the way there.
        under_way(lambda came: came() > 2 << 20)

    def test_tables_have_every_key(self):
        done = subprocess.run(["gsettings", "list-keys", SCHEMA], env=self.place().environment, check=True, capture_output=True,
                              text=True, timeout=DEADLINE)
        keys = set(done.stdout.split())
        self.assertEqual(keys - set(WRONG), set(), "keys without wrong values in WRONG")
        effects = {name.removeprefix("effect_of_").replace("_", "-") for name in dir(self) if name.startswith("effect_of_")}
        self.assertEqual(keys - effects, set(), "keys without an effect_of_...")


def add_effects():
    """A test for each effect, so that each is named."""
    for name in [name for name in dir(Settings) if name.startswith("effect_of_")]:
        def test(self, name=name):
            getattr(self, name)()
            self.alpha.stop()
        setattr(Settings, "test_" + name, test)


class Wrong(Case):
    """A wrong value is refused or told, and nothing changes, whichever way it comes."""

    def holding(self, node):
        return {entry["key"]: entry["value"] for entry in node.ask("config", "list")}

    def each(self, node):
        keys = self.holding(node)
        for key, (by_schema, by_daemon) in WRONG.items():
            # A key of a part that is not there.
            if key in keys:
                yield key, by_schema, by_daemon

    def test_through_gsettings(self):
        node = self.node()
        before = self.holding(node)
        for key, by_schema, by_daemon in self.each(node):
            for value in by_schema:
                done = subprocess.run(["gsettings", "set", SCHEMA, key, value], env=node.place.environment, capture_output=True,
                                      timeout=DEADLINE)
                self.assertNotEqual(done.returncode, 0, f"gsettings takes {key} = {value}")
            for value, _ in by_daemon:
                subprocess.run(["gsettings", "set", SCHEMA, key, value], env=node.place.environment, check=True, timeout=DEADLINE)
                node.wait_log(rf"setting {key} = .*last good value stays")
                subprocess.run(["gsettings", "reset", SCHEMA, key], env=node.place.environment, check=True, timeout=DEADLINE)
        self.assertEqual(self.holding(node), before)
        node.stop()

    def test_through_hyphactl(self):
        node = self.node(config="# mine\nname='here'\n")
        before, text = self.holding(node), node.config.read_bytes()
        for key, by_schema, by_daemon in self.each(node):
            for value in by_schema:
                self.assert_fails(node.ctl("config", "set", "--", key, value), 1, f"hyphactl: {key} = ")
            for value, word in by_daemon:
                self.assert_fails(node.ctl("config", "set", "--", key, value), 1, f"hyphactl: {key} = ", word)
        self.assertEqual(self.holding(node), before)
        self.assertEqual(node.config.read_bytes(), text)
        node.stop()

    def test_in_a_key_file(self):
        node = self.node(config="name='here'\n")
        before = self.holding(node)
        for pick in (lambda schema, daemon: schema[:1], lambda schema, daemon: [v for v, _ in daemon[:1]]):
            wrong = [(key, value) for key, schema, daemon in self.each(node) if key != "name" for value in pick(schema, daemon)]
            new = node.config.with_suffix(".new")
            new.write_text("[org/hypha/node]\nname='here'\n" + "".join(f"{key}={value}\n" for key, value in wrong))
            new.rename(node.config)
            for line, (key, _) in enumerate(wrong, start=3):
                node.wait_log(rf"line {line}: {key} = .*last good value stays")
            self.assertEqual(self.holding(node), before)
            node.config.write_text("[org/hypha/node]\nname='here'\n")
        node.stop()


class Dconf(Case):
    """The back-end that a desktop has."""

    def test_change_through_dconf_takes_effect_at_once(self):
        if not any(shutil.which("dconf-service", path=p) for p in ("/usr/libexec", "/usr/lib/dconf", os.environ["PATH"])):
            self.skipTest("there is no dconf-service")
        place = self.place()
        place.environment["GSETTINGS_BACKEND"] = "dconf"
        # Its service is started by the bus.
        bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"], env=place.environment,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        place.processes.append(bus)
        place.address = place.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        place.which = ["--address", place.address]
        seen = subprocess.run(["gsettings", "set", SCHEMA, "name", "'first'"], env=place.environment, capture_output=True,
                              text=True, timeout=DEADLINE)
        if not (place.private / "config" / "dconf" / "user").exists():
            self.skipTest(f"GSettings does not keep its keys in dconf here {seen.stderr.strip()}")
        node = Node(place)
        self.assertEqual(node.ask("status")["name"], "first")
        subprocess.run(["gsettings", "set", SCHEMA, "name", "'second'"], env=place.environment, check=True, timeout=DEADLINE)
        wait_for(lambda: node.ask("status")["name"] == "second", "the new name")
        node.do("config", "set", "name", "third")
        done = subprocess.run(["gsettings", "get", SCHEMA, "name"], env=place.environment, check=True, capture_output=True,
                              text=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, "'third'\n")
        node.do("config", "reset", "name")
        wait_for(lambda: node.ask("status")["name"] == socket.gethostname(), "the name of the host")
        node.stop()


add_effects()

if __name__ == "__main__":
    sys.exit(main())
