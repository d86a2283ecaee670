/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

#include "udp-drops.h"
#include "udp-message.h"

G_BEGIN_DECLS

/* Datagrams between two, and the stream that carries them: each way each datagram as its length in
 * 16 bits, big-endian, and so many bytes. The loop's alone. */
typedef struct _UdpFlow UdpFlow;

/* What a flow wants of its port. */
typedef struct {
  int (*send) (gpointer port, UdpFlow *flow, const guint8 *data, gsize size); /* 0, or errno */
  const char *(*get_display) (gpointer port);
  /* One direction has ended, so it will end sooner. The next datagram of its way is for another. */
  void (*closing) (gpointer port, UdpFlow *flow);
  void (*ended) (gpointer port, UdpFlow *flow);
} UdpFlowEvents;

typedef enum {
  UDP_FLOW_OPEN,
  UDP_FLOW_CLOSING, /* nothing more comes from the network; the stream may still end in order */
  UDP_FLOW_ENDED,
} UdpFlowState;

/* For times as of g_get_monotonic_time(). */
#define UDP_NEVER G_MAXINT64
/* How long a flow lasts that says nothing: as conntrack has it. */
#define UDP_IDLE_NEW (30 * G_TIME_SPAN_SECOND)
#define UDP_IDLE_SETTLED (120 * G_TIME_SPAN_SECOND)
/* One that is answered and goes on after so long is more than a question. */
#define UDP_SETTLES_AFTER (2 * G_TIME_SPAN_SECOND)
/* How long the rest may take when one direction has ended. */
#define UDP_LINGER (5 * G_TIME_SPAN_SECOND)

/* Takes FD, one end of a socketpair. FROM_NETWORK: who sends datagrams began it, as on a port that
 * is listened on. IDLE is in microseconds; 0: as above. */
UdpFlow *udp_flow_new (HyphaLoop *loop, int fd, const UdpWay *way, gboolean from_network,
                       gint64 idle, const UdpFlowEvents *events, gpointer port);
/* Once it has ended, and after all that is under way on the loop. */
void udp_flow_free (gpointer self);
gboolean udp_flow_start (UdpFlow *self);
void udp_flow_deliver (UdpFlow *self, const guint8 *data, gsize size);
/* At once. */
void udp_flow_end (UdpFlow *self);
/* Ends it if it is time; gives when to ask again. */
gint64 udp_flow_tick (UdpFlow *self, gint64 now);

const UdpWay *udp_flow_get_way (const UdpFlow *self);
UdpFlowState udp_flow_get_state (const UdpFlow *self);
gint64 udp_flow_get_born (const UdpFlow *self);
gint64 udp_flow_get_last (const UdpFlow *self); /* when it said something */
gboolean udp_flow_is_answered (const UdpFlow *self);
gboolean udp_flow_is_settled (const UdpFlow *self);

G_END_DECLS
