/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/stream-results.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>

#include "dbus/errors.h"

/* Clients that open streams and never ask: the oldest results are forgotten first. */
#define MAX_ENDED 1024

#define DATA_KEY "hypha-stream-results" /* of the peer */

struct _HyphaStreamResults {
  GHashTable *entries; /* id to Entry */
  GQueue ended;        /* Entry that nobody asked for yet, oldest first */
};

/* Held by the table, and by the stream's end while that is waited for. */
typedef struct {
  HyphaStreamResults *results; /* NULL: out of the table */
  guint64 id;
  HyphaSender *owner;
  gulong left; /* signal handler of the owner */
  GDBusMethodInvocation *waiting;
  char *error; /* NULL: the stream goes on */
  guint64 received, sent;
} Entry;

static void
entry_clear (gpointer data)
{
  Entry *entry = data;

  g_clear_object (&entry->waiting);
  g_free (entry->error);
}

/* The table's destroy function. */
static void
entry_leave (gpointer data)
{
  Entry *entry = data;

  g_clear_signal_handler (&entry->left, entry->owner);
  g_clear_object (&entry->owner);
  entry->results = NULL;
  g_rc_box_release_full (entry, entry_clear);
}

static void
forget (Entry *entry)
{
  g_queue_remove (&entry->results->ended, entry);
  g_hash_table_remove (entry->results->entries, &entry->id);
}

static void
answer (Entry *entry, GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_value (
      invocation, g_variant_new ("(stt)", entry->error, entry->received, entry->sent));
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Entry *entry = user_data;
  g_autoptr (GError) error = NULL;

  hypha_stream_wait_end_finish (HYPHA_STREAM (source), result, &entry->received, &entry->sent,
                                &error);
  entry->error = hypha_dbus_error_to_text (error);
  if (entry->waiting) {
    answer (entry, g_steal_pointer (&entry->waiting));
    if (entry->results)
      forget (entry);
  } else if (entry->results) {
    GQueue *ended = &entry->results->ended;

    g_queue_push_tail (ended, entry);
    if (g_queue_get_length (ended) > MAX_ENDED)
      forget (g_queue_peek_head (ended));
  }
  g_rc_box_release_full (entry, entry_clear);
}

/* What becomes of the stream is its descriptor's affair. */
static void
on_owner_left (HyphaSender *owner, Entry *entry)
{
  GDBusMethodInvocation *waiting = g_steal_pointer (&entry->waiting);
  g_autoptr (GError) error = g_error_new (
      HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("whoever opened stream %" PRIu64 " has left"), entry->id);

  /* Every call is answered, or it would count as under way. */
  if (waiting)
    hypha_dbus_return_error (waiting, error);
  forget (entry);
}

/**
 * hypha_stream_results_new:
 *
 * Returns: (transfer full): a place for results
 */
HyphaStreamResults *
hypha_stream_results_new (void)
{
  HyphaStreamResults *self = g_new0 (HyphaStreamResults, 1);

  self->entries = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, entry_leave);
  g_queue_init (&self->ended);
  return self;
}

/**
 * hypha_stream_results_free:
 * @self: (transfer full): a place for results
 *
 * Forgets everything, but whoever waits for a stream is still answered when that ends.
 */
void
hypha_stream_results_free (HyphaStreamResults *self)
{
  g_queue_clear (&self->ended);
  g_hash_table_unref (self->entries);
  g_free (self);
}

/**
 * hypha_stream_results_of:
 * @peer: a peer of the node
 *
 * Returns: (transfer none): the place for the results of its streams
 */
HyphaStreamResults *
hypha_stream_results_of (HyphaNodePeer *peer)
{
  HyphaStreamResults *self = g_object_get_data (G_OBJECT (peer), DATA_KEY);

  if (self == NULL) {
    self = hypha_stream_results_new ();
    g_object_set_data_full (G_OBJECT (peer), DATA_KEY, self,
                            (GDestroyNotify) hypha_stream_results_free);
  }
  return self;
}

/**
 * hypha_stream_results_add:
 * @self: a place for results
 * @owner: the client, which has not left
 * @stream: what it opened, or is to serve
 *
 * Keeps how @stream will have ended for the client, until that leaves.
 */
void
hypha_stream_results_add (HyphaStreamResults *self, HyphaSender *owner, HyphaStream *stream)
{
  Entry *entry = g_rc_box_new0 (Entry);

  entry->results = self;
  entry->id = hypha_stream_get_id (stream);
  entry->owner = g_object_ref (owner);
  entry->left = g_signal_connect (owner, "left", G_CALLBACK (on_owner_left), entry);
  g_hash_table_insert (self->entries, &entry->id, entry);
  hypha_stream_wait_end_async (stream, NULL, on_ended, g_rc_box_acquire (entry));
}

/**
 * hypha_stream_results_count_unasked:
 * @node: a node
 *
 * Tells how many results still wait for their owners: a daemon that ends may let them ask first.
 *
 * Returns: how many
 */
guint
hypha_stream_results_count_unasked (HyphaNode *node)
{
  GListModel *peers = hypha_node_get_peers (node);
  guint unasked = 0;

  for (guint i = 0; i < g_list_model_get_n_items (peers); i++) {
    g_autoptr (GObject) peer = g_list_model_get_item (peers, i);
    HyphaStreamResults *self = g_object_get_data (peer, DATA_KEY);

    if (self != NULL)
      unasked += g_queue_get_length (&self->ended);
  }
  return unasked;
}

/**
 * hypha_stream_results_drop:
 * @self: a place for results
 * @id: of a stream
 *
 * Forgets how the stream ended, or will have.
 */
void
hypha_stream_results_drop (HyphaStreamResults *self, guint64 id)
{
  Entry *entry = g_hash_table_lookup (self->entries, &id);

  if (entry)
    forget (entry);
}

/**
 * hypha_stream_results_ask:
 * @self: a place for results
 * @invocation: (transfer full): the call that asks
 * @id: of a stream
 *
 * Answers @invocation with how the stream ended, when it has; the result is forgotten then.
 */
void
hypha_stream_results_ask (HyphaStreamResults *self, GDBusMethodInvocation *invocation, guint64 id)
{
  Entry *entry = g_hash_table_lookup (self->entries, &id);
  g_autoptr (GError) error = NULL;

  if (entry == NULL || entry->owner != hypha_sender_peek (invocation)) {
    g_set_error (
        &error, HYPHA_ERROR, HYPHA_ERROR_GONE,
        _ ("there is no result of a stream %" PRIu64
           " for this caller: it neither opened nor serves the stream, or has been told already"),
        id);
    hypha_dbus_return_error (invocation, error);
  } else if (entry->waiting) {
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("the result of stream %" PRIu64 " is being waited for already"), id);
    hypha_dbus_return_error (invocation, error);
  } else if (entry->error) {
    answer (entry, invocation);
    forget (entry);
  } else {
    entry->waiting = invocation;
  }
}
