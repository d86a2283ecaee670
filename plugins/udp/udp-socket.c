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

static int
open_socket (int family)
{
  return socket (family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0, or errno. Nobody else may bind it then, whatever options he sets. */
static int
bind_to (int fd, HyphaInetSockaddr *address, gboolean dual_stack)
{
  const int v6only = !dual_stack, room = RECEIVE_BYTES;
  int family = address->storage.ss_family;
  int reason = udp_message_prepare (fd, family);

  if (reason != 0)
    return reason;
  /* As much of it as the kernel grants. */
  if (setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0)
    g_debug ("SO_RCVBUF: %s", g_strerror (errno));
  if (family == AF_INET6 && setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
    return errno;
  if (bind (fd, (const struct sockaddr *) &address->storage, address->length) < 0)
    return errno;
  address->length = sizeof address->storage;
  if (getsockname (fd, (struct sockaddr *) &address->storage, &address->length) < 0)
    return errno;
  return 0;
}

int
udp_socket_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                 HyphaInetSockaddr *bound, GError **error)
{
  gboolean any = g_inet_address_get_is_any (numeric);
  g_autoptr (GError) local = NULL;
  int fd, reason;

  if (!check_one (numeric, display, error))
    return -1;
  if (!hypha_inet_address_to_sockaddr (address, numeric, bound, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("cannot listen on %s: %s"),
                 display, local->message);
    return -1;
  }
  fd = open_socket (bound->storage.ss_family);
  if (fd < 0 && errno == EAFNOSUPPORT && any && bound->storage.ss_family == AF_INET6) {
    /* All addresses, on a machine that has IPv6 switched off. */
    g_autoptr (GInetAddress) any4 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);

    return udp_socket_bind (address, any4, display, bound, error);
  }
  reason = fd < 0 ? errno : bind_to (fd, bound, any);
  if (reason == 0)
    return fd;
  hypha_inet_set_bind_error (display, NULL, reason, error);
  if (fd >= 0)
    close (fd);
  return -1;
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
  fd = open_socket (peer->storage.ss_family);
  if (fd >= 0 && connect (fd, (const struct sockaddr *) &peer->storage, peer->length) == 0)
    return fd;
  reason = errno;
  if (fd >= 0)
    close (fd);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s%s%s"), display,
               g_strerror (reason), "", "");
  return -1;
}
