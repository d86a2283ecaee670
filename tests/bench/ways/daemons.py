# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hyphad, and a link between them."""

from node import USUAL, Node
from processes import Failure
from ways.stream import StreamWay


class Daemons(StreamWay):
    """OpenStream at one hyphad, a link, another hyphad, whose service has the receiver for a target."""

    middle_near = ["hyphad"]
    middle_far = ["hyphad"]
    encrypted = None
    plugins = USUAL
    config = ""  # of both
    node_environment = {}  # what the near one is to have in its own

    def setup(self):
        target = self.receiver[1].replace("unix:", "unix://").replace("tcp:", "tcp://")
        self.far_node = Node(self.stand, self.far_cpu, f"services={{'sink': {{'target': <'{target}'>}}}}\n{self.config}",
                             self.endpoint(), self.plugins)
        self.near_node = Node(self.stand, self.near_cpu, self.config, plugins=self.plugins, more=self.node_environment)
        trust(self.near_node, self.far_node)
        self.near_node.ctl("connect", self.reach())
        links = self.near_node.ctl("links", "far")
        if [link["encrypted"] for link in links] != [self.encrypted]:
            raise Failure(f"{self.name}: the links are not what they should be: {links}")

    def endpoint(self):
        """What the far node listens on."""
        raise NotImplementedError

    def reach(self):
        """Where the far node can be reached."""
        return self.far_node.ctl("status")["listening"][0]

    def begin(self):
        where = f"hypha:{self.near_node.address};/org/hypha/Node1/peer/{self.far_node.id};sink"
        return where, [self.near_node.process, self.far_node.process]


def trust(near, far):
    """Both, each other."""
    far.ctl("trust", near.id, "near")
    near.ctl("trust", far.id, "far")


def connect(near, far):
    """Makes one link from NEAR to what FAR listens on."""
    trust(near, far)
    near.ctl("connect", far.ctl("status")["listening"][0])


class DaemonsUnix(Daemons):
    name = "hypha, Unix link"
    encrypted = False

    def endpoint(self):
        return f"unix://{self.stand.make_folder()}/link"


class DaemonsTls(Daemons):
    name = "hypha, TCP link with TLS"
    encrypted = True

    def endpoint(self):
        return "tcp://127.0.0.1:0"
