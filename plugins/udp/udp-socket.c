/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <unistd.h>

#include "udp-message.h"

/* What may wait in the kernel for the thread that reads for all flows of a port. */
#define RECEIVE_BYTES (1024 * 1024)

/* Also of IPv4 within IPv6, as a name may stand for. */
static gboolean
is_for_many (GInetAddress *numeric)
{
  const guint8 *bytes = g_inet_address_to_bytes (numeric);

  if (g_inet_address_get_family (numeric) == G_SOCKET_FAMILY_IPV6 &&
      IN6_IS_ADDR_V4MAPPED ((const struct in6_addr *) (const void *) bytes))
    return (bytes[12] & 0xf0) == 0xe0;
  return g_inet_address_get_is_multicast (numeric);
}

static gboolean
check_one (GInetAddress *numeric, const char *display, GError **error)
{
  if (!is_for_many (numeric))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("%s is for many: a flow of datagrams is between two; name the address of one"),
               display);
  return FALSE;
}

/* 0, or errno. Nobody else may bind it then, whatever options he sets. */
static int
prepare (int fd, int family)
{
  const int room = RECEIVE_BYTES;

  /* As much of it as the kernel grants. */
  if (setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0)
    g_debug ("SO_RCVBUF: %s", g_strerror (errno));
  return udp_message_prepare (fd, family);
}

int
udp_socket_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                 HyphaInetSockaddr *bound, GError **error)
{
  return check_one (numeric, display, error)
             ? hypha_inet_address_bind (address, numeric, SOCK_DGRAM, prepare, display, bound,
                                        error)
             : -1;
}

int
udp_socket_connect (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                    HyphaInetSockaddr *peer, GError **error)
{
  g_autoptr (GError) local = NULL;
  int fd, reason;

  if (!check_one (numeric, display, error))
    return -1;
  if (!hypha_inet_address_to_sockaddr (address, numeric, peer, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s%s%s"),
                 display, local->message, "", "");
    return -1;
  }
  fd = socket (peer->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect (fd, (const struct sockaddr *) &peer->storage, peer->length) == 0)
    return fd;
  reason = errno;
  if (fd >= 0)
    close (fd);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s%s%s"), display,
               g_strerror (reason), "", "");
  return -1;
}
