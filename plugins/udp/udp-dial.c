/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-dial.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "udp-socket.h"

/* One lookup: the data of its task. */
typedef struct {
  const HyphaInetAddress *address; /* the caller's: lasts as long as this does */
  char *display;
  guint timeout_ms;
  GSource *deadline;
  gboolean overdue;
} Dial;

typedef struct {
  int fd;
  HyphaInetSockaddr peer;
} Outcome;

static void
dial_free (gpointer data)
{
  Dial *self = data;

  if (self->deadline != NULL)
    g_source_destroy (self->deadline);
  g_clear_pointer (&self->deadline, g_source_unref);
  g_free (self->display);
  g_free (self);
}

static void
outcome_free (gpointer data)
{
  close (((Outcome *) data)->fd);
  g_free (data);
}

/* Whether the task has returned. */
static gboolean
try (GTask *task, GInetAddress *numeric, GError **error)
{
  Dial *self = g_task_get_task_data (task);
  HyphaInetSockaddr peer;
  int fd = udp_socket_connect (self->address, numeric, self->display, &peer, error);
  Outcome *outcome;

  if (fd < 0)
    return FALSE;
  outcome = g_new (Outcome, 1);
  *outcome = (Outcome){ fd, peer };
  g_task_return_pointer (task, outcome, outcome_free);
  return TRUE;
}

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Dial *self = g_task_get_task_data (task);
  GError *error = NULL;
  GList *addresses = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);
  gboolean done = FALSE;

  if (self->overdue) {
    g_clear_error (&error);
    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                         _ ("%s: the name was not resolved within %u ms: check the name, and "
                            "whether the DNS server answers"),
                         self->display, self->timeout_ms);
  } else if (addresses == NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_autoptr (GError) reason = g_steal_pointer (&error);

    error =
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("%s: the name cannot be resolved: %s"),
                     self->display, reason == NULL ? _ ("it has no address") : reason->message);
  }
  for (GList *l = error == NULL ? addresses : NULL; l != NULL && !done; l = l->next) {
    g_clear_error (&error);
    done = try (task, l->data, &error);
  }
  g_list_free_full (addresses, g_object_unref);
  if (!done)
    g_task_return_error (task, error);
}

static gboolean
on_deadline (gpointer user_data)
{
  GTask *task = user_data;
  Dial *self = g_task_get_task_data (task);

  self->overdue = TRUE;
  g_cancellable_cancel (g_task_get_cancellable (task));
  return G_SOURCE_REMOVE;
}

void
udp_dial_async (const HyphaInetAddress *address, const char *display, guint timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  g_autoptr (GResolver) resolver = NULL;
  GError *error = NULL;
  Dial *self = g_new0 (Dial, 1);

  self->address = address;
  self->display = g_strdup (display);
  self->timeout_ms = timeout_ms;
  g_task_set_task_data (task, self, dial_free);
  g_task_set_source_tag (task, udp_dial_async);
  /* It may be cancelled by the deadline, which has a word of its own. */
  g_task_set_check_cancellable (task, FALSE);
  if (g_cancellable_set_error_if_cancelled (cancellable, &error)) {
    g_task_return_error (task, error);
    return;
  }
  if (address->numeric != NULL) {
    if (!try (task, address->numeric, &error))
      g_task_return_error (task, error);
    return;
  }
  self->deadline = g_timeout_source_new (timeout_ms);
  g_source_set_callback (self->deadline, on_deadline, task, NULL);
  g_source_attach (self->deadline, g_task_get_context (task));
  resolver = g_resolver_get_default ();
  g_resolver_lookup_by_name_async (resolver, address->host, cancellable, on_resolved,
                                   g_steal_pointer (&task));
}

int
udp_dial_finish (GAsyncResult *result, HyphaInetSockaddr *peer, GError **error)
{
  g_autofree Outcome *outcome = g_task_propagate_pointer (G_TASK (result), error);

  if (outcome == NULL)
    return -1;
  *peer = outcome->peer;
  return outcome->fd;
}
