#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A node without a daemon: org.hypha.Node1 on a bus, with fixed ids and numbers, played by core/dbus/*.xml.

fake-node.py ADDRESS FOLDER-OF-THE-XML. Says "ready" when it has the name. Then each line on standard input is one order,
a JSON list, and is answered by a line when it is carried out:

  ["add", PATH, {INTERFACE: {PROPERTY: GVARIANT-TEXT}}]       ["remove", PATH]
  ["set", PATH, INTERFACE, PROPERTY, GVARIANT-TEXT]
  ["signal", PATH, INTERFACE, SIGNAL, GVARIANT-TEXT, TIMES]
  ["answer", INTERFACE.METHOD, GVARIANT-TEXT, WHAT...]        ["fail", INTERFACE.METHOD, ERROR-NAME, MESSAGE]
                                                              (each WHAT a descriptor that goes along: "socket" or "pipe")
  ["calls"]                                                   (answered by a list of what was called)
  ["drop-name"]                                               ["take-name"]

What nobody set has the empty value of its type; a method that nobody answers answers that.
"""

import json
import os
import pathlib
import socket
import sys

from gi.repository import Gio, GLib

NAME = "org.hypha.Node1"
ROOT = "/org/hypha/Node1"
PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER = """<node><interface name="org.freedesktop.DBus.ObjectManager">
<method name="GetManagedObjects"><arg name="objects" type="a{oa{sa{sv}}}" direction="out"/></method>
<signal name="InterfacesAdded"><arg name="path" type="o"/><arg name="interfaces" type="a{sa{sv}}"/></signal>
<signal name="InterfacesRemoved"><arg name="path" type="o"/><arg name="interfaces" type="as"/></signal>
</interface></node>"""
EMPTY = {"s": "''", "o": "'/'", "b": "false", "u": "0", "t": "0", "h": "0", "v": "<''>"}


def value(signature, text):
    return GLib.Variant.parse(GLib.VariantType(signature), text, None, None)


def empty(signature):
    return value(signature, EMPTY.get(signature) or ("[]" if signature[:2] != "a{" else "{}"))


class FakeNode:
    def __init__(self, address, folder):
        flags = Gio.DBusConnectionFlags
        self.bus = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.interfaces = {}
        for path in sorted(pathlib.Path(folder).glob("*.xml")):
            for interface in Gio.DBusNodeInfo.new_for_xml(path.read_text()).interfaces:
                self.interfaces[interface.name] = interface
        self.manager = Gio.DBusNodeInfo.new_for_xml(MANAGER).interfaces[0]
        self.objects = {}
        self.registered = {}
        self.answers = {}
        self.calls = []
        self.held = []
        self.register(ROOT, self.manager)

    def register(self, path, interface):
        return self.bus.register_object(path, interface, self.on_call, self.on_get, None)

    def properties(self, path, name):
        set_here = self.objects[path][name]
        return {p.name: set_here.get(p.name) or empty(p.signature) for p in self.interfaces[name].properties}

    def on_get(self, bus, sender, path, interface, name):
        return self.properties(path, interface)[name]

    def on_call(self, bus, sender, path, interface, method, arguments, invocation):
        key = f"{interface}.{method}"
        if method == "GetManagedObjects":
            objects = {path: {i: self.properties(path, i) for i in mine} for path, mine in self.objects.items() if path != ROOT}
            invocation.return_value(GLib.Variant("(a{oa{sa{sv}}})", (objects,)))
            return
        self.calls.append([path, key, arguments.print_(False)])
        answer = self.answers.get(key)
        if answer and answer[0] == "fail":
            invocation.return_dbus_error(answer[1], answer[2])
            return
        out = [a.signature for a in self.interfaces[interface].lookup_method(method).out_args]
        reply = value(f"({''.join(out)})", answer[1]) if answer else GLib.Variant.new_tuple(*map(empty, out))
        invocation.return_value_with_unix_fd_list(reply, self.descriptors(answer[2]) if answer and answer[2] else None)

    def descriptors(self, kinds):
        """The far end of each is held for ever."""
        sent = Gio.UnixFDList()
        for kind in kinds:
            here, there = os.pipe() if kind == "pipe" else (end.detach() for end in socket.socketpair())
            sent.append(there)
            os.close(there)
            self.held.append(here)
        return sent

    def emit(self, path, interface, name, parameters):
        self.bus.emit_signal(None, path, interface, name, parameters)

    def parse(self, interface, properties):
        types = {p.name: p.signature for p in self.interfaces[interface].properties}
        return {name: value(types[name], text) for name, text in properties.items()}

    # ---- orders ----

    def add(self, path, interfaces):
        self.objects[path] = {name: self.parse(name, properties) for name, properties in interfaces.items()}
        self.registered[path] = [self.register(path, self.interfaces[name]) for name in interfaces]
        if path != ROOT:
            told = {name: self.properties(path, name) for name in interfaces}
            self.emit(ROOT, self.manager.name, "InterfacesAdded", GLib.Variant("(oa{sa{sv}})", (path, told)))

    def remove(self, path):
        for number in self.registered.pop(path):
            self.bus.unregister_object(number)
        names = list(self.objects.pop(path))
        self.emit(ROOT, self.manager.name, "InterfacesRemoved", GLib.Variant("(oas)", (path, names)))

    def set(self, path, interface, name, text):
        changed = self.parse(interface, {name: text})
        self.objects[path][interface].update(changed)
        self.emit(path, PROPERTIES, "PropertiesChanged", GLib.Variant("(sa{sv}as)", (interface, changed, [])))

    def signal(self, path, interface, name, text, times=1):
        types = "".join(a.signature for a in self.interfaces[interface].lookup_signal(name).args)
        parameters = value(f"({types})", text)
        for number in range(times):
            self.emit(path, interface, name, parameters)
            if number % 1000 == 999:
                self.bus.flush_sync()

    def answer(self, method, text, *descriptors):
        self.answers[method] = ("answer", text, descriptors)

    def fail(self, method, name, message):
        self.answers[method] = ("fail", name, message)

    def take_name(self):
        self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                           GLib.Variant("(su)", (NAME, 0)), None, 0, -1, None)

    def drop_name(self):
        self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReleaseName",
                           GLib.Variant("(s)", (NAME,)), None, 0, -1, None)

    def obey(self, order):
        word, *rest = order
        if word == "calls":
            return self.calls
        getattr(self, word.replace("-", "_"))(*rest)
        self.bus.flush_sync()
        return "done"


def main():
    node = FakeNode(*sys.argv[1:])
    loop = GLib.MainLoop()

    def on_line(channel, condition):
        line = sys.stdin.readline()
        if not line:
            loop.quit()
            return False
        print(json.dumps(node.obey(json.loads(line))), flush=True)
        return True

    GLib.io_add_watch(GLib.IOChannel.unix_new(0), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, on_line)
    print("ready", flush=True)
    loop.run()


main()
