/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-inet-address.h"

#include <glib/gi18n-lib.h>

#include "hypha-base-transport.h"
#include "hypha-error.h"
#include "hypha-source.h"

/* A name may have any number of addresses, and each costs a descriptor. */
#define MAX_ADDRESSES 16

/* One connect to a name or an address. */
typedef struct {
  GTask *task; /* keeps address alive */
  const HyphaInetAddress *address;
  const char *scheme; /* the task's, as is display */
  const char *display;
  guint timeout_ms;
  HyphaInetConnectFunc func;

  GArray *addresses; /* of HyphaInetSockaddr */
  guint next;        /* the next of them to try */
  guint held;        /* lookups, attempts and callbacks under way: it ends when none is */

  GCancellable *ending; /* ends all that is under way */
  GSource *stagger;
  GSource *deadline;
  GSource *cancelled;

  GString *failures; /* one sentence for each address that failed */
  guint n_failures;

  gboolean settled; /* then channel or error holds the outcome */
  HyphaChannel *channel;
  GError *error;
} Race;

static void start_next (Race *self);

static void
race_free (Race *self)
{
  g_assert (self->stagger == NULL && self->deadline == NULL && self->cancelled == NULL);
  g_string_free (self->failures, TRUE);
  g_object_unref (self->ending);
  g_array_unref (self->addresses);
  g_object_unref (self->task);
  g_free (self);
}

static Race *
hold (Race *self)
{
  self->held++;
  return self;
}

/* The outcome is told only when nothing is under way any more. */
static void
release (Race *self)
{
  g_assert (self->held > 0);
  self->held--;
  if (self->held > 0 || !self->settled)
    return;
  if (self->error != NULL)
    g_task_return_error (self->task, g_steal_pointer (&self->error));
  else
    g_task_return_pointer (self->task, g_steal_pointer (&self->channel), g_object_unref);
  race_free (self);
}

/* Takes CHANNEL or ERROR. Only within hold and release. */
static void
settle (Race *self, HyphaChannel *channel, GError *error)
{
  if (self->settled) {
    g_clear_object (&channel);
    g_clear_error (&error);
    return;
  }
  self->settled = TRUE;
  self->channel = channel;
  self->error = error;
  hypha_clear_source (&self->stagger);
  hypha_clear_source (&self->deadline);
  hypha_clear_source (&self->cancelled);
  g_cancellable_cancel (self->ending);
}

/* Takes SOURCE, and gives it back. */
static GSource *
attach (Race *self, GSource *source, GSourceFunc func)
{
  g_source_set_callback (source, func, self, NULL);
  g_source_attach (source, g_task_get_context (self->task));
  return source;
}

static gboolean
on_stagger (gpointer user_data)
{
  Race *self = hold (user_data);

  hypha_clear_source (&self->stagger);
  start_next (self);
  release (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_deadline (gpointer user_data)
{
  Race *self = hold (user_data);
  const char *why =
      self->addresses->len == 0
          ? _ ("its name was not resolved in time: check the name, and whether the DNS server "
               "answers")
          : _ ("check whether something listens there, and whether a firewall drops what comes");

  settle (self, NULL,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("%s: no connection within %u ms: %s%s%s"), self->display,
                       self->timeout_ms, why, self->n_failures > 0 ? _ ("; before that: ") : "",
                       self->failures->str));
  release (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Race *self = hold (user_data);

  settle (self, NULL,
          g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("%s: connecting was cancelled"),
                       self->display));
  release (self);
  return G_SOURCE_REMOVE;
}

/* ---- attempts ---- */

static void
settle_failed (Race *self, GError *last)
{
  if (self->addresses->len > 1) {
    g_error_free (last);
    last = g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: none of its %u addresses could be connected to: %s"), self->display,
                        self->addresses->len, self->failures->str);
  }
  settle (self, NULL, last);
}

static void
on_attempted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *self = user_data;
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = g_task_propagate_pointer (G_TASK (result), &error);

  if (channel != NULL)
    settle (self, channel, NULL);
  else if (!self->settled) {
    g_string_append_printf (self->failures, "%s%s", self->n_failures > 0 ? "; " : "",
                            error->message);
    self->n_failures++;
    if (self->next < self->addresses->len)
      start_next (self);
    else if (self->n_failures == self->addresses->len)
      settle_failed (self, g_steal_pointer (&error));
  }
  release (self);
}

/* Tries the next address, and sets the time for the one after it. */
static void
start_next (Race *self)
{
  const HyphaInetSockaddr *address =
      &g_array_index (self->addresses, HyphaInetSockaddr, self->next++);
  g_autoptr (HyphaEndpoint) numeric =
      hypha_inet_sockaddr_to_endpoint (self->scheme, (const struct sockaddr *) &address->storage);
  GTask *attempt =
      g_task_new (g_task_get_source_object (self->task), self->ending, on_attempted, hold (self));

  g_task_set_source_tag (attempt, start_next);
  g_task_set_name (attempt, "hypha-inet-attempt");
  /* It comes to its own end when it is cancelled, and may have a channel by then. */
  g_task_set_check_cancellable (attempt, FALSE);
  hypha_clear_source (&self->stagger);
  if (self->next < self->addresses->len)
    self->stagger = attach (self, g_timeout_source_new (HYPHA_INET_STAGGER_MS), on_stagger);
  /* The user wrote the endpoint, so messages say that, unless there are several addresses to tell
   * apart. */
  self->func (self->task, attempt, address,
              self->addresses->len > 1 ? hypha_endpoint_to_string (numeric) : self->display,
              self->ending);
}

/* ---- addresses ---- */

static gboolean
add_address (Race *self, GInetAddress *numeric, GError **error)
{
  g_autoptr (GError) local = NULL;
  HyphaInetSockaddr sockaddr;

  if (!hypha_inet_address_to_sockaddr (self->address, numeric, &sockaddr, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, "%s: %s", self->display, local->message);
    return FALSE;
  }
  g_array_append_val (self->addresses, sockaddr);
  return TRUE;
}

/* The families take turns, as RFC 8305 says, beginning with what the resolver put first. */
static void
add_in_turns (Race *self, GList *addresses)
{
  GList *sides[2] = { addresses, addresses };
  GSocketFamily first =
      addresses != NULL ? g_inet_address_get_family (addresses->data) : G_SOCKET_FAMILY_INVALID;

  for (guint turn = 0;
       (sides[0] != NULL || sides[1] != NULL) && self->addresses->len < MAX_ADDRESSES; turn ^= 1) {
    while (sides[turn] != NULL &&
           (g_inet_address_get_family (sides[turn]->data) == first) != (turn == 0))
      sides[turn] = sides[turn]->next;
    if (sides[turn] == NULL)
      continue;
    add_address (self, sides[turn]->data, NULL);
    sides[turn] = sides[turn]->next;
  }
}

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *self = user_data;
  g_autoptr (GError) error = NULL;
  GList *addresses = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  add_in_turns (self, addresses);
  g_list_free_full (addresses, g_object_unref);
  if (self->addresses->len == 0)
    settle (self, NULL,
            g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                         _ ("%s: the name cannot be resolved: %s"), self->display,
                         error == NULL ? _ ("it has no address") : error->message));
  else if (!self->settled)
    start_next (self);
  release (self);
}

static void
race_start (Race *self)
{
  GError *error = NULL;

  if (self->address->numeric == NULL) {
    g_autoptr (GResolver) resolver = g_resolver_get_default ();

    g_resolver_lookup_by_name_async (resolver, self->address->host, self->ending, on_resolved,
                                     hold (self));
  } else if (add_address (self, self->address->numeric, &error))
    start_next (self);
  else
    settle (self, NULL, error);
}

/**
 * hypha_inet_address_connect:
 * @self: where to connect to
 * @timeout_ms: bounds the whole of it, name and all, in milliseconds; at least 1
 * @task: (transfer full): that of [vfunc@Hypha.BaseTransport.connect], which keeps @self alive;
 *   returns the channel
 * @cancellable: (nullable): of the transport, as [vfunc@Hypha.BaseTransport.connect] has it
 * @func: (scope async): connects to one address
 *
 * Connects to the first address that answers: one after another, %HYPHA_INET_STAGGER_MS apart or as
 * soon as one has failed, the families by turns (RFC 8305). When @task returns, nothing of it goes
 * on any longer. The error is %HYPHA_ERROR_CONNECT where no address answers or the name has none,
 * %HYPHA_ERROR_TIMED_OUT, %G_IO_ERROR_CANCELLED, %HYPHA_ERROR_INVALID_ARGUMENT for what can be
 * listened on only, or, of a single address, that of @func.
 *
 * Since: ABI 1.2
 */
void
hypha_inet_address_connect (const HyphaInetAddress *self, guint timeout_ms, GTask *task,
                            GCancellable *cancellable, HyphaInetConnectFunc func)
{
  g_autoptr (GTask) owned = task;
  HyphaEndpoint *endpoint = hypha_base_transport_get_endpoint (task);
  const char *display = hypha_endpoint_to_string (endpoint);
  GError *error = NULL;
  Race *race;

  g_return_if_fail (self != NULL);
  g_return_if_fail (func != NULL);

  if (!hypha_inet_address_check_remote (self, display, &error)) {
    g_task_return_error (owned, error);
    return;
  }
  race = g_new0 (Race, 1);
  race->task = g_steal_pointer (&owned);
  race->address = self;
  race->scheme = hypha_endpoint_get_scheme (endpoint);
  race->display = display;
  race->timeout_ms = timeout_ms;
  race->func = func;
  race->addresses = g_array_new (FALSE, FALSE, sizeof (HyphaInetSockaddr));
  race->ending = g_cancellable_new ();
  race->failures = g_string_new (NULL);
  hold (race);

  race->deadline = attach (race, g_timeout_source_new (timeout_ms), on_deadline);
  if (cancellable != NULL)
    race->cancelled =
        attach (race, g_cancellable_source_new (cancellable), G_SOURCE_FUNC (on_cancelled));
  if (g_cancellable_is_cancelled (cancellable))
    on_cancelled (cancellable, race);
  else
    race_start (race);
  release (race);
}
