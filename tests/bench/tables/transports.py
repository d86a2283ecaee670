# SPDX-License-Identifier: LGPL-2.1-or-later
"""All transports, and what people would use in the place of each."""

from figure import CPU, RATE, TRIP, Goal
from table import Table
from ways.channel import SHARE, Channel, rows
from ways.gtls import Gtls
from ways.raw import Hybrid
from ways.socat import Socat, SocatVsock
from ways.ssh import Ssh as SshForward
from ways.ssh import SshJump, SshSocat
from ways.transport import Hvsock, Python, PythonCopies, Quic, Ssh, Tcp, Unix, Via, Vsock, Websocket
from ways.websockets import Websockets


def beside(transport, other):
    """The rows of TRANSPORT, and OTHER by a name that tells which it stands beside."""
    return (*rows(transport), other.variant(name=f"{transport.name}: {other.name}", times=SHARE))


TCP = beside(Tcp, SshForward)
# By cost; the last of each is what people would use instead.
LINES = (beside(Unix, Socat), beside(Vsock, SocatVsock), beside(Hvsock, Hybrid), TCP, (*rows(Python), TCP[-1]),
         (*rows(PythonCopies), TCP[-1]), beside(Quic, Gtls), beside(Websocket, Websockets), beside(Ssh, SshSocat),
         beside(Via, SshJump))


class Transports(Table):
    name = "transports"
    order = 25
    title = "All transports, and what people would use instead"
    goal = "None: what it costs to take each. Where a goal is set for one of them, it stands at its own table."
    ways = tuple(dict.fromkeys(way for line in LINES for way in line))
    figures = (RATE, CPU, TRIP)
    goals = tuple(Goal(way, figure, over=line[-1]) for line in LINES for way in line[:-1]
                  for figure in ((RATE,) if issubclass(way, Channel) else (RATE, CPU, TRIP)))
