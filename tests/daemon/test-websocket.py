#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""WebSockets between nodes behind a real web server and a real proxy, and with programs that know nothing of Hypha."""

import asyncio
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import unittest

from harness import DEADLINE, HYPHACTL, Case, Node, main, trust_each_other, wait_for

try:
    import websockets
except ImportError:
    websockets = None

CERTIFICATE = os.environ["CERTIFICATE"]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
NGINX, TINYPROXY = shutil.which("nginx", path=PATH), shutil.which("tinyproxy", path=PATH)
README = pathlib.Path(__file__).resolve().parents[2] / "plugins" / "websocket" / "README.md"
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
PART = os.urandom(1 << 20)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Server:
    """A program that serves a port, and can be started anew."""

    def __init__(self, command, port, folder):
        self.command, self.port, self.log = command, port, folder / "output"
        self.start()

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or is_open(self.port), f"{self.command}: {self.log.read_text()}")
        if self.process.poll() is not None:
            raise AssertionError(f"{self.command} ended: {self.log.read_text()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(DEADLINE)


class Web(Case):
    """Folders, certificates and servers."""

    def folder(self):
        place = self.place()
        return place.path

    def certificate(self):
        path = self.folder() / "it"
        subprocess.run([CERTIFICATE, path], check=True)
        return f"{path}.crt", f"{path}.key"

    def nginx(self, upstream):
        """The nginx.conf of the README, with the names of this test. Gives it, and the certificate."""
        folder = self.folder()
        crt, key = self.certificate()
        port = free_port()
        text = re.search(r"^```nginx\n(.*?)^```$", README.read_text(), re.M | re.S)[1]
        for old, new in {"443 ssl": f"127.0.0.1:{port} ssl", "hypha.example.org;": "localhost;", "/etc/ssl/hypha.example.org.crt": crt,
                         "/etc/ssl/private/hypha.example.org.key": key, "127.0.0.1:4980": upstream}.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        # Where it would write by itself belongs to the system.
        temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = text.replace("http {\n", "http {\naccess_log off;\n" + temporary, 1)
        (folder / "nginx.conf").write_text(text)
        command = [NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log",
                   "-g", f"daemon off; master_process off; pid {folder}/pid;"]
        server = Server(command, port, folder)
        self.addCleanup(server.stop)
        return server, crt

    def listening(self):
        """A node on ws, and its upstream for a web server."""
        node = Node(self.place(), "--listen", "ws://127.0.0.1:0/hypha")
        return node, re.fullmatch(r"ws://(.*)/hypha", node.listening("ws"))[1]

    def connecting(self, options, environment=None):
        place = self.place()
        place.environment.update(environment or {})
        text = ", ".join(f"'{name}': <'{value}'>" for name, value in options.items())
        return Node(place, config=f"transport-options={{'ws': {{{text}}}}}\n")

    def link_of(self, node, name="alpha"):
        return [link for link in node.ask("links") if link["peer"] == name or link.get("peer-name") == name]

    def assert_echoes(self, node, size=8 << 20):
        """Through a stream, with the end of one direction while the other goes on."""
        data = PART * (size >> 20)
        done = node.ctl("open", "alpha", "echo", input=data, text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    def assert_online(self, node, endpoint):
        node.do("connect", endpoint)
        node.wait_peer("alpha", state="online")


@unittest.skipUnless(NGINX, "nginx is not installed")
class BehindNginx(Web):
    def setUp(self):
        self.alpha, upstream = self.listening()
        self.server, self.crt = self.nginx(upstream)
        self.endpoint = f"wss://localhost:{self.server.port}/hypha"
        self.beta = self.connecting({"ca-file": self.crt, "proxy": ""})
        trust_each_other(self.alpha, self.beta)

    def test_streams_go_through_and_end_one_way_at_a_time(self):
        self.assert_online(self.beta, self.endpoint)
        self.assert_echoes(self.beta)
        link = self.beta.ask("links")[0]
        self.assertEqual((link["remote"], link["static-cost"]), (self.endpoint, 20))
        # The inner TLS: that of the web server is no business of the node.
        self.assertTrue(link["encrypted"])

    def test_stream_goes_on_when_nginx_is_started_anew(self):
        self.beta.do("connect", self.endpoint, "--persist")
        self.beta.wait_peer("alpha", state="online")
        stream = self.beta.place.start_ctl("open", "alpha", "echo", **PIPES)
        echoed = hashlib.sha256()
        reader = threading.Thread(target=lambda: [echoed.update(part) for part in iter(lambda: stream.stdout.read1(1 << 16), b"")])
        reader.start()
        sent = hashlib.sha256()
        for turn in range(3):
            if turn > 0:
                self.server.stop()
                self.server.start()
            for _ in range(2):
                stream.stdin.write(PART)
                sent.update(PART)
            stream.stdin.flush()
        stream.stdin.close()
        reader.join(DEADLINE)
        self.assertEqual(stream.wait(DEADLINE), 0, stream.stderr.read())
        self.assertEqual(echoed.digest(), sent.digest())

    def test_refusals_say_what_to_do(self):
        elsewhere = self.endpoint.replace("/hypha", "/other")
        self.assert_fails(self.beta.ctl("connect", elsewhere), 1, elsewhere, "404", "path")
        plain = self.endpoint.replace("wss:", "ws:")
        self.assert_fails(self.beta.ctl("connect", plain), 1, plain, "400")
        self.alpha.stop()
        self.assert_fails(self.beta.ctl("connect", self.endpoint), 1, self.endpoint, "502", "does the node behind it listen?")
        self.server.stop()
        self.assert_fails(self.beta.ctl("connect", self.endpoint), 1, self.endpoint, "refused")

    def test_certificate_of_a_stranger_is_not_trusted(self):
        crt, _ = self.certificate()
        for options in {"proxy": ""}, {"proxy": "", "ca-file": crt}:
            gamma = self.connecting(options)
            self.assert_fails(gamma.ctl("connect", self.endpoint), 1, self.endpoint, "certificate", "ca-file")


@unittest.skipUnless(NGINX, "nginx is not installed")
@unittest.skipUnless(TINYPROXY, "tinyproxy is not installed")
class ThroughProxy(Web):
    def proxy(self, *lines):
        folder, port = self.folder(), free_port()
        self.log = folder / "tinyproxy.log"
        (folder / "tinyproxy.conf").write_text("\n".join((f"Port {port}", "Listen 127.0.0.1", "Timeout 600", "LogLevel Connect",
                                                          f'LogFile "{self.log}"', *lines)) + "\n")
        server = Server([TINYPROXY, "-d", "-c", folder / "tinyproxy.conf"], port, folder)
        self.addCleanup(server.stop)
        return f"http://127.0.0.1:{port}"

    def assert_through(self, proxy, endpoint, options, environment=None):
        self.beta = self.connecting(options, environment)
        trust_each_other(self.alpha, self.beta)
        self.assert_online(self.beta, endpoint)
        self.assert_echoes(self.beta)
        wait_for(lambda: f"CONNECT {endpoint.split('/')[2]}" in self.log.read_text(), f"a CONNECT in {self.log.read_text()}")

    def test_wss_goes_by_the_proxy_of_the_options(self):
        self.alpha, upstream = self.listening()
        server, crt = self.nginx(upstream)
        proxy = self.proxy()
        self.assert_through(proxy, f"wss://localhost:{server.port}/hypha", {"ca-file": crt, "proxy": proxy})

    def test_ws_goes_by_the_proxy_of_the_options(self):
        self.alpha, upstream = self.listening()
        proxy = self.proxy()
        self.assert_through(proxy, f"ws://{upstream}/hypha", {"proxy": proxy})

    def test_ws_goes_by_the_proxy_of_the_system(self):
        self.alpha, upstream = self.listening()
        proxy = self.proxy()
        if not list(pathlib.Path("/usr/lib").glob("*/gio/modules/libgiolibproxy.so")):
            self.skipTest("GIO has no libproxy here, which reads http_proxy")
        self.assert_through(proxy, f"ws://{upstream}/hypha", {}, {"http_proxy": proxy, "no_proxy": "", "HTTP_PROXY": proxy})

    def test_refusal_of_the_proxy_is_told(self):
        self.alpha, upstream = self.listening()
        beta = self.connecting({"proxy": self.proxy("ConnectPort 1")})
        self.assert_fails(beta.ctl("connect", f"ws://{upstream}/hypha"), 1, upstream, "proxy", "not allowed")
        gamma = self.connecting({"proxy": f"http://127.0.0.1:{free_port()}"})
        self.assert_fails(gamma.ctl("connect", f"ws://{upstream}/hypha"), 1, upstream, "refused")


class ByItself(Web):
    def test_strangers_who_stall_tls_keep_nobody_out(self):
        crt, key = self.certificate()
        options = ", ".join(f"'{name}': <'{value}'>" for name, value in {"certificate": crt, "key": key}.items())
        self.alpha = Node(self.place(), "--listen", "wss://127.0.0.1:0/hypha", config=f"transport-options={{'ws': {{{options}}}}}\n")
        endpoint = self.alpha.listening("wss")
        port = int(re.fullmatch(r"wss://127.0.0.1:(\d+)/hypha", endpoint)[1])
        over, stalling = threading.Event(), threading.Semaphore(0)

        def stall():
            while not over.is_set():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE) as stranger:
                    stranger.sendall(b"\x16")
                    stalling.release()
                    while not over.is_set() and stranger.recv(64):
                        pass
        # Twice as many as there are places for handshakes, all the time: fewer than one address may have.
        strangers = [threading.Thread(target=stall) for _ in range(8)]
        for stranger in strangers:
            stranger.start()
            self.addCleanup(stranger.join)
        self.addCleanup(self.alpha.stop)
        self.addCleanup(over.set)
        for _ in strangers:
            self.assertTrue(stalling.acquire(timeout=DEADLINE))
        beta = self.connecting({"ca-file": crt, "proxy": ""})
        trust_each_other(self.alpha, beta)
        beta.do("connect", "--timeout", "6000", endpoint)
        beta.wait_peer("alpha", state="online")


@unittest.skipUnless(websockets, "python3-websockets is not installed")
class Foreign(Web):
    """dial and accept, with websockets of Python at the other end."""

    def start(self, *words):
        process = subprocess.Popen([HYPHACTL, *words], env=dict(os.environ, LC_ALL="C.UTF-8"), **PIPES)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()
        self.addCleanup(end)
        return process

    def dial_server(self, handler, data, **more):
        """What a hyphactl dial to a server with this handler says, and how it ends."""
        async def run():
            async with websockets.serve(handler, "127.0.0.1", 0, **more) as server:
                port = server.sockets[0].getsockname()[1]
                process = self.start("dial", f"ws://127.0.0.1:{port}/any")
                return await asyncio.get_running_loop().run_in_executor(None, lambda: (process, *process.communicate(data, DEADLINE)))
        return asyncio.run(run())

    def test_dial_to_a_server_of_python(self):
        got = []

        async def handler(connection):
            await connection.send("greeting ")
            await connection.send([b"in ", b"parts"])
            async for message in connection:
                got.append(message)
        process, out, err = self.dial_server(handler, PART)
        self.assertEqual((process.returncode, out), (0, b"greeting in parts"), err)
        self.assertEqual(b"".join(got), PART)

    def test_code_of_a_server_is_told(self):
        async def handler(connection):
            await connection.send(b"x")
            await connection.close(1011, "tired")
        process, out, err = self.dial_server(handler, None)
        self.assertEqual(out, b"x")
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"1011: tired", err)

    def test_accept_a_client_of_python(self):
        process = self.start("accept", "ws://127.0.0.1:0/here")
        endpoint = re.fullmatch(r"listening on (\S+)\n", process.stderr.readline().decode())[1]

        async def run():
            async with websockets.connect(endpoint) as connection:
                await connection.send(PART[:500000])
                await connection.send("text")
                process.stdin.write(b"answer")
                process.stdin.flush()
                self.assertEqual(await connection.recv(), b"answer")
        collected = []
        reader = threading.Thread(target=lambda: collected.append(process.stdout.read()))
        reader.start()
        asyncio.run(run())
        process.stdin.close()
        reader.join(DEADLINE)
        self.assertEqual(process.wait(DEADLINE), 0, process.stderr.read())
        self.assertEqual(collected[0], PART[:500000] + b"text")

    def test_slow_reader_holds_a_server_back(self):
        sent = [0]

        async def handler(connection):
            for _ in range(64):
                await connection.send(PART)
                sent[0] += 1

        async def run():
            async with websockets.serve(handler, "127.0.0.1", 0, write_limit=65536) as server:
                process = self.start("dial", f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
                last = -1
                while sent[0] != last or last < 1:
                    last = sent[0]
                    await asyncio.sleep(0.3)
                self.assertLess(sent[0], 32)
                out = await asyncio.get_running_loop().run_in_executor(None, process.stdout.read)
                self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(PART * 64).digest())
        asyncio.run(run())

    def test_page_of_a_browser_may_not_come(self):
        process = self.start("accept", "ws://127.0.0.1:0/here")
        endpoint = re.fullmatch(r"listening on (\S+)\n", process.stderr.readline().decode())[1]

        async def run():
            with self.assertRaises(websockets.exceptions.InvalidStatusCode) as caught:
                async with websockets.connect(endpoint, origin="https://example.org"):
                    pass
            self.assertEqual(caught.exception.status_code, 403)
        asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
