/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A socket connected to ADDRESS: of a name, to the first of its addresses to which there is a way,
 * for nobody answers who could tell more. TIMEOUT_MS bounds the lookup. CANCELLABLE is the
 * operation's own. DISPLAY is what messages call it. CONNECT, TIMED_OUT, G_IO_ERROR_CANCELLED. */
void udp_dial_async (const HyphaInetAddress *address, const char *display, guint timeout_ms,
                     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* The descriptor, or -1. */
int udp_dial_finish (GAsyncResult *result, HyphaInetSockaddr *peer, GError **error);

G_END_DECLS
