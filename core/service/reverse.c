/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/reverse.h"

#include <glib/gi18n-lib.h>

#include "api/hypha-text.h"
#include "node/telling.h"
#include "service/forward-talk.h"
#include "service/hearer.h"
#include "service/mirror.h"

/* For the peer to listen, where there is a link to it. */
#define ANSWER_MS 10000

struct _HyphaReverse {
  char *local, *name; /* as they were given */
  HyphaReverseChanged changed;
  gpointer user_data;

  HyphaHearer *hearer;
  gboolean open, closed;
  HyphaForwardNews news;        /* the last; holds while the hearer hears */
  char *reason;                 /* as it was told last */
  guint64 before_rx, before_tx; /* of streams of news that have ended */
  GPtrArray *waiters;           /* of GTask */
  guint patience, settling;
  HyphaTelling telling;
};

/* What goes wrong with the stream, and what mends it; NULL: nothing does. */
static GError *
dup_trouble (HyphaReverse *self)
{
  const GError *trouble = hypha_hearer_get_trouble (self->hearer);

  if (g_error_matches (trouble, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE) ||
      g_error_matches (trouble, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED))
    return g_error_new (trouble->domain, trouble->code,
                        _ ("%s; its setting services has to name this node in 'peers' of a service "
                           "'forward' with the target 'forward'"),
                        trouble->message);
  return trouble != NULL ? g_error_copy (trouble) : NULL;
}

/* ---- who waits ---- */

static void
stop_waiting (HyphaReverse *self, const GError *error)
{
  g_autoptr (GPtrArray) waiters = g_steal_pointer (&self->waiters);

  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  g_clear_handle_id (&self->patience, g_source_remove);
  g_clear_handle_id (&self->settling, g_source_remove);
  for (guint i = 0; i < waiters->len; i++) {
    if (error != NULL)
      g_task_return_error (waiters->pdata[i], g_error_copy (error));
    else
      g_task_return_pointer (waiters->pdata[i], g_strdup (self->local), g_free);
  }
}

/* Who waits is answered as soon as there is something to be said. It may free SELF. */
static gboolean
on_settling (gpointer data)
{
  HyphaReverse *self = data;
  const char *state = hypha_reverse_get_state (self);
  g_autoptr (GError) error = NULL;

  self->settling = 0;
  if (!hypha_hearer_has_link (self->hearer) || g_str_equal (state, "listening")) {
    stop_waiting (self, NULL);
  } else if (g_str_equal (state, "failed")) {
    error = dup_trouble (self);
    if (error == NULL)
      error =
          g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_REFUSED, hypha_reverse_get_reason (self));
    stop_waiting (self, error);
  }
  return G_SOURCE_REMOVE;
}

/* Not now: whoever tells of a change is not to be freed by it. */
static void
settle (HyphaReverse *self)
{
  if (self->waiters->len > 0 && self->settling == 0)
    self->settling = g_idle_add_full (G_PRIORITY_DEFAULT, on_settling, self, NULL);
}

static gboolean
on_patience (gpointer data)
{
  HyphaReverse *self = data;
  g_autoptr (GError) error = g_error_new (
      HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, _ ("%s does not listen on %s after %d s: %s"), self->name,
      self->local, ANSWER_MS / 1000, hypha_reverse_get_reason (self));

  self->patience = 0;
  stop_waiting (self, error);
  return G_SOURCE_REMOVE;
}

/* ---- what the peer tells ---- */

static void
tell_trouble (HyphaReverse *self)
{
  g_autofree char *quoted = hypha_text_quote (self->news.reason);
  g_autofree char *about =
      g_strdup_printf ("forward %s, listened on by %s: ", self->local, self->name);

  hypha_telling_tell (&self->telling, about, quoted, "reasons were not told");
}

static gboolean
on_heard (const char *line, gsize length, gpointer user_data, GError **error)
{
  HyphaReverse *self = user_data;
  g_auto (HyphaForwardNews) news = { NULL, NULL, NULL, 0, 0, NULL };
  gboolean told;

  if (!hypha_forward_news_parse (&news, line, length, error))
    return FALSE;
  told = g_strcmp0 (self->news.reason, news.reason) == 0;
  hypha_forward_news_clear (&self->news);
  self->news = news;
  news = (HyphaForwardNews){ NULL, NULL, NULL, 0, 0, NULL };
  if (!told && *self->news.reason != '\0')
    tell_trouble (self);
  settle (self);
  self->changed (self->user_data);
  return TRUE;
}

/* What the peer counts begins anew with the next stream. */
static void
on_lost (gpointer user_data)
{
  HyphaReverse *self = user_data;

  self->before_rx += self->news.sent;
  self->before_tx += self->news.received;
  hypha_forward_news_clear (&self->news);
  self->news.received = self->news.sent = 0;
  settle (self);
  self->changed (self->user_data);
}

static const HyphaHearerKind news_kind = {
  .service = HYPHA_FORWARD_SERVICE,
  .longest = HYPHA_FORWARD_NEWS_MAX,
  .no_more = N_ ("the peer listens for this node no more"),
  .heard = on_heard,
  .lost = on_lost,
};

/* ---- life ---- */

/* Its transport is the peer's affair, and need not be here. */
static gboolean
check_local (const char *local, const char *target, GError **error)
{
  g_autofree char *sample = hypha_mirror_dup_sample (local, target);
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (sample, error);

  return endpoint != NULL;
}

HyphaReverse *
hypha_reverse_new (HyphaNode *node, const char *local, const char *peer, const char *target,
                   HyphaReverseChanged changed, gpointer user_data, GError **error)
{
  g_autofree char *order = check_local (local, target, error)
                               ? hypha_forward_order_to_line (local, target, error)
                               : NULL;
  HyphaReverse *self;

  if (order == NULL)
    return NULL;
  self = g_new0 (HyphaReverse, 1);
  self->local = g_strdup (local);
  self->name = g_strdup (peer);
  self->changed = changed;
  self->user_data = user_data;
  self->hearer = hypha_hearer_new (node, peer, local, order, &news_kind, self);
  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  return self;
}

void
hypha_reverse_open (HyphaReverse *self)
{
  if (self->open || self->closed)
    return;
  self->open = TRUE;
  hypha_hearer_open (self->hearer);
}

void
hypha_reverse_await (HyphaReverse *self, GTask *task)
{
  hypha_reverse_open (self);
  g_ptr_array_add (self->waiters, g_object_ref (task));
  if (self->patience == 0)
    self->patience = g_timeout_add (ANSWER_MS, on_patience, self);
  settle (self);
}

void
hypha_reverse_close (HyphaReverse *self)
{
  g_autoptr (GError) error = NULL;

  if (self->closed)
    return;
  self->closed = TRUE;
  if (self->open)
    hypha_hearer_close (self->hearer);
  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                       _ ("%s is no longer asked to listen on %s"), self->name, self->local);
  stop_waiting (self, error);
}

void
hypha_reverse_free (HyphaReverse *self)
{
  hypha_hearer_unref (self->hearer);
  hypha_forward_news_clear (&self->news);
  g_ptr_array_unref (self->waiters);
  g_free (self->local);
  g_free (self->name);
  g_free (self->reason);
  g_free (self);
}

/* ---- what is told ---- */

const char *
hypha_reverse_get_bound (HyphaReverse *self)
{
  return g_str_equal (hypha_reverse_get_state (self), "listening") ? self->news.local : NULL;
}

const char *
hypha_reverse_get_state (HyphaReverse *self)
{
  if (self->news.state != NULL)
    return self->news.state;
  return hypha_hearer_has_failed (self->hearer) ? "failed" : "opening";
}

const char *
hypha_reverse_get_reason (HyphaReverse *self)
{
  g_autoptr (GError) trouble = dup_trouble (self);

  g_clear_pointer (&self->reason, g_free);
  if (self->news.state == NULL && !hypha_hearer_has_failed (self->hearer) &&
      hypha_hearer_has_link (self->hearer))
    self->reason = g_strdup_printf (_ ("%s has not said yet whether it listens"), self->name);
  else if (trouble != NULL)
    self->reason = g_strdup (trouble->message);
  else if (self->news.state != NULL && *self->news.reason != '\0')
    self->reason = g_strdup_printf (_ ("at %s: %s"), self->name, self->news.reason);
  return self->reason != NULL ? self->reason : "";
}

GVariant *
hypha_reverse_dup_ports (HyphaReverse *self)
{
  return self->news.ports != NULL ? g_variant_ref (self->news.ports)
                                  : g_variant_ref_sink (g_variant_new ("aq", NULL));
}

void
hypha_reverse_get_counters (HyphaReverse *self, guint64 *rx_bytes, guint64 *tx_bytes)
{
  *rx_bytes = self->before_rx + self->news.sent;
  *tx_bytes = self->before_tx + self->news.received;
}
