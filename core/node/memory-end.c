/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node/memory-end.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  HyphaStreamEnd end;
  HyphaPipe *pipe;
  _Atomic (HyphaStreamEnd *) socket; /* what it has turned into; owned; set once */

  pthread_mutex_t mutex; /* of all below */
  gboolean closed, read_closed, write_closed;
} MemoryEnd;

static MemoryEnd *
memory_of (HyphaStreamEnd *end)
{
  return (MemoryEnd *) end;
}

static HyphaStreamEnd *
socket_of (HyphaStreamEnd *end)
{
  return atomic_load (&memory_of (end)->socket);
}

static gboolean
is_closed (MemoryEnd *self)
{
  gboolean closed;

  pthread_mutex_lock (&self->mutex);
  closed = self->closed;
  pthread_mutex_unlock (&self->mutex);
  return closed;
}

static gboolean
set_broken (MemoryEnd *self, gboolean reading, GError **error)
{
  GError *reason = hypha_pipe_dup_error (self->pipe, reading);

  if (reason == NULL)
    reason = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CLOSED, _ ("the stream is closed"));
  g_propagate_error (error, reason);
  return FALSE;
}

static gssize
memory_move (HyphaStreamEnd *end, void *into, const void *from, gsize count,
             GCancellable *cancellable, GError **error)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket = socket_of (end);
  gssize done;

  if (socket != NULL)
    return socket->funcs->move (socket, into, from, count, cancellable, error);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return -1;
  done = into != NULL ? hypha_pipe_read (self->pipe, into, count)
                      : hypha_pipe_write (self->pipe, from, count);
  /* One that went to another program as a descriptor would say AGAIN for ever. */
  if (done == HYPHA_PIPE_BROKEN || (done <= 0 && count > 0 && is_closed (self))) {
    set_broken (self, into != NULL, error);
    return -1;
  }
  return done == HYPHA_PIPE_AGAIN ? HYPHA_STREAM_END_AGAIN : done;
}

static void
on_cancelled (GCancellable *cancellable, gpointer pipe)
{
  hypha_pipe_interrupt (pipe);
}

static gboolean
gives_up (gpointer cancellable)
{
  return g_cancellable_is_cancelled (cancellable);
}

static gboolean
memory_wait (HyphaStreamEnd *end, GIOCondition condition, gint64 timeout, GCancellable *cancellable,
             GError **error)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket = socket_of (end);
  gint64 due = timeout < 0 ? -1 : g_get_monotonic_time () + timeout;
  gulong handler = 0;
  gboolean in_time;

  if (socket != NULL)
    return socket->funcs->wait (socket, condition, timeout, cancellable, error);
  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), self->pipe, NULL);
  in_time = hypha_pipe_wait (self->pipe, condition == G_IO_IN, due,
                             cancellable != NULL ? gives_up : NULL, cancellable);
  if (handler != 0)
    g_cancellable_disconnect (cancellable, handler);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (!in_time) /* whoever waits says it in his own words */
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, g_strerror (ETIMEDOUT));
  return in_time;
}

static gboolean
memory_is_ready (HyphaStreamEnd *end, GIOCondition condition)
{
  HyphaStreamEnd *socket = socket_of (end);

  if (socket != NULL)
    return socket->funcs->is_ready (socket, condition);
  return hypha_pipe_is_ready (memory_of (end)->pipe, condition == G_IO_IN);
}

/* ---- waiting in a main context ---- */

typedef struct {
  GSource source;
  HyphaStreamEnd *end;
  HyphaPipeWatch watch;
  GCancellable *cancellable; /* nullable */
  GSource *child;            /* of the socket that it has turned into */
} MemorySource;

static GIOCondition
condition_of (MemorySource *self)
{
  return self->watch.reading ? G_IO_IN : G_IO_OUT;
}

/* Once it has turned, the child tells. */
static gboolean
source_is_ready (MemorySource *self)
{
  return self->child == NULL &&
         hypha_pipe_is_ready (memory_of (self->end)->pipe, self->watch.reading);
}

static gboolean
source_prepare (GSource *source, int *timeout)
{
  *timeout = -1;
  return source_is_ready ((MemorySource *) source);
}

static gboolean
source_check (GSource *source)
{
  return source_is_ready ((MemorySource *) source);
}

static gboolean
source_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  MemorySource *self = (MemorySource *) source;
  HyphaStreamEnd *socket = socket_of (self->end);

  g_source_set_ready_time (source, -1);
  if (socket != NULL && self->child == NULL) {
    self->child = socket->funcs->create_source (socket, condition_of (self), NULL);
    g_source_set_dummy_callback (self->child);
    g_source_add_child_source (source, self->child);
  }
  if (!memory_is_ready (self->end, condition_of (self)) &&
      !g_cancellable_is_cancelled (self->cancellable))
    return G_SOURCE_CONTINUE;
  return callback != NULL ? callback (user_data) : G_SOURCE_REMOVE;
}

static void
source_dispose (GSource *source)
{
  MemorySource *self = (MemorySource *) source;

  hypha_pipe_remove_watch (memory_of (self->end)->pipe, &self->watch);
}

static void
source_finalize (GSource *source)
{
  MemorySource *self = (MemorySource *) source;

  g_clear_pointer (&self->child, g_source_unref);
  g_clear_object (&self->cancellable);
  hypha_stream_end_unref (self->end);
}

static GSourceFuncs source_funcs = {
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
  .finalize = source_finalize,
  HYPHA_STREAM_END_SOURCE_CLOSURES,
};

static void
on_watch (HyphaPipeWatch *watch)
{
  MemorySource *self = (MemorySource *) ((guint8 *) watch - G_STRUCT_OFFSET (MemorySource, watch));

  g_source_set_ready_time (&self->source, 0);
}

static GSource *
memory_create_source (HyphaStreamEnd *end, GIOCondition condition, GCancellable *cancellable)
{
  GSource *source = g_source_new (&source_funcs, sizeof (MemorySource));
  MemorySource *self = (MemorySource *) source;

  g_source_set_static_name (source, "hypha-stream");
  g_source_set_dispose_function (source, source_dispose);
  self->end = hypha_stream_end_ref (end);
  self->watch.func = on_watch;
  self->watch.reading = condition == G_IO_IN;
  if (cancellable != NULL) {
    g_autoptr (GSource) cancelled = g_cancellable_source_new (cancellable);

    self->cancellable = g_object_ref (cancellable);
    g_source_set_dummy_callback (cancelled);
    g_source_add_child_source (source, cancelled);
  }
  hypha_pipe_add_watch (memory_of (end)->pipe, &self->watch);
  return source;
}

/* ---- closing, and turning into a descriptor ---- */

static gboolean
memory_shutdown (HyphaStreamEnd *end, gboolean reading, gboolean writing, GError **error)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket;
  gboolean closed;

  pthread_mutex_lock (&self->mutex);
  self->read_closed = self->read_closed || reading;
  self->write_closed = self->write_closed || writing;
  closed = self->closed;
  socket = socket_of (end);
  pthread_mutex_unlock (&self->mutex);
  if (socket != NULL)
    return socket->funcs->shutdown (socket, reading, writing, error);
  if (closed) /* or handed on: then it is not ours to shut down */
    return TRUE;
  if (writing)
    hypha_pipe_close_write (self->pipe);
  if (reading)
    hypha_pipe_close_read (self->pipe);
  return TRUE;
}

static gboolean
memory_close (HyphaStreamEnd *end, GError **error)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket;
  gboolean closed;

  pthread_mutex_lock (&self->mutex);
  closed = self->closed;
  self->closed = TRUE;
  socket = socket_of (end);
  pthread_mutex_unlock (&self->mutex);
  if (socket != NULL)
    return socket->funcs->close (socket, error);
  if (!closed) {
    hypha_pipe_close_write (self->pipe);
    hypha_pipe_close_read (self->pipe);
  }
  return TRUE;
}

/* With the lock. A pair whose first end is the program's, shut down as far as the stream is. FALSE:
 * there is none, for the reason in errno. */
static gboolean
make_pair (MemoryEnd *self, int fds[2])
{
  if (self->closed) {
    errno = EBADF;
    return FALSE;
  }
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
    return FALSE;
  if (self->read_closed)
    shutdown (fds[0], SHUT_RD);
  if (self->write_closed)
    shutdown (fds[0], SHUT_WR);
  return TRUE;
}

/* Only once all is there that is needed; whatever fails before leaves the stream as it was. */
static int
memory_get_fd (HyphaStreamEnd *end)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket;
  int fds[2], why = EBADF;

  pthread_mutex_lock (&self->mutex);
  socket = socket_of (end);
  if (socket == NULL && !make_pair (self, fds)) {
    why = errno;
  } else if (socket == NULL) {
    socket = hypha_stream_end_new_for_socket (fds[0]);
    why = socket != NULL ? ENOBUFS : EIO;
    if (socket == NULL)
      close (fds[1]);
    else if (!hypha_pipe_turn (self->pipe, fds[1]))
      g_clear_pointer (&socket, hypha_stream_end_unref);
    atomic_store (&self->socket, socket);
  }
  pthread_mutex_unlock (&self->mutex);
  if (socket != NULL)
    return socket->funcs->get_fd (socket);
  errno = why;
  return -1;
}

static int
memory_steal_fd (HyphaStreamEnd *end)
{
  MemoryEnd *self = memory_of (end);
  HyphaStreamEnd *socket;
  int fds[2] = { -1, -1 }, why = 0;

  pthread_mutex_lock (&self->mutex);
  socket = socket_of (end);
  if (socket == NULL && !make_pair (self, fds)) {
    why = errno;
  } else if (socket == NULL && hypha_pipe_turn (self->pipe, fds[1])) {
    self->closed = TRUE;
  } else if (socket == NULL) {
    why = ENOBUFS;
    close (g_steal_fd (&fds[0]));
  }
  pthread_mutex_unlock (&self->mutex);
  if (socket != NULL)
    return socket->funcs->steal_fd (socket);
  errno = why;
  return fds[0];
}

static gboolean
memory_hand_over (HyphaStreamEnd *end, int fd)
{
  MemoryEnd *self = memory_of (end);
  int why = 0;

  pthread_mutex_lock (&self->mutex);
  if (self->closed || socket_of (end) != NULL || self->read_closed || self->write_closed)
    why = EBADF;
  else if (!hypha_pipe_turn (self->pipe, fd))
    why = ENOBUFS;
  else
    self->closed = TRUE;
  pthread_mutex_unlock (&self->mutex);
  if (why == EBADF)
    close (fd);
  errno = why;
  return why == 0;
}

static void
memory_free (HyphaStreamEnd *end)
{
  MemoryEnd *self = memory_of (end);

  memory_close (end, NULL);
  g_clear_pointer (&self->pipe, hypha_pipe_unref);
  if (socket_of (end) != NULL)
    hypha_stream_end_unref (socket_of (end));
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

static const HyphaStreamEndFuncs memory_funcs = {
  .move = memory_move,
  .wait = memory_wait,
  .is_ready = memory_is_ready,
  .create_source = memory_create_source,
  .shutdown = memory_shutdown,
  .close = memory_close,
  .get_fd = memory_get_fd,
  .steal_fd = memory_steal_fd,
  .hand_over = memory_hand_over,
  .free = memory_free,
};

HyphaStreamEnd *
hypha_memory_end_new (HyphaPipe *pipe)
{
  MemoryEnd *self = g_new0 (MemoryEnd, 1);

  hypha_stream_end_init (&self->end, &memory_funcs);
  pthread_mutex_init (&self->mutex, NULL);
  self->pipe = hypha_pipe_ref (pipe);
  return &self->end;
}
