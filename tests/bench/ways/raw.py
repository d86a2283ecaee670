# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing in between."""

from ways.stream import StreamWay


class RawUnix(StreamWay):
    name = "raw Unix socket"

    def begin(self):
        return self.receiver[1], []


class RawTcp(StreamWay):
    name = "raw TCP"
    kind = "tcp"

    def begin(self):
        return self.receiver[1], []
