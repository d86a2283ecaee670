#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that programs register, served by a program in Python."""

import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import sys
import threading
import unittest

from harness import DEADLINE, ROOT, UNSEEN, Case, Node, main, trust_each_other, wait_for

try:
    from gi.repository import Gio, GLib
except ImportError:
    Gio = None


class Program:
    """A handler.py on the bus of a node."""

    def __init__(self, node):
        self.process = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("handler.py"), node.place.address],
                                        env=node.place.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        node.place.processes.append(self.process)
        self.events = queue.Queue()
        self.answers = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            (self.events if event["event"] == "accept" else self.answers).put(event)

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.answers.get(timeout=DEADLINE)

    def do(self, *words):
        self.ask(*words)
        answer = self.answer()
        if answer["event"] != "done":
            raise AssertionError(f"{words}: {answer}")
        return answer["answer"]

    def fails(self, *words):
        self.ask(*words)
        answer = self.answer()
        if answer["event"] != "error":
            raise AssertionError(f"{words}: {answer}")
        return answer["name"].removeprefix("org.hypha.Error."), answer["message"]

    def accepted(self):
        return self.events.get(timeout=DEADLINE)

    def kill(self):
        self.process.kill()
        self.process.wait()


@unittest.skipUnless(Gio, "python3-gi is not installed")
class Programs(Case):
    """alpha has programs, beta uses their services."""

    config = ""

    def setUp(self):
        place = self.place()
        self.unix = f"unix://{place.private}/socket"
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", "--listen", self.unix, config=self.config)
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))

    def tearDown(self):
        # A node that ends would wait for their streams.
        for node in (self.beta, self.alpha):
            for process in node.place.processes:
                process.kill()
                process.wait()
        for node in (self.beta, self.alpha):
            node.stop()

    def program(self, name=None, mode="shout"):
        program = Program(self.alpha)
        if name:
            program.do("register", name, mode)
        return program

    def open(self, service, **more):
        more = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) | more
        return self.beta.place.start_ctl("open", "alpha", service, **more)

    def service(self, name):
        return next((s for s in self.alpha.ask("services") if s["name"] == name), None)

    def refused(self, service, *words):
        self.assert_fails(self.beta.ctl("open", "alpha", service, input=""), 1, *words)


class Registered(Programs):
    def test_stream_reaches_the_program_and_half_close_works(self):
        program = self.program("shout")
        text = "what comes is sent back in upper case\n" * 30000
        done = self.beta.ctl("open", "alpha", "shout", input=text)
        self.assertEqual((done.returncode, done.stdout == text.upper()), (0, True), done.stderr)
        said = program.accepted()
        self.assertEqual(said["peer"], f"/org/hypha/Node1/peer/{self.beta.id()}")
        self.assertEqual(said["info"], {"service": "shout", "peer-id": self.beta.id(), "peer-name": "beta"})
        self.assertEqual(program.do("result", said["peer"], said["id"]), ["", len(text), len(text)])
        # Which is forgotten then.
        self.assertEqual(program.fails("result", said["peer"], said["id"])[0], "Gone")

    def test_direct_stream_reaches_the_program(self):
        program = self.program("shout")
        self.beta.do("connect", self.unix)
        wait_for(lambda: any(link["active"] and link["transport"] == "unix" for link in self.beta.ask("links")), "the cheaper link")
        text = "what comes is sent back in upper case\n" * 30000
        done = self.beta.ctl("open", "alpha", "shout", "--direct", input=text)
        self.assertEqual((done.returncode, done.stdout == text.upper()), (0, True), done.stderr)
        said = program.accepted()
        self.assertTrue(said["info"]["direct"])
        self.assertEqual(program.do("result", said["peer"], said["id"]), ["", 0, 0])
        self.assertLess(sum(link["rx-bytes"] for link in self.beta.ask("links")), len(text) // 2)
        # A refusal reaches the opener here, too.
        program.do("register", "full", "refuse")
        self.assert_fails(self.beta.ctl("open", "alpha", "full", "--direct", input=""), 1, "refused")

    def test_several_streams_at_once(self):
        self.program("shout")
        texts = [os.urandom(20_000).hex() for _ in range(8)]
        cats = [self.open("shout") for _ in texts]
        for cat, text in zip(cats, texts):
            threading.Thread(target=lambda c=cat, t=text: (c.stdin.write(t.encode()), c.stdin.close())).start()
        for cat, text in zip(cats, texts):
            self.assertEqual(cat.stdout.read().decode(), text.upper())
            self.assertEqual(cat.wait(DEADLINE), 0)

    def test_reset_by_the_peer_is_no_end_for_the_program(self):
        program = self.program("held", "hold")
        cat = self.open("held")
        said = program.accepted()
        program.do("write", said["id"], "half of")
        self.assertEqual(cat.stdout.read(7), b"half of")
        program.ask("result", said["peer"], said["id"])
        cat.terminate()
        self.assertEqual(cat.wait(DEADLINE), 1)
        error, received, sent = program.answer()["answer"]
        self.assertRegex(error, "^Reset: ")

    def test_program_breaks_off_by_close_stream(self):
        program = self.program("held", "hold")
        cat = self.open("held")
        said = program.accepted()
        program.do("write", said["id"], "half of")
        self.assertEqual(cat.stdout.read(7), b"half of")
        program.do("reset", said["peer"], said["id"])
        self.assertEqual(cat.wait(DEADLINE), 1)

    def test_results_are_for_the_program_that_serves(self):
        program = self.program("held", "hold")
        self.open("held")
        said = program.accepted()
        self.assertEqual(self.program().fails("result", said["peer"], said["id"])[0], "Gone")
        program.do("close", said["id"])

    def test_registration_dies_with_the_program(self):
        program = self.program("held", "hold")
        cat = self.open("held")
        program.accepted()
        self.assertTrue(self.service("held"))
        program.kill()
        # The peer has not said all: that nobody hears it any more is an error there.
        self.assertEqual(cat.wait(DEADLINE), 1)
        wait_for(lambda: self.service("held") is None, "the end of the registration")
        self.refused("held", "no such service")

    def test_death_of_the_program_ends_what_it_had_sent(self):
        program = self.program("held", "hold")
        cat = self.open("held")
        said = program.accepted()
        program.do("write", said["id"], "all there is")
        cat.stdin.close()
        # With the end still to read it would be an error for the peer.
        program.do("read_all", said["id"])
        wait_for(lambda: self.alpha.ask("streams")[0]["sent"] == 12, "the bytes")
        program.kill()
        # As when it had closed its end: see core/service/README.md.
        self.assertEqual((cat.stdout.read(), cat.wait(DEADLINE)), (b"all there is", 0))

    def test_stream_goes_on_without_the_registration(self):
        program = self.program("shout")
        cat = self.open("shout")
        program.accepted()
        program.do("unregister", "shout")
        self.assertIsNone(self.service("shout"))
        self.refused("shout", "no such service")
        cat.stdin.write(b"still here")
        self.assertEqual(cat.stdout.read(10), b"STILL HERE")
        cat.stdin.close()
        self.assertEqual(cat.wait(DEADLINE), 0)

    def test_program_that_dies_while_it_is_asked(self):
        program = self.program("never", "never")
        cat = self.open("never")
        program.accepted()
        self.assertEqual(self.beta.ask("streams")[0]["service"], "never")
        program.kill()
        self.assertEqual(cat.wait(5), 1)
        self.assertIn(b"never", cat.stderr.read())

    def test_no_byte_before_the_answer(self):
        program = self.program("never", "never")
        cat = self.open("never")
        cat.stdin.write(b"x" * 1000)
        program.accepted()
        [stream] = self.alpha.ask("streams")
        self.assertEqual((stream["service"], stream["received"]), ("never", 0))
        self.beta.do("disconnect", "alpha")
        self.assertEqual(cat.wait(DEADLINE), 1)
        # And the end is told to the program, though it never took the stream.
        self.assertRegex(program.do("result", f"/org/hypha/Node1/peer/{self.beta.id()}", stream["id"])[0], "^Disconnected: ")

    def test_answers_that_refuse(self):
        program = self.program()
        for mode in ("refuse", "wrong", "nobody"):
            program.do("register", mode, mode)
            self.refused(mode, mode)
            self.alpha.wait_log(f"service '{mode}': its handler does not take a stream: .")
        self.alpha.wait_log("the house is full")

    def test_program_that_answers_twice_is_taken_at_its_first_word(self):
        self.program("twice", "twice")
        for _ in range(3):
            self.assertEqual(self.beta.ctl("open", "alpha", "twice", input="x").stdout, "X")

    def test_more_than_64_that_wait_are_busy(self):
        program = self.program("never", "never")
        bus = Gio.DBusConnection.new_for_address_sync(
            self.beta.place.address,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        ended = []

        def done(source, result):
            try:
                source.call_with_unix_fd_list_finish(result)
                ended.append("taken")
            except GLib.Error as error:
                ended.append(Gio.DBusError.get_remote_error(error))

        def open_one():
            bus.call_with_unix_fd_list("org.hypha.Node1", f"/org/hypha/Node1/peer/{self.alpha.id()}", "org.hypha.Peer1",
                                       "OpenStream", GLib.Variant("(sa{sv})", ("never", {})), None, Gio.DBusCallFlags.NONE,
                                       -1, None, None, done)

        def wait_ended(number):
            while len(ended) < number:
                GLib.MainContext.default().iteration(True)

        # A machine may be so busy that the first is given up before the last has come: then once more.
        for _ in range(5):
            ended.clear()
            for _ in range(65):
                open_one()
            wait_ended(1)
            if ended[0] == "org.hypha.Error.Busy":
                break
            wait_ended(65)
        self.assertEqual(ended, ["org.hypha.Error.Busy"])
        for _ in range(64):
            program.accepted()
        program.kill()
        wait_ended(65)
        self.assertEqual(set(ended[1:]), {"org.hypha.Error.Refused"})
        bus.close_sync()

    def test_names_that_are_not_to_be_had(self):
        program = self.program("mine")
        for name in ("echo", "discard"):
            error, message = program.fails("register", name, "shout")
            self.assertEqual(error, "Busy")
            self.assertIn(f"target '{name}'", message)
        other = self.program()
        self.assertEqual(program.fails("register", "mine", "shout")[0], "Busy")
        error, message = other.fails("register", "mine", "shout")
        self.assertEqual(error, "Busy")
        self.assertIn(self.service("mine")["owner"], message)
        self.assertEqual(other.fails("unregister", "mine")[0], "NoSuchService")
        self.assertEqual(other.fails("unregister", "nosuch")[0], "NoSuchService")
        for name in ("", "x" * 256, "two words", "\x1b[31m", *UNSEEN):
            self.assertEqual(other.fails("register", name, "shout")[0], "InvalidArgument")
        other.do("register", "y" * 255, "shout")

    def test_a_program_registers_64_services_and_all_256(self):
        programs = [self.program() for _ in range(5)]
        for n, program in enumerate(programs[:4]):
            for i in range(64):
                program.do("register", f"s{n}-{i}", "shout")
        error, message = programs[0].fails("register", "one-more", "shout")
        self.assertEqual(error, "Busy")
        self.assertIn("64", message)
        error, message = programs[4].fails("register", "one-more", "shout")
        self.assertEqual(error, "Busy")
        self.assertIn("256", message)
        programs[0].do("unregister", "s0-0")
        programs[4].do("register", "one-more", "shout")

    def test_list_of_services(self):
        self.assertEqual(self.alpha.ask("services"),
                         [{"name": name, "target": name, "peers": None, "owner": None} for name in ("discard", "echo")])
        self.program("shout")
        shout = self.service("shout")
        self.assertEqual((shout["target"], shout["peers"]), ("handler", None))
        self.assertRegex(shout["owner"], r"^:1\.\d+$")
        self.assertRegex(self.alpha.do("services"), r"shout +handler +all trusted +:1\.\d+")


class Deadline(Programs):
    def test_program_that_never_answers_refuses_at_the_deadline(self):
        self.program("never", "never")
        cat = self.open("never")
        self.assertEqual(cat.wait(DEADLINE), 1)
        self.alpha.wait_log("service 'never': its handler does not take a stream: ")


class Settings(Programs):
    config = ("services={'app': {'peers': <['gamma']>}, 'tool': {'target': <'handler'>, 'peers': <['beta']>}, "
              "'fixed': {'target': <'echo'>}, 'discard': {'target': <'off'>}}\n")

    def test_settings_say_who_may_use_what_a_program_registers(self):
        program = self.program("app")
        program.do("register", "tool", "shout")
        self.refused("app", "app")
        self.assertEqual(self.beta.ctl("open", "alpha", "tool", input="x").stdout, "X")
        self.assertEqual(self.service("app")["peers"], ["gamma"])

    def test_settings_without_a_program_offer_nothing(self):
        self.assertEqual(self.service("tool"), {"name": "tool", "target": "handler", "peers": ["beta"], "owner": None})
        self.assertIsNone(self.service("discard"))
        self.refused("tool", "no such service")

    def test_name_of_the_settings_is_not_to_be_had(self):
        program = self.program()
        for name, target in (("fixed", "echo"), ("discard", "off")):
            error, message = program.fails("register", name, "shout")
            self.assertEqual(error, "Busy")
            self.assertIn(f"'{name}' has the target '{target}'", message)

    def test_settings_that_take_a_name_win_while_they_do(self):
        self.program("shout")

        def configure(services):
            file = self.alpha.config.with_suffix(".new")
            file.write_text(re.sub("(?m)^services=.*$", f"services={services}", self.alpha.config.read_text()))
            file.rename(self.alpha.config)
        configure("{'shout': {'target': <'echo'>}}")
        wait_for(lambda: self.service("shout")["target"] == "echo", "the service of the settings")
        done = self.beta.ctl("open", "alpha", "shout", input="x")
        self.assertEqual((done.returncode, done.stdout), (0, "x"), done.stderr)
        self.alpha.wait_log("service 'shout': the settings give it the target 'echo'; :1")
        configure("{}")
        wait_for(lambda: self.service("shout")["target"] == "handler", "the registered service")
        self.assertEqual(self.beta.ctl("open", "alpha", "shout", input="x").stdout, "X")


class Ports(Programs):
    config = ("services={'tcp:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['beta']>}, 'tcp:9': {'target': <'off'>}, "
              "'port:*': {'target': <'tcp://127.0.0.1:*'>}, "
              "'other:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['gamma']>}}\n")

    def test_each_port_is_a_service(self):
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for server in servers:
            self.addCleanup(server.close)
            server.settimeout(DEADLINE)
        ports = [server.getsockname()[1] for server in servers]
        for server, port in zip(servers, ports):
            stream = self.open(f"tcp:{port}")
            connection, _ = server.accept()
            with connection:
                connection.sendall(f"this is {port}".encode())
            self.assertEqual(stream.communicate(timeout=DEADLINE), (f"this is {port}".encode(), b""))
        self.refused(f"other:{ports[0]}", "does not give this service to this node")
        self.assertEqual(self.service("tcp:*"), {"name": "tcp:*", "target": "tcp://127.0.0.1:*", "peers": ["beta"], "owner": None})

    def test_mux_leads_to_the_ports_of_the_far_side(self):
        path = f"{self.beta.place.private}/mux"
        done = self.beta.call(ROOT, "org.hypha.Node1.AddForward", f"unix://{path}", "alpha", "*", "{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as program:
            for end in (server, program):
                end.settimeout(DEADLINE)
            program.connect(path)
            program.sendall(f"CONNECT {server.getsockname()[1]}\n".encode())
            connection, _ = server.accept()
            with connection, program.makefile() as answer:
                connection.sendall(b"hello\n")
                self.assertRegex(answer.readline(), "^OK [0-9]+\n$")
                self.assertEqual(answer.readline(), "hello\n")

    def test_what_is_no_port_is_refused(self):
        for name in ("tcp:9", "tcp:*", "tcp:", "tcp:0", "tcp:080", "tcp:80?id=x", "tcp:4294967296"):
            self.refused(name, "no such service")
        self.refused("tcp:65536", "its log says why")
        self.alpha.wait_log("service 'tcp:65536': .*65536")

    def test_ports_are_not_for_programs(self):
        program = self.program()
        error, message = program.fails("register", "tcp:7", "shout")
        self.assertEqual(error, "Busy")
        self.assertIn("'tcp:7' has the target 'tcp://127.0.0.1:*'", message)
        self.assertEqual(program.fails("register", "udp:*", "shout")[0], "InvalidArgument")
        program.do("register", "tcp:ssh", "shout")
        self.assertEqual(self.beta.ctl("open", "alpha", "tcp:ssh", input="x").stdout, "X")


if __name__ == "__main__":
    sys.exit(main())
