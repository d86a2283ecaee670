# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream through two daemons over TCP with TLS."""

from figure import CPU, RATE, TRIP, Goal
from layout import ONE_CORE, TWO_CORES
from table import Table
from ways.bare import BareTcp
from ways.daemons import DaemonsTls
from ways.raw import RawTcp
from ways.ssh import Ssh


class TlsLink(Table):
    name = "tls"
    order = 20
    title = "A stream through two daemons over TCP with TLS"
    goal = ("At least 0.25 of raw TCP; at least as fast as ssh -L with aes128-gcm, 1.3 times is the aim; a round trip at most 0.7 "
            "of ssh's.")
    ways = (RawTcp, DaemonsTls, Ssh, BareTcp)
    layouts = (ONE_CORE, TWO_CORES)
    figures = (RATE, CPU, TRIP)
    goals = (Goal(DaemonsTls, RATE, over=RawTcp, at_least=0.25),
             Goal(DaemonsTls, RATE, over=Ssh, at_least=1, aim=1.3),
             Goal(DaemonsTls, TRIP, over=Ssh, at_most=0.7),
             Goal(BareTcp, TRIP, over=Ssh))  # what the goal for the round trip asks of whoever encrypts nothing
