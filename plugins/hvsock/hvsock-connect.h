/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hvsock-address.h"

G_BEGIN_DECLS

/* Asks the VMM for a port of its guest: "CONNECT port\n", and then nothing before "OK number\n". A
 * VMM that hangs up instead is asked again for a few seconds: the guest may be booting.
 */
void hvsock_connect_async (const HvsockAddress *address, const char *display, guint timeout_ms,
                           GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer user_data);
/* The connected descriptor, or -1: CONNECT, TIMED_OUT, or G_IO_ERROR_CANCELLED. */
int hvsock_connect_finish (GAsyncResult *result, GError **error);

G_END_DECLS
