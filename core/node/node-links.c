/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

/* The first byte is awaited no longer than this when handshakes are many. */
#define CROWDED_FIRST_BYTE_MS 500

/* ---- what a link may be ---- */

/* Kernel or hypervisor vouches that the other end of CHANNEL is a node of root's or of ours, and
 * that nobody sits in between. */
static gboolean
vouched_for (HyphaChannel *channel)
{
  HyphaChannelFlags flags = hypha_channel_get_flags (channel);
  guint32 uid;

  if (flags & HYPHA_CHANNEL_PRIVILEGED_PORT)
    return TRUE;
  return flags & HYPHA_CHANNEL_PEER_IS_NODE && hypha_channel_get_uid (channel, &uid) &&
         (uid == 0 || uid == geteuid ());
}

static gboolean
plain_is_fine (HyphaNode *self, HyphaChannel *channel, const HyphaNodeId *id,
               HyphaEndpoint *dialled)
{
  /* Whoever passes it on is to see nothing, whatever the two ends say. */
  if (hypha_channel_get_flags (channel) & HYPHA_CHANNEL_RELAYED)
    return FALSE;
  switch (id != NULL ? hypha_trust_get_tls (self->trust, id) : HYPHA_TRUST_TLS_AUTO) {
  case HYPHA_TRUST_TLS_NEVER:
    return TRUE;
  case HYPHA_TRUST_TLS_ALWAYS:
    return FALSE; /* whatever an endpoint says */
  case HYPHA_TRUST_TLS_AUTO:
    break;
  }
  return vouched_for (channel) ||
         (dialled != NULL && g_strcmp0 (hypha_endpoint_get_option (dialled, "tls"), "never") == 0);
}

/* The user's cost for the endpoint, or its scheme; else the transport's own, of the channel or of
 * the endpoint. */
static guint32
static_cost (HyphaNode *self, HyphaEndpoint *endpoint, HyphaChannel *channel)
{
  const char *option = hypha_endpoint_get_option (endpoint, "cost");
  const char *scheme = hypha_endpoint_get_scheme (endpoint);
  g_autoptr (HyphaEndpoint) bare = hypha_endpoint_without_options (endpoint);
  g_autoptr (HyphaEndpoint) inner = hypha_node_attached_from (endpoint);
  HyphaTransport *transport = hypha_loader_lookup (self->loader, scheme, NULL);
  guint32 cost;

  if (option != NULL)
    return (guint32) g_ascii_strtoull (option, NULL, 10);
  if (self->link_costs != NULL &&
      (g_variant_lookup (self->link_costs, hypha_endpoint_to_string (bare), "u", &cost) ||
       g_variant_lookup (self->link_costs, scheme, "u", &cost)))
    return cost;
  if (hypha_channel_get_link_cost (channel, &cost))
    return cost;
  if (inner != NULL)
    return static_cost (self, inner, channel);
  return transport != NULL ? hypha_transport_get_link_cost (transport, endpoint) : 1000;
}

static HyphaDialler *
dialler_of (HyphaNode *self, HyphaNodeLink *link)
{
  for (guint i = 0; i < self->diallers->len; i++)
    if (hypha_dialler_get_link (self->diallers->pdata[i]) == link &&
        hypha_dialler_get_state (self->diallers->pdata[i]) != HYPHA_DIALLER_TWIN)
      return self->diallers->pdata[i];
  return NULL;
}

static HyphaEndpoint *
priced_endpoint (HyphaChannel *channel, HyphaDialler *dialler)
{
  HyphaEndpoint *remote = hypha_channel_get_remote (channel);

  if (dialler != NULL)
    return hypha_dialler_get_endpoint (dialler);
  return remote != NULL ? remote : hypha_channel_get_local (channel);
}

/* Those that are coming up too, which no list shows yet. */
static GPtrArray *
all_links (HyphaNode *self)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    g_ptr_array_extend_and_steal (all, hypha_node_peer_dup_links (peer));
  }
  return all;
}

void
hypha_node_apply_link_costs (HyphaNode *self)
{
  g_autoptr (GPtrArray) links = all_links (self);

  for (guint i = 0; i < links->len; i++) {
    HyphaNodeLink *link = links->pdata[i];
    HyphaNodePeer *peer = hypha_node_find (self, hypha_node_link_get_peer_id (link));
    HyphaChannel *channel = hypha_link_get_channel (hypha_node_link_get_link (link));
    HyphaEndpoint *endpoint = priced_endpoint (channel, dialler_of (self, link));

    if (peer != NULL && endpoint != NULL)
      hypha_node_peer_set_link_cost (peer, link, static_cost (self, endpoint, channel));
  }
}

/* What came in under earlier trust and would not come in now. */
void
hypha_node_close_forbidden_links (HyphaNode *self)
{
  g_autoptr (GPtrArray) links = all_links (self);

  for (guint i = 0; i < links->len; i++) {
    HyphaNodeLink *mirror = links->pdata[i];
    HyphaLink *link = hypha_node_link_get_link (mirror);
    const HyphaNodeId *id = hypha_node_link_get_peer_id (mirror);
    HyphaChannel *channel = hypha_link_get_channel (link);
    HyphaDialler *dialler = dialler_of (self, mirror);
    HyphaEndpoint *dialled = dialler != NULL                  ? hypha_dialler_get_endpoint (dialler)
                             : hypha_link_is_initiator (link) ? hypha_channel_get_remote (channel)
                                                              : NULL;
    gboolean admitted = hypha_trust_admits (self->trust, id, channel, dialled);
    HyphaNodePeer *peer = hypha_node_find (self, id);

    if (peer != NULL && (!admitted || (hypha_link_get_class (link) == HYPHA_LINK_PLAIN &&
                                       !plain_is_fine (self, channel, id, dialled))))
      hypha_node_peer_close_link (peer, mirror, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_NOT_TRUSTED,
                                  admitted ? _ ("the peer's 'tls' is 'always' now")
                                           : _ ("the peer is bound to other endpoints now"));
  }
}

HyphaSessionLimits
hypha_node_session_limits (HyphaNode *self)
{
  HyphaSessionLimits limits;

  hypha_session_limits_init (&limits);
  limits.streams = self->limits.max_streams;
  limits.window_total = self->limits.session_window;
  limits.session_timeout = (gint64) self->limits.session_timeout * 1000;
  limits.switch_margin = self->limits.switch_margin;
  return limits;
}

static HyphaLinkParameters
link_parameters (HyphaNode *self, HyphaEndpoint *endpoint, HyphaChannel *channel)
{
  guint first_byte = self->limits.first_byte_timeout;

  if (hypha_admission_is_crowded (self->admission))
    first_byte = MIN (first_byte, CROWDED_FIRST_BYTE_MS);
  return (HyphaLinkParameters){
    .identity = self->identity,
    .instance = self->instance,
    .clock = &self->clock,
    .pairing = hypha_node_pairing_window (self),
    .untold = &self->untold,
    .static_cost = endpoint != NULL ? static_cost (self, endpoint, channel) : 1000,
    .limits = {
      .ping_interval = (gint64) self->limits.ping_interval * 1000,
      .link_timeout = (gint64) self->limits.link_timeout * 1000,
      .first_byte_timeout = (gint64) first_byte * 1000,
      .handshake_timeout = (gint64) self->limits.handshake_timeout * 1000,
    },
  };
}

/* ---- doors and diallers bring channels ---- */

/* The nodes of one process have the same plug-ins, and one whose channels go through the streams of
 * a node has them of one alone. */
static gboolean
may_use (HyphaEndpoint *endpoint, gpointer user_data, GError **error)
{
  HyphaNode *self = user_data;
  const char *uri = hypha_endpoint_to_string (endpoint);
  HyphaTransport *transport = NULL;
  g_autoptr (HyphaEndpoint) parsed =
      hypha_loader_parse_endpoint (self->loader, uri, &transport, NULL);

  if (parsed == NULL || hypha_node_peers_may_use (self->for_transports, transport))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
               _ ("%s: of the nodes in one process, this transport serves the first alone: give "
                  "each node a process of its own"),
               uri);
  return FALSE;
}

gboolean
hypha_node_admit (HyphaNode *self, HyphaChannel *channel, const char *source, GError **error)
{
  HyphaLinkParameters p = link_parameters (self, priced_endpoint (channel, NULL), channel);

  p.accept_plain = (hypha_channel_get_flags (channel) & HYPHA_CHANNEL_RELAYED) == 0 &&
                   (vouched_for (channel) || hypha_trust_any_plain (self->trust));
  return hypha_admission_begin (self->admission, channel, &p, source, NULL,
                                hypha_node_pick_worker (self), error);
}

static void
on_knocked (HyphaDoor *door, HyphaChannel *channel, gpointer user_data)
{
  hypha_node_admit (user_data, channel, NULL, NULL);
}

static void
on_door_changed (HyphaDoor *door, gpointer user_data)
{
  HyphaNode *self = user_data;

  if (self->stopped)
    return;
  g_object_notify (G_OBJECT (self), "listening");
  g_object_notify (G_OBJECT (self), "troubles");
}

/* The options of an endpoint are no part of where that is. */
static const char *
find_held (HyphaDoor *door, HyphaEndpoint *endpoint, gpointer user_data)
{
  HyphaNode *self = user_data;
  g_autoptr (HyphaEndpoint) plain = hypha_endpoint_without_options (endpoint);

  for (guint i = 0; i < self->doors->len; i++)
    if (hypha_door_is_adopted (self->doors->pdata[i]) &&
        g_strcmp0 (hypha_door_get_bound (self->doors->pdata[i]),
                   hypha_endpoint_to_string (plain)) == 0)
      return hypha_door_get_bound (self->doors->pdata[i]);
  return NULL;
}

const HyphaDoorEvents hypha_node_door_events = {
  .knocked = on_knocked,
  .changed = on_door_changed,
  .held = find_held,
  .may_use = may_use,
  .for_links = TRUE,
};

static void
on_connected (HyphaDialler *dialler, HyphaChannel *channel, const HyphaNodeId *wanted, gboolean tls,
              gpointer user_data)
{
  HyphaNode *self = user_data;
  HyphaLinkParameters p = link_parameters (self, hypha_dialler_get_endpoint (dialler), channel);
  const HyphaNodeId *known = hypha_dialler_get_peer (dialler);

  p.initiator = TRUE;
  p.wanted = wanted;
  /* Whom we trust has a window for somebody else: it must not be used up by us. */
  if (known != NULL && hypha_trust_knows (self->trust, known))
    p.pairing = 0;
  p.start_tls = tls || !plain_is_fine (self, channel, known, hypha_dialler_get_endpoint (dialler));
  hypha_admission_begin (self->admission, channel, &p, NULL, dialler, hypha_node_pick_worker (self),
                         NULL);
}

void
hypha_node_drop_dialler (HyphaNode *self, guint index)
{
  g_autoptr (HyphaDialler) dialler = g_ptr_array_steal_index (self->diallers, index);

  hypha_dialler_stop (dialler);
}

void
hypha_node_refresh_dialling (HyphaNode *self)
{
  g_autoptr (HyphaNode) kept = g_object_ref (self); /* whoever is told may stop it, or forget one */
  g_autolist (HyphaNodePeer) peers = g_hash_table_get_values (self->by_id);

  for (GList *l = peers; l != NULL; l = l->next)
    g_object_ref (l->data);
  for (GList *l = peers; l != NULL && !kept->stopped; l = l->next) {
    HyphaNodePeer *peer = l->data;
    gboolean dialling = FALSE;

    for (guint i = 0; i < self->diallers->len && !dialling; i++) {
      const HyphaNodeId *id = hypha_dialler_get_peer (self->diallers->pdata[i]);

      dialling = hypha_dialler_get_state (self->diallers->pdata[i]) == HYPHA_DIALLER_TRYING &&
                 id != NULL && hypha_node_id_equal (id, hypha_node_peer_get_id (peer));
    }
    hypha_node_peer_set_dialling (peer, dialling);
  }
}

static void
on_dialler_changed (HyphaDialler *dialler, gpointer user_data)
{
  HyphaNode *self = user_data;

  hypha_node_refresh_dialling (self);
  g_object_notify (G_OBJECT (self), "troubles");
  if (hypha_dialler_is_spent (dialler))
    hypha_node_reap (self);
}

const HyphaDiallerEvents hypha_node_dialler_events = { .connected = on_connected,
                                                       .changed = on_dialler_changed,
                                                       .may_use = may_use };

void
hypha_node_hurry_diallers (HyphaNode *self)
{
  for (guint i = 0; i < self->diallers->len; i++)
    hypha_dialler_hurry (self->diallers->pdata[i]);
}

/* ---- the other end has proven who it is ---- */

static const char *
where_from (HyphaLink *link)
{
  HyphaChannel *channel = hypha_link_get_channel (link);
  HyphaEndpoint *remote = hypha_channel_get_remote (channel);
  HyphaEndpoint *local = hypha_channel_get_local (channel);

  return hypha_endpoint_to_string (remote != NULL ? remote : local);
}

/* 0: it may come in. */
static HyphaRejectCode
judge (HyphaNode *self, HyphaLink *link, HyphaDialler *dialler)
{
  const HyphaNodeId *id = hypha_link_get_peer (link);
  HyphaChannel *channel = hypha_link_get_channel (link);
  HyphaEndpoint *dialled = dialler != NULL ? hypha_dialler_get_endpoint (dialler) : NULL;
  HyphaNodePeer *peer;

  if (!hypha_trust_knows (self->trust, id) &&
      !hypha_node_trust_by_rule (self, id, channel, where_from (link))) {
    hypha_node_note_pending (self, id, where_from (link));
    return HYPHA_REJECT_NOT_TRUSTED;
  }
  if (!hypha_trust_admits (self->trust, id, channel, dialled)) {
    g_warning (
        "%s is bound to other endpoints than %s: refused; if it may come from there, add that "
        "to its 'endpoints' in the setting trusted-peers",
        hypha_trust_get_name (self->trust, id), where_from (link));
    return HYPHA_REJECT_NOT_TRUSTED;
  }
  if (hypha_link_get_class (link) == HYPHA_LINK_PLAIN &&
      !plain_is_fine (self, channel, id, dialled))
    return HYPHA_REJECT_TLS_REQUIRED;
  peer = hypha_node_find (self, id);
  if (peer != NULL && hypha_node_peer_n_links (peer) >= HYPHA_NODE_MAX_LINKS_PER_PEER)
    return HYPHA_REJECT_BUSY;
  return 0;
}

static HyphaNodeLink *
make_mirror (HyphaNode *self, HyphaLink *link, HyphaDialler *dialler)
{
  HyphaChannel *channel = hypha_link_get_channel (link);
  HyphaEndpoint *endpoint =
      dialler != NULL ? hypha_dialler_get_endpoint (dialler) : hypha_channel_get_local (channel);
  g_autoptr (HyphaEndpoint) inner = NULL;

  if (endpoint == NULL)
    endpoint = hypha_channel_get_remote (channel);
  inner = endpoint != NULL ? hypha_node_attached_from (endpoint) : NULL;
  if (inner != NULL)
    endpoint = inner;
  return hypha_node_link_new (link, ++self->last_link,
                              endpoint != NULL ? hypha_endpoint_get_scheme (endpoint) : "");
}

/* Not with somebody who is trusted, and bound to another place. */
static gboolean
may_pair (HyphaNode *self, HyphaLink *link)
{
  return hypha_link_get_pairing (link) != 0 &&
         !hypha_trust_knows (self->trust, hypha_link_get_peer (link));
}

/* Whoever answered is to see our digits. It does not trust us either, so the numbers lead nowhere.
 */
static void
introduce (HyphaNode *self, HyphaCandidateLink *candidate)
{
  HyphaLink *link = hypha_candidate_link_get_link (candidate);
  HyphaHandshakeNumbers mine = { .session_number = atomic_fetch_add (&self->numbers.last, 1) + 1,
                                 .link_number = 1,
                                 .static_cost = hypha_link_get_static_cost (link) };

  g_strlcpy (mine.name, self->name, sizeof mine.name);
  hypha_candidate_link_introduce (candidate, &mine);
}

static void
on_decide (HyphaCandidateLink *candidate, gpointer user_data)
{
  g_autoptr (HyphaNode) self = g_object_ref (user_data);
  HyphaLink *link = hypha_candidate_link_get_link (candidate);
  g_autoptr (HyphaDialler) dialler = NULL;
  g_autoptr (HyphaNodeLink) mirror = NULL;
  HyphaNodePeer *peer;
  HyphaRejectCode code;
  HyphaEngineParameters parameters;

  if (hypha_candidate_link_get_dialler (candidate) != NULL) {
    dialler = hypha_dialler_ref (hypha_candidate_link_get_dialler (candidate));
    hypha_dialler_met (dialler, hypha_link_get_peer (link));
  }
  code = judge (self, link, dialler);
  if (self->stopped)
    return; /* by whoever was told of a pending peer; the candidate is gone */
  if (code == HYPHA_REJECT_NOT_TRUSTED && may_pair (self, link) &&
      hypha_node_pairing_meet (self, link) && hypha_link_is_initiator (link)) {
    introduce (self, candidate);
    return;
  }
  peer = hypha_node_find (self, hypha_link_get_peer (link));
  if (code == 0 && peer == NULL)
    code = HYPHA_REJECT_NOT_TRUSTED;
  if (code != 0) {
    hypha_candidate_link_reject (candidate, code);
    return;
  }

  link = hypha_candidate_link_take (candidate);
  mirror = make_mirror (self, link, dialler);
  parameters = (HyphaEngineParameters){
    .worker = hypha_node_pick_worker (self),
    .mailbox = self->mailbox,
    .numbers = &self->numbers,
    .clock = &self->clock,
    .lower_id = hypha_node_id_compare (hypha_node_get_id (self), hypha_node_peer_get_id (peer)) < 0,
    .limits = hypha_node_session_limits (self),
  };
  if (!hypha_node_peer_has_engine (peer))
    self->engines++;
  if (dialler != NULL)
    hypha_dialler_adopted (dialler, mirror);
  hypha_node_peer_adopt (peer, mirror, &parameters, self->name);
}

static void
on_direct (HyphaCandidateLink *candidate, gpointer user_data)
{
  HyphaNode *self = user_data;

  hypha_directs_shown (self->directs, hypha_candidate_link_take (candidate));
}

void
hypha_node_direct_refused (const GError *error, gpointer user_data)
{
  HyphaNode *self = user_data;

  hypha_admission_tell (self->admission, error);
}

static void
on_failed (HyphaDialler *dialler, const GError *error, gboolean tls_required, gpointer user_data)
{
  if (dialler != NULL)
    hypha_dialler_failed (dialler, error, tls_required);
  else
    g_info ("a handshake came to nothing: %s", error->message);
}

const HyphaAdmissionEvents hypha_node_admission_events = { .decide = on_decide,
                                                           .direct = on_direct,
                                                           .failed = on_failed };

/* ---- what peers tell ---- */

static void
on_link_up (HyphaNodePeer *peer, HyphaNodeLink *link, gpointer user_data)
{
  g_autoptr (HyphaNode) self = g_object_ref (user_data);
  HyphaDialler *dialler = dialler_of (self, link);
  HyphaNodeLink *twin = hypha_node_peer_find_twin (peer, link);

  g_list_store_append (self->links, link);
  hypha_node_pairing_link_up (self, hypha_node_link_get_link (link));
  if (dialler != NULL)
    hypha_dialler_link_up (dialler);
  /* Only the lower id closes one, or both ends might close one each. The elder stays. */
  if (twin != NULL &&
      hypha_node_id_compare (hypha_node_get_id (self), hypha_node_peer_get_id (peer)) < 0) {
    HyphaNodeLink *younger =
        hypha_node_link_get_serial (link) > hypha_node_link_get_serial (twin) ? link : twin;

    hypha_node_peer_close_link (peer, younger, HYPHA_AWAY_TWIN, HYPHA_ERROR_DISCONNECTED,
                                _ ("another link to the same place will do"));
  }
}

static void
on_link_closed (HyphaNodePeer *peer, HyphaNodeLink *link, const GError *error, gpointer user_data)
{
  g_autoptr (HyphaNode) self = g_object_ref (user_data);
  HyphaDialler *dialler = dialler_of (self, link);
  HyphaNodeLink *twin;
  HyphaRejectCode code = hypha_link_get_rejected (hypha_node_link_get_link (link), NULL);
  guint position;

  if (g_list_store_find (self->links, link, &position))
    g_list_store_remove (self->links, position);
  if (self->stopped)
    return;
  if (dialler != NULL) {
    twin = hypha_node_peer_find_twin (peer, link);
    /* What are two places here may be one over there. */
    if (twin == NULL && hypha_link_get_away (hypha_node_link_get_link (link)) == HYPHA_AWAY_TWIN)
      twin = hypha_node_peer_find_live (peer);
    if (twin != NULL)
      hypha_dialler_rest (dialler, twin);
    else
      hypha_dialler_failed (dialler, error, code == HYPHA_REJECT_TLS_REQUIRED);
  }
  for (guint i = 0; i < self->diallers->len; i++) {
    HyphaDialler *resting = self->diallers->pdata[i];

    if (hypha_dialler_get_state (resting) == HYPHA_DIALLER_TWIN &&
        hypha_dialler_get_link (resting) == link)
      hypha_dialler_failed (resting, error, FALSE);
  }
  hypha_node_refresh_dialling (self);
}

static void
on_incoming (HyphaNodePeer *peer, HyphaIncoming *incoming, gpointer user_data)
{
  HyphaNode *self = user_data;

  if (self->drain != NULL)
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
  else if (self->accept != NULL)
    self->accept (self, incoming, self->accept_data);
  else
    hypha_node_offer (self, incoming);
}

static void
on_gone (HyphaNodePeer *peer, gpointer user_data)
{
  HyphaNode *self = user_data;

  self->engines--;
}

const HyphaNodePeerEvents hypha_node_peer_events = {
  .link_up = on_link_up,
  .link_closed = on_link_closed,
  .incoming = on_incoming,
  .gone = on_gone,
};
