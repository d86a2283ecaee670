/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>

#include "hypha-error.h"
#include "hypha-unix-bind.h"

/* How long a listener waits for another process that is about to listen in the same directory. */
#define LOCK_RETRY_MS 20
#define LOCK_PATIENCE_MS 2000

/* What belongs to a listener, and before that to the task that makes it. */
typedef struct {
  GUnixSocketAddress *address;
  HyphaEndpoint *bound;
  HyphaUnixFile file;
  int keep; /* the listening socket once more: it outlives its file by a moment; -1: none yet */
  HyphaSocketAdopt adopt;
  gpointer user_data;
  GDestroyNotify closed;
} Acceptor;

/* The data of the task. */
typedef struct {
  Acceptor *acceptor; /* NULL: the listener has it */
  mode_t mode;
  gint64 patience; /* until when it waits for the directory's lock, in monotonic us */
} Attempt;

/* The file goes first and the socket after it: in between nobody takes it for a dead one and
 * replaces it. */
static void
acceptor_free (gpointer data)
{
  Acceptor *self = data;

  if (self->keep >= 0) {
    hypha_unix_unlink (self->address, &self->file);
    g_close (self->keep, NULL);
  }
  if (self->closed != NULL)
    self->closed (self->user_data);
  hypha_endpoint_unref (self->bound);
  g_object_unref (self->address);
  g_free (self);
}

static void
attempt_free (gpointer data)
{
  Attempt *attempt = data;

  g_clear_pointer (&attempt->acceptor, acceptor_free);
  g_free (attempt);
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  Acceptor *self = user_data;

  return self->adopt (fd, remote, length, self->user_data, error);
}

static HyphaListener *
listen_now (Attempt *attempt, GError **error)
{
  Acceptor *acceptor = attempt->acceptor;
  const char *display = hypha_endpoint_to_string (acceptor->bound);
  int fd = hypha_unix_bind (acceptor->address, display, attempt->mode, &acceptor->file, error);

  if (fd < 0)
    return NULL;
  acceptor->keep = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  if (acceptor->keep < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot listen on %s: %s"), display,
                 g_strerror (errno));
    hypha_unix_unlink (acceptor->address, &acceptor->file);
    g_close (fd, NULL);
    return NULL;
  }
  return hypha_socket_listener_new (fd, acceptor->bound, adopt,
                                    g_steal_pointer (&attempt->acceptor), acceptor_free);
}

static gboolean
try_to_listen (gpointer user_data)
{
  GTask *task = user_data;
  Attempt *attempt = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  HyphaListener *listener;

  if (g_task_return_error_if_cancelled (task))
    return G_SOURCE_REMOVE;
  listener = listen_now (attempt, &error);
  if (listener != NULL)
    g_task_return_pointer (task, listener, g_object_unref);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BUSY))
    g_task_return_error (task, g_steal_pointer (&error));
  else if (g_get_monotonic_time () < attempt->patience)
    return G_SOURCE_CONTINUE;
  else
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_BUSY, "%s", error->message);
  return G_SOURCE_REMOVE;
}

/**
 * hypha_unix_listen_async: (skip)
 * @address: a path, or an abstract name
 * @bound: the same as an endpoint: canonical
 * @mode: of the socket's file
 * @adopt_func: makes channels of what is accepted
 * @user_data: for @adopt_func and @closed
 * @closed: (nullable): called once, with @user_data, when the listener is closed or there is none
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it listens, or has failed
 * @callback_data: for @callback
 *
 * For transports: listens on a Unix socket. A file that a dead process has left behind is replaced,
 * one on which somebody listens is not; who is about to listen in the same directory by this
 * function too is waited for, for two seconds. The listener is as from
 * hypha_socket_listener_new(), and takes its file away, and no other, when it is closed.
 */
void
hypha_unix_listen_async (GUnixSocketAddress *address, HyphaEndpoint *bound, mode_t mode,
                         HyphaSocketAdopt adopt_func, gpointer user_data, GDestroyNotify closed,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer callback_data)
{
  g_autoptr (GTask) task = NULL;
  g_autoptr (GSource) retry = NULL;
  Attempt *attempt;

  g_return_if_fail (G_IS_UNIX_SOCKET_ADDRESS (address));
  g_return_if_fail (bound != NULL);
  g_return_if_fail (adopt_func != NULL);

  task = g_task_new (NULL, cancellable, callback, callback_data);
  g_task_set_source_tag (task, hypha_unix_listen_async);
  attempt = g_new0 (Attempt, 1);
  attempt->acceptor = g_new0 (Acceptor, 1);
  *attempt->acceptor = (Acceptor){ .address = g_object_ref (address),
                                   .bound = hypha_endpoint_ref (bound),
                                   .keep = -1,
                                   .adopt = adopt_func,
                                   .user_data = user_data,
                                   .closed = closed };
  attempt->mode = mode;
  attempt->patience = g_get_monotonic_time () + LOCK_PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
  g_task_set_task_data (task, attempt, attempt_free);
  if (try_to_listen (task) == G_SOURCE_REMOVE)
    return;
  retry = g_timeout_source_new (LOCK_RETRY_MS);
  g_task_attach_source (task, retry, try_to_listen);
}

/**
 * hypha_unix_listen_finish: (skip)
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_unix_listen_async() began.
 *
 * The error is `HYPHA_ERROR_ADDRESS_IN_USE` (the message says by whom),
 * `HYPHA_ERROR_PERMISSION_DENIED`, `HYPHA_ERROR_BUSY` (the directory's lock was not to be had),
 * `HYPHA_ERROR_FAILED` or `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the listener, or %NULL with @error set
 */
HyphaListener *
hypha_unix_listen_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_unix_listen_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
