#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A transport for Hypha that is a program: @NAME@://HOST:PORT, over plain TCP.

@NAME@.json beside it tells Hypha what it is and how to start it. Hypha's requests and the answers to them are lines of JSON over the
standard streams, which are one Unix socket. The option hand-over says how a channel gets to Hypha:

descriptor   the connected socket itself goes with the answer, and this program has no more to do with it
rendezvous   for what is no socket of the kernel's: this program connects to a socket of Hypha's, and copies

To make it your own, replace what is below "the network"."""

import asyncio
import contextlib
import errno
import json
import os
import select
import socket
import sys

CODES = {errno.EADDRINUSE: "address-in-use", errno.EACCES: "permission-denied", errno.EADDRNOTAVAIL: "unavailable"}


class Program:
    def __init__(self, node):
        self.node = node
        self.tasks = {}  # what was asked and is not answered, by number
        self.listeners = {}  # sockets, by the number of the request
        self.under_way = set()  # what nobody waits for
        self.options = {}
        self.rendezvous = None

    # ---- Hypha ----

    async def run(self):
        """Until Hypha closes our input: that is the end of this program."""
        self.loop = asyncio.get_running_loop()
        rest = b""
        while data := await self.loop.sock_recv(self.node, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(json.loads(line))

    def take(self, request):
        number, what = request["id"], request["do"]
        if what == "cancel":
            if number in self.tasks:
                self.tasks[number].cancel()
        elif what == "close":
            if number in self.listeners:
                self.loop.remove_reader(self.listeners[number])
                self.listeners.pop(number).close()
        else:
            self.tasks[number] = asyncio.create_task(self.answer(number, request))
            self.tasks[number].add_done_callback(lambda task: self.forget(number, task))

    def forget(self, number, task):
        """Every request has one answer, also one that was cancelled, be it before it was begun."""
        del self.tasks[number]
        if task.cancelled():
            self.fail(number, "failed", "cancelled")

    async def answer(self, number, request):
        try:
            do = {"hello": self.hello, "configure": self.configure, "probe": self.probe, "connect": self.connect, "listen": self.listen}
            await do.get(request["do"], self.refuse)(number, request)
        except asyncio.TimeoutError:
            self.fail(number, "timed-out", f"nobody answered within {request['timeout-ms']} ms")
        except OSError as error:
            message = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            self.fail(number, CODES.get(error.errno, request["do"]), message)
        except ValueError as error:
            self.fail(number, "invalid-setting", str(error))

    def say(self, message, *descriptors):
        """One line, and the descriptors that go with it. Hypha reads what it is told at once, so there is next to no waiting here."""
        line = json.dumps(message).encode() + b"\n"
        while line:
            try:
                sent = socket.send_fds(self.node, [line], descriptors)
                line, descriptors = line[sent:], ()
            except BlockingIOError:
                select.select([], [self.node], [])
            except BrokenPipeError:
                return  # Hypha has gone, and run() ends

    def fail(self, number, code, message):
        self.say({"id": number, "error": {"code": code, "message": message}})

    async def refuse(self, number, request):
        self.fail(number, "not-supported", f"this program knows nothing of '{request['do']}'")

    async def hello(self, number, request):
        self.rendezvous = request["rendezvous"]
        await self.configure(number, request)

    async def configure(self, number, request):
        if request["options"].get("hand-over", "descriptor") not in ("descriptor", "rendezvous"):
            raise ValueError("hand-over is neither 'descriptor' nor 'rendezvous'")
        self.options = request["options"]
        self.say({"id": number})

    def let_go_on(self, work):
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def hand_over(self, message, ticket, connection):
        """What MESSAGE is about."""
        with contextlib.ExitStack() as unless_it_goes_on:
            unless_it_goes_on.enter_context(connection)
            if self.options.get("hand-over") != "rendezvous":
                self.say({**message, "descriptor": True}, connection.fileno())
                return  # Hypha has it now: here it is closed
            far = await asyncio.open_connection(sock=connection)
            unless_it_goes_on.callback(far[1].close)
            near = await asyncio.open_unix_connection(self.rendezvous)
            near[1].write(json.dumps({**message, "ticket": ticket}).encode() + b"\n")
            unless_it_goes_on.pop_all()
        self.let_go_on(self.copy_both(near, far))

    async def copy_both(self, near, far):
        with contextlib.closing(near[1]), contextlib.closing(far[1]), contextlib.suppress(OSError):
            await asyncio.gather(self.copy(near[0], far[1]), self.copy(far[0], near[1]))

    async def copy(self, reader, writer):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
        writer.write_eof()  # the end of one direction; the other goes on

    # ---- the network ----

    async def probe(self, number, request):
        """If it cannot work on this machine, raise or fail() with the code unavailable; what to do belongs into the message."""
        self.say({"id": number, "details": {"ipv6": socket.has_ipv6}})

    async def connect(self, number, request):
        connection = await asyncio.wait_for(self.dial(*self.address(request["endpoint"])), request["timeout-ms"] / 1000)
        local, remote = connection.getsockname(), connection.getpeername()
        await self.hand_over({"id": number, "local": self.endpoint(local), "host": self.host(remote)}, request["ticket"], connection)

    async def dial(self, host, port):
        trouble = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with contextlib.ExitStack() as unless_it_works:
                connection = unless_it_works.enter_context(socket.socket(family, kind, protocol))
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    await self.loop.sock_connect(connection, address)
                    unless_it_works.pop_all()
                    return connection
                except OSError as error:
                    trouble = error
        raise trouble

    async def listen(self, number, request):
        host, port = self.address(request["endpoint"])
        family, kind, protocol, _, address = (await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        with contextlib.ExitStack() as unless_it_works:
            server = unless_it_works.enter_context(socket.socket(family, kind, protocol))
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            server.bind(address)
            server.listen(4096)  # the kernel has its own bound; a shorter line makes those at its end try again after a second
            unless_it_works.pop_all()
        self.say({"id": number, "bound": self.endpoint(server.getsockname())})
        self.listeners[number] = server
        self.follow(number, request["ticket"])

    def follow(self, number, ticket):
        if number in self.listeners:
            self.loop.add_reader(self.listeners[number], self.accept, number, ticket)

    def accept(self, number, ticket):
        """Somebody has come; as long as there are more, this is called again."""
        try:
            connection, remote = self.listeners[number].accept()
        except BlockingIOError:
            return
        except OSError as error:
            print("cannot accept:", error, file=sys.stderr)
            self.loop.remove_reader(self.listeners[number])
            self.loop.call_later(0.1, self.follow, number, ticket)  # of descriptors, there may be some again then
            return
        message = {"event": "accepted", "listener": number, "remote": self.endpoint(remote), "host": self.host(remote)}
        self.let_go_on(self.welcome(message, ticket, connection))

    async def welcome(self, message, ticket, connection):
        with contextlib.ExitStack() as unless_it_goes_on, contextlib.suppress(OSError):  # it has gone again
            unless_it_goes_on.enter_context(connection)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            unless_it_goes_on.pop_all()
            await self.hand_over(message, ticket, connection)

    def address(self, endpoint):
        """Hypha has seen to it that this is //HOST:PORT, and that IPv6 stands in brackets."""
        host, _, port = endpoint[len("@NAME@://"):].rpartition(":")
        return host.strip("[]").replace("%25", "%"), int(port)

    def host(self, address):
        return address[0][len("::ffff:"):] if address[0].startswith("::ffff:") else address[0]

    def endpoint(self, address):
        host = self.host(address).replace("%", "%25")
        return f"@NAME@://[{host}]:{address[1]}" if ":" in host else f"@NAME@://{host}:{address[1]}"


def main():
    node = socket.socket(fileno=os.dup(0))
    node.setblocking(False)
    os.dup2(2, 1)  # what is printed goes to Hypha's log, and not among the messages
    asyncio.run(Program(node).run())


if __name__ == "__main__":
    main()
