/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "silent.h"

#include <netinet/in.h>
#include <unistd.h>

static int
open_socket (int family, int type, GArray *held)
{
  int fd = socket (family, type | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_array_append_val (held, fd);
  return fd;
}

void
silent_listen (struct sockaddr *address, socklen_t *length, GArray *held)
{
  int listener = open_socket (address->sa_family, SOCK_STREAM, held);
  socklen_t room = sizeof (struct sockaddr_storage);

  g_assert_cmpint (bind (listener, address, *length), ==, 0);
  g_assert_cmpint (listen (listener, 0), ==, 0);
  g_assert_cmpint (getsockname (listener, address, &room), ==, 0);
  *length = room;
  /* A queue for none takes one; the kernel may let a second one pass. */
  g_assert_cmpint (connect (open_socket (address->sa_family, SOCK_STREAM, held), address, *length),
                   ==, 0);
  for (guint i = 0; i < 3; i++)
    if (connect (open_socket (address->sa_family, SOCK_STREAM | SOCK_NONBLOCK, held), address,
                 *length) == 0)
      g_test_message ("the queue took connection %u", i + 2);
}

char *
silent_inet (int family, int type, const char *format, GArray *held)
{
  union {
    struct sockaddr generic;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
  } address = { 0 };
  socklen_t length = sizeof address.in;
  g_auto (GStrv) parts = g_strsplit (format, "%u", 2);
  g_autofree char *port = NULL;

  if (family == AF_INET6) {
    address.in6 = (struct sockaddr_in6){ .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    length = sizeof address.in6;
  } else
    address.in.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  address.generic.sa_family = (sa_family_t) family;
  if (type == SOCK_STREAM)
    silent_listen (&address.generic, &length, held);
  else {
    int fd = open_socket (family, type, held);

    g_assert_cmpint (bind (fd, &address.generic, length), ==, 0);
    g_assert_cmpint (getsockname (fd, &address.generic, &length), ==, 0);
  }
  /* The port lies at one place in both. */
  port = g_strdup_printf ("%u", ntohs (address.in.sin_port));
  return g_strjoinv (port, parts);
}
