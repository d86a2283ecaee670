/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp-bind.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <unistd.h>

#include "tcp-holder.h"

static void
explain (const HyphaInetSockaddr *address, const char *display, int reason, GError **error)
{
  g_autofree char *holder = reason == EADDRINUSE ? tcp_holder_describe (address) : NULL;

  hypha_inet_set_bind_error (display, holder, reason, error);
}

/* 0, or errno. */
static int
bind_and_listen (int fd, const HyphaInetSockaddr *address, gboolean dual_stack)
{
  const struct sockaddr *generic = (const struct sockaddr *) &address->storage;
  const int on = 1;
  const int v6only = !dual_stack;

  /* What is left of earlier connections must not keep a restarted daemon from its port. */
  if (setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    return errno;
  if (generic->sa_family == AF_INET6 &&
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
    return errno;
  if (bind (fd, generic, address->length) < 0 || listen (fd, SOMAXCONN) < 0)
    return errno;
  return 0;
}

int
tcp_bind (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
          HyphaInetSockaddr *bound, GError **error)
{
  gboolean any = g_inet_address_get_is_any (numeric);
  g_autoptr (GError) local = NULL;
  int fd, reason;

  if (!hypha_inet_address_to_sockaddr (address, numeric, bound, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("cannot listen on %s: %s"),
                 display, local->message);
    return -1;
  }
  fd = socket (bound->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 && errno == EAFNOSUPPORT && any && bound->storage.ss_family == AF_INET6) {
    /* All addresses, on a machine that has IPv6 switched off. */
    g_autoptr (GInetAddress) any4 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);

    return tcp_bind (address, any4, display, bound, error);
  }
  if (fd < 0) {
    explain (bound, display, errno, error);
    return -1;
  }
  reason = bind_and_listen (fd, bound, any);
  bound->length = sizeof bound->storage;
  if (reason != 0) {
    explain (bound, display, reason, error);
    close (fd);
    return -1;
  }
  if (getsockname (fd, (struct sockaddr *) &bound->storage, &bound->length) < 0) {
    explain (bound, display, errno, error);
    close (fd);
    return -1;
  }
  return fd;
}
