/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-connect.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* "OK 4294967295\n" has 14; whoever says more than this is no VMM. */
#define REPLY_MAX 32

/* A guest that boots is waited for so long at most: whoever wants it later asks later. */
#define BOOT_MS 3000
#define PAUSE_MS 50

/* The data of the task. Its source holds the task until it is destroyed. */
typedef struct {
  HvsockAddress address;
  char *display;
  guint timeout_ms;
  gint64 deadline; /* monotonic us */
  gint64 patience; /* with a VMM that hangs up, likewise */
  guint refused;   /* how often it has */
  int fd;          /* -1: none at the moment */
  char reply[REPLY_MAX + 1];
  gsize filled;
  GSource *source; /* an answer, or time to ask again */
} Attempt;

static void ask (GTask *task);

static void
attempt_free (gpointer data)
{
  Attempt *attempt = data;

  if (attempt->fd >= 0)
    g_close (attempt->fd, NULL);
  g_free (attempt->display);
  g_free (attempt);
}

static void
clear_source (Attempt *attempt)
{
  if (attempt->source == NULL)
    return;
  g_source_destroy (attempt->source);
  g_clear_pointer (&attempt->source, g_source_unref);
}

/* Wakes SOURCE when the task is cancelled as well. */
static void
wait_for (GTask *task, GSource *source, GSourceFunc callback)
{
  Attempt *attempt = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (cancellable != NULL) {
    g_autoptr (GSource) cancelled = g_cancellable_source_new (cancellable);

    g_source_set_dummy_callback (cancelled);
    g_source_add_child_source (source, cancelled);
  }
  g_source_set_callback (source, callback, g_object_ref (task), g_object_unref);
  g_source_attach (source, g_task_get_context (task));
  attempt->source = source;
}

static gboolean
is_late (const Attempt *attempt)
{
  return g_get_monotonic_time () >= attempt->deadline;
}

static void
return_late (GTask *task)
{
  const Attempt *attempt = g_task_get_task_data (task);

  g_task_return_new_error (
      task, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
      _ ("cannot connect to %s: the machine's VMM did not answer within %u ms; has the guest "
         "booted?"),
      attempt->display, attempt->timeout_ms);
}

static void
return_refused (GTask *task)
{
  const Attempt *attempt = g_task_get_task_data (task);

  g_task_return_new_error (
      task, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
      _ ("cannot connect to %s: the machine's VMM hung up (attempts: %u); has the "
         "guest booted, and does anything listen on port %u there?"),
      attempt->display, attempt->refused, attempt->address.port);
}

static gboolean
on_pause_over (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);

  clear_source (g_task_get_task_data (task));
  ask (task);
  return G_SOURCE_REMOVE;
}

/* A bare close: nobody listens there, or not yet. */
static void
hung_up (GTask *task)
{
  Attempt *attempt = g_task_get_task_data (task);
  clear_source (attempt);
  g_close (g_steal_fd (&attempt->fd), NULL);
  attempt->refused++;
  if (g_get_monotonic_time () + PAUSE_MS * G_TIME_SPAN_MILLISECOND >= attempt->patience)
    return_refused (task);
  else
    wait_for (task, g_timeout_source_new (PAUSE_MS), on_pause_over);
}

/* LENGTH: without the NUL behind it; there may be others. */
static gboolean
is_ok_and_number (const char *reply, gsize length)
{
  gsize prefix = strlen ("OK ");

  return g_str_has_prefix (reply, "OK ") && length > prefix &&
         prefix + strspn (reply + prefix, "0123456789") == length;
}

static void
answered (GTask *task)
{
  Attempt *attempt = g_task_get_task_data (task);
  g_autofree char *escaped = NULL;

  clear_source (attempt);
  if (attempt->filled < REPLY_MAX && is_ok_and_number (attempt->reply, attempt->filled)) {
    g_task_return_int (task, g_steal_fd (&attempt->fd));
    return;
  }
  escaped = g_strescape (attempt->reply, NULL);
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                           _ ("cannot connect to %s: what listens there said '%s' in place of OK; "
                              "is it the vsock socket "
                              "of Firecracker, Cloud Hypervisor or vhost-device-vsock?"),
                           attempt->display, escaped);
}

/* Byte by byte: what follows the line is not ours. */
static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Attempt *attempt = g_task_get_task_data (task);

  if (g_task_return_error_if_cancelled (task)) {
    clear_source (attempt);
    return G_SOURCE_REMOVE;
  }
  while (attempt->filled < REPLY_MAX) {
    char *next = attempt->reply + attempt->filled;
    gssize n = read (fd, next, 1);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      if (!is_late (attempt))
        return G_SOURCE_CONTINUE;
      clear_source (attempt);
      return_late (task);
      return G_SOURCE_REMOVE;
    }
    if (n <= 0) {
      hung_up (task);
      return G_SOURCE_REMOVE;
    }
    if (*next == '\n') {
      *next = '\0';
      break;
    }
    attempt->filled++;
  }
  answered (task);
  return G_SOURCE_REMOVE;
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Attempt *attempt = g_task_get_task_data (task);
  g_autofree char *request = g_strdup_printf ("CONNECT %u\n", attempt->address.port);
  GError *error = NULL;
  GSource *readable;

  attempt->fd = hypha_socket_connect_finish (result, &error);
  if (attempt->fd < 0) {
    g_task_return_error (task, error);
    return;
  }
  attempt->filled = 0;
  memset (attempt->reply, 0, sizeof attempt->reply);
  /* In one piece, for which a fresh socket has room. One that has been closed says so when read. */
  if (send (attempt->fd, request, strlen (request), MSG_NOSIGNAL) < 0)
    g_debug ("%s: %s", attempt->display, g_strerror (errno));
  readable = g_unix_fd_source_new (attempt->fd, G_IO_IN);
  g_source_set_ready_time (readable, attempt->deadline);
  wait_for (task, readable, G_SOURCE_FUNC (on_readable));
}

static void
ask (GTask *task)
{
  Attempt *attempt = g_task_get_task_data (task);
  g_autoptr (GSocketAddress) address = hvsock_address_get_socket (&attempt->address);
  gint64 left = attempt->deadline - g_get_monotonic_time ();
  struct sockaddr_un sockaddr;

  if (g_task_return_error_if_cancelled (task))
    return;
  if (left <= 0) {
    return_late (task);
    return;
  }
  g_socket_address_to_native (address, &sockaddr, sizeof sockaddr, NULL);
  hypha_socket_connect_async ((const struct sockaddr *) &sockaddr,
                              (socklen_t) g_socket_address_get_native_size (address),
                              attempt->display, (guint) (left / 1000 + 1),
                              g_task_get_cancellable (task), on_connected, g_object_ref (task));
}

void
hvsock_connect_async (const HvsockAddress *address, const char *display, guint timeout_ms,
                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Attempt *attempt = g_new0 (Attempt, 1);

  g_task_set_source_tag (task, hvsock_connect_async);
  /* A descriptor that has been returned is taken, whatever happens then. */
  g_task_set_check_cancellable (task, FALSE);
  attempt->address = *address;
  attempt->display = g_strdup (display);
  attempt->timeout_ms = timeout_ms;
  attempt->deadline = g_get_monotonic_time () + (gint64) timeout_ms * G_TIME_SPAN_MILLISECOND;
  attempt->patience =
      MIN (attempt->deadline, g_get_monotonic_time () + BOOT_MS * G_TIME_SPAN_MILLISECOND);
  attempt->fd = -1;
  g_task_set_task_data (task, attempt, attempt_free);
  ask (task);
}

int
hvsock_connect_finish (GAsyncResult *result, GError **error)
{
  return (int) g_task_propagate_int (G_TASK (result), error);
}
