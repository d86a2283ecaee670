/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-buffer.h"
#include "quic-state.h"

G_BEGIN_DECLS

/* The other end of a channel's socketpair, and what lies between it and the network. On the loop.
 */
typedef struct {
  HyphaLoop *loop;
  HyphaLoopWatch watch; /* fd -1: ended */
  void (*stirred) (gpointer owner);
  gpointer owner;

  QuicBuffer up;   /* to the network, from the first byte that was not acknowledged */
  guint64 sent;    /* up to where it has gone at least once */
  gboolean up_all; /* no more comes from the channel */
  gboolean up_end_sent, up_end_alone, up_end_acked;

  QuicBuffer down;   /* from the network, from the first byte that the channel has not taken */
  gboolean down_all; /* no more comes from the network */
  gboolean down_shut;
  gboolean hung_up; /* the channel's descriptor was closed, or shut down both ways */
  gboolean unread;  /* it was closed with bytes that nobody has read */
  gboolean untaken; /* it did not take all that came */
} QuicPipe;

/* Takes FD. STIRRED: there may be more to send, or to take, or it has hung up. */
void quic_pipe_open (QuicPipe *self, HyphaLoop *loop, int fd, void (*stirred) (gpointer owner),
                     gpointer owner);
/* Nothing more moves; what was sent stays until quic_pipe_clear(). */
void quic_pipe_close (QuicPipe *self);
void quic_pipe_clear (QuicPipe *self);

/* Reads as much as may wait here. */
void quic_pipe_pull (QuicPipe *self);
/* What has not gone yet, and whether that is all there is. */
guint quic_pipe_peek (QuicPipe *self, struct iovec *pieces, guint max, gsize *size);
gboolean quic_pipe_ends (QuicPipe *self); /* the end is still to be said */
void quic_pipe_sent (QuicPipe *self, gsize size, gboolean end);
void quic_pipe_acked (QuicPipe *self, guint64 offset, guint64 size);
gboolean quic_pipe_is_heard (QuicPipe *self); /* every byte, and the end */

/* Who had the channel has left without all that was heard for him. */
gboolean quic_pipe_is_cut (QuicPipe *self);

void quic_pipe_deliver (QuicPipe *self, const guint8 *data, gsize size, gboolean end);
/* Gives how many bytes the channel has taken, or would have if it had not gone. */
gsize quic_pipe_push (QuicPipe *self);
/* Asked while something waits to be pushed: how much of what was is read, at least; or 0. */
guint64 quic_pipe_get_read (QuicPipe *self);
gboolean quic_pipe_is_said (QuicPipe *self);

/* After the others: waits for what they could not do. */
void quic_pipe_watch (QuicPipe *self);

G_END_DECLS
