# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transports, as they are and below a link of two daemons."""

import os

from node import plugin_path
from ways.daemons import Daemons
from ways.stream import StreamWay

# A row of many: less is enough, as what is compared differs by more than what this costs in precision.
SHARE = 0.25


class Channel(StreamWay):
    """A channel of TRANSPORT between the two programs: no node, no frames, no TLS but the transport's own."""

    ours = True
    transport = None
    program = "bench-channel"
    times = SHARE

    def setup(self):
        self.over = self.transport(self)
        self.environment = dict(os.environ, HYPHA_PLUGIN_PATH=plugin_path(self.stand, self.over.plugins), **self.over.environment)
        self.server, self.where = self.over.serve()

    def begin(self):
        return self.where, self.over.processes

    @property
    def receiver(self):
        return self.server, self.where


class DaemonsOver(Daemons):
    """A stream through two daemons, with a link of TRANSPORT between them."""

    ours = True
    transport = None
    times = SHARE

    def setup(self):
        self.over = self.transport(self)
        self.plugins = self.over.plugins
        self.config = self.over.config
        self.encrypted = self.over.encrypted
        self.environment = dict(os.environ, HYPHA_PLUGIN_PATH=plugin_path(self.stand, self.plugins))
        self.node_environment = self.over.environment
        self.over.probe()
        super().setup()

    def endpoint(self):
        return self.over.endpoint()

    def reach(self):
        return self.over.reach(self.near_node, self.far_node)

    def begin(self):
        where, middle = super().begin()
        return where, [*middle, *self.over.processes]


def rows(transport):
    """Of one transport: a bare channel, if there are any, and two daemons."""
    near, far = transport.near, transport.far
    bare = Channel.variant(name=f"{transport.name}: bare channel", transport=transport, middle_near=near, middle_far=far)
    daemons = DaemonsOver.variant(name=f"{transport.name}: two daemons", transport=transport,
                                  middle_near=["hyphad", *near], middle_far=[*far, "hyphad"])
    return (bare, daemons) if transport.has_channels else (daemons,)
