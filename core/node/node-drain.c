/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Before a node stops: the streams that are open may end in their own time. */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>

/* Until the workers have told that what was cut off has ended. */
#define CUT_MS 1000

struct _HyphaNodeDrain {
  HyphaNode *node;
  GPtrArray *peers; /* watched for the end of their streams */
  HyphaNodeFunc func;
  gpointer user_data;
  guint timer;  /* when time is up, or there is nothing to wait for */
  gboolean cut; /* time was up */
};

void
hypha_node_drain_free (HyphaNodeDrain *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  for (guint i = 0; i < self->peers->len; i++)
    g_signal_handlers_disconnect_by_data (self->peers->pdata[i], self);
  g_ptr_array_unref (self->peers);
  g_free (self);
}

static guint
count_streams (HyphaNodeDrain *self)
{
  guint n = 0;

  for (guint i = 0; i < self->peers->len; i++)
    n += hypha_node_peer_n_streams (self->peers->pdata[i]);
  return n;
}

/* Here rather than in hypha_node_stop(): whoever has one of the streams is told why it ends, while
 * there is still somebody to ask. */
static void
cut_off (HyphaNodeDrain *self)
{
  self->cut = TRUE;
  while (self->node->diallers->len > 0)
    hypha_node_drop_dialler (self->node, self->node->diallers->len - 1);
  for (guint i = 0; i < self->peers->len; i++)
    hypha_node_peer_stop (self->peers->pdata[i], HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_DISCONNECTED,
                          _ ("this node stops"));
}

static gboolean
on_end (gpointer user_data)
{
  HyphaNodeDrain *self = user_data;
  guint left = count_streams (self);

  self->timer = 0;
  if (left > 0 && !self->cut) {
    g_message ("%u streams have not ended in time, and are cut off", left);
    self->timer = g_timeout_add (CUT_MS, on_end, self);
    cut_off (self);
  } else {
    self->func (self->node, self->user_data);
  }
  return G_SOURCE_REMOVE;
}

void
hypha_node_drain_hurry (HyphaNode *self)
{
  HyphaNodeDrain *drain = self->drain;

  if (drain == NULL || drain->timer == 0 || drain->cut)
    return;
  g_source_remove (drain->timer);
  drain->timer = g_idle_add (on_end, drain);
}

/* Idle: whoever else wants to know of the stream is told first, and what its end left to be written
 * is written. */
static void
look (HyphaNodeDrain *self)
{
  if (self->timer == 0 || count_streams (self) > 0)
    return;
  g_source_remove (self->timer);
  self->timer = g_idle_add (on_end, self);
}

static void
watch_peer (HyphaNodeDrain *self, HyphaNodePeer *peer)
{
  hypha_node_peer_drain (peer);
  g_signal_connect_swapped (peer, "stream-closed", G_CALLBACK (look), self);
  g_ptr_array_add (self->peers, g_object_ref (peer));
}

void
hypha_node_drain (HyphaNode *self, guint grace_ms, HyphaNodeFunc func, gpointer user_data)
{
  HyphaNodeDrain *drain;

  g_return_if_fail (!self->stopped && self->drain == NULL);

  drain = g_new0 (HyphaNodeDrain, 1);
  drain->node = self;
  drain->peers = g_ptr_array_new_with_free_func (g_object_unref);
  drain->func = func;
  drain->user_data = user_data;
  drain->timer = g_timeout_add (grace_ms, on_end, drain);
  self->drain = drain;
  for (guint i = 0; i < self->doors->len; i++)
    hypha_door_close (self->doors->pdata[i]);
  g_ptr_array_set_size (self->doors, 0);
  g_object_notify (G_OBJECT (self), "listening");
  /* Whoever becomes a peer from now on has no streams, and gets none: there is nothing to wait for.
   */
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    watch_peer (drain, peer);
  }
  look (drain);
}
