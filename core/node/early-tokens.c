/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node/early-tokens.h"

#include <glib/gi18n-lib.h>

/* So many are held, and for so long. */
#define MAX_HELD 16
#define HELD_US (250 * G_TIME_SPAN_MILLISECOND)

typedef struct {
  HyphaLink *link;
  gint64 since;
} Held;

struct _HyphaEarlyTokens {
  HyphaTokenRefusedFunc refused;
  gpointer user_data;
  GQueue held; /* of Held, the oldest first */
  guint timer;
};

static void
held_free (gpointer data)
{
  Held *held = data;

  g_clear_pointer (&held->link, hypha_link_free);
  g_free (held);
}

HyphaEarlyTokens *
hypha_early_tokens_new (HyphaTokenRefusedFunc refused, gpointer user_data)
{
  HyphaEarlyTokens *self = g_new0 (HyphaEarlyTokens, 1);

  self->refused = refused;
  self->user_data = user_data;
  g_queue_init (&self->held);
  return self;
}

void
hypha_early_tokens_free (HyphaEarlyTokens *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  g_queue_clear_full (&self->held, held_free);
  g_free (self);
}

static void
refuse_oldest (HyphaEarlyTokens *self)
{
  g_autoptr (GError) error = g_error_new_literal (
      HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
      _ ("the token of a direct stream that was shown is not expected (any more)"));

  held_free (g_queue_pop_head (&self->held));
  self->refused (error, self->user_data);
}

static gboolean
refuse_late (gpointer data)
{
  HyphaEarlyTokens *self = data;
  const gint64 now = g_get_monotonic_time ();
  Held *first;

  while ((first = g_queue_peek_head (&self->held)) != NULL && first->since + HELD_US <= now)
    refuse_oldest (self);
  self->timer = first != NULL ? g_timeout_add ((guint) ((first->since + HELD_US - now) / 1000) + 1,
                                               refuse_late, self)
                              : 0;
  return G_SOURCE_REMOVE;
}

/* Whoever comes last stays: an OPEN that goes with it is here in a moment. */
void
hypha_early_tokens_add (HyphaEarlyTokens *self, HyphaLink *link)
{
  Held *held = g_new (Held, 1);

  *held = (Held){ .link = link, .since = g_get_monotonic_time () };
  g_queue_push_tail (&self->held, held);
  if (g_queue_get_length (&self->held) > MAX_HELD)
    refuse_oldest (self);
  if (self->timer == 0)
    self->timer = g_timeout_add (HELD_US / 1000, refuse_late, self);
}

/* All are looked at, whichever it is: how long that takes tells nothing of a token. */
HyphaLink *
hypha_early_tokens_take (HyphaEarlyTokens *self, const guint8 *token)
{
  HyphaLink *link = NULL;
  GList *found = NULL;

  for (GList *l = self->held.head; l != NULL; l = l->next)
    if (hypha_token_equal (token, hypha_link_get_token (((Held *) l->data)->link)))
      found = l;
  if (found != NULL) {
    link = g_steal_pointer (&((Held *) found->data)->link);
    held_free (found->data);
    g_queue_delete_link (&self->held, found);
  }
  return link;
}

guint
hypha_early_tokens_get_n (HyphaEarlyTokens *self)
{
  return g_queue_get_length (&self->held);
}
