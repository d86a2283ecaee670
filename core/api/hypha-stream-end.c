/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-stream-end.h"

#include <fcntl.h>
#include <glib/gstdio.h>

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

typedef struct {
  HyphaStreamEnd end;
  GSocket *socket;
} SocketEnd;

static GSocket *
socket_of (HyphaStreamEnd *end)
{
  return ((SocketEnd *) end)->socket;
}

static gssize
socket_move (HyphaStreamEnd *end, void *into, const void *from, gsize count,
             GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  gssize done = into != NULL ? g_socket_receive_with_blocking (socket_of (end), into, count, FALSE,
                                                               cancellable, &local)
                             : g_socket_send_with_blocking (socket_of (end), from, count, FALSE,
                                                            cancellable, &local);

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
  /* GSocket cuts it to milliseconds. */
  return g_socket_condition_timed_wait (socket_of (end), condition,
                                        timeout < 0 ? timeout : timeout + 999, cancellable, error);
}

static gboolean
socket_is_ready (HyphaStreamEnd *end, GIOCondition condition)
{
  return g_socket_condition_check (socket_of (end), condition) != 0;
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
  g_autoptr (GSource) child = g_socket_create_source (socket_of (end), condition, cancellable);
  GSource *source = g_source_new (&plain_funcs, sizeof (GSource));

  g_source_set_static_name (source, "hypha-stream");
  g_source_set_dummy_callback (child);
  g_source_add_child_source (source, child);
  return source;
}

static gboolean
socket_shutdown (HyphaStreamEnd *end, gboolean reading, gboolean writing, GError **error)
{
  return g_socket_shutdown (socket_of (end), reading, writing, error);
}

static gboolean
socket_close (HyphaStreamEnd *end, GError **error)
{
  return g_socket_close (socket_of (end), error);
}

static int
socket_get_fd (HyphaStreamEnd *end)
{
  return g_socket_get_fd (socket_of (end));
}

static int
socket_steal_fd (HyphaStreamEnd *end)
{
  GSocket *socket = socket_of (end);
  int fd = g_socket_is_closed (socket) ? -1 : fcntl (g_socket_get_fd (socket), F_DUPFD_CLOEXEC, 3);

  if (fd >= 0)
    g_socket_close (socket, NULL);
  return fd;
}

static void
socket_free (HyphaStreamEnd *end)
{
  g_object_unref (socket_of (end));
  g_free (end);
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
  GSocket *socket = g_socket_new_from_fd (fd, NULL);
  SocketEnd *self;

  if (socket == NULL) {
    g_close (fd, NULL);
    return NULL;
  }
  self = g_new0 (SocketEnd, 1);
  hypha_stream_end_init (&self->end, &socket_funcs);
  self->socket = socket;
  return &self->end;
}
