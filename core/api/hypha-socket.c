/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>

#include "hypha-error.h"
#include "hypha-source.h"

/* A Unix socket whose backlog is full says so at once, and cannot be polled for room. */
#define RETRY_MS 20

/* One attempt, as the data of its task. Its sources hold the task until they are destroyed. */
typedef struct {
  int fd;
  struct sockaddr_storage address;
  socklen_t length;
  char *display;
  guint timeout_ms;
  GSource *progress; /* writable, or time to try again */
  GSource *deadline;
  GSource *cancelled;
} Attempt;

static void begin_connect (GTask *task);

static void
close_fd (int fd)
{
  if (fd >= 0)
    g_close (fd, NULL);
}

static void
attempt_free (gpointer data)
{
  Attempt *attempt = data;

  close_fd (attempt->fd);
  g_free (attempt->display);
  g_free (attempt);
}

static void
free_answer (gpointer data)
{
  close_fd (*(int *) data);
  g_free (data);
}

/* What people can do about an error of connect(2). */
static const char *
get_advice (int code)
{
  switch (code) {
  case ECONNREFUSED:
  case ECONNRESET:
    return _ ("nobody listens there; is the other node running, and is this where it listens?");
  case ENOENT:
    return _ ("there is no such socket; is the other node running?");
  case EACCES:
  case EPERM:
    return _ ("this user may not connect there");
  case ENETUNREACH:
  case EHOSTUNREACH:
    return _ ("there is no way to it; check the address and the network");
  case EAFNOSUPPORT:
  case ENODEV:
  case EADDRNOTAVAIL:
    return _ (
        "this machine has no such kind of address; `hyphactl transports` says what works here");
  case EAGAIN:
    return _ ("its queue of connections is full");
  case ETIMEDOUT:
    return _ ("nobody answered; is the other machine up?");
  default:
    return NULL;
  }
}

static GError *
new_connect_error (const char *display, int code)
{
  const char *advice = get_advice (code);

  return g_error_new (HYPHA_ERROR, code == ETIMEDOUT ? HYPHA_ERROR_TIMED_OUT : HYPHA_ERROR_CONNECT,
                      _ ("cannot connect to %s: %s%s%s"), display, g_strerror (code),
                      advice != NULL ? "; " : "", advice != NULL ? advice : "");
}

static void
finish (GTask *task, GError *error)
{
  Attempt *attempt = g_task_get_task_data (task);
  int *answer;

  hypha_clear_source (&attempt->progress);
  hypha_clear_source (&attempt->deadline);
  hypha_clear_source (&attempt->cancelled);
  if (error != NULL) {
    g_task_return_error (task, error);
    return;
  }
  answer = g_new (int, 1);
  *answer = g_steal_fd (&attempt->fd);
  g_task_return_pointer (task, answer, free_answer);
}

static gboolean
on_deadline (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Attempt *attempt = g_task_get_task_data (task);

  finish (task,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("cannot connect to %s: no answer within %u ms; is the other machine up?"),
                       attempt->display, attempt->timeout_ms));
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  GError *error = NULL;

  g_cancellable_set_error_if_cancelled (cancellable, &error);
  finish (task, error);
  return G_SOURCE_REMOVE;
}

static gboolean
on_writable (int fd, GIOCondition condition, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Attempt *attempt = g_task_get_task_data (task);
  int code = 0;
  socklen_t length = sizeof code;

  if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0)
    code = errno;
  finish (task, code != 0 ? new_connect_error (attempt->display, code) : NULL);
  return G_SOURCE_REMOVE;
}

static gboolean
on_retry (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Attempt *attempt = g_task_get_task_data (task);

  hypha_clear_source (&attempt->progress);
  begin_connect (task);
  return G_SOURCE_REMOVE;
}

static GSource *
attach (GTask *task, GSource *source, GSourceFunc callback)
{
  g_source_set_callback (source, callback, g_object_ref (task), g_object_unref);
  g_source_attach (source, g_task_get_context (task));
  return source;
}

static void
begin_connect (GTask *task)
{
  Attempt *attempt = g_task_get_task_data (task);
  int code = 0;

  if (connect (attempt->fd, (const struct sockaddr *) &attempt->address, attempt->length) != 0)
    code = errno;
  if (code == EINPROGRESS || code == EINTR)
    attempt->progress =
        attach (task, g_unix_fd_source_new (attempt->fd, G_IO_OUT), G_SOURCE_FUNC (on_writable));
  else if (code == EAGAIN)
    attempt->progress = attach (task, g_timeout_source_new (RETRY_MS), on_retry);
  else
    finish (task, code != 0 ? new_connect_error (attempt->display, code) : NULL);
}

/**
 * hypha_socket_connect_fd_async:
 * @fd: a stream socket, which is taken, that is not connected yet, perhaps bound and with options
 * set
 * @address: where to
 * @length: the length of @address, in bytes
 * @display: how to name it in an error
 * @timeout_ms: the deadline in milliseconds; 0: none but the kernel's
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it is connected, or has failed
 * @user_data: for @callback
 *
 * For transports: connects @fd, which becomes non-blocking, without blocking. End it with
 * hypha_socket_connect_finish(), like hypha_socket_connect_async().
 */
void
hypha_socket_connect_fd_async (int fd, const struct sockaddr *address, socklen_t length,
                               const char *display, guint timeout_ms, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  Attempt *attempt;

  g_return_if_fail (address != NULL && length <= sizeof attempt->address);
  g_return_if_fail (display != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_socket_connect_async);
  attempt = g_new0 (Attempt, 1);
  attempt->fd = fd;
  memcpy (&attempt->address, address, length);
  attempt->length = length;
  attempt->display = g_strdup (display);
  attempt->timeout_ms = timeout_ms;
  g_task_set_task_data (task, attempt, attempt_free);
  if (g_task_return_error_if_cancelled (task))
    return;
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);

  if (timeout_ms > 0)
    attempt->deadline = attach (task, g_timeout_source_new (timeout_ms), on_deadline);
  if (cancellable != NULL)
    attempt->cancelled =
        attach (task, g_cancellable_source_new (cancellable), G_SOURCE_FUNC (on_cancelled));
  begin_connect (task);
}

/**
 * hypha_socket_connect_async:
 * @address: where to
 * @length: the length of @address, in bytes
 * @display: how to name it in an error
 * @timeout_ms: the deadline in milliseconds; 0: none but the kernel's
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it is connected, or has failed
 * @user_data: for @callback
 *
 * For transports: makes a stream socket of the family of @address and connects it, without
 * blocking. The callback comes on the thread-default main context.
 */
void
hypha_socket_connect_async (const struct sockaddr *address, socklen_t length, const char *display,
                            guint timeout_ms, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data)
{
  int fd;

  g_return_if_fail (address != NULL);
  g_return_if_fail (display != NULL);

  fd = socket (address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    g_task_report_error (NULL, callback, user_data, hypha_socket_connect_async,
                         new_connect_error (display, errno));
    return;
  }
  hypha_socket_connect_fd_async (fd, address, length, display, timeout_ms, cancellable, callback,
                                 user_data);
}

/**
 * hypha_socket_connect_finish:
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_socket_connect_async() or hypha_socket_connect_fd_async() began.
 *
 * The error is `HYPHA_ERROR_CONNECT`, `HYPHA_ERROR_TIMED_OUT` or `G_IO_ERROR_CANCELLED`; its
 * message says what was connected to and why it failed.
 *
 * Returns: the connected descriptor, non-blocking and close-on-exec, which the caller owns; or -1
 * with @error set
 */
int
hypha_socket_connect_finish (GAsyncResult *result, GError **error)
{
  g_autofree int *answer = NULL;

  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_socket_connect_async), -1);

  answer = g_task_propagate_pointer (G_TASK (result), error);
  return answer != NULL ? *answer : -1;
}
