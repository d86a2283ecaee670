#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the tree against the floors of the house: a room uses only rooms on lower floors, and more. See README.md."""

import doctest
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = {"api": 1, "dbus": 1, "io": 2, "program": 2, "loader": 3, "link": 3, "session": 4, "node": 5, "service": 6, "client": 6,
          "daemon": 7, "copy": 7, "ctl": 8, "agent": 8, "guest": 9}
TOP = {"meson.build", "core", "plugins", "schemas", "tests", "po", "data", "README.md", "meson_options.txt", "LICENSE", "dev"}
TRANSPORTS = re.compile(r'"(tcp|udp|unix|vsock|quic|hvsock|ssh|ws|wss)[:"]')
GOTO = r"\bgoto\s+\w+;"

complaints = []


def complain(path, line, what):
    complaints.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def look(path, room, forbidden, what):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if re.search(forbidden, text) and not re.match(r"\s*(/\*|\*)", text):
            complain(path, number, what)


def included(text, rooms):
    """The last folder of those in ROOMS that an #include leads through, however it is written.

    >>> included('#include "link/frame.h"', FLOORS), included('# include <core/link/frame.h>', FLOORS)
    ('link', 'link')
    >>> included('#include "../../core/io/worker.h"', FLOORS), included('#include "../io/worker.h"', FLOORS)
    ('io', 'io')
    >>> included('#include "../tcp/tcp-bind.h"', ["tcp", "unix"]), included('#include "../../plugins/unix/x.h"', ["unix"])
    ('tcp', 'unix')
    >>> included('#include <hypha.h>', FLOORS), included('#include "tcp-bind.h"', ["tcp"]), included('x = "link/a.h"', FLOORS)
    (None, None, None)
    """
    found = re.match(r'\s*#\s*include\s*["<](.*)/[^/]+[">]', text)
    folders = [part for part in found[1].split("/") if part in rooms] if found else []
    return folders[-1] if folders else None


def check_includes(path, room):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        found = included(text, FLOORS)
        if found is None or found == room:
            continue
        if FLOORS[found] >= FLOORS[room]:
            complain(path, number, f"{room} includes {found}, which is not on a lower floor")
        elif room in ("agent", "copy", "ctl") and found not in ("client", "copy"):
            complain(path, number, f"{room} uses nothing but client and copy")


def check_plugin_includes(path, plugins):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        found = included(text, FLOORS.keys() | plugins)
        if found is not None and found != path.parent.name:
            complain(path, number, f"a plug-in includes {found}: it may use nothing but hypha-plugin.h")


def main():
    if doctest.testmod().failed:
        return 1
    for path in sorted((ROOT / "core").glob("*/*.[ch]")):
        room = path.parent.name
        check_includes(path, room)
        look(path, room, GOTO, "goto: an auto-cleanup is clearer")
        if room != "ctl":
            look(path, room, r"#\s*include\s*[<\"]hypha\.h[>\"]", "hypha.h has all floors' headers: hypha-api.h is for the rooms")
        if room == "session":
            look(path, room, r"#include <(gio/|sys/socket|sys/epoll|time\.h|pthread)|g_get_monotonic_time|g_timeout_|g_source_|"
                 r"g_main_|GSocket|epoll_", "core/session is a pure state machine")
        if FLOORS[room] > FLOORS["link"]:
            look(path, room, r"#include <gnutls", "GnuTLS above core/link")
        if FLOORS[room] > FLOORS["io"]:
            look(path, room, r"epoll_(ctl|wait|create)", "epoll above core/io")
        if room != "daemon":
            look(path, room, r"g_settings_(new|get|set)", "GSettings outside core/daemon")
        if room not in ("daemon", "dbus"):
            look(path, room, TRANSPORTS, "names a transport")
    plugins = {folder.name for folder in (ROOT / "plugins").iterdir() if folder.is_dir()}
    for path in sorted((ROOT / "plugins").glob("*/*.[ch]")):
        check_plugin_includes(path, plugins)
        look(path, None, GOTO, "goto: an auto-cleanup is clearer")
    for folder in sorted((ROOT / "plugins").iterdir()):
        for name in ("README.md", "meson.build"):
            if folder.is_dir() and not (folder / name).exists():
                complaints.append(f"plugins/{folder.name}/{name} is missing")
    for path in ROOT.iterdir():
        if not path.name.startswith((".", "_build")) and path.name not in TOP:
            complaints.append(f"{path.name}: not at the top level of the house")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())
