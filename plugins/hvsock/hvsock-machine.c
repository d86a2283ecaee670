/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-machine.h"

#include <gio/gunixsocketaddress.h>

/* The VMM may run as any user; the directory decides who reaches the socket. */
#define MODE 0666

/* The credentials of the socket are the VMM's, so it has none. */
HyphaChannel *
hvsock_channel_new (int fd, HyphaEndpoint *local, HyphaEndpoint *remote)
{
  HyphaChannel *channel =
      hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_VOUCHED_ADDRESS);
  HvsockAddress address;

  if (hvsock_address_parse (remote, &address, NULL))
    hypha_channel_set_host (channel, address.path);
  return channel;
}

/* Whoever comes by the socket of a machine and a port comes out of that machine. By which port
 * there the VMM does not say, so it is named by the one that both know. */
static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  return hvsock_channel_new (fd, user_data, user_data);
}

void
hvsock_listen_async (const HvsockAddress *address, HyphaEndpoint *endpoint,
                     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GSocketAddress) socket = hvsock_address_get_port_socket (address);

  hypha_unix_listen_async (G_UNIX_SOCKET_ADDRESS (socket), endpoint, MODE, adopt,
                           hypha_endpoint_ref (endpoint), (GDestroyNotify) hypha_endpoint_unref,
                           cancellable, callback, user_data);
}

HyphaListener *
hvsock_listen_finish (GAsyncResult *result, GError **error)
{
  return hypha_unix_listen_finish (result, error);
}
