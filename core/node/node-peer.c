/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-peer-inner.h"

#include <glib/gi18n-lib.h>

enum { PROP_0, PROP_ID, PROP_NAME, PROP_TRUSTED, PROP_STATE, PROP_LINK_COST, PROP_FROM, N_PROPS };

static void peer_iface_init (HyphaPeerInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaNodePeer, hypha_node_peer, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_PEER, peer_iface_init))

/* ---- what is told of the peer ---- */

static HyphaPeerState
current_state (HyphaNodePeer *self)
{
  gboolean up = FALSE;

  if (!self->trusted)
    return HYPHA_PEER_PENDING;
  for (guint i = 0; i < self->links->len; i++) {
    if (hypha_node_link_is_live (self->links->pdata[i]))
      return HYPHA_PEER_ONLINE;
    up = up || hypha_node_link_is_up (self->links->pdata[i]);
  }
  if (up)
    return HYPHA_PEER_SUSPECT;
  return self->dialling || self->links->len > 0 ? HYPHA_PEER_CONNECTING : HYPHA_PEER_OFFLINE;
}

static void
refresh (HyphaNodePeer *self)
{
  HyphaPeerState state = current_state (self);
  guint cost = self->best != NULL ? hypha_node_link_get_cost (self->best) : G_MAXUINT;

  if (state != self->state) {
    self->state = state;
    g_object_notify (G_OBJECT (self), "state");
  }
  if (cost != self->link_cost) {
    self->link_cost = cost;
    g_object_notify (G_OBJECT (self), "link-cost");
  }
}

static const char *
link_name (HyphaNodeLink *link, char buffer[24])
{
  if (link == NULL)
    return "";
  g_snprintf (buffer, 24, "%" G_GUINT64_FORMAT, hypha_node_link_get_serial (link));
  return buffer;
}

static void
set_best (HyphaNodePeer *self, HyphaNodeLink *from, HyphaNodeLink *to, const char *reason)
{
  char from_name[24], to_name[24];

  if (self->best != NULL)
    hypha_node_link_set_active (self->best, FALSE);
  g_set_object (&self->best, to);
  if (to != NULL)
    hypha_node_link_set_active (to, TRUE);
  refresh (self);
  g_signal_emit_by_name (self, "link-changed", link_name (from, from_name), link_name (to, to_name),
                         reason);
}

/* ---- news of the engine ---- */

/* Of a link that was dialled, the dialler tells. */
static void
tell_bad_end (HyphaNodePeer *self, const GError *error)
{
  g_autofree char *about = NULL;

  if (!g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL) &&
      !g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_ROLLED_BACK) &&
      !g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT))
    return;
  about = g_strdup_printf ("%s: ", self->name);
  hypha_telling_tell (&self->telling, about, error->message, "links have ended badly");
}

static void
link_closed (HyphaNodePeer *self, HyphaNodeLink *link, const GError *error)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodeLink) kept = g_object_ref (link);

  self->past_rx += hypha_node_link_get_rx_bytes (link);
  self->past_tx += hypha_node_link_get_tx_bytes (link);
  g_ptr_array_remove (self->links, link);
  hypha_node_link_set_closed (link);
  if (self->best == link)
    set_best (self, link, NULL, "lost");
  refresh (self);
  if (!hypha_link_is_initiator (hypha_node_link_get_link (link)))
    tell_bad_end (self, error);
  self->events.link_closed (self, link, error, self->user_data);
}

static void
on_news (const HyphaNews *news, gpointer user_data)
{
  /* Whoever is told may stop the node, and the engine's reference goes with it. */
  g_autoptr (HyphaNodePeer) self = g_object_ref (user_data);

  switch (news->type) {
  case HYPHA_NEWS_LINK_UP:
    hypha_node_link_set_up (news->link);
    refresh (self);
    self->events.link_up (self, news->link, self->user_data);
    break;
  case HYPHA_NEWS_LINK_CHANGED:
    hypha_node_link_refresh (news->link);
    refresh (self);
    break;
  case HYPHA_NEWS_LINK_CLOSED:
    link_closed (self, news->link, news->error);
    break;
  case HYPHA_NEWS_SWITCHED:
    set_best (self, news->from, news->link, news->text != NULL ? news->text : "");
    break;
  case HYPHA_NEWS_STREAM_INCOMING:
    atomic_fetch_sub (&self->unheard, 1);
    hypha_node_peer_stream_incoming (self, news->stream);
    break;
  case HYPHA_NEWS_STREAM_ACCEPTED:
    hypha_node_peer_stream_accepted (self, news->stream);
    break;
  case HYPHA_NEWS_DIRECT_ANSWERED:
    hypha_node_peer_direct_answered (self, news->stream, news->code);
    break;
  case HYPHA_NEWS_STREAM_ENDED:
    hypha_node_peer_stream_ended (self, news->stream, news->error);
    break;
  case HYPHA_NEWS_GONE:
    self->events.gone (self, self->user_data);
    g_object_unref (self); /* the engine's */
    break;
  }
}

/* ---- for the node ---- */

HyphaNodePeer *
hypha_node_peer_new (const HyphaNodeId *id, HyphaDirects *directs,
                     const HyphaNodePeerEvents *events, gpointer user_data)
{
  HyphaNodePeer *self = g_object_new (HYPHA_TYPE_NODE_PEER, NULL);

  self->id = *id;
  self->id_text = hypha_node_id_to_string (id);
  self->name = g_strndup (self->id_text, 8);
  self->directs = directs;
  self->events = *events;
  self->user_data = user_data;
  return self;
}

static void
close_asked (HyphaNodeLink *link, gpointer user_data)
{
  hypha_node_peer_close_link (user_data, link, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_DISCONNECTED,
                              _ ("the link was closed on request"));
}

void
hypha_node_peer_adopt (HyphaNodePeer *self, HyphaNodeLink *link,
                       const HyphaEngineParameters *parameters, const char *our_name)
{
  if (self->engine == NULL) {
    HyphaEngineParameters p = *parameters;

    p.func = on_news;
    p.user_data = g_object_ref (self); /* until HYPHA_NEWS_GONE */
    /* The next engine of a peer comes after the one before on the same worker, or what they tell
     * of their streams could get mixed up. */
    if (self->worker == NULL)
      self->worker = p.worker;
    p.worker = self->worker;
    p.last_key = &self->last_incoming;
    p.unheard = &self->unheard;
    self->max_incoming = p.limits.streams;
    self->engine = hypha_engine_new (&p);
  }
  g_ptr_array_add (self->links, g_object_ref (link));
  hypha_node_link_set_closer (link, close_asked, self);
  hypha_engine_adopt (self->engine, link, our_name);
  refresh (self);
}

gboolean
hypha_node_peer_has_engine (HyphaNodePeer *self)
{
  return self->engine != NULL;
}

void
hypha_node_peer_set_limits (HyphaNodePeer *self, const HyphaSessionLimits *limits,
                            gint64 ping_interval, gint64 link_timeout)
{
  self->max_incoming = limits->streams;
  if (self->engine != NULL)
    hypha_engine_set_limits (self->engine, limits, ping_interval, link_timeout);
}

void
hypha_node_peer_set_trusted (HyphaNodePeer *self, gboolean trusted)
{
  if (self->trusted == trusted)
    return;
  self->trusted = trusted;
  g_object_notify (G_OBJECT (self), "trusted");
  refresh (self);
}

void
hypha_node_peer_set_name (HyphaNodePeer *self, const char *name)
{
  if (g_str_equal (self->name, name))
    return;
  g_free (self->name);
  self->name = g_strdup (name);
  g_object_notify (G_OBJECT (self), "name");
}

void
hypha_node_peer_set_from (HyphaNodePeer *self, const char *from)
{
  if (g_str_equal (self->from, from))
    return;
  g_free (self->from);
  self->from = g_strdup (from);
  g_object_notify (G_OBJECT (self), "from");
}

void
hypha_node_peer_set_dialling (HyphaNodePeer *self, gboolean dialling)
{
  self->dialling = dialling;
  refresh (self);
}

void
hypha_node_peer_close_link (HyphaNodePeer *self, HyphaNodeLink *link, HyphaAway away,
                            HyphaError code, const char *reason)
{
  if (self->engine != NULL)
    hypha_engine_close_link (self->engine, link, away, code, reason);
}

void
hypha_node_peer_set_link_cost (HyphaNodePeer *self, HyphaNodeLink *link, guint32 static_cost)
{
  if (self->engine != NULL)
    hypha_engine_set_cost (self->engine, link, static_cost);
}

void
hypha_node_peer_drop (HyphaNodePeer *self, HyphaError error, const char *reason)
{
  hypha_node_peer_say_all (self);
  if (self->engine != NULL)
    hypha_engine_drop (self->engine, error, reason);
}

void
hypha_node_peer_stop (HyphaNodePeer *self, HyphaAway away, HyphaError code, const char *reason)
{
  hypha_node_peer_say_all (self);
  if (self->engine != NULL)
    hypha_engine_stop (g_steal_pointer (&self->engine), away, code, reason);
}

guint
hypha_node_peer_n_links (HyphaNodePeer *self)
{
  return self->links->len;
}

HyphaNodeLink *
hypha_node_peer_find_twin (HyphaNodePeer *self, HyphaNodeLink *link)
{
  for (guint i = 0; i < self->links->len; i++) {
    HyphaNodeLink *other = self->links->pdata[i];

    if (other != link && hypha_node_link_is_live (other) && hypha_node_link_is_twin (link, other))
      return other;
  }
  return NULL;
}

HyphaNodeLink *
hypha_node_peer_find_live (HyphaNodePeer *self)
{
  for (guint i = 0; i < self->links->len; i++)
    if (hypha_node_link_is_live (self->links->pdata[i]))
      return self->links->pdata[i];
  return NULL;
}

/* ---- public ---- */

const HyphaNodeId *
hypha_node_peer_get_id (HyphaNodePeer *self)
{
  return &self->id;
}

const char *
hypha_node_peer_get_id_text (HyphaNodePeer *self)
{
  return self->id_text;
}

const char *
hypha_node_peer_get_from (HyphaNodePeer *self)
{
  return self->from;
}

HyphaNodeLink *
hypha_node_peer_get_best_link (HyphaNodePeer *self)
{
  return self->best;
}

GPtrArray *
hypha_node_peer_dup_links (HyphaNodePeer *self)
{
  GPtrArray *links = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < self->links->len; i++)
    g_ptr_array_add (links, g_object_ref (self->links->pdata[i]));
  return links;
}

void
hypha_node_peer_get_counters (HyphaNodePeer *self, guint64 *rx_bytes, guint64 *tx_bytes)
{
  *rx_bytes = self->past_rx;
  *tx_bytes = self->past_tx;
  for (guint i = 0; i < self->links->len; i++) {
    *rx_bytes += hypha_node_link_get_rx_bytes (self->links->pdata[i]);
    *tx_bytes += hypha_node_link_get_tx_bytes (self->links->pdata[i]);
  }
}

static void
disconnect_async (HyphaPeer *peer, GCancellable *cancellable, GAsyncReadyCallback callback,
                  gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (peer, cancellable, callback, user_data);

  g_task_set_source_tag (task, disconnect_async);
  hypha_node_peer_drop (HYPHA_NODE_PEER (peer), HYPHA_ERROR_DISCONNECTED,
                        _ ("the session was ended on request"));
  g_task_return_boolean (task, TRUE);
}

static gboolean
disconnect_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
peer_iface_init (HyphaPeerInterface *iface)
{
  iface->open_stream_async = hypha_node_peer_open_stream_async;
  iface->open_stream_finish = hypha_node_peer_open_stream_finish;
  iface->open_direct_async = hypha_node_peer_open_direct_async;
  iface->open_direct_finish = hypha_node_peer_open_stream_finish;
  iface->disconnect_async = disconnect_async;
  iface->disconnect_finish = disconnect_finish;
}

static void
hypha_node_peer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaNodePeer *self = HYPHA_NODE_PEER (object);

  switch (id) {
  case PROP_ID:
    g_value_set_string (value, self->id_text);
    break;
  case PROP_NAME:
    g_value_set_string (value, self->name);
    break;
  case PROP_TRUSTED:
    g_value_set_boolean (value, self->trusted);
    break;
  case PROP_STATE:
    g_value_set_enum (value, current_state (self));
    break;
  case PROP_LINK_COST:
    g_value_set_uint (value, self->link_cost);
    break;
  case PROP_FROM:
    g_value_set_string (value, self->from);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_node_peer_finalize (GObject *object)
{
  HyphaNodePeer *self = HYPHA_NODE_PEER (object);

  g_assert (self->engine == NULL);
  g_clear_object (&self->best);
  g_ptr_array_unref (self->links);
  g_hash_table_unref (self->streams);
  g_free (self->id_text);
  g_free (self->name);
  g_free (self->from);
  G_OBJECT_CLASS (hypha_node_peer_parent_class)->finalize (object);
}

static void
hypha_node_peer_class_init (HyphaNodePeerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = hypha_node_peer_get_property;
  object_class->finalize = hypha_node_peer_finalize;
  g_object_class_override_property (object_class, PROP_ID, "id");
  g_object_class_override_property (object_class, PROP_NAME, "name");
  g_object_class_override_property (object_class, PROP_TRUSTED, "trusted");
  g_object_class_override_property (object_class, PROP_STATE, "state");
  g_object_class_override_property (object_class, PROP_LINK_COST, "link-cost");

  g_object_class_install_property (
      object_class, PROP_FROM,
      g_param_spec_string ("from", NULL, NULL, "",
                           G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY));

  g_signal_new ("stream-closed", HYPHA_TYPE_NODE_PEER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 4, G_TYPE_UINT64, G_TYPE_STRING, G_TYPE_UINT64, G_TYPE_UINT64);
}

static void
hypha_node_peer_init (HyphaNodePeer *self)
{
  self->state = HYPHA_PEER_PENDING;
  self->link_cost = G_MAXUINT;
  self->from = g_strdup ("");
  self->last_incoming = 1;
  self->links = g_ptr_array_new_with_free_func (g_object_unref);
  self->streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, hypha_peer_stream_free);
}
