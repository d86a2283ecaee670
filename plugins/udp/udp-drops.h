/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What becomes of a datagram that goes nowhere: it is counted, for the process, and the log is told
 * at a bounded rate. Any thread. */
typedef enum {
  UDP_DROP_SLOW,    /* the reader of the stream */
  UDP_DROP_ENDED,   /* nobody reads the stream any more */
  UDP_DROP_FULL,    /* too many flows */
  UDP_DROP_NETWORK, /* the kernel did not take it, or tells that nobody did; or it was for many */
  UDP_DROP_CUT,     /* the stream ended within it */
  UDP_N_DROPS,
} UdpDrop;

/* WHERE is the endpoint; REASON is an errno, or 0. */
void udp_drops_note (UdpDrop drop, const char *where, int reason);
guint64 udp_drops_get (UdpDrop drop);

G_END_DECLS
