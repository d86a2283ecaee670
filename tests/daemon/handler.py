#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that serves streams, as its author would write it. Commands come as lines of JSON, what happens goes out likewise.

How it answers Accept is told by what a service is registered with: `shout` sends everything back in upper case; `hold` keeps
the stream and does nothing; `refuse` answers with an error, `wrong` with something else, `twice` twice (and shouts), `never`
not at all, `nobody` has no object there.
"""

import json
import os
import socket
import sys
import threading

from gi.repository import Gio, GLib

XML = """<node><interface name="org.hypha.ServiceHandler1"><method name="Accept">
<arg type="o" direction="in"/><arg type="h" direction="in"/><arg type="t" direction="in"/><arg type="a{sv}" direction="in"/>
</method></interface></node>"""
HANDLER = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
NAME, ROOT = "org.hypha.Node1", "/org/hypha/Node1"
lock = threading.Lock()
held = {}


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


def shout(stream):
    with stream:
        while piece := stream.recv(65536):
            stream.sendall(piece.upper())


def accept(connection, sender, path, interface, method, parameters, invocation):
    peer, handle, number, info = parameters.unpack()
    stream = socket.socket(fileno=invocation.get_message().get_unix_fd_list().steal_fds()[handle])
    mode = path.rsplit("/", 1)[1]
    if mode in ("shout", "twice"):
        stream.setblocking(True)
        threading.Thread(target=shout, args=(stream,), daemon=True).start()
    else:
        held[number] = stream
    say(event="accept", peer=peer, id=number, info=info)
    if mode == "refuse":
        invocation.return_dbus_error("org.example.Error.Full", "the house is full")
    elif mode == "wrong":
        connection.send_message(reply_to(invocation, GLib.Variant("(s)", ("yes",))), Gio.DBusSendMessageFlags.NONE)
    elif mode == "twice":
        for _ in range(2):
            connection.send_message(reply_to(invocation, None), Gio.DBusSendMessageFlags.NONE)
    elif mode != "never":
        invocation.return_value(None)


def reply_to(invocation, body):
    reply = Gio.DBusMessage.new_method_reply(invocation.get_message())
    if body:
        reply.set_body(body)
    return reply


class Program:
    def __init__(self, address):
        self.bus = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        for mode in ("shout", "hold", "refuse", "wrong", "twice", "never"):
            self.bus.register_object(f"/handler/{mode}", HANDLER, accept, None, None)

    def call(self, path, interface, method, parameters):
        return self.bus.call_sync(NAME, path, interface, method, parameters, None, Gio.DBusCallFlags.NONE, 20000, None).unpack()

    def register(self, name, mode):
        return self.call(ROOT, NAME, "RegisterService", GLib.Variant("(so)", (name, f"/handler/{mode}")))

    def unregister(self, name):
        return self.call(ROOT, NAME, "UnregisterService", GLib.Variant("(s)", (name,)))

    def result(self, peer, number):
        return self.call(peer, "org.hypha.Peer1", "StreamResult", GLib.Variant("(t)", (number,)))

    def reset(self, peer, number):
        return self.call(peer, "org.hypha.Peer1", "CloseStream", GLib.Variant("(t)", (number,)))

    def write(self, number, text):
        held[number].sendall(text.encode())
        return []

    def read_all(self, number):
        held[number].setblocking(True)
        return iter(lambda: held[number].recv(65536).decode(), "")

    def close(self, number):
        held.pop(number).close()
        return []

    def main(self):
        for line in sys.stdin:
            verb, *words = json.loads(line)
            try:
                say(event="done", answer=list(getattr(self, verb)(*words)))
            except GLib.Error as error:
                say(event="error", name=Gio.DBusError.get_remote_error(error), message=error.message)
        os._exit(0)


program = Program(sys.argv[1])
threading.Thread(target=program.main, daemon=True).start()
GLib.MainLoop().run()
