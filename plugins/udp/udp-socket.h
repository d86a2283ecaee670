/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A socket bound to ADDRESS with NUMERIC in place of its host, that tells which address a datagram
 * was sent to, and what it was bound to; -1: ADDRESS_IN_USE, PERMISSION_DENIED, UNAVAILABLE (this
 * machine has no such address), INVALID_ARGUMENT (it is for many), FAILED. DISPLAY is what messages
 * call it. */
int udp_socket_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                     HyphaInetSockaddr *bound, GError **error);
/* A socket that is connected; nothing is sent. -1: CONNECT, INVALID_ARGUMENT. */
int udp_socket_connect (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                        HyphaInetSockaddr *peer, GError **error);

G_END_DECLS
