/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define TCP_DIAL_STAGGER_MS 250

/* Connects to the first address of ADDRESS that answers: one after another, TCP_DIAL_STAGGER_MS
 * apart or as soon as one has failed, the families by turns (RFC 8305). TIMEOUT_MS bounds the whole
 * of it, name and all. DISPLAY is what messages call it. When it calls back, nothing of it goes on
 * any longer. CONNECT, TIMED_OUT, G_IO_ERROR_CANCELLED. */
void tcp_dial_async (const HyphaInetAddress *address, const char *display, guint timeout_ms,
                     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
int tcp_dial_finish (GAsyncResult *result, GError **error); /* the descriptor, or -1 */

/* ADDRESSES as the resolver sorted them: the families by turns, beginning with the first one's.
 * Takes it. */
GList *tcp_dial_interleave (GList *addresses);

G_END_DECLS
