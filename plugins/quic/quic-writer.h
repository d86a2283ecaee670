/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-connection.h"
#include "quic-pipe.h"

G_BEGIN_DECLS

/* Makes packets of what a connection has to say. */
typedef struct {
  ngtcp2_conn *conn;
  QuicPipe *pipe;
  gint64 stream;      /* -1: none yet */
  gboolean announced; /* the other end knows of the stream, or will */
  gboolean stopped;   /* nobody hears it any more */
  GArray *blocked;    /* of what the kernel did not take; NULL: nothing */
} QuicWriter;

/* Where datagrams go: as in QuicConnectionEvents. */
typedef gsize (*QuicSend) (gpointer port, const QuicPath *path, const guint8 *data, gsize size,
                           gsize segment, int *reason);

void quic_writer_clear (QuicWriter *self);
/* All that may go now, through BUFFER. Gives 0, or an error of ngtcp2. */
int quic_writer_flush (QuicWriter *self, guint8 *buffer, guint64 now, QuicSend send, gpointer port);

G_END_DECLS
