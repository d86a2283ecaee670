/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-machine.h"

#include <gio/gunixsocketaddress.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* The VMM may run as any user, and who that is nobody knows before its own socket is there. */
#define MODE 0666

/* The credentials of the socket are the VMM's, so it has none. Nor is it one that a program could
 * have as it is: whoever ends his direction would never hear the rest of the other. */
HyphaChannel *
hvsock_channel_new (int fd, HyphaEndpoint *local, HyphaEndpoint *remote)
{
  HyphaChannel *channel = hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_VOUCHED_ADDRESS);
  HvsockAddress address;

  if (hvsock_address_parse (remote, &address, NULL))
    hypha_channel_set_host (channel, address.path);
  return channel;
}

/* Whoever may look into the directory may connect; the VMM is the user whose socket the machine's
 * is. */
static gboolean
is_vmm (int fd, HyphaEndpoint *machine)
{
  HvsockAddress address;
  struct ucred peer;
  socklen_t length = sizeof peer;
  struct stat file;

  return hvsock_address_parse (machine, &address, NULL) &&
         getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         lstat (address.path, &file) == 0 && S_ISSOCK (file.st_mode) &&
         (peer.uid == file.st_uid || peer.uid == 0);
}

/* The VMM comes by the socket of a machine and a port when that machine calls. By which port
 * there it does not say, so the machine is named by the one that both know. */
static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  return is_vmm (fd, user_data) ? hvsock_channel_new (fd, user_data, user_data)
                                : hypha_channel_new (fd, user_data, user_data, HYPHA_CHANNEL_NONE);
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
