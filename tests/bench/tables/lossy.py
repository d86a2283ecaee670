# SPDX-License-Identifier: LGPL-2.1-or-later
"""A line that is long and loses packets."""

from figure import Figure, Goal
from layout import TWO_CORES
from table import Table
from ways.lossy import LossyDaemons, LossyGtls, LossyTcp

FLOW = Figure("rate", "throughput", "MB/s", 2, "more")

TCP_CUBIC = LossyTcp.variant(name="raw TCP, cubic", control="cubic")
TCP_BBR = LossyTcp.variant(name="raw TCP, bbr", control="bbr")
LINK_CUBIC = LossyDaemons.variant(name="hypha, TCP link, cubic", transport="tcp", control="cubic")
LINK_BBR = LossyDaemons.variant(name="hypha, TCP link, bbr", transport="tcp", control="bbr")
LINK_QUIC = LossyDaemons.variant(name="hypha, QUIC link", transport="quic")
GTLS_CUBIC = LossyGtls.variant(name="gtlsserver, cubic, a download", quic_control="cubic")
GTLS_BBR = LossyGtls.variant(name="gtlsserver, bbr2, a download", quic_control="bbr2")


class LossyLine(Table):
    name = "lossy"
    order = 27
    title = "A line of 50 ms each way that loses 1 % of all packets"
    goal = ("By QUIC at least 5 times what comes by TCP with the congestion control that Linux has by default (cubic). The line carries "
            "12.5 MB/s.")
    ways = (TCP_CUBIC, TCP_BBR, LINK_CUBIC, LINK_BBR, LINK_QUIC, GTLS_CUBIC, GTLS_BBR)
    layouts = (TWO_CORES,)
    figures = (FLOW,)
    goals = (Goal(LINK_QUIC, FLOW, over=LINK_CUBIC, at_least=5),
             Goal(LINK_QUIC, FLOW, over=TCP_CUBIC),
             Goal(LINK_QUIC, FLOW, over=LINK_BBR),
             Goal(LINK_CUBIC, FLOW, over=TCP_CUBIC),
             Goal(LINK_BBR, FLOW, over=TCP_BBR))
