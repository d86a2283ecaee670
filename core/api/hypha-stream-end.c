/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-stream-end.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

void
hypha_stream_end_init (HyphaStreamEnd *self, const HyphaStreamEndFuncs *funcs)
{
  self->funcs = funcs;
  g_atomic_ref_count_init (&self->ref_count);
}

HyphaStreamEnd *
hypha_stream_end_ref (HyphaStreamEnd *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
hypha_stream_end_unref (HyphaStreamEnd *self)
{
  if (g_atomic_ref_count_dec (&self->ref_count))
    self->funcs->free (self);
}

gboolean
hypha_stream_end_call_closure (gpointer closure)
{
  g_auto (GValue) result = G_VALUE_INIT;

  g_value_init (&result, G_TYPE_BOOLEAN);
  g_closure_invoke (closure, &result, 0, NULL, NULL);
  return g_value_get_boolean (&result);
}

/* ---- upon a socket ---- */

/* Many a stream is only handed on: those who read, write, wait or close get a GSocket made. */
typedef struct {
  HyphaStreamEnd end;
  pthread_mutex_t mutex; /* of all below */
  int fd;                /* what nobody has used yet; else -1 */
  GSocket *socket;       /* NULL: not made yet, or never */
  gboolean closed;       /* or stolen */
} SocketEnd;

/* NULL with G_IO_ERROR_CLOSED: it is closed. */
static GSocket *
get_socket (SocketEnd *self, GError **error)
{
  if (self->closed) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, _ ("the stream is closed"));
    return NULL;
  }
  if (self->fd >= 0) {
    /* Whatever its documentation says, GSocket closes what it fails upon. */
    self->socket = g_socket_new_from_fd (g_steal_fd (&self->fd), error);
    self->closed = self->socket == NULL;
  }
  return self->socket;
}

static GSocket *
socket_of (HyphaStreamEnd *end, GError **error)
{
  SocketEnd *self = (SocketEnd *) end;
  GSocket *socket;

  pthread_mutex_lock (&self->mutex);
  socket = get_socket (self, error);
  pthread_mutex_unlock (&self->mutex);
  return socket;
}

static gssize
socket_move (HyphaStreamEnd *end, void *into, const void *from, gsize count,
             GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  GSocket *socket = socket_of (end, error);
  gssize done;

  if (socket == NULL)
    return -1;
  done = into != NULL
             ? g_socket_receive_with_blocking (socket, into, count, FALSE, cancellable, &local)
             : g_socket_send_with_blocking (socket, from, count, FALSE, cancellable, &local);
  if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return HYPHA_STREAM_END_AGAIN;
  if (done < 0)
    g_propagate_error (error, g_steal_pointer (&local));
  return done;
}

static gboolean
socket_wait (HyphaStreamEnd *end, GIOCondition condition, gint64 timeout, GCancellable *cancellable,
             GError **error)
{
  GSocket *socket = socket_of (end, error);

  /* GSocket cuts it to milliseconds. */
  return socket != NULL &&
         g_socket_condition_timed_wait (socket, condition, timeout < 0 ? timeout : timeout + 999,
                                        cancellable, error);
}

static gboolean
socket_is_ready (HyphaStreamEnd *end, GIOCondition condition)
{
  GSocket *socket = socket_of (end, NULL);

  return socket == NULL || g_socket_condition_check (socket, condition) != 0;
}

/* Its callback has two arguments more than one that is set without a cast would have: so the
 * socket's is the child of a source whose callback is plain. */
static gboolean
dispatch_plain (GSource *source, GSourceFunc callback, gpointer user_data)
{
  return callback != NULL ? callback (user_data) : G_SOURCE_REMOVE;
}

static GSourceFuncs plain_funcs = {
  .dispatch = dispatch_plain,
  HYPHA_STREAM_END_SOURCE_CLOSURES,
};

static GSource *
socket_create_source (HyphaStreamEnd *end, GIOCondition condition, GCancellable *cancellable)
{
  GSocket *socket = socket_of (end, NULL);
  GSource *source = g_source_new (&plain_funcs, sizeof (GSource));

  g_source_set_static_name (source, "hypha-stream");
  if (socket != NULL) {
    g_autoptr (GSource) child = g_socket_create_source (socket, condition, cancellable);

    g_source_set_dummy_callback (child);
    g_source_add_child_source (source, child);
  } else {
    g_source_set_ready_time (source, 0); /* the next try says what is wrong */
  }
  return source;
}

static gboolean
socket_shutdown (HyphaStreamEnd *end, gboolean reading, gboolean writing, GError **error)
{
  GSocket *socket = socket_of (end, error);

  return socket != NULL && g_socket_shutdown (socket, reading, writing, error);
}

/* Whoever waits on another thread is woken: closing a descriptor does not do that, and the input is
 * not shut down while it is being read. */
static gboolean
socket_close (HyphaStreamEnd *end, GError **error)
{
  SocketEnd *self = (SocketEnd *) end;
  GSocket *socket;

  pthread_mutex_lock (&self->mutex);
  self->closed = TRUE;
  if (self->fd >= 0)
    close (g_steal_fd (&self->fd));
  socket = self->socket;
  pthread_mutex_unlock (&self->mutex);
  if (socket == NULL)
    return TRUE;
  g_socket_shutdown (socket, TRUE, TRUE, NULL);
  return g_socket_close (socket, error);
}

static int
socket_get_fd (HyphaStreamEnd *end)
{
  GSocket *socket = socket_of (end, NULL);

  if (socket != NULL)
    return g_socket_get_fd (socket);
  errno = EBADF;
  return -1;
}

static int
socket_steal_fd (HyphaStreamEnd *end)
{
  SocketEnd *self = (SocketEnd *) end;
  int fd = -1;

  pthread_mutex_lock (&self->mutex);
  errno = EBADF;
  if (self->fd >= 0) {
    g_unix_set_fd_nonblocking (self->fd, TRUE, NULL);
    fd = g_steal_fd (&self->fd);
  } else if (!self->closed) { /* a GSocket does not let go of its own */
    fd = fcntl (g_socket_get_fd (self->socket), F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
      g_socket_close (self->socket, NULL);
  }
  self->closed = self->closed || fd >= 0;
  pthread_mutex_unlock (&self->mutex);
  return fd;
}

static void
socket_free (HyphaStreamEnd *end)
{
  SocketEnd *self = (SocketEnd *) end;

  if (self->fd >= 0)
    close (self->fd);
  g_clear_object (&self->socket);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

static const HyphaStreamEndFuncs socket_funcs = {
  .move = socket_move,
  .wait = socket_wait,
  .is_ready = socket_is_ready,
  .create_source = socket_create_source,
  .shutdown = socket_shutdown,
  .close = socket_close,
  .get_fd = socket_get_fd,
  .steal_fd = socket_steal_fd,
  .free = socket_free,
};

HyphaStreamEnd *
hypha_stream_end_new_for_socket (int fd)
{
  int type;
  socklen_t length = sizeof type;
  SocketEnd *self;

  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) {
    close (fd);
    return NULL;
  }
  self = g_new0 (SocketEnd, 1);
  hypha_stream_end_init (&self->end, &socket_funcs);
  fcntl (fd, F_SETFD, FD_CLOEXEC);
  pthread_mutex_init (&self->mutex, NULL);
  self->fd = fd;
  return &self->end;
}
