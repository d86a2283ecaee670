/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* How a channel ended: written on the thread of packets, read by whoever has the channel, which may
 * outlive the connection, and the other way round. */
typedef struct _QuicFate QuicFate;

QuicFate *quic_fate_new (void);
QuicFate *quic_fate_ref (QuicFate *self);
void quic_fate_unref (gpointer fate);
void quic_fate_set (QuicFate *self, const GError *error); /* the first stays */
GError *quic_fate_dup (gpointer fate);

G_END_DECLS
