/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-state.h"
#include "quic-path.h"

G_BEGIN_DECLS

/* One QUIC connection, whose one stream is a channel. On the loop. */
typedef struct _QuicConnection QuicConnection;

/* What it wants of the port, which frees it. */
typedef struct {
  /* Gives how many bytes have gone, and 0 or errno; after EAGAIN, the port tells when to go on. */
  gsize (*send) (gpointer port, const QuicPath *path, const guint8 *data, gsize size, gsize segment,
                 int *reason);
  void (*add_id) (gpointer port, QuicConnection *self, const ngtcp2_cid *id);
  void (*remove_id) (gpointer port, QuicConnection *self, const ngtcp2_cid *id);
  /* One of the two, once. The channel is taken, the error not. */
  void (*opened) (gpointer port, QuicConnection *self, HyphaChannel *channel);
  void (*failed) (gpointer port, QuicConnection *self, const GError *error);
  /* Nothing of it is left; the last call. */
  void (*ended) (gpointer port, QuicConnection *self);
} QuicConnectionEvents;

#define QUIC_ID_BYTES 8

/* For tests, which have no time; 0: it is as ever. Of connections that come after it. */
void quic_connection_set_idle (guint64 idle);

/* What the application says at the end, RFC 9000, 19.19. */
#define QUIC_END_WELL 0 /* everything was said, and heard */
#define QUIC_END_GONE 1 /* nobody reads any more */
#define QUIC_END_CUT 2  /* and not all was read that was heard */

/* NULL: ERROR. REMOTE, on the channel, is the path's if NULL. */
QuicConnection *quic_connection_connect (HyphaLoop *loop, const QuicPath *path,
                                         HyphaEndpoint *remote, const QuicConnectionEvents *events,
                                         gpointer port, GError **error);
/* HEADER: of its first packet. ORIGINAL: to where that went before a Retry; NULL: there was none.
 * SECRET: of the port, for resets. */
QuicConnection *quic_connection_accept (HyphaLoop *loop, const QuicPath *path,
                                        const ngtcp2_pkt_hd *header, const ngtcp2_cid *original,
                                        const guint8 *secret, const QuicConnectionEvents *events,
                                        gpointer port, GError **error);
void quic_connection_free (gpointer connection);

void quic_connection_receive (QuicConnection *self, const QuicPath *path, const guint8 *data,
                              gsize size, guint64 now);
void quic_connection_unblock (QuicConnection *self);
/* The network says that nobody is there: believed only before there was an answer. */
void quic_connection_refuse (QuicConnection *self, int reason);
/* Of one that connects: this end has moved. */
void quic_connection_move (QuicConnection *self, const QuicPath *path);
/* Ends it; ENDED follows. CODE is what the other end is told, as a transport error. */
void quic_connection_abort (QuicConnection *self, guint64 code);

const QuicPath *quic_connection_get_path (QuicConnection *self); /* as it began */
gboolean quic_connection_is_beginning (QuicConnection *self);    /* there may be a channel yet */
GPtrArray *quic_connection_get_ids (QuicConnection *self);       /* for the port to keep them */

G_END_DECLS
