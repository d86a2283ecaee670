/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of a connection share. */

#include "quic-connection.h"
#include "quic-fate.h"
#include "quic-tls.h"
#include "quic-writer.h"

G_BEGIN_DECLS

#define QUIC_FAREWELL_BYTES 1280
/* What may come before anybody reads, and from then on. */
#define QUIC_FIRST_WINDOW (64 * 1024)
#define QUIC_WINDOW (8 * 1024 * 1024)
/* At the end: what was said before may still arrive. */
#define QUIC_LINGER (2 * NGTCP2_SECONDS)

struct _QuicConnection {
  HyphaLoop *loop;
  HyphaLoopTimer timer;
  QuicPath path;
  HyphaEndpoint *remote; /* nullable */
  gboolean client;
  const QuicConnectionEvents *events;
  gpointer port;
  const guint8 *secret; /* the port's, for resets */
  GPtrArray *ids;       /* the port's */

  ngtcp2_conn *conn;
  gnutls_session_t session;
  ngtcp2_crypto_conn_ref ref;
  QuicPipe pipe;
  QuicWriter writer;
  guint64 idle;   /* who is silent for so long is gone; one end says something every third of it */
  QuicFate *fate; /* of the channel */

  gboolean completed, disagreed; /* the handshake */
  gboolean opened;               /* there was a channel */
  gboolean wide;                 /* the window: somebody reads */
  gboolean reset;                /* the stream, or all of it */
  guint64 refused_since;         /* 0: somebody has been heard since */
  int refused;                   /* errno: nobody is there */
  int failure;                   /* an error of ngtcp2 that nobody has seen to yet */
  guint64 last;                  /* when it was touched: time never goes back for ngtcp2 */
  guint64 deadline;              /* until there is a channel */
  guint64 linger_until;          /* 0: it goes on; HYPHA_LOOP_NEVER: until the reader has it all */

  gboolean over; /* nothing but farewells */
  guint64 over_until;
  guint8 farewell[QUIC_FAREWELL_BYTES];
  gsize farewell_size;
  guint unheard; /* packets since then */
};

/* As soon as those who are ready have had their turn. */
void quic_connection_hurry (QuicConnection *self);
/* Whoever has many to see to looks at the clock but once: gives a time that never goes back. */
guint64 quic_connection_touch (QuicConnection *self, guint64 now);
void quic_connection_fire (gpointer connection, guint64 now);

/* The end. ERROR is taken, and told; NULL: it ended well. CLOSE: what the other end is told, if it
 * is still there to hear it. */
void quic_connection_conclude (QuicConnection *self, GError *error, const ngtcp2_ccerr *close,
                               guint64 now);
/* As one ends that has nothing left to say, or nobody to say it. */
void quic_connection_conclude_well (QuicConnection *self, GError *error, guint64 now);
/* By an error of ngtcp2. */
void quic_connection_conclude_failed (QuicConnection *self, int failure, guint64 now);
gboolean quic_connection_send_farewell (QuicConnection *self);

G_END_DECLS
