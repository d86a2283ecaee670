# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long it takes until a stream is there, beside what a call over the same bus takes."""

from node import Node
from way import Way

TIMES = 40
PAUSE_MS = 5


class Opening(Way):
    """bench-open at a node with a Unix link to another; all ways of a layout share the two."""

    near = ["bench-open", "dbus-daemon", "hyphad"]
    far = ["hyphad"]
    verb = None

    def setup(self):
        pairs = vars(self.stand).setdefault("pairs_to_open", {})
        if self.layout not in pairs:
            pairs[self.layout] = self.make_pair()
        self.near_node, self.far_node = pairs[self.layout]

    def make_pair(self):
        far = Node(self.stand, self.far_cpu, listen=f"unix://{self.stand.make_folder()}/link")
        near = Node(self.stand, self.near_cpu)
        far.ctl("trust", near.id, "near")
        near.ctl("trust", far.id, "far")
        near.ctl("connect", far.ctl("status")["listening"][0])
        return near, far

    def measure(self):
        times = 3 if self.stand.options.brief else TIMES
        done = self.stand.run(self.near_cpu, self.stand.program("bench-open"), self.near_node.address, "far", self.verb, times,
                              PAUSE_MS, environment=self.near_node.environment, what=self.name)
        return {"time": done.value}


class Ping(Opening):
    name = "org.freedesktop.DBus.Peer.Ping"
    verb = "ping"


class Read(Opening):
    name = "reading a property of the peer"
    verb = "get"


class Raw(Opening):
    name = "OpenStream, called over D-Bus"
    verb = "raw"


class RawDirect(Opening):
    name = "OpenStream, direct, called over D-Bus"
    verb = "raw-direct"


class Library(Opening):
    name = "a stream, by the client library"
    verb = "library"


class LibraryDirect(Opening):
    name = "a direct stream, by the client library"
    verb = "library-direct"
