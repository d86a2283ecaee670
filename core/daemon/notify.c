/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/notify.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

/* How long it may take whoever listens to make room; he must not hold up this process. */
#define PATIENCE_US (100 * 1000)

static gboolean
send_lines (const char *name, const char *lines, gboolean wait, GError **error)
{
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;

  address = *name == '@'
                ? g_unix_socket_address_new_with_type (name + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT)
                : g_unix_socket_address_new (name);
  socket =
      g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_DEFAULT, error);
  if (socket == NULL)
    return FALSE;
  g_socket_set_blocking (socket, FALSE);
  /* Only a connected socket can be waited for. */
  if (!g_socket_connect (socket, address, NULL, error) ||
      (wait && !g_socket_condition_timed_wait (socket, G_IO_OUT, PATIENCE_US, NULL, error)))
    return FALSE;
  return g_socket_send (socket, lines, strlen (lines), NULL, error) >= 0;
}

/**
 * hypha_notify:
 * @lines: one or more lines of the protocol of sd_notify(3)
 *
 * Sends @lines to the socket that NOTIFY_SOCKET names, a path or an abstract name; without one,
 * does nothing. Where the receiver has no room, a mere STATUS is dropped and everything else waits
 * a tenth of a second at most. What fails is told once. libsystemd would be a dependency for one
 * datagram.
 */
void
hypha_notify (const char *lines)
{
  static gboolean told = FALSE;
  const char *name = g_getenv ("NOTIFY_SOCKET");
  gboolean status = g_str_has_prefix (lines, "STATUS=");
  g_autoptr (GError) error = NULL;

  if (name == NULL || (*name != '/' && *name != '@'))
    return;
  if (send_lines (name, lines, !status, &error) ||
      (status && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)))
    return;
  if (!told)
    g_warning ("cannot tell %s at NOTIFY_SOCKET: %s", lines, error->message);
  told = TRUE;
}
