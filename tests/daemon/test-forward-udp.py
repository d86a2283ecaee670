#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forwards and services of datagrams."""

import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

from harness import DEADLINE, HYPHACTL, ROOT, Case, Node, main, trust_each_other, wait_for


class Server(threading.Thread):
    """As a name server: answers each question to whoever asked, and says from where he seemed to ask."""

    def __init__(self, host="127.0.0.1", port=0):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.name_of_socket = self.socket.getsockname()
        self.port = self.name_of_socket[1]
        self.sources = {}
        self.start()

    def run(self):
        while True:
            question, source = self.socket.recvfrom(65536)
            if question == b"end":
                break
            self.sources.setdefault(source[1], []).append(question)
            if not question.startswith(b"silence"):
                self.socket.sendto(question[::-1], source)
        self.socket.close()

    def stop(self):
        if self.is_alive():
            with socket.socket(self.socket.family, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", self.name_of_socket)
            self.join(DEADLINE)


class Sides(Case):
    """beta forwards to the service `dns` of alpha, which leads to the server."""

    host, idle = "127.0.0.1", ""
    config = "name='beta'\n"
    runner = ()

    def setUp(self):
        if ":" in self.host and not self.has_ipv6():
            self.skipTest("this machine has no ::1")
        self.server = Server(self.host)
        self.addCleanup(self.server.stop)
        self.url = f"[{self.host}]" if ":" in self.host else self.host
        dns = f"services={{'dns': {{'target': <'udp://{self.url}:{self.server.port}{self.idle}'>}}}}\n"
        self.alpha = Node(self.place(), "--listen", "tcp://127.0.0.1:0", config=dns, runner=self.runner)
        self.beta = Node(self.place(), config=self.config, runner=self.runner)
        trust_each_other(self.alpha, self.beta)
        self.link = self.alpha.listening("tcp")
        self.beta.do("connect", self.link)
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        # The listener of a forward goes with its flows: nobody waits for silence.
        self.stop_all(self.beta, self.alpha)

    def has_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
                one.bind(("::1", 0))
        except OSError:
            return False
        return True

    def add(self, local=None, target="dns"):
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", local or f"udp://{self.url}:0{self.idle}", "alpha", target, "{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("objectpath '(.*)'", done.stdout)[1]

    def get(self, path, name):
        done = self.beta.call(path, "org.freedesktop.DBus.Properties.Get", "org.hypha.Forward1", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.fullmatch(r"\(<(?:uint64 )?['\"]?(.*?)['\"]?>,\)\n", done.stdout)[1]

    def port(self, path):
        return int(self.get(path, "Local").rsplit(":", 1)[1])

    def client(self, port, host=None):
        host = host or self.host
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(DEADLINE)
        client.connect((host, port))
        self.clients.append(client)
        return client

    def ask(self, client, question):
        client.send(question)
        self.assertEqual(client.recv(65536), question[::-1])


class Datagrams(Sides):
    def test_many_clients_at_once_get_their_own_answers(self):
        port = self.port(self.add())
        wrong = []

        def one(number):
            client = self.client(port)
            for turn in range(20):
                question = f"client {number} asks {turn}".encode() * (number + 1)
                client.send(question)
                if client.recv(65536) != question[::-1]:
                    wrong.append(number)
        threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        # Each was one flow, and another source to the server.
        self.assertEqual(sorted(len(questions) for questions in self.server.sources.values()), [20] * 50)

    def test_empty_and_large_datagrams_stay_what_they_are(self):
        client = self.client(self.port(self.add()))
        for size in (0, 1, 511, 512, 1472, 1473, 9000, 65507):
            self.ask(client, os.urandom(size))

    def test_wildcard_answers_from_where_it_was_asked(self):
        port = self.port(self.add("udp://any:0"))
        # Connected: what comes from elsewhere is not for it.
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            self.ask(self.client(port, host), b"from " + host.encode())

    def test_server_that_is_started_anew_goes_on_with_its_clients(self):
        client = self.client(self.port(self.add()))
        self.ask(client, b"before")
        self.server.stop()
        client.send(b"nobody hears this")
        again = Server(port=self.server.port)
        self.addCleanup(again.stop)
        client.settimeout(0.2)

        def answered():
            client.send(b"after")
            try:
                return client.recv(100) == b"retfa"
            except TimeoutError:
                return False
        wait_for(answered, "an answer")
        self.assertEqual(set(again.sources), set(self.server.sources))

    def test_closed_forward_leaves_its_port_and_its_streams(self):
        path = self.add()
        port = self.port(path)
        for turn in range(3):
            self.ask(self.client(port), b"ask")
            done = self.beta.call(path, "org.hypha.Forward1.Remove")
            self.assertEqual(done.returncode, 0, done.stderr)
            path = self.add(f"udp://127.0.0.1:{port}")
            wait_for(lambda: not self.beta.ask("streams") and not self.alpha.ask("streams"), "the end of the streams")

    def test_service_that_is_refused_is_told_and_not_asked_with_each_datagram(self):
        path = self.add(target="nothing")
        client = self.client(self.port(path))

        def reason():
            client.send(b"x")
            return self.get(path, "Reason")
        self.assertIn("nothing", wait_for(reason, "a reason"))
        self.assertEqual(self.get(path, "State"), "listening")


class SixDatagrams(Sides):
    host = "::1"

    def test_ipv6_all_the_way(self):
        client = self.client(self.port(self.add()))
        for size in (0, 1, 65507):
            self.ask(client, os.urandom(size))


class Short(Sides):
    """Silence is soon long enough."""

    idle = "?idle=1"

    def test_silence_ends_a_flow_and_its_stream_well(self):
        path = self.add()
        client = self.client(self.port(path))
        self.ask(client, b"one")
        self.assertEqual(len(self.beta.ask("streams")), 1)
        wait_for(lambda: not self.beta.ask("streams") and not self.alpha.ask("streams"), "the end of the stream")
        self.assertEqual((self.get(path, "Reason"), self.get(path, "RxBytes"), self.get(path, "TxBytes")), ("", "5", "5"))
        # The same client goes on, by another flow.
        self.ask(client, b"two")
        self.assertEqual(len(self.server.sources), 2)

    def test_stream_carries_each_with_its_length(self):
        framed = b"".join(struct.pack(">H", len(one)) + one for one in (b"one", b"", b"three"))
        done = self.beta.ctl("open", "alpha", "dns", input=framed, text=False)
        self.assertEqual((done.returncode, done.stdout), (0, struct.pack(">H", 3) + b"eno" + b"\0\0" + b"\0\5eerht"), done.stderr)

    def test_bare_channels_carry_each_with_its_length(self):
        dialled = self.beta.place.start_ctl("dial", f"udp://127.0.0.1:{self.server.port}?idle=1", stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, bufsize=0)
        dialled.stdin.write(b"\0\3ask")
        self.assertEqual(dialled.stdout.read(5), b"\0\3ksa")
        dialled.stdin.close()
        self.assertEqual(dialled.wait(DEADLINE), 0)
        dialled.stdout.close()

    def test_link_local_address_answers_who_asks_from_another(self):
        """In a network of its own. The address means nothing without its interface, and the source does not tell that."""
        within = "ip link set lo up && ip addr add fe80::7/64 dev lo nodad && exec"
        inside = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
        if subprocess.run([*inside, f"{within} true"], capture_output=True).returncode != 0:
            self.skipTest("here is no network of one's own (unshare, ip), or none with IPv6")
        script = f"""{within} {sys.executable} - "$@" <<'END'
import socket, subprocess, sys
one = subprocess.Popen([*sys.argv[1:], "accept", "udp://any:0"], stdin=-1, stdout=-1, stderr=-1, bufsize=0)
port = int(one.stderr.readline().decode().strip().rsplit(":", 1)[1])
client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
client.settimeout({DEADLINE})
client.bind(("::1", 0))
client.connect(("fe80::7", port, 0, socket.if_nametoindex("lo")))
client.send(b"ask")
assert one.stdout.read(5) == b"\\0\\3ask"
one.stdin.write(b"\\0\\6answer")
print(client.recv(100).decode())
one.stdin.close()
sys.exit(one.wait())
END
"""
        done = subprocess.run([*inside, script, "sh", HYPHACTL], env=self.beta.place.environment, capture_output=True, text=True,
                              timeout=2 * DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (0, "answer\n"), done.stderr)

    def test_first_who_sends_is_accepted_and_nobody_else(self):
        accepting = self.beta.place.start_ctl("accept", "udp://127.0.0.1:0", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                              stderr=subprocess.PIPE, bufsize=0)
        port = int(accepting.stderr.readline().decode().strip().rsplit(":", 1)[1])
        first, second = self.client(port), self.client(port)
        first.send(b"ask")
        self.assertEqual(accepting.stdout.read(5), b"\0\3ask")
        second.send(b"no")
        accepting.stdin.write(b"\0\6answer")
        self.assertEqual(first.recv(100), b"answer")
        first.send(b"on")
        self.assertEqual(accepting.stdout.read(4), b"\0\2on")
        accepting.stdin.close()
        self.assertEqual(accepting.wait(DEADLINE), 0)
        accepting.stdout.close()
        accepting.stderr.close()


class Links(Sides):
    runner = [os.environ["SEVER"], "--allow"]

    def test_flow_outlives_its_link(self):
        client = self.client(self.port(self.add()))
        for turn in range(3):
            self.ask(client, b"before %d" % turn)
            gone = {link["path"] for link in self.beta.ask("links")}
            done = subprocess.run([self.runner[0], str(self.beta.process.pid), f":{self.link.rsplit(':', 1)[1]}:"],
                                  capture_output=True, text=True)
            if "ptrace" in done.stderr:
                self.skipTest(done.stderr.strip())
            self.assertEqual(done.returncode, 0, done.stderr)
            # Between the nodes nothing is lost: it waits for the next link.
            questions = [b"meanwhile %d %d" % (turn, i) for i in range(20)]
            for question in questions:
                client.send(question)
            wait_for(lambda: not gone & {link["path"] for link in self.beta.ask("links")}, "the end of the link")
            self.beta.ctl("connect", self.link)
            self.assertEqual([client.recv(100) for _ in questions], [question[::-1] for question in questions])
        self.assertEqual(len(self.server.sources), 1)


class Flood(Sides):
    config = "name='beta'\ntransport-options={'udp': {'flows': <uint32 8>}}\n"

    def test_flood_of_sources_is_bounded_and_hurts_nobody_else(self):
        path = self.add()
        port = self.port(path)
        good = self.client(port)
        self.ask(good, b"good")
        over = threading.Event()
        # Longer than it takes to be known as more than a question.
        sources = [self.client(port) for _ in range(200)]

        def flood():
            while not over.is_set():
                for source in sources:
                    source.send(b"silence, please")
        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            most = 0
            for turn in range(30):
                good.settimeout(0.5)
                try:
                    self.ask(good, b"still there")
                except TimeoutError:
                    pass  # the socket itself was full: that is what datagrams are like
                most = max(most, len(self.beta.ask("streams")))
            self.assertLessEqual(most, 8)
            self.assertEqual(self.get(path, "State"), "listening")
        finally:
            over.set()
            flooding.join()
        wait_for(lambda: re.search(r"datagrams lost so far.* [1-9][0-9]* for want of a place", self.beta.log()), "a word of it")
        self.assertLess(len(re.findall("datagrams lost so far", self.beta.log())), 3)


class NoLinks(Case):
    """Part of it may be lost, so no link goes that way."""

    word = "may be lost on the way"

    def test_asked_for_at_run_time(self):
        node = self.node("--listen", "tcp://127.0.0.1:0")
        self.assert_fails(node.ctl("connect", "udp://127.0.0.1:4974"), 1, "udp", self.word, "not for links")
        for method in ("Listen", "Connect"):
            done = node.call(ROOT, f"org.hypha.Node1.{method}", "udp://127.0.0.1:4974", "{}")
            self.assert_fails(done, 1, "org.hypha.Error.InvalidEndpoint: ", self.word)

    def test_in_settings_and_on_the_command_line(self):
        node = self.node("--listen", "tcp://127.0.0.1:0", config="")
        for key in ("listen", "peers"):
            node.config.write_text(f"[org/hypha/node]\n{key}=['udp://127.0.0.1:4974']\n")
            node.wait_log(f"line 2: {key} = .*entry 'udp://127.0.0.1:4974': .*{self.word}")
            self.assert_fails(node.ctl("config", "set", key, "['udp://127.0.0.1:4974']"), 1, self.word)
        node.stop()
        for option in ("--listen", "--peer"):
            done = self.place().hyphad(option, "udp://127.0.0.1:4974")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(self.word, done.stderr)

    def test_plug_in_that_comes_later(self):
        place = self.place()
        plugins = os.environ["HYPHA_PLUGIN_PATH"].split(":")
        [udp] = [path for path in plugins if pathlib.Path(path).name == "udp"]
        folder = place.path / "plugins"
        folder.mkdir(mode=0o700)
        place.environment["HYPHA_PLUGIN_PATH"] = ":".join([str(folder), *(path for path in plugins if path != udp)])
        node = Node(place, "--listen", "tcp://127.0.0.1:0",
                    config="listen=['udp://127.0.0.1:0']\npeers=['udp://127.0.0.1:4974']\n")
        node.wait_log("udp")
        shutil.copy(pathlib.Path(udp) / "udp.so", folder)
        wait_for(lambda: any(t["name"] == "udp" and t["available"] for t in node.ask("transports")), "the transport")
        node.wait_log(f"udp://127.0.0.1:0: .*{self.word}")
        node.wait_log(f"udp://127.0.0.1:4974: .*{self.word}")
        self.assertEqual([e for e in node.ask("status")["listening"] if e.startswith("udp")], [])
        node.stop()

    def test_is_shown_without_a_cost(self):
        node = self.node("--listen", "tcp://127.0.0.1:0")
        self.assertRegex(node.do("transports"), r"(?m)^udp +yes +- +udp")


if __name__ == "__main__":
    sys.exit(main())
