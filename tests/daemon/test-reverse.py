#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverse forwards: endpoints that a peer listens on for a node, and that lead to services of that node. And forwards of a
node to itself."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

from harness import DEADLINE, ROOT, Case, Node, connect_to, main, trust_each_other, wait_for
from raw import Raw, message, text

HARD = b"\1\0\0\0\0\0\0\0"
ANY = "tcp://127.0.0.1:0"


class Opener:
    """Somebody on NODE's bus who opens many streams to its peer PEER."""

    def __init__(self, node, peer):
        self.raw = Raw(node.place.path / "bus", DEADLINE, descriptors=True)
        self.raw.say_hello()
        self.path = f"{ROOT}/peer/{peer.id()}"
        self.serial = 1

    def open(self, service):
        """A socket; None: it was refused."""
        self.serial += 1
        name = text(service) + bytes(-len(text(service)) % 4)
        body = name + struct.pack("<I", 0) + bytes(-(len(name) + 4) % 8)
        self.raw.send(message(self.serial, self.path, "org.hypha.Peer1", "OpenStream", "sa{sv}", body, destination="org.hypha.Node1"))
        if self.raw.answer(self.serial):
            return None
        stream = socket.socket(fileno=self.raw.descriptors.pop())
        stream.settimeout(DEADLINE)
        return stream

    def close(self):
        self.raw.close()


class Two(Case):
    """alpha listens for beta, whose service `web` is the test's own."""

    def setUp(self):
        self.connections = []
        self.target = socket.create_server(("127.0.0.1", 0))
        self.target.settimeout(DEADLINE)
        self.addCleanup(self.target.close)
        self.folder = None
        self.alpha_place = self.place()
        self.folder = self.alpha_place.private / "for-beta"
        self.folder.mkdir()
        self.link = f"unix://{self.alpha_place.private}/link"
        self.alpha = self.start_alpha(self.forward())
        web = f"{{'web': {{'target': <'tcp://127.0.0.1:{self.target.getsockname()[1]}'>}}}}"
        self.beta = Node(self.place(), config=f"name='beta'\nservices={web}\npeers=['{self.link}']\n")
        trust_each_other(self.alpha, self.beta)
        self.beta.wait_peer("alpha", state="online")

    def tearDown(self):
        for connection in self.connections:
            connection.close()
        self.stop_all(self.alpha, self.beta)

    # Settings.

    def forward(self, listen=None, peers="['beta']"):
        if listen is None:
            listen = f"['tcp://127.0.0.1:*', 'unix://{self.folder}/*']"
        return f"{{'forward': {{'target': <'forward'>, 'peers': <{peers}>, 'listen': <{listen}>}}}}"

    def start_alpha(self, services):
        return Node(self.alpha_place, "--listen", self.link, config=f"name='alpha'\nservices={services}\n")

    def configure(self, node, key, value):
        text = re.sub(f"(?m)^{key}=.*\n", "", node.config.read_text())
        file = node.config.with_suffix(".new")
        file.write_text(text.rstrip("\n") + f"\n{key}={value}\n")
        file.rename(node.config)

    def let(self, services):
        """What alpha lets others do from now on."""
        self.alpha.do("config", "set", "services", services)

    # What a program asks of a node: of beta, where it is not named.

    def call_add(self, local, peer="alpha", target="web", options="'reverse': <true>", node=None):
        return (node or self.beta).call(ROOT, "org.hypha.Node1.AddForward", local, peer, target, f"{{{options}}}")

    def add(self, *arguments, **more):
        done = self.call_add(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("objectpath '(.*)'", done.stdout)[1]

    def get(self, path, name, node=None):
        done = (node or self.beta).call(path, "org.freedesktop.DBus.Properties.Get", "org.hypha.Forward1", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.fullmatch(r"\(<(?:uint64 )?['\"]?(.*?)['\"]?>,\)\n", done.stdout)[1]

    def wait_get(self, path, node=None, **wanted):
        def look():
            have = {name: self.get(path, name, node) for name in wanted}
            return all(value in have[name] for name, value in wanted.items())
        wait_for(look, f"{wanted}, but {[self.get(path, name, node) for name in wanted]}")

    def remove(self, path, node=None):
        done = (node or self.beta).call(path, "org.hypha.Forward1.Remove")
        self.assertEqual(done.returncode, 0, done.stderr)

    def forwards(self, node=None):
        return (node or self.beta).ask("forward")

    def paths(self, node):
        done = node.call(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        return sorted(set(re.findall(f"'({ROOT}/forward/[0-9]+)'", done.stdout)))

    # Programs at both ends.

    def connect(self, local):
        connection = connect_to(local)
        self.connections.append(connection)
        return connection

    def accept(self, target=None):
        connection, _ = (target or self.target).accept()
        connection.settimeout(DEADLINE)
        self.connections.append(connection)
        return connection

    def read(self, connection):
        return b"".join(iter(lambda: connection.recv(65536), b""))

    def assert_led(self, local, target=None):
        """There and back, with half-closes."""
        client = self.connect(local)
        server = self.accept(target)
        client.sendall(b"asked")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read(server), b"asked")
        server.sendall(b"answered")
        server.close()
        self.assertEqual(self.read(client), b"answered")

    def assert_closed(self, local):
        def look():
            try:
                self.connect(local).close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            return False
        wait_for(look, f"an end of {local}")


class Reverse(Two):
    def test_peer_listens_and_leads_to_a_service_of_this_node(self):
        for number, local in enumerate((ANY, f"unix://{self.folder}/socket")):
            path = self.add(local)
            self.assertEqual([self.get(path, name) for name in ("Given", "Peer", "Target", "State", "Reason", "Reverse")],
                             [local, "alpha", "web", "listening", "", "true"])
            bound = self.get(path, "Local")
            self.assertNotEqual(bound, ANY)
            self.assert_led(bound)
            # Told by alpha, which counts them; RX is what came from there.
            self.wait_get(path, RxBytes="5", TxBytes="8")
            there = self.forwards(self.alpha)[number]
            self.assertEqual((there["local"], there["peer"], there["target"], there["state"], there["reverse"], there["persistent"]),
                             (bound, "beta", "web", "listening", False, False))
            self.assertEqual((there["rx-bytes"], there["tx-bytes"]), (8, 5))

    def test_reset_of_either_end_is_one_of_the_other(self):
        local = self.get(self.add(ANY), "Local")
        for first in ("client", "server"):
            client, server = self.connect(local), self.accept()
            client.sendall(b"x")
            self.assertEqual(server.recv(1), b"x")
            one, other = (client, server) if first == "client" else (server, client)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
            one.close()
            with self.assertRaises(ConnectionResetError):
                other.recv(1)

    def test_removed_here_it_is_gone_there_but_its_connections(self):
        path = self.add(ANY)
        local = self.get(path, "Local")
        client, server = self.connect(local), self.accept()
        self.remove(path)
        self.assert_closed(local)
        self.assertEqual(self.forwards(self.alpha), [])
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")

    def test_removed_there_it_is_asked_for_again(self):
        path = self.add(f"unix://{self.folder}/socket")
        [there] = self.paths(self.alpha)
        self.remove(there, self.alpha)
        self.assertEqual(self.forwards(self.alpha), [])
        self.wait_get(path, State="failed", Reason="the peer listens for this node no more")
        self.wait_get(path, State="listening")
        self.assert_led(f"unix://{self.folder}/socket")

    def test_who_may_not_is_refused_with_the_reason_and_leaves_nothing(self):
        for services, words in (("{}", "no such service"), (self.forward(peers="['gamma']"), "does not give this service"),
                                (self.forward(listen=f"['unix://{self.folder}/*']"), "fits no pattern")):
            self.let(services)
            self.assert_fails(self.call_add(ANY), 1, words)
            self.assertEqual((self.forwards(), self.forwards(self.alpha)), ([], []))
        # By any other peer's leave.
        self.let(self.forward(peers=f"['{self.beta.id()}']"))
        self.add(ANY)

    def test_pattern_cannot_be_escaped(self):
        (self.alpha_place.private / "other").mkdir()
        (self.folder / "below").mkdir()
        self.let(self.forward(
            f"['tcp://127.0.0.1:80*', 'tcp://[::1]:*', 'unix://{self.folder}/a*', 'unix://{self.alpha_place.private}/*/sock', "
            f"'hvsock://{self.alpha_place.private}/*/v.sock:*']"))
        private = self.alpha_place.private
        for local in (ANY, "tcp://127.0.0.1:7999", "tcp://127.0.0.2:8000", "tcp://localhost:8000", "tcp://0.0.0.0:8000", "tcp://[::]:8000",
                      "tcp://127.0.0.1:*", f"unix://{self.folder}/b", f"unix://{self.folder}/below/a", f"unix://{self.folder}/a/../../x",
                      f"unix://{self.folder}/a%2F..%2F..%2Fx", f"unix://{private}/../sock", f"unix://{private}/%2E%2E/sock",
                      f"unix://{private}/./sock", f"unix://{private}/other/below/sock", f"unix://{self.folder}/a?mode=666",
                      f"unix:@{self.folder}/a", f"unix://{self.folder}/a*", f"unix://{self.folder}/a%2A", "tcp://[::1]:0?mode=666",
                      f"hvsock://{private}/../v.sock:80", f"hvsock://{private}/.*/v.sock:80", f"hvsock://{private}/*/v.sock:80",
                      f"unix://{self.folder}/a?ports=1", "tcp://127.0.0.1:8080?ports=1", "nosuch://a"):
            done = self.call_add(local)
            self.assertNotEqual(done.returncode, 0, f"{local} was taken: {done.stdout}")
            self.assertIn("org.hypha.Error.", done.stderr, local)
        done = self.call_add("tcp://127.0.0.1:*", target="tcp:*")
        self.assertIn("fits no pattern", done.stderr)
        self.assertEqual((self.forwards(self.alpha), os.listdir(self.folder), os.listdir(private / "other")), ([], ["below"], []))
        # And what is meant by them is let in, however it is spelled.
        for local in (f"unix:{self.folder}/a1", f"unix://{self.folder}/%61b", "tcp://[0:0::1]:0", f"unix://{private}/other/sock"):
            self.add(local)

    def test_star_stands_for_no_name_that_is_looked_up(self):
        """Whoever answers for it could have every address of this machine listened on."""
        self.let(self.forward("['tcp://127.0.0.*:*', 'tcp://local*:8*', 'tcp://localhost:*']"))
        for local in ("tcp://127.0.0.1.evil.invalid:0", "tcp://127.0.0.1.evil.invalid:*", "tcp://localhost.evil.invalid:80", "tcp://localhost2:80"):
            self.assert_fails(self.call_add(local, target="tcp:*" if local.endswith("*") else "web"), 1, "fits no pattern")
        # In full, it is what the settings say.
        for local in ("tcp://127.0.0.2:0", "tcp://LocalHost:0"):
            self.add(local)

    def test_socket_is_for_its_node_alone_unless_the_pattern_says_more(self):
        self.add(f"unix://{self.folder}/socket")
        self.assertEqual((self.folder / "socket").stat().st_mode & 0o777, 0o600)
        [there] = self.forwards(self.alpha)
        self.assertEqual(there["local"], f"unix://{self.folder}/socket")

    def test_options_are_those_of_the_pattern(self):
        other = self.alpha_place.private / "other"
        other.mkdir()
        self.let(self.forward(f"['unix://{other}/*?mode=640']"))
        self.add(f"{other}/socket")
        self.assertEqual((other / "socket").stat().st_mode & 0o777, 0o640)
        self.assertIn("the options are for the pattern", self.call_add(f"unix://{other}/another?mode=666").stderr)

    def test_settings_there_that_change_end_what_they_do_not_concern_not(self):
        kept = self.add(f"unix://{self.folder}/kept")
        lost = self.add(ANY)
        local = self.get(lost, "Local")
        client, server = self.connect(local), self.accept()
        self.let(self.forward(f"['unix://{self.folder}/*']"))
        self.wait_get(lost, State="failed", Reason="fits no pattern")
        self.assert_closed(local)
        self.assertEqual(self.get(kept, "State"), "listening")
        self.assert_led(f"unix://{self.folder}/kept")
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")
        self.let("{}")
        self.wait_get(kept, State="failed", Reason="no such service")
        self.assertEqual(self.forwards(self.alpha), [])
        self.let(self.forward())
        for path in (kept, lost):
            self.wait_get(path, State="listening")

    def test_another_name_there_ends_what_the_name_had(self):
        local = f"unix://{self.folder}/socket"
        path = self.add(local)
        client, server = self.connect(local), self.accept()
        for name, rename in (("gamma", lambda: self.alpha.do("trust", self.beta.id(), "gamma")),
                             ("delta", lambda: self.alpha.do("config", "set", "trusted-peers", f"{{'{self.beta.id()}': {{'name': <'delta'>}}}}"))):
            rename()
            self.wait_get(path, State="failed", Reason="does not give this service")
            self.assertEqual(self.forwards(self.alpha), [])
            self.assert_closed(local)
            self.let(self.forward(peers=f"['{name}']"))
            self.wait_get(path, State="listening")
            self.assertEqual([f["peer"] for f in self.forwards(self.alpha)], [name])
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")

    def test_peer_that_the_settings_name_later_is_asked_then(self):
        path = self.add(f"unix://{self.folder}/socket", peer="gamma")
        self.assertIn("no peer is called 'gamma'", self.get(path, "Reason"))
        self.beta.do("config", "set", "trusted-peers", f"{{'{self.alpha.id()}': {{'name': <'gamma'>}}}}")
        self.wait_get(path, State="listening")

    def test_settings_that_are_wrong_are_told(self):
        peers, listen = "'peers': <['beta']>", "'listen': <['tcp://127.0.0.1:*']>"
        for entry, words in ((f"'target': <'forward'>, {peers}", "'peers' and 'listen' are needed"),
                             (f"'target': <'forward'>, {listen}", "'peers' and 'listen' are needed"),
                             (f"'target': <'forward'>, {peers}, 'listen': <@as []>", "'listen' is empty"),
                             (f"'target': <'forward'>, {peers}, 'listen': <'tcp://127.0.0.1:*'>", "'listen' of type s"),
                             (f"'target': <'forward'>, {peers}, 'listen': <['nonsense']>", "'listen' has 'nonsense'"),
                             (f"'target': <'forward'>, {peers}, 'listen': <['unix:///run/\\*?uid=1']>", "leave uid out"),
                             (f"'target': <'forward'>, {peers}, 'listen': <['tcp://127.0.0.1:\\*?ports=1']>", "ports"),
                             (f"'target': <'echo'>, {listen}", "goes with the target 'forward' only")):
            self.configure(self.alpha, "services", f"{{'forward': {{{entry.replace(chr(92), '')}}}}}")
            self.alpha.wait_log(f"services = .*{re.escape(words)}")
        self.add(ANY)

    def test_port_that_is_taken_there_is_told_and_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            local = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
            done = self.call_add(local)
            self.assert_fails(done, 1, "org.hypha.Error.Refused: ", "at alpha: ", local)
            self.assertEqual((self.forwards(), self.forwards(self.alpha)), ([], []))
            self.configure(self.beta, "forwards", f"[{{'local': <'{local}'>, 'peer': <'alpha'>, 'target': <'web'>, 'reverse': <true>}}]")
            [forward] = wait_for(lambda: [f for f in self.forwards() if f["state"] == "failed"], "the failure")
            self.assertIn("listens there already", forward["reason"])
            self.assertIn("listens there already", self.forwards(self.alpha)[0]["reason"])
        wait_for(lambda: [f["state"] for f in self.forwards()] == ["listening"], "another try")
        self.assert_led(local)

    def test_without_a_link_it_stays_and_is_asked_for_later(self):
        self.configure(self.beta, "peers", "[]")
        self.beta.do("disconnect", "alpha")
        self.beta.wait_peer("alpha", links=[])
        path = self.add(f"unix://{self.folder}/socket")
        self.assertEqual([self.get(path, name) for name in ("State", "Reason")], ["opening", "there is no link to alpha"])
        self.beta.do("connect", self.link)
        self.wait_get(path, State="listening")
        # A session that is lost takes it along there; another may be there at once.
        [there] = self.paths(self.alpha)
        self.beta.do("disconnect", "alpha")
        wait_for(lambda: there not in self.paths(self.alpha), "its end there")
        self.beta.do("connect", self.link)
        wait_for(lambda: self.paths(self.alpha), "another")
        self.wait_get(path, State="listening")
        self.assert_led(f"unix://{self.folder}/socket")

    def test_it_comes_back_by_itself_when_either_restarts(self):
        local = f"unix://{self.folder}/socket"
        path = self.add(local, options="'reverse': <true>, 'persist': <true>")
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.alpha.process.send_signal(how)
            self.alpha.process.wait(DEADLINE)
            self.alpha.kill()
            self.alpha = Node(self.alpha_place, "--listen", self.link, config="")
            wait_for(lambda: [f["state"] for f in self.forwards(self.alpha)] == ["listening"], "another there")
            self.wait_get(path, State="listening")
            self.assert_led(local)
        self.beta.stop()
        self.assertIn("'reverse': <true>", self.beta.config.read_text())
        self.beta = Node(self.beta.place, config="")
        wait_for(lambda: [(f["state"], f["reverse"], f["persistent"]) for f in self.forwards()] == [("listening", True, True)],
                 "the forward")
        self.assert_led(local)
        self.beta.do("forward", "remove", local)
        self.assertNotIn("reverse", self.beta.config.read_text())

    def test_same_way_round_and_back_are_two(self):
        local = f"unix://{self.folder}/socket"
        path = self.add(local)
        self.assertEqual(self.add(local, options="'reverse': <true>, 'persist': <true>"), path)
        self.assert_fails(self.call_add(local, options=""), 1, "AddressInUse")
        # What alpha has of beta is not alpha's own.
        there = self.paths(self.alpha)
        other = self.call_add(local, "beta", "web", "", self.alpha)
        self.assert_fails(other, 1, "AddressInUse")
        self.assertEqual(self.paths(self.alpha), there)

    def test_services_of_this_node_admit_as_ever(self):
        self.configure(self.beta, "services", "{'web': {'target': <'echo'>, 'peers': <['gamma']>}}")
        wait_for(lambda: any(s.get("peers") for s in self.beta.ask("services")), "the settings")
        path = self.add(ANY)
        with self.assertRaises(ConnectionResetError):
            self.read(self.connect(self.get(path, "Local")))
        wait_for(lambda: "does not give this service" in self.forwards(self.alpha)[0]["reason"], "the reason")
        self.wait_get(path, Reason="does not give this service")

    def test_verb(self):
        local = f"unix://{self.folder}/socket"
        self.assertEqual(self.beta.do("forward", "add", "--reverse", local, "alpha", "web"), local + "\n")
        self.assertEqual([(f["peer"], f["reverse"]) for f in self.forwards()], [("alpha", True)])
        self.assertIn("alpha (reverse)", self.beta.do("forward"))
        self.assert_fails(self.beta.ctl("forward", "--reverse"), 2, "--reverse goes with add only")
        self.assert_fails(self.beta.ctl("forward", "add", "--reverse", "tcp://10.0.0.1:0", "alpha", "web"), 1, "fits no pattern")
        self.beta.do("forward", "remove", local)
        wait_for(lambda: not self.forwards(self.alpha), "its end there")


class Hostile(Two):
    """A program that speaks for one of the two nodes."""

    def open(self):
        reader = self.beta.place.start_ctl("open", "alpha", "forward", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
        self.addCleanup(reader.kill)
        return reader

    def order(self, local=ANY, target="web"):
        return (json.dumps({"local": local, "target": target}) + "\n").encode()

    def say(self, reader, data):
        try:
            reader.stdin.write(data)
            reader.stdin.flush()
        except BrokenPipeError:
            pass

    def test_any_program_may_ask(self):
        reader = self.open()
        self.say(reader, self.order())
        told = json.loads(reader.stdout.readline())
        self.assertEqual(list(told), ["state", "local", "reason", "received", "sent", "ports"])
        self.assertEqual((told["state"], told["reason"]), ("listening", ""))
        # Who has said all may close his direction.
        reader.stdin.close()
        self.assert_led(told["local"])
        told = json.loads(reader.stdout.readline())
        self.assertEqual((told["received"], told["sent"]), (8, 5))
        reader.kill()
        self.assert_closed(told["local"])

    def test_what_is_no_order_ends_the_stream(self):
        good = self.order()
        for data in (b"x" * 4097, b"{\n", b"[]\n", b"\n", b'{"local": "tcp://127.0.0.1:0"}\n', good[:-2] + b', "more": 1}\n', good + b"{", good + good,
                     b'{"local": 1, "target": "web"}\n', b'{"local": "\xff", "target": "web"}\n', b'{"local": "a\\u0000", "target": "web"}\n',
                     b'{"local": "tcp://127.0.0.1:0", "local": "x", "target": "web"}\n', b"[" * 4095 + b"\n"):
            reader = self.open()
            self.say(reader, data)
            self.assertEqual(reader.stdout.read(), b"", data)
            reader.wait(DEADLINE)
        # A second line, later.
        reader = self.open()
        self.say(reader, good)
        local = json.loads(reader.stdout.readline())["local"]
        self.say(reader, b"\n")
        self.assertEqual(reader.stdout.read(), b"")
        self.assert_closed(local)
        self.assertEqual(self.forwards(self.alpha), [])

    def test_order_that_cannot_be_granted_is_told(self):
        for local, target, words in (("nonsense", "web", "scheme"), (ANY, "two words", "name"), (ANY, "", "name"), ("tcp://127.0.0.1:80", "tcp:*", "'*' stands"),
                                     ("tcp://127.0.0.1:*?ports=9-1", "tcp:*", "end before they begin"), ("tcp://127.0.0.1:*?mode=1", "tcp:*", "no option but ports"),
                                     ("\x1b[31m", "web", "scheme")):
            reader = self.open()
            self.say(reader, self.order(local, target))
            told = json.loads(reader.stdout.readline())
            self.assertEqual((told["state"], told["local"]), ("failed", local))
            self.assertIn(words, told["reason"])
            reader.kill()
        self.assertEqual(self.forwards(self.alpha), [])

    def test_one_peer_cannot_take_all(self):
        # As many streams as there may be, of which none is waited for.
        readers = [self.open() for _ in range(40)]
        for reader in readers:
            self.say(reader, self.order())
        states = []
        for reader in readers:
            line = reader.stdout.readline()
            states.append(json.loads(line)["state"] if line else "busy")
        self.assertEqual((states.count("listening"), states.count("busy")), (32, 8))
        self.assertEqual(len(self.forwards(self.alpha)), 32)
        self.add(f"unix://{self.folder}/own", "beta", "web", "", self.alpha)
        for reader in readers:
            reader.kill()
        wait_for(lambda: len(self.forwards(self.alpha)) == 1, "the end of all")

    def test_thousands_that_come_and_go_leave_nothing(self):
        """Each is asked for and given up, some of them in the middle, and some with what makes no sense."""
        descriptors = len(os.listdir(f"/proc/{self.alpha.process.pid}/fd"))
        opener = Opener(self.beta, self.alpha)
        self.addCleanup(opener.close)
        half = self.order()[:20]
        for number in range(2000):
            stream = opener.open("forward")
            if stream is None:
                continue
            with stream:
                stream.sendall((self.order(), half, b"nonsense\n", self.order("nonsense"), self.order(target="tcp:*"),
                                self.order("tcp://127.0.0.1:*", "tcp:*"), self.order() * 2)[number % 7])
                if number % 40 == 0 and number % 7 != 1:
                    stream.recv(1)
        wait_for(lambda: self.forwards(self.alpha) == [], "the end of all")
        wait_for(lambda: len(os.listdir(f"/proc/{self.alpha.process.pid}/fd")) <= descriptors + 4, "as few descriptors as before")
        self.assertLess(len(self.alpha.log().splitlines()), 60)
        self.add(ANY)
        # Each object is told to all programs on the bus.
        [last] = self.paths(self.alpha)
        self.assertLess(int(last.rsplit("/", 1)[1]), 500)

    def test_mirrors_are_fewer(self):
        readers = []
        for host in range(1, 6):
            readers.append(self.open())
            self.say(readers[-1], self.order(f"tcp://127.0.0.1:*?ports={host}", "tcp:*"))
        wait_for(lambda: len(self.forwards(self.alpha)) == 4, "four of them")
        told = [json.loads(reader.stdout.readline())["reason"] for reader in readers]
        [crowded] = [reader for reader, reason in zip(readers, told) if "4 mirrors" in reason]
        # Where one goes there is room, and whoever found none is to ask again.
        next(reader for reader in readers if reader is not crowded).kill()
        self.assertEqual(crowded.stdout.read(), b"")

    def test_who_found_no_room_asks_again_when_the_node_has_some(self):
        entries = ", ".join(f"{{'local': <'unix://{self.folder}/{number}'>, 'peer': <'beta'>, 'target': <'web'>}}" for number in range(256))
        self.configure(self.alpha, "forwards", f"[{entries}]")
        wait_for(lambda: len(self.forwards(self.alpha)) == 256, "as many as there may be")
        reader = self.open()
        self.say(reader, self.order())
        self.assertIn("no more may be", json.loads(reader.stdout.readline())["reason"])
        self.configure(self.alpha, "forwards", "[]")
        self.assertEqual(reader.stdout.read(), b"")

    # The other way round: alpha does what a program of the test says.

    def answer(self, *lines):
        """From now on alpha's service `forward` is a socket of the test's."""
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(DEADLINE)
        self.addCleanup(server.close)
        self.let(f"{{'forward': {{'target': <'tcp://127.0.0.1:{server.getsockname()[1]}'>}}}}")
        return server

    def test_answers_that_are_none_end_the_stream_and_are_told(self):
        server = self.answer()
        good = {"state": "listening", "local": ANY, "reason": ""}
        lies = [b"nonsense\n", b"x" * 20000, b"{}\n", b"[" * 16000 + b"\n", b'{"state": "listening"}\n',
                json.dumps({**good, "state": "asleep"}).encode() + b"\n", json.dumps({**good, "reason": "x" * 2000}).encode() + b"\n",
                json.dumps({**good, "local": None}).encode() + b"\n", json.dumps({**good, "received": -1}).encode() + b"\n",
                json.dumps({**good, "ports": [0]}).encode() + b"\n", json.dumps({**good, "ports": list(range(1, 300))}).encode() + b"\n"]
        for lie in lies:
            result = []
            thread = threading.Thread(target=lambda: result.append(self.call_add(ANY)))
            thread.start()
            asked = self.accept(server)
            self.assertEqual(json.loads(asked.makefile().readline()), {"local": ANY, "target": "web"})
            try:
                asked.sendall(lie)
                self.assertEqual(self.read(asked), b"")
            except (ConnectionResetError, BrokenPipeError):
                pass
            thread.join()
            self.assert_fails(result[0], 1, "org.hypha.Error.Protocol: ")
        self.assertEqual(self.forwards(), [])

    def test_answers_are_escaped_and_what_is_more_is_passed_over(self):
        server = self.answer()
        self.configure(self.beta, "forwards", f"[{{'local': <'{ANY}'>, 'peer': <'alpha'>, 'target': <'web'>, 'reverse': <true>}}]")
        asked = self.accept(server)
        asked.sendall(json.dumps({"state": "failed", "local": "x\x1b[31m", "reason": "evil\x1b[31m\nforged line", "more": [1]}).encode() + b"\n")
        [forward] = wait_for(lambda: [f for f in self.forwards() if f["state"] == "failed" and "evil" in f["reason"]], "what was told")
        self.assertEqual(forward["local"], ANY)
        self.assertNotIn("\x1b", self.beta.do("forward"))
        self.beta.wait_log("evil")
        self.assertNotIn("\x1b", self.beta.log())
        self.assertNotRegex(self.beta.log(), "(?m)^forged")
        # Whatever is told, and however often, some of it is heard.
        good = json.dumps({"state": "listening", "local": ANY, "reason": "", "sent": 7, "ports": [80]}).encode() + b"\n"
        asked.sendall(good * 50)
        wait_for(lambda: self.forwards()[0]["state"] == "listening", "the last")
        asked.close()
        wait_for(lambda: self.forwards()[0]["state"] == "failed", "its end")
        self.assertEqual(self.forwards()[0]["rx-bytes"], 7)
        self.accept(server)


    def test_address_that_a_peer_tells_is_taken_for_no_other(self):
        server = self.answer()
        own, other = f"unix://{self.folder}/own", f"unix://{self.folder}/other"
        self.add(own, target="echo", options="")
        for told in (own, other):
            thread = threading.Thread(target=lambda: self.add(ANY))
            thread.start()
            asked = self.accept(server)
            asked.sendall(json.dumps({"state": "listening", "local": told, "reason": ""}).encode() + b"\n")
            thread.join()
            if told == own:
                self.beta.do("forward", "remove", own)
                self.assertEqual([(f["local"], f["reverse"]) for f in self.forwards()], [(own, True)])
            # The address that was asked for is no less than one that is told, and that is good if there is no other.
            self.beta.do("forward", "remove", told)
            self.assertEqual(self.forwards(), [])

    def test_what_was_given_twice_is_told_apart_by_where_it_listens(self):
        reverse, own = self.get(self.add(ANY), "Local"), self.get(self.add(ANY, options=""), "Local")
        self.assert_fails(self.beta.ctl("forward", "remove", ANY), 1, "several forwards", "give the address that one listens on")
        self.beta.do("forward", "remove", reverse)
        self.assertEqual([f["local"] for f in self.forwards()], [own])

    def test_what_a_peer_has_listened_on_hides_no_forward_of_the_node(self):
        local = f"unix://{self.folder}/own"
        self.add(local, "beta", "web", "", self.alpha)
        reader = self.open()
        self.say(reader, self.order(local))
        self.assertEqual(json.loads(reader.stdout.readline())["state"], "failed")
        self.assertEqual([f["local"] for f in self.forwards(self.alpha)], [local, local])
        self.alpha.do("forward", "remove", local)
        [left] = self.forwards(self.alpha)
        self.assertEqual(left["state"], "failed")


class Deadline(Hostile):
    def test_who_never_orders_is_cut_off(self):
        reader = self.open()
        self.say(reader, b'{"local"')
        self.assertEqual(reader.stdout.read(), b"")

    def test_peer_that_never_answers_is_an_error_at_the_deadline(self):
        server = self.answer()
        done = self.call_add(ANY)
        self.assert_fails(done, 1, "TimedOut", "alpha has not said yet whether it listens")
        self.assertEqual(self.forwards(), [])
        server.close()


for inherited in [name for name in vars(Hostile) if name.startswith("test_")]:
    setattr(Deadline, inherited, None)


class Self(Case):
    """Forwards of one node to itself."""

    def setUp(self):
        self.connections = []
        self.node_place = self.place()
        self.socket = f"{self.node_place.private}/target"
        self.target = socket.socket(socket.AF_UNIX)
        self.target.bind(self.socket)
        self.target.listen()
        self.target.settimeout(DEADLINE)
        self.addCleanup(self.target.close)
        self.beta = Node(self.node_place, config="name='beta'\n")

    def tearDown(self):
        for connection in self.connections:
            connection.close()
        if self.beta.process.poll() is None:
            self.beta.stop()

    call_add, get, wait_get, forwards = Two.call_add, Two.get, Two.wait_get, Two.forwards
    connect, accept, read, configure, remove = Two.connect, Two.accept, Two.read, Two.configure, Two.remove

    def add(self, local=ANY, target=None, options=""):
        done = self.call_add(local, "self", target or f"unix://{self.socket}", options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("objectpath '(.*)'", done.stdout)[1]

    def test_tcp_to_unix_with_half_close_and_counts(self):
        path = self.add()
        local = self.get(path, "Local")
        data = os.urandom(3_000_000)
        for first in ("client", "server"):
            client, server = self.connect(local), self.accept()
            one, other = (client, server) if first == "client" else (server, client)
            sender = threading.Thread(target=lambda o=one: (o.sendall(data), o.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertEqual(self.read(other), data)
            sender.join()
            other.sendall(b"still here")
            other.close()
            self.assertEqual(self.read(one), b"still here")
            one.close()
        self.wait_get(path, RxBytes="3000010", TxBytes="3000010")
        self.assertEqual(self.get(path, "Reason"), "")

    def test_reset_of_either_end_is_one_of_the_other(self):
        with socket.create_server(("127.0.0.1", 0)) as target:
            target.settimeout(DEADLINE)
            path = self.add(target=f"tcp://127.0.0.1:{target.getsockname()[1]}")
            for first in ("client", "server"):
                client, server = self.connect(self.get(path, "Local")), self.accept(target)
                client.sendall(b"half of")
                self.assertEqual(server.recv(7, socket.MSG_WAITALL), b"half of")
                one, other = (client, server) if first == "client" else (server, client)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
                one.close()
                with self.assertRaises(ConnectionResetError):
                    other.recv(1)
                self.wait_get(path, Reason="Copying stopped")

    def test_target_that_is_down_is_a_reset_with_the_reason(self):
        path = self.add()
        self.target.close()
        os.unlink(self.socket)
        with self.assertRaises(ConnectionResetError):
            self.read(self.connect(self.get(path, "Local")))
        self.wait_get(path, Reason=self.socket)
        self.assertEqual(self.get(path, "State"), "listening")

    def test_removed_it_ends_no_connection(self):
        path = self.add()
        client, server = self.connect(self.get(path, "Local")), self.accept()
        client.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")
        self.remove(path)
        server.sendall(b"y")
        self.assertEqual(client.recv(1), b"y")

    def test_node_that_stops_or_dies_resets(self):
        for end in (lambda: self.beta.stop(), lambda: self.beta.kill()):
            path = self.add()
            client, server = self.connect(self.get(path, "Local")), self.accept()
            client.sendall(b"x")
            self.assertEqual(server.recv(1), b"x")
            end()
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
            self.beta = Node(self.node_place, config="")

    def test_it_is_kept_and_listed(self):
        local = f"unix://{self.node_place.private}/local"
        self.assertEqual(self.beta.do("forward", "add", local, "self", f"unix://{self.socket}", "--persist"), local + "\n")
        self.beta.stop()
        self.beta = Node(self.node_place, config="")
        wait_for(lambda: [(f["peer"], f["target"], f["state"]) for f in self.forwards()] == [("self", f"unix://{self.socket}", "listening")],
                 "the forward")
        self.connect(local).close()
        self.assertEqual(self.read(self.accept()), b"")

    def test_what_makes_no_sense_is_refused(self):
        for target, options, words in (("echo", "", "the target is an endpoint"), ("*", "", "without '*'"), ("tcp:*", "", "without '*'"),
                                       ("vsock://local:*", "", "without '*'"), (f"unix://{self.socket}", "'reverse': <true>", "is this node")):
            self.assert_fails(self.call_add(ANY, "self", target, options), 1, "org.hypha.Error.Invalid", words)
        self.assertEqual(self.forwards(), [])
        self.configure(self.beta, "forwards", f"[{{'local': <'{ANY}'>, 'peer': <'self'>, 'target': <'echo'>}}]")
        self.beta.wait_log("forwards = .*the target is an endpoint")

    def test_nobody_else_is_called_self(self):
        somebody = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"
        self.assert_fails(self.beta.ctl("trust", somebody, "self"), 1, "'self' is what a node calls itself")


if __name__ == "__main__":
    sys.exit(main())
