/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A listening socket on ADDRESS with NUMERIC in place of its host, and what it was bound to; -1:
 * ADDRESS_IN_USE, PERMISSION_DENIED, UNAVAILABLE (this machine has no such address), FAILED.
 * DISPLAY is what messages call it. */
int tcp_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
              HyphaInetSockaddr *bound, GError **error);

G_END_DECLS
