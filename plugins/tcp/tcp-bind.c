/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp-bind.h"

#include <errno.h>

#include "tcp-holder.h"

int
tcp_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
          HyphaInetSockaddr *bound, GError **error)
{
  GError *local = NULL;
  int fd = hypha_inet_address_bind (address, numeric, SOCK_STREAM, NULL, display, bound, &local);

  if (g_error_matches (local, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE)) {
    g_autofree char *holder = tcp_holder_describe (bound);

    g_clear_error (&local);
    hypha_inet_set_bind_error (display, holder, EADDRINUSE, &local);
  }
  if (fd < 0)
    g_propagate_error (error, local);
  return fd;
}
