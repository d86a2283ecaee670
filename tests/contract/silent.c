/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "silent.h"

#include <unistd.h>

static int
open_socket (int family, int flags, GArray *held)
{
  int fd = socket (family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

  g_assert_cmpint (fd, >=, 0);
  g_array_append_val (held, fd);
  return fd;
}

void
silent_listen (struct sockaddr *address, socklen_t *length, GArray *held)
{
  int listener = open_socket (address->sa_family, 0, held);
  socklen_t room = sizeof (struct sockaddr_storage);

  g_assert_cmpint (bind (listener, address, *length), ==, 0);
  g_assert_cmpint (listen (listener, 0), ==, 0);
  g_assert_cmpint (getsockname (listener, address, &room), ==, 0);
  *length = room;
  /* A queue for none takes one; the kernel may let a second one pass. */
  g_assert_cmpint (connect (open_socket (address->sa_family, 0, held), address, *length), ==, 0);
  for (guint i = 0; i < 3; i++)
    if (connect (open_socket (address->sa_family, SOCK_NONBLOCK, held), address, *length) == 0)
      g_test_message ("the queue took connection %u", i + 2);
}
