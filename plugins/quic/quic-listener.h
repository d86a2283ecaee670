/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-server.h"

G_BEGIN_DECLS

#define QUIC_TYPE_LISTENER (quic_listener_get_type ())
G_DECLARE_FINAL_TYPE (QuicListener, quic_listener, QUIC, LISTENER, HyphaListener)

/* On NUMERIC, in place of the host of ADDRESS, which may be a name; MAX connections at once. The
 * errors are those of HyphaInetListenFunc. */
HyphaListener *quic_listener_new (const HyphaInetAddress *address, GInetAddress *numeric,
                                  const char *display, guint max, GError **error);

G_END_DECLS
