/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define QUIC_BATCH 8
#define QUIC_DATAGRAM_BYTES G_MAXUINT16

/* What the thread on which packets move has for whoever runs there: one thread for the process,
 * there while anything is open. */
typedef struct {
  guint8 input[QUIC_BATCH][QUIC_DATAGRAM_BYTES]; /* good until he returns, */
  guint8 output[QUIC_DATAGRAM_BYTES];            /* and so is this */
  gpointer routes;                               /* of quic-routes: NULL at first, and at last */
} QuicState;

static inline HyphaLoop *
quic_state_acquire_loop (GError **error)
{
  return hypha_loop_acquire ("hypha-quic", sizeof (QuicState), NULL, error);
}

static inline QuicState *
quic_state_get (HyphaLoop *loop)
{
  return hypha_loop_get_state (loop);
}

G_END_DECLS
