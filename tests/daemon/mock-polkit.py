#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A polkit for tests: its interface on the bus at an address, and one way to answer.

mock-polkit.py ADDRESS ANSWER LOG: writes a line of JSON for each call; ANSWER is yes, no, challenge, hang or vanish.
"""

import json
import os
import sys

from gi.repository import Gio, GLib

XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority">
  <method name="CheckAuthorization">
    <arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
    <arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/>
  </method>
  <method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
</interface></node>"""

address, answer, log = sys.argv[1:]
asked = []


def on_call(connection, sender, path, interface, method, parameters, invocation):
    with open(log, "a") as file:
        file.write(json.dumps([method, *parameters.unpack()]) + "\n")
    if method != "CheckAuthorization":
        invocation.return_value(None)
    elif answer == "vanish":
        os._exit(0)
    elif answer == "hang":
        asked.append(invocation)
    else:
        invocation.return_value(GLib.Variant("((bba{ss}))", ((answer == "yes", answer == "challenge", {}),)))


bus = Gio.DBusConnection.new_for_address_sync(
    address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
bus.register_object("/org/freedesktop/PolicyKit1/Authority", Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], on_call, None, None)
reply = bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                      GLib.Variant("(su)", ("org.freedesktop.PolicyKit1", 4)), None, 0, -1, None)
print("ready" if reply.unpack() == (1,) else "taken", flush=True)
GLib.MainLoop().run()
