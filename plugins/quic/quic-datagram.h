/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-state.h"
#include "quic-path.h"

G_BEGIN_DECLS

/* What came at once from one source: datagrams of SEGMENT bytes each, and a last one that may be
 * shorter. */
typedef struct {
  QuicPath path;
  guint8 *data;
  gsize size, segment;
} QuicBurst;

/* Sets a socket up for what is below; what the kernel does not know of that is done without. 0, or
 * errno. */
int quic_datagram_prepare (int fd, int family);
/* Whether the kernel cuts what is sent into datagrams by itself. */
gboolean quic_datagram_can_segment (int fd);
/* For the tests of what is done where it cannot. */
void quic_datagram_forbid_segments (gboolean forbidden);

/* Up to QUIC_BATCH of them, into the loop's buffers. LOCAL: this end; its address is taken
 * from each datagram unless CONNECTED. -1: errno, EAGAIN for none. */
int quic_datagram_receive (int fd, HyphaLoop *loop, const QuicAddress *local, gboolean connected,
                           QuicBurst *bursts);
/* DATA as datagrams of SEGMENT bytes, the last one may be shorter; *SEGMENTED: whether the kernel
 * cuts, which is taken back if it cannot after all. PATH: NULL on a socket that is connected. Gives
 * how many bytes have gone, and 0 or errno. */
gsize quic_datagram_send (int fd, const QuicPath *path, const guint8 *data, gsize size,
                          gsize segment, gboolean *segmented, int *reason);

G_END_DECLS
