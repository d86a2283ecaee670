/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/notify.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

/**
 * hypha_notify:
 * @state: a line of the protocol of sd_notify(3)
 *
 * Sends @state to the socket that NOTIFY_SOCKET names; without one, does nothing. libsystemd would
 * be a dependency for one datagram.
 */
void
hypha_notify (const char *state)
{
  const char *name = g_getenv ("NOTIFY_SOCKET");
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (name == NULL || (*name != '/' && *name != '@'))
    return;
  address = *name == '@'
                ? g_unix_socket_address_new_with_type (name + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT)
                : g_unix_socket_address_new (name);
  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_DEFAULT,
                         &error);
  if (socket == NULL || g_socket_send_to (socket, address, state, strlen (state), NULL, &error) < 0)
    g_warning ("cannot tell %s at NOTIFY_SOCKET: %s", state, error->message);
}
