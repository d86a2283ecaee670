/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "udp-port.h"

G_BEGIN_DECLS

#define UDP_TYPE_LISTENER (udp_listener_get_type ())
G_DECLARE_FINAL_TYPE (UdpListener, udp_listener, UDP, LISTENER, HyphaListener)

/* A channel for each flow of datagrams that comes to FD (taken), which is bound to BOUND. IDLE as
 * for a flow. */
HyphaListener *udp_listener_new (int fd, HyphaEndpoint *bound, gint64 idle, guint max_flows,
                                 GError **error);

G_END_DECLS
