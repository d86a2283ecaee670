/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/forward-host.h"

#include <glib/gi18n-lib.h>

#include "service/audience.h"
#include "service/forward-talk.h"
#include "service/mirror.h"
#include "service/pace.h"

/* Between two lines: connections may end at any rate, and each changes what is told. */
#define PAUSE_MS 500
/* All that a peer may have, and that once more; then one each while. Each is an object on the bus,
 * of which all programs there are told. */
#define AT_ONCE (2 * HYPHA_FORWARD_HOST_MAX_OF_PEER)
#define EACH_MS 250

struct _HyphaForwardHost {
  HyphaLoader *loader;
  HyphaForwards *forwards;
  HyphaForwardHostMay may;
  gpointer user_data;
  HyphaAudience *audience;
  guint making_room;
  HyphaTelling telling; /* of all forwards that peers have asked for */
  HyphaPace *pace;      /* of each peer, by its id */
};

/* What one stream has asked for. */
typedef struct {
  HyphaForwardHost *host;
  HyphaSeat *seat;
  HyphaForwardOrder order;
  char *local;           /* that was granted; NULL: it was not, which was told */
  HyphaForward *forward; /* likewise */
  char *told;            /* the last line; NULL: its answer is still to come */
  gboolean crowded;      /* there was no room for it */
  gboolean changed;
  guint pause;
} Lodger;

/* ---- what is told ---- */

static char *
to_line (HyphaForward *forward)
{
  g_autoptr (GVariant) ports = hypha_forward_dup_ports (forward);
  guint64 received, sent;

  hypha_forward_get_counters (forward, &received, &sent);
  return hypha_forward_news_to_line (hypha_forward_get_state (forward),
                                     hypha_forward_get_local (forward),
                                     hypha_forward_get_reason (forward), received, sent, ports);
}

static gboolean on_pause (gpointer data);

/* Not now: a stream that turns out to have ended takes the forward along that tells. */
static void
on_changed (Lodger *self)
{
  self->changed = TRUE;
  if (self->pause == 0)
    self->pause = g_idle_add_full (G_PRIORITY_DEFAULT, on_pause, self, NULL);
}

/* Before there is something to say, nothing is said: it takes a moment to listen. */
static gboolean
on_pause (gpointer data)
{
  Lodger *self = data;
  g_autofree char *line = NULL;

  self->pause = 0;
  if (!self->changed)
    return G_SOURCE_REMOVE;
  self->changed = FALSE;
  if (self->told == NULL && g_str_equal (hypha_forward_get_state (self->forward), "opening"))
    return G_SOURCE_REMOVE;
  line = to_line (self->forward);
  if (g_strcmp0 (line, self->told) == 0)
    return G_SOURCE_REMOVE;
  g_free (self->told);
  self->told = g_strdup (line);
  self->pause = g_timeout_add (PAUSE_MS, on_pause, self);
  hypha_seat_tell (self->seat, line);
  return G_SOURCE_REMOVE;
}

static gboolean
on_refused (gpointer data)
{
  Lodger *self = data;

  self->pause = 0;
  hypha_seat_tell (self->seat, self->told);
  return G_SOURCE_REMOVE;
}

/* ---- what is asked for ---- */

static void
lodger_free (Lodger *self)
{
  g_clear_handle_id (&self->pause, g_source_remove);
  if (self->forward != NULL) {
    g_signal_handlers_disconnect_by_data (self->forward, self);
    hypha_forwards_remove (self->host->forwards, self->forward);
  }
  g_clear_object (&self->forward);
  hypha_forward_order_clear (&self->order);
  g_free (self->local);
  g_free (self->told);
  g_free (self);
}

static gboolean
may_mirror (HyphaForwardHost *self, HyphaNodePeer *peer, GError **error)
{
  g_autoptr (GPtrArray) seats = hypha_audience_list (self->audience);
  guint n = 0;

  for (guint i = 0; i < seats->len; i++) {
    Lodger *other = hypha_seat_get_data (seats->pdata[i]);

    n += hypha_seat_get_peer (seats->pdata[i]) == peer && other != NULL && other->forward != NULL &&
         hypha_mirror_is_target (other->order.target);
  }
  if (n < HYPHA_FORWARD_HOST_MAX_MIRRORS)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
               _ ("there are %u mirrors of the ports of this peer already, and no more may be"), n);
  return FALSE;
}

static gboolean on_turn (gpointer data);

/* Now, or when it is its turn: then it is asked for again. */
static gboolean
grant (Lodger *self, GError **error)
{
  HyphaForwardHost *host = self->host;
  HyphaNodePeer *peer = hypha_seat_get_peer (self->seat);
  g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (peer));
  guint wait;

  if (hypha_mirror_is_target (self->order.target) && !may_mirror (host, peer, error))
    return FALSE;
  self->local = host->may (peer, hypha_seat_get_service (self->seat), self->order.local,
                           self->order.target, host->user_data, error);
  if (self->local == NULL)
    return FALSE;
  wait = hypha_pace_take (host->pace, hypha_node_peer_get_id_text (peer), g_get_monotonic_time ());
  if (wait > 0) {
    g_clear_pointer (&self->local, g_free);
    self->pause = g_timeout_add (wait, on_turn, self);
    return TRUE;
  }
  self->forward =
      hypha_forwards_add_for_peer (host->forwards, self->local, hypha_node_peer_get_id_text (peer),
                                   name, self->order.target, error);
  if (self->forward == NULL)
    return FALSE;
  hypha_forward_share_telling (self->forward, &host->telling);
  g_signal_connect_swapped (self->forward, "changed", G_CALLBACK (on_changed), self);
  hypha_forward_open (self->forward);
  on_changed (self);
  return TRUE;
}

/* What is not granted is told, and the stream stays: it is cut off when the answer may be another.
 */
static void
try_to_grant (Lodger *self)
{
  g_autoptr (GError) error = NULL;

  if (grant (self, &error))
    return;
  g_clear_pointer (&self->local, g_free);
  self->crowded = g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  self->told = hypha_forward_news_to_line ("failed", self->order.local, error->message, 0, 0, NULL);
  self->pause = g_idle_add_full (G_PRIORITY_DEFAULT, on_refused, self, NULL);
}

static gboolean
on_turn (gpointer data)
{
  Lodger *self = data;

  self->pause = 0;
  try_to_grant (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_asked (HyphaSeat *seat, const char *line, gsize length, gpointer user_data)
{
  HyphaForwardHost *self = user_data;
  g_auto (HyphaForwardOrder) order = { NULL, NULL };
  g_autoptr (GError) error = NULL;
  Lodger *lodger;

  if (!hypha_forward_order_parse (&order, line, length, &error)) {
    g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (hypha_seat_get_peer (seat)));
    g_autofree char *about = g_strdup_printf ("%s: ", name);

    hypha_telling_tell (&self->telling, about, error->message, "reasons were not told");
    return FALSE;
  }
  lodger = g_new0 (Lodger, 1);
  lodger->host = self;
  lodger->seat = seat;
  lodger->order = order;
  order = (HyphaForwardOrder){ NULL, NULL };
  hypha_seat_set_data (seat, lodger);
  try_to_grant (lodger);
  return TRUE;
}

/* Whoever found none may ask again. */
static gboolean
on_room (gpointer data)
{
  HyphaForwardHost *self = data;
  g_autoptr (GPtrArray) seats = hypha_audience_list (self->audience);

  self->making_room = 0;
  for (guint i = 0; i < seats->len; i++) {
    Lodger *lodger = hypha_seat_get_data (seats->pdata[i]);

    if (lodger != NULL && lodger->crowded)
      hypha_audience_drop (self->audience, seats->pdata[i]);
  }
  return G_SOURCE_REMOVE;
}

static void
on_left (HyphaSeat *seat, gpointer user_data)
{
  lodger_free (hypha_seat_get_data (seat));
}

static const HyphaAudienceKind kind = {
  .of_a_peer = HYPHA_FORWARD_HOST_MAX_OF_PEER,
  .of_all = HYPHA_FORWARD_HOST_MAX,
  .longest = HYPHA_FORWARD_ORDER_MAX,
  .asked = on_asked,
  .left = on_left,
};

/**
 * hypha_forward_host_serve: (skip)
 * @self: a host
 * @incoming: (transfer full): a stream that was not answered
 *
 * Takes the stream, hears what it wants, and tells it how that goes; or refuses it as busy.
 */
void
hypha_forward_host_serve (HyphaForwardHost *self, HyphaIncoming *incoming)
{
  hypha_audience_admit (self->audience, incoming);
}

/* ---- what changes ---- */

/* Whether the answer is the same as it was, and the peer is called as it was; also, that nothing
 * was granted, of which the reason may be another. */
static gboolean
still_holds (HyphaForwardHost *self, Lodger *lodger)
{
  HyphaSeat *seat = lodger->seat;
  g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (hypha_seat_get_peer (seat)));
  g_autofree char *local = NULL;

  if (lodger->forward == NULL)
    return lodger->told == NULL;
  if (!g_str_equal (name, hypha_forward_get_peer (lodger->forward)))
    return FALSE;
  local = self->may (hypha_seat_get_peer (seat), hypha_seat_get_service (seat), lodger->order.local,
                     lodger->order.target, self->user_data, NULL);
  return g_strcmp0 (local, lodger->local) == 0;
}

/**
 * hypha_forward_host_review: (skip)
 * @self: a host
 *
 * Ends the streams to which another answer would be given now.
 */
void
hypha_forward_host_review (HyphaForwardHost *self)
{
  g_autoptr (GPtrArray) seats = hypha_audience_list (self->audience);

  for (guint i = 0; i < seats->len; i++) {
    Lodger *lodger = hypha_seat_get_data (seats->pdata[i]);

    if (lodger != NULL && !still_holds (self, lodger))
      hypha_audience_drop (self->audience, seats->pdata[i]);
  }
}

/* Somebody here wants it no more, or has left; or it was the node's own. */
static void
on_removed (HyphaForwardHost *self, HyphaForward *forward)
{
  g_autoptr (GPtrArray) seats = hypha_audience_list (self->audience);

  /* Not now: somebody may be going through them. */
  if (self->making_room == 0)
    self->making_room = g_idle_add (on_room, self);
  for (guint i = 0; i < seats->len; i++) {
    Lodger *lodger = hypha_seat_get_data (seats->pdata[i]);

    if (lodger != NULL && lodger->forward == forward)
      hypha_audience_drop (self->audience, seats->pdata[i]);
  }
}

/* ---- life ---- */

/**
 * hypha_forward_host_new: (skip)
 * @node: a node
 * @forwards: of @node
 * @may: what peers may have
 * @user_data: for @may
 *
 * Returns: (transfer full): a host of nobody
 */
HyphaForwardHost *
hypha_forward_host_new (HyphaNode *node, HyphaForwards *forwards, HyphaForwardHostMay may,
                        gpointer user_data)
{
  HyphaForwardHost *self = g_new0 (HyphaForwardHost, 1);

  self->loader = g_object_ref (hypha_node_get_loader (node));
  self->forwards = g_object_ref (forwards);
  self->may = may;
  self->user_data = user_data;
  self->audience = hypha_audience_new (&kind, self);
  self->pace = hypha_pace_new (AT_ONCE, EACH_MS);
  g_signal_connect_swapped (forwards, "removed", G_CALLBACK (on_removed), self);
  g_signal_connect_swapped (self->loader, "transport-added", G_CALLBACK (hypha_forward_host_review),
                            self);
  return self;
}

/**
 * hypha_forward_host_stop: (skip)
 * @self: a host
 *
 * Ends what peers have asked for.
 */
void
hypha_forward_host_stop (HyphaForwardHost *self)
{
  hypha_audience_drop_all (self->audience);
}

/**
 * hypha_forward_host_free: (skip)
 * @self: (transfer full): a host
 */
void
hypha_forward_host_free (HyphaForwardHost *self)
{
  g_signal_handlers_disconnect_by_data (self->loader, self);
  g_signal_handlers_disconnect_by_data (self->forwards, self);
  hypha_audience_free (self->audience);
  hypha_pace_free (self->pace);
  g_clear_handle_id (&self->making_room, g_source_remove);
  g_object_unref (self->loader);
  g_object_unref (self->forwards);
  g_free (self);
}
