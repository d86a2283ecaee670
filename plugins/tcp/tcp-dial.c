/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp-dial.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

/* A name may have any number of addresses, and each costs a descriptor. */
#define MAX_ADDRESSES 16

/* One connect to one name or address: the data of its task. */
typedef struct {
  char *display;
  guint timeout_ms;
  GArray *addresses; /* of HyphaInetSockaddr */
  guint next;        /* the next of them to try */
  guint held;        /* lookups, attempts and callbacks under way: the task returns when none is */

  GCancellable *ending; /* ends all that is under way */
  GSource *stagger;
  GSource *deadline;
  GSource *cancelled;

  GString *failures; /* one sentence for each address that failed */
  guint n_failures;

  gboolean settled; /* then fd or error holds the outcome */
  int fd;
  GError *error;
} Dial;

static void start_next (GTask *task);

static void
drop_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
dial_free (Dial *self)
{
  g_assert (self->stagger == NULL && self->deadline == NULL && self->cancelled == NULL);
  if (self->fd >= 0)
    close (self->fd);
  g_clear_error (&self->error);
  g_string_free (self->failures, TRUE);
  g_object_unref (self->ending);
  g_array_unref (self->addresses);
  g_free (self->display);
  g_free (self);
}

static GTask *
hold (GTask *task)
{
  Dial *self = g_task_get_task_data (task);

  self->held++;
  return g_object_ref (task);
}

/* The outcome is told only when every attempt has closed its descriptor. */
static void
release (GTask *task)
{
  Dial *self = g_task_get_task_data (task);

  g_assert (self->held > 0);
  self->held--;
  if (self->held == 0 && self->settled) {
    if (self->error != NULL)
      g_task_return_error (task, g_steal_pointer (&self->error));
    else {
      int fd = self->fd;

      self->fd = -1;
      g_task_return_int (task, fd);
    }
  }
  g_object_unref (task);
}

/* Takes FD or ERROR. Only within hold and release. */
static void
settle (GTask *task, int fd, GError *error)
{
  Dial *self = g_task_get_task_data (task);

  if (self->settled) {
    if (fd >= 0)
      close (fd);
    g_clear_error (&error);
    return;
  }
  self->settled = TRUE;
  self->fd = fd;
  self->error = error;
  drop_source (&self->stagger);
  drop_source (&self->deadline);
  drop_source (&self->cancelled);
  g_cancellable_cancel (self->ending);
}

static gboolean
on_stagger (gpointer user_data)
{
  GTask *task = hold (user_data);
  Dial *self = g_task_get_task_data (task);

  drop_source (&self->stagger);
  start_next (task);
  release (task);
  return G_SOURCE_REMOVE;
}

static gboolean
on_deadline (gpointer user_data)
{
  GTask *task = hold (user_data);
  Dial *self = g_task_get_task_data (task);
  const char *why =
      self->addresses->len == 0
          ? _ ("its name was not resolved in time: check the name, and whether the DNS server "
               "answers")
          : _ ("check whether something listens there, and whether a firewall drops what comes");

  settle (task, -1,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("%s: no connection within %u ms: %s%s%s"), self->display,
                       self->timeout_ms, why, self->n_failures > 0 ? _ ("; before that: ") : "",
                       self->failures->str));
  release (task);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  GTask *task = hold (user_data);
  Dial *self = g_task_get_task_data (task);

  settle (task, -1,
          g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("%s: connecting was cancelled"),
                       self->display));
  release (task);
  return G_SOURCE_REMOVE;
}

static void
settle_failed (GTask *task, GError *last)
{
  Dial *self = g_task_get_task_data (task);

  if (self->addresses->len > 1) {
    g_error_free (last);
    last = g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: none of its %u addresses could be connected to: %s"), self->display,
                        self->addresses->len, self->failures->str);
  }
  settle (task, -1, last);
}

static void
on_attempt (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Dial *self = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd >= 0)
    settle (task, fd, NULL);
  else if (!self->settled) {
    g_string_append_printf (self->failures, "%s%s", self->n_failures > 0 ? "; " : "",
                            error->message);
    self->n_failures++;
    if (self->next < self->addresses->len)
      start_next (task);
    else if (self->n_failures == self->addresses->len)
      settle_failed (task, g_steal_pointer (&error));
  }
  release (task);
}

/* Tries the next address, and sets the time for the one after it. */
static void
start_next (GTask *task)
{
  Dial *self = g_task_get_task_data (task);
  const HyphaInetSockaddr *address =
      &g_array_index (self->addresses, HyphaInetSockaddr, self->next++);
  const struct sockaddr *generic = (const struct sockaddr *) &address->storage;
  g_autoptr (HyphaEndpoint) numeric = hypha_inet_sockaddr_to_endpoint ("tcp", generic);
  /* The user wrote the endpoint, so messages say that, unless there are several addresses to tell
   * apart. */
  const char *display =
      self->addresses->len > 1 ? hypha_endpoint_to_string (numeric) : self->display;

  drop_source (&self->stagger);
  if (self->next < self->addresses->len) {
    self->stagger = g_timeout_source_new (TCP_DIAL_STAGGER_MS);
    g_task_attach_source (task, self->stagger, on_stagger);
  }
  hypha_socket_connect_async (generic, address->length, display, 0, self->ending, on_attempt,
                              hold (task));
}

static gboolean
add_address (Dial *self, const HyphaInetAddress *address, GInetAddress *numeric, GError **error)
{
  g_autoptr (GError) local = NULL;
  HyphaInetSockaddr sockaddr;

  if (!hypha_inet_address_to_sockaddr (address, numeric, &sockaddr, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, "%s: %s", self->display, local->message);
    return FALSE;
  }
  g_array_append_val (self->addresses, sockaddr);
  return TRUE;
}

GList *
tcp_dial_interleave (GList *addresses)
{
  GList *families[2] = { NULL, NULL };
  GList *out = NULL;
  GSocketFamily first;

  if (addresses == NULL)
    return NULL;
  first = g_inet_address_get_family (addresses->data);
  while (addresses != NULL) {
    GList *link = g_list_last (addresses);
    guint side = g_inet_address_get_family (link->data) == first ? 0 : 1;

    addresses = g_list_remove_link (addresses, link);
    families[side] = g_list_concat (link, families[side]);
  }
  for (guint turn = 0; families[0] != NULL || families[1] != NULL; turn ^= 1) {
    GList *link = families[turn];

    if (link == NULL)
      continue;
    families[turn] = g_list_remove_link (families[turn], link);
    out = g_list_concat (out, link);
  }
  return out;
}

/* A lookup, and the address whose name it looks up. */
typedef struct {
  GTask *task;
  guint16 port;
} Lookup;

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Lookup *lookup = user_data;
  GTask *task = lookup->task;
  Dial *self = g_task_get_task_data (task);
  const HyphaInetAddress with_port = { .port = lookup->port };
  g_autoptr (GError) error = NULL;
  GList *addresses = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  addresses = tcp_dial_interleave (addresses);
  for (GList *l = addresses; l != NULL && self->addresses->len < MAX_ADDRESSES; l = l->next)
    add_address (self, &with_port, l->data, NULL);
  g_list_free_full (addresses, g_object_unref);
  if (self->addresses->len == 0)
    settle (task, -1,
            g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                         _ ("%s: the name cannot be resolved: %s"), self->display,
                         error == NULL ? _ ("it has no address") : error->message));
  else if (!self->settled)
    start_next (task);
  release (task);
}

static void
dial_start (GTask *task, const HyphaInetAddress *address)
{
  Dial *self = g_task_get_task_data (task);
  GError *error = NULL;

  if (address->numeric == NULL) {
    g_autoptr (GResolver) resolver = g_resolver_get_default ();
    Lookup *lookup = g_new (Lookup, 1);

    *lookup = (Lookup){ hold (task), address->port };
    g_resolver_lookup_by_name_async (resolver, address->host, self->ending, on_resolved, lookup);
  } else if (add_address (self, address, address->numeric, &error))
    start_next (task);
  else
    settle (task, -1, error);
}

void
tcp_dial_async (const HyphaInetAddress *address, const char *display, guint timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Dial *self = g_new0 (Dial, 1);

  g_task_set_source_tag (task, tcp_dial_async);
  g_task_set_name (task, "tcp-dial");
  /* A result that was there before it was cancelled is a descriptor, which GTask would not know to
   * close. */
  g_task_set_check_cancellable (task, FALSE);
  self->display = g_strdup (display);
  self->timeout_ms = timeout_ms;
  self->addresses = g_array_new (FALSE, FALSE, sizeof (HyphaInetSockaddr));
  self->ending = g_cancellable_new ();
  self->failures = g_string_new (NULL);
  self->fd = -1;
  g_task_set_task_data (task, self, (GDestroyNotify) dial_free);
  hold (task);

  self->deadline = g_timeout_source_new (timeout_ms);
  g_task_attach_source (task, self->deadline, on_deadline);
  if (cancellable != NULL) {
    self->cancelled = g_cancellable_source_new (cancellable);
    g_task_attach_source (task, self->cancelled, G_SOURCE_FUNC (on_cancelled));
  }
  if (g_cancellable_is_cancelled (cancellable))
    on_cancelled (cancellable, task);
  else
    dial_start (task, address);
  release (task);
  g_object_unref (task);
}

int
tcp_dial_finish (GAsyncResult *result, GError **error)
{
  return (int) g_task_propagate_int (G_TASK (result), error);
}
