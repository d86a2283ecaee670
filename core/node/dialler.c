/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/dialler.h"

#include <glib/gi18n-lib.h>

#include "loader/dial.h"

#define FIRST_WAIT 1000
#define LONGEST_WAIT 60000
#define CALM                                                                           \
  (60 * G_TIME_SPAN_SECOND) /* a link that lived as long makes the back-off start anew \
                             */

struct _HyphaDialler {
  grefcount ref_count;
  HyphaLoader *loader;
  char *uri;
  HyphaEndpoint *endpoint;
  gboolean permanent, suggested;
  gboolean tried;  /* at least one attempt has ended */
  gboolean was_up; /* at least once */
  gboolean stopped;
  HyphaDiallerEvents events;
  gpointer user_data;
  HyphaDiallerState state;
  guint wait; /* ms, the next back-off */
  guint timer;
  gboolean step_up; /* the other end wants TLS */
  GCancellable *cancellable;
  HyphaNodeLink *link;
  HyphaNodeId peer;
  gboolean peer_known, peer_expected;
  char *trouble;
  GPtrArray *waiters; /* of GTask */
};

static void try (HyphaDialler *self);

HyphaDialler *
hypha_dialler_new (HyphaLoader *loader, const char *uri, gboolean permanent,
                   const HyphaDiallerEvents *events, gpointer user_data, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_loader_check_link_endpoint (loader, uri, error);
  HyphaDialler *self;
  const char *id;

  if (endpoint == NULL)
    return NULL;
  self = g_new0 (HyphaDialler, 1);
  g_ref_count_init (&self->ref_count);
  self->loader = g_object_ref (loader);
  self->uri = g_strdup (uri);
  self->endpoint = g_steal_pointer (&endpoint);
  self->permanent = permanent;
  self->events = *events;
  self->user_data = user_data;
  self->wait = FIRST_WAIT;
  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  id = hypha_endpoint_get_option (self->endpoint, "id");
  if (id != NULL && hypha_node_id_parse (id, &self->peer, NULL))
    self->peer_known = self->peer_expected = TRUE;
  return self;
}

HyphaDialler *
hypha_dialler_ref (HyphaDialler *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
hypha_dialler_unref (HyphaDialler *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->link);
  g_object_unref (self->loader);
  hypha_endpoint_unref (self->endpoint);
  g_ptr_array_unref (self->waiters);
  g_free (self->uri);
  g_free (self->trouble);
  g_free (self);
}

static void
set_state (HyphaDialler *self, HyphaDiallerState state)
{
  self->state = state;
  if (!self->stopped)
    self->events.changed (self, self->user_data);
}

static void
answer_waiters (HyphaDialler *self, const GError *error)
{
  g_autoptr (GPtrArray) waiters = g_steal_pointer (&self->waiters);

  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < waiters->len; i++) {
    GTask *task = waiters->pdata[i];

    if (g_task_get_completed (task))
      continue;
    if (error != NULL)
      g_task_return_error (task, g_error_copy (error));
    else
      g_task_return_pointer (task, g_object_ref (self->link), g_object_unref);
  }
}

static gboolean
timer_fired (gpointer data)
{
  HyphaDialler *self = data;

  self->timer = 0;
  try (self);
  return G_SOURCE_REMOVE;
}

static void
try_after (HyphaDialler *self, guint delay)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  self->timer = g_timeout_add (delay, timer_fired, self);
}

void
hypha_dialler_failed (HyphaDialler *self, const GError *error, gboolean tls_required)
{
  g_autoptr (HyphaDialler) kept = hypha_dialler_ref (self); /* whoever waits may drop it */
  gboolean lived_long = self->link != NULL && self->state == HYPHA_DIALLER_UP &&
                        g_get_monotonic_time () - hypha_node_link_get_born (self->link) > CALM;

  if (self->stopped)
    return;
  g_clear_object (&self->link);
  self->tried = TRUE;
  if (tls_required && !self->step_up) {
    self->step_up = TRUE;
    try_after (self, 0);
    return;
  }
  if (lived_long)
    self->wait = FIRST_WAIT;
  g_free (self->trouble);
  self->trouble = g_strdup (error->message);
  /* What nobody has asked for is nothing that has gone wrong. */
  g_log (G_LOG_DOMAIN, hypha_dialler_is_suggested (self) ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_MESSAGE,
         "%s: %s", hypha_endpoint_to_string (self->endpoint), error->message);
  answer_waiters (self, error);
  if (kept->stopped)
    return;

  /* Both ends of a lost link, and many guests of one host, must not dial in step. */
  try_after (self, (guint) g_random_int_range ((gint32) (self->wait / 2), (gint32) self->wait + 1));
  self->wait = MIN (self->wait * 2, LONGEST_WAIT);
  set_state (self, HYPHA_DIALLER_WAITING);
}

static void
connect_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HyphaDialler) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);
  const char *tls;

  if (self->stopped)
    return;
  g_clear_object (&self->cancellable);
  if (channel == NULL) {
    hypha_dialler_failed (self, error, FALSE);
    return;
  }
  tls = hypha_endpoint_get_option (self->endpoint, "tls");
  self->events.connected (self, channel, self->peer_expected ? &self->peer : NULL,
                          self->step_up || g_strcmp0 (tls, "always") == 0, self->user_data);
}

static void
try (HyphaDialler *self)
{
  /* Its transport may have come since. */
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint =
      hypha_loader_check_link_endpoint (self->loader, self->uri, &error);

  set_state (self, HYPHA_DIALLER_TRYING);
  if (endpoint == NULL ||
      (self->events.may_use != NULL && !self->events.may_use (endpoint, self->user_data, &error))) {
    hypha_dialler_failed (self, error, FALSE);
    return;
  }
  hypha_endpoint_unref (self->endpoint);
  self->endpoint = g_steal_pointer (&endpoint);
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
  hypha_loader_dial_async (self->loader, self->uri, HYPHA_DIAL_TIMEOUT_MS, self->cancellable,
                           connect_done, hypha_dialler_ref (self));
}

void
hypha_dialler_start (HyphaDialler *self, guint delay_ms)
{
  try_after (self, delay_ms);
}

void
hypha_dialler_stop (HyphaDialler *self)
{
  g_autoptr (GError) error = NULL;

  if (self->stopped)
    return;
  self->stopped = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->cancellable != NULL)
    g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->link);
  error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("%s is no longer dialled"), self->uri);
  answer_waiters (self, error);
}

void
hypha_dialler_hurry (HyphaDialler *self)
{
  self->wait = FIRST_WAIT;
  if (self->stopped || self->timer == 0 || self->state != HYPHA_DIALLER_WAITING)
    return;
  try_after (self, 0);
}

void
hypha_dialler_await (HyphaDialler *self, GTask *task)
{
  if (self->state == HYPHA_DIALLER_UP || self->state == HYPHA_DIALLER_TWIN) {
    g_task_return_pointer (task, g_object_ref (self->link), g_object_unref);
    return;
  }
  g_ptr_array_add (self->waiters, g_object_ref (task));
  hypha_dialler_hurry (self);
}

void
hypha_dialler_await_no_more (HyphaDialler *self, GTask *task)
{
  G_GNUC_UNUSED g_autoptr (GTask) held = g_object_ref (task);

  if (g_ptr_array_remove_fast (self->waiters, task))
    g_task_return_error_if_cancelled (task);
}

void
hypha_dialler_met (HyphaDialler *self, const HyphaNodeId *id)
{
  if (self->peer_expected)
    return;
  self->peer = *id;
  self->peer_known = TRUE;
}

void
hypha_dialler_adopted (HyphaDialler *self, HyphaNodeLink *link)
{
  g_set_object (&self->link, link);
}

void
hypha_dialler_link_up (HyphaDialler *self)
{
  if (self->stopped)
    return;
  g_clear_pointer (&self->trouble, g_free);
  self->was_up = TRUE;
  set_state (self, HYPHA_DIALLER_UP);
  answer_waiters (self, NULL);
}

void
hypha_dialler_rest (HyphaDialler *self, HyphaNodeLink *twin)
{
  if (self->stopped)
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_pointer (&self->trouble, g_free);
  self->was_up = TRUE;
  self->wait = FIRST_WAIT;
  g_set_object (&self->link, twin);
  set_state (self, HYPHA_DIALLER_TWIN);
  answer_waiters (self, NULL);
}

const char *
hypha_dialler_get_uri (HyphaDialler *self)
{
  return self->uri;
}

HyphaEndpoint *
hypha_dialler_get_endpoint (HyphaDialler *self)
{
  return self->endpoint;
}

HyphaDiallerState
hypha_dialler_get_state (HyphaDialler *self)
{
  return self->state;
}

const char *
hypha_dialler_get_trouble (HyphaDialler *self)
{
  return self->trouble;
}

const HyphaNodeId *
hypha_dialler_get_peer (HyphaDialler *self)
{
  return self->peer_known ? &self->peer : NULL;
}

HyphaNodeLink *
hypha_dialler_get_link (HyphaDialler *self)
{
  return self->link;
}

gboolean
hypha_dialler_is_permanent (HyphaDialler *self)
{
  return self->permanent;
}

void
hypha_dialler_set_permanent (HyphaDialler *self, gboolean permanent)
{
  self->permanent = permanent;
}

gboolean
hypha_dialler_is_suggested (HyphaDialler *self)
{
  return self->suggested && !self->permanent;
}

void
hypha_dialler_set_suggested (HyphaDialler *self, gboolean suggested)
{
  self->suggested = suggested;
}

void
hypha_dialler_expect (HyphaDialler *self, const HyphaNodeId *id)
{
  self->peer = *id;
  self->peer_known = self->peer_expected = TRUE;
}

gboolean
hypha_dialler_is_unwanted (HyphaDialler *self)
{
  return !self->permanent && !self->suggested && !self->was_up && self->waiters->len == 0;
}

gboolean
hypha_dialler_is_spent (HyphaDialler *self)
{
  return hypha_dialler_is_unwanted (self) && self->tried && self->state == HYPHA_DIALLER_WAITING;
}
