/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A target as one is on vsock: of whoever waits to write to it, epoll never tells anything any
 * more, not even that it has gone; only a write does. */

#include "node-pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char *_Atomic silent;    /* where it listens */
static _Atomic gboolean waited; /* somebody has waited to write there */

static gboolean
is_silent (int fd)
{
  struct sockaddr_un address = { 0 };
  socklen_t length = sizeof address;
  const char *path = atomic_load (&silent);

  return path != NULL && getpeername (fd, (struct sockaddr *) &address, &length) == 0 &&
         address.sun_family == AF_UNIX && strcmp (address.sun_path, path) == 0;
}

/* In place of libc's, also for the library. Who waits to write to it is not watched in truth. */
__attribute__ ((visibility ("default"))) int
epoll_ctl (int epoll, int op, int fd, struct epoll_event *event)
{
  if (!is_silent (fd))
    return (int) syscall (SYS_epoll_ctl, epoll, op, fd, event);
  syscall (SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, fd, NULL);
  if (op == EPOLL_CTL_DEL)
    return 0;
  if ((event->events & EPOLLOUT) == 0)
    return (int) syscall (SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, event);
  atomic_store (&waited, TRUE);
  return 0;
}

/* Writes until the other end does not take it in, and is waited for there. */
static void
fill (int fd)
{
  const guint8 block[65536] = { 0 };
  gssize put;

  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  do {
    do
      put = write (fd, block, sizeof block);
    while (put > 0);
    g_assert_cmpint (errno, ==, EAGAIN);
    wait_until (atomic_load (&waited) || g_poll (&(GPollFD){ fd, G_IO_OUT, 0 }, 1, 0) > 0);
  } while (!atomic_load (&waited));
}

static void
test_silent_target_ends_its_stream (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f), *bound = listen_on (&f->b, unix_uri);
  g_autofree char *path = target_path (f);
  g_autoptr (GAsyncResult) result = NULL, end = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "silent", &result);
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = NULL;
  GSocketConnection *accepted;
  char nothing;
  int fd;

  atomic_store (&silent, path);
  stream = must_open (peer, "silent");
  hypha_stream_wait_end_async (stream, NULL, keep_result, &end);
  accepted = program_accepted (program, &result);
  fd = hypha_stream_get_fd (stream);

  /* It has no more to say, and this end knows. */
  g_socket_shutdown (g_socket_connection_get_socket (accepted), FALSE, TRUE, &error);
  g_assert_no_error (error);
  wait_until (recv (fd, &nothing, 1, MSG_DONTWAIT) == 0);
  fill (fd);
  g_assert_null (end);

  g_object_unref (accepted);
  wait_until (end != NULL);
  g_assert_false (hypha_stream_wait_end_finish (stream, end, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  atomic_store (&silent, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/node/silent-target/that-goes-ends-its-stream", NodePair, NULL, node_pair_set_up,
              test_silent_target_ends_its_stream, node_pair_tear_down);
  return g_test_run ();
}
