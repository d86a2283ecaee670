/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-path.h"

G_BEGIN_DECLS

/* Packets for whom there is no connection: nothing is remembered of who gets one, and none is
 * longer than what it answers. Each gives the length of the packet, 0 for none. */
#define QUIC_REPLY_BYTES 1200

/* For a version that nobody here speaks. */
gsize quic_reply_versions (guint8 *packet, const ngtcp2_version_cid *asked, gsize asked_size);
/* For a connection that nobody here knows (any more). */
gsize quic_reply_reset (guint8 *packet, const ngtcp2_version_cid *asked, gsize asked_size,
                        const guint8 *secret);
/* Come again with this token, to show that REMOTE is where you are. */
gsize quic_reply_retry (guint8 *packet, const ngtcp2_pkt_hd *asked, const QuicAddress *remote,
                        guint64 now);
gsize quic_reply_close (guint8 *packet, const ngtcp2_pkt_hd *asked, guint64 code);

typedef enum {
  QUIC_TOKEN_NONE,
  QUIC_TOKEN_GOOD, /* *ORIGINAL is to where the first packet went */
  QUIC_TOKEN_BAD,
} QuicToken;

QuicToken quic_reply_check_token (const ngtcp2_pkt_hd *header, const QuicAddress *remote,
                                  guint64 now, ngtcp2_cid *original);

G_END_DECLS
