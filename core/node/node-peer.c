/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-peer-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/hard-close.h"

struct _HyphaNodePeer {
  GObject parent_instance;
  HyphaNodeId id;
  char *id_text;
  char *name;
  char *from;
  gboolean trusted;
  gboolean dialling;
  gboolean draining;
  HyphaPeerState state; /* as last notified */
  guint link_cost;      /* likewise */
  HyphaNodePeerEvents events;
  gpointer user_data;
  HyphaEngine *engine; /* NULL until the first link, and once stopped */
  HyphaWorker *worker;
  HyphaNodeLink *best;
  GPtrArray *links;
  GHashTable *streams;      /* guint64 key, of PeerStream */
  guint64 last_key;         /* of streams opened here; even */
  guint64 last_incoming;    /* of streams opened by the peer; the engine's, while there is one */
  guint64 past_rx, past_tx; /* of links that have closed */
  guint max_incoming;
  guint n_incoming; /* not answered yet, also of streams that have ended meanwhile */
};

/* A stream as the main thread knows it. */
typedef struct {
  HyphaNodePeer *peer;
  HyphaStreamInfo *info;
  GTask *opening; /* until the peer has answered; of a join, until the end */
  gboolean joins;
  GSource *deadline, *cancelled;
  int fd;          /* the program's end, until then */
  GWeakRef stream; /* the program's; it may let it go at any time */
  GObject *keep;
} PeerStream;

struct _HyphaIncoming {
  HyphaNodePeer *peer;
  HyphaStreamInfo *info;
  int fd; /* the other end of what was made for the program; else -1 */
};

/* What went over a stream that was joined. */
typedef struct {
  guint64 received, sent;
} Joined;

enum { PROP_0, PROP_ID, PROP_NAME, PROP_TRUSTED, PROP_STATE, PROP_LINK_COST, PROP_FROM, N_PROPS };
enum { STREAM_CLOSED, N_SIGNALS };
static guint signals[N_SIGNALS];

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

/* ---- streams ---- */

static void
forget_sources (PeerStream *ps)
{
  if (ps->deadline != NULL)
    g_source_destroy (ps->deadline);
  if (ps->cancelled != NULL)
    g_source_destroy (ps->cancelled);
  g_clear_pointer (&ps->deadline, g_source_unref);
  g_clear_pointer (&ps->cancelled, g_source_unref);
}

static void
peer_stream_free (gpointer data)
{
  PeerStream *ps = data;

  forget_sources (ps);
  if (ps->fd >= 0)
    close (ps->fd);
  g_clear_object (&ps->opening);
  g_clear_object (&ps->keep);
  g_weak_ref_clear (&ps->stream);
  hypha_stream_info_unref (ps->info);
  g_free (ps);
}

static PeerStream *
peer_stream_new (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  PeerStream *ps = g_new0 (PeerStream, 1);

  ps->peer = self;
  ps->info = hypha_stream_info_ref (info);
  ps->fd = -1;
  g_weak_ref_init (&ps->stream, NULL);
  g_hash_table_insert (self->streams, &ps->info->key, ps);
  return ps;
}

/* The program waits no longer; the peer may still answer, and is told that nobody is there. */
static void
give_up (PeerStream *ps, GError *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&ps->opening);

  forget_sources (ps);
  if (ps->fd >= 0)
    close (g_steal_fd (&ps->fd));
  if (ps->peer->engine != NULL)
    hypha_engine_reset (ps->peer->engine, ps->info);
  g_task_return_error (task, error);
}

static gboolean
open_timed_out (gpointer data)
{
  PeerStream *ps = data;

  give_up (ps, g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                            _ ("%s did not answer the opening of '%s' in time"), ps->peer->name,
                            ps->info->service));
  return G_SOURCE_REMOVE;
}

static gboolean
open_cancelled (GCancellable *cancellable, gpointer data)
{
  give_up (data, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                      _ ("the opening of the stream was cancelled")));
  return G_SOURCE_REMOVE;
}

static GSource *
attach_source (GSource *source, GSourceFunc func, PeerStream *ps)
{
  g_source_set_callback (source, func, ps, NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
  return source;
}

static gboolean
check_service (const char *service, GError **error)
{
  gsize length = strlen (service);
  gboolean good = length > 0 && length <= HYPHA_SERVICE_MAX && g_utf8_validate (service, -1, NULL);

  for (const char *p = service; good && *p != '\0'; p = g_utf8_next_char (p))
    good = !g_unichar_iscntrl (g_utf8_get_char (p));
  if (!good)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("the name of a service has 1 to %d bytes of UTF-8 without control characters"),
                 HYPHA_SERVICE_MAX);
  return good;
}

static gboolean
may_open (HyphaNodePeer *self, const char *service, GError **error)
{
  if (!check_service (service, error))
    return FALSE;
  if (!self->trusted) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED,
                 _ ("%s is not trusted: hyphactl trust %s NAME"), self->name, self->id_text);
    return FALSE;
  }
  if (self->draining) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                         _ ("this node stops, and opens no more streams"));
    return FALSE;
  }
  if (self->engine == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                 _ ("there is no link to %s: hyphactl connect ENDPOINT makes one"), self->name);
    return FALSE;
  }
  return TRUE;
}

static gboolean
make_pair (int fds[2], GError **error)
{
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY, _ ("no descriptors for another stream: %s"),
               g_strerror (errno));
  return FALSE;
}

/* TASK and FD are taken: the engine moves what goes over FD. */
static PeerStream *
begin_stream (HyphaNodePeer *self, const char *service, guint timeout_ms, GTask *task, int fd,
              gboolean joins)
{
  g_autoptr (HyphaStreamInfo) info = NULL;
  PeerStream *ps;

  self->last_key += 2;
  info = hypha_stream_info_new (self->last_key, TRUE, service);
  ps = peer_stream_new (self, info);
  ps->opening = task;
  ps->joins = joins;
  if (timeout_ms > 0)
    ps->deadline = attach_source (g_timeout_source_new (timeout_ms), open_timed_out, ps);
  hypha_engine_open (self->engine, info, fd, joins);
  return ps;
}

static void
open_stream_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                   GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  HyphaNodePeer *self = HYPHA_NODE_PEER (peer);
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (GError) error = NULL;
  PeerStream *ps;
  int fds[2];

  g_task_set_source_tag (task, open_stream_async);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (!may_open (self, service, &error) || !make_pair (fds, &error)) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  ps = begin_stream (self, service, timeout_ms, g_steal_pointer (&task), fds[1], FALSE);
  ps->fd = fds[0];
  if (cancellable != NULL)
    ps->cancelled =
        attach_source (g_cancellable_source_new (cancellable), G_SOURCE_FUNC (open_cancelled), ps);
}

static HyphaStream *
open_stream_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
hypha_node_peer_join_async (HyphaNodePeer *self, const char *service, int fd, GObject *keep,
                            guint timeout_ms, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GError) error = NULL;
  PeerStream *ps;

  g_task_set_source_tag (task, hypha_node_peer_join_async);
  if (!may_open (self, service, &error)) {
    hypha_hard_close (fd);
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  ps = begin_stream (self, service, timeout_ms, g_steal_pointer (&task), fd, TRUE);
  g_set_object (&ps->keep, keep);
}

gboolean
hypha_node_peer_join_finish (HyphaNodePeer *self, GAsyncResult *result, guint64 *received,
                             guint64 *sent, GError **error)
{
  const Joined *joined = g_task_get_task_data (G_TASK (result));

  if (received != NULL)
    *received = joined != NULL ? joined->received : 0;
  if (sent != NULL)
    *sent = joined != NULL ? joined->sent : 0;
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
stream_accepted (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  PeerStream *ps = g_hash_table_lookup (self->streams, &info->key);
  g_autoptr (GTask) task = NULL;
  HyphaStream *stream;

  if (ps == NULL || ps->opening == NULL)
    return;
  forget_sources (ps);
  if (ps->joins)
    return;
  task = g_steal_pointer (&ps->opening);
  stream = hypha_stream_new (g_steal_fd (&ps->fd), info->key, info->service);
  g_weak_ref_set (&ps->stream, stream);
  g_task_return_pointer (task, stream, g_object_unref);
}

static void
stream_ended (HyphaNodePeer *self, HyphaStreamInfo *info, const GError *error)
{
  guint64 received = atomic_load (&info->received), sent = atomic_load (&info->sent);
  PeerStream *ps = g_hash_table_lookup (self->streams, &info->key);
  g_autoptr (HyphaStream) stream = NULL;

  if (ps == NULL)
    return;
  g_hash_table_steal (self->streams, &info->key);
  stream = g_weak_ref_get (&ps->stream);
  if (stream != NULL)
    hypha_stream_ended (stream, received, sent, error);
  if (ps->opening != NULL) {
    forget_sources (ps);
    if (ps->joins) {
      Joined joined = { received, sent };

      g_task_set_task_data (ps->opening, g_memdup2 (&joined, sizeof joined), g_free);
    }
    if (error == NULL && ps->joins)
      g_task_return_boolean (ps->opening, TRUE);
    else if (error != NULL)
      g_task_return_new_error (ps->opening, error->domain, error->code, _ ("%s, service '%s': %s"),
                               self->name, info->service, error->message);
    else
      g_task_return_new_error (ps->opening, HYPHA_ERROR, HYPHA_ERROR_GONE,
                               _ ("%s, service '%s': the stream ended before it was answered"),
                               self->name, info->service);
  }
  peer_stream_free (ps);
  g_signal_emit (self, signals[STREAM_CLOSED], 0, info->key, error != NULL ? error->message : "",
                 received, sent);
}

/* ---- incoming streams ---- */

HyphaNodePeer *
hypha_incoming_get_peer (HyphaIncoming *self)
{
  return self->peer;
}

const char *
hypha_incoming_get_service (HyphaIncoming *self)
{
  return self->info->service;
}

guint64
hypha_incoming_get_id (HyphaIncoming *self)
{
  return self->info->key;
}

HyphaStream *
hypha_incoming_make_stream (HyphaIncoming *self, GError **error)
{
  PeerStream *ps = g_hash_table_lookup (self->peer->streams, &self->info->key);
  HyphaStream *stream;
  int fds[2];

  if (ps == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the stream has ended"));
    return NULL;
  }
  if (!make_pair (fds, error))
    return NULL;
  self->fd = fds[0];
  stream = hypha_stream_new (fds[1], self->info->key, self->info->service);
  g_weak_ref_set (&ps->stream, stream);
  return stream;
}

void
hypha_incoming_accept_made (HyphaIncoming *self)
{
  hypha_incoming_accept (self, g_steal_fd (&self->fd), NULL);
}

static void
incoming_free (HyphaIncoming *self)
{
  if (self->fd >= 0)
    close (self->fd);
  self->peer->n_incoming--;
  g_object_unref (self->peer);
  hypha_stream_info_unref (self->info);
  g_free (self);
}

void
hypha_incoming_accept (HyphaIncoming *self, int fd, GObject *keep)
{
  PeerStream *ps = g_hash_table_lookup (self->peer->streams, &self->info->key);

  if (ps != NULL && self->peer->engine != NULL) {
    g_set_object (&ps->keep, keep);
    hypha_engine_accept (self->peer->engine, self->info, fd, keep != NULL);
  } else {
    close (fd); /* the stream has ended meanwhile */
  }
  incoming_free (self);
}

static HyphaCode
refusal (HyphaError error)
{
  switch (error) {
  case HYPHA_ERROR_NO_SUCH_SERVICE:
    return HYPHA_CODE_NO_SUCH_SERVICE;
  case HYPHA_ERROR_PERMISSION_DENIED:
    return HYPHA_CODE_NOT_ALLOWED;
  case HYPHA_ERROR_BUSY:
    return HYPHA_CODE_BUSY;
  default:
    return HYPHA_CODE_REFUSED;
  }
}

void
hypha_incoming_refuse (HyphaIncoming *self, HyphaError error)
{
  if (self->peer->engine != NULL)
    hypha_engine_refuse (self->peer->engine, self->info, refusal (error));
  incoming_free (self);
}

static void
stream_incoming (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  HyphaIncoming *incoming = g_new0 (HyphaIncoming, 1);

  peer_stream_new (self, info);
  incoming->peer = g_object_ref (self);
  incoming->info = hypha_stream_info_ref (info);
  incoming->fd = -1;
  /* The peer may end its streams and open others, but not so the waiting for what they led to. */
  if (++self->n_incoming > self->max_incoming)
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
  else
    self->events.incoming (self, incoming, self->user_data);
}

/* ---- news of the engine ---- */

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
    stream_incoming (self, news->stream);
    break;
  case HYPHA_NEWS_STREAM_ACCEPTED:
    stream_accepted (self, news->stream);
    break;
  case HYPHA_NEWS_STREAM_ENDED:
    stream_ended (self, news->stream, news->error);
    break;
  case HYPHA_NEWS_GONE:
    self->events.gone (self, self->user_data);
    g_object_unref (self); /* the engine's */
    break;
  }
}

/* ---- for the node ---- */

HyphaNodePeer *
hypha_node_peer_new (const HyphaNodeId *id, const HyphaNodePeerEvents *events, gpointer user_data)
{
  HyphaNodePeer *self = g_object_new (HYPHA_TYPE_NODE_PEER, NULL);

  self->id = *id;
  self->id_text = hypha_node_id_to_string (id);
  self->name = g_strndup (self->id_text, 8);
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
  if (self->engine != NULL)
    hypha_engine_drop (self->engine, error, reason);
}

void
hypha_node_peer_stop (HyphaNodePeer *self, HyphaAway away, HyphaError code, const char *reason)
{
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

GVariant *
hypha_node_peer_dup_streams (HyphaNodePeer *self)
{
  GVariantBuilder builder;
  GHashTableIter iter;
  PeerStream *ps;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &ps)) {
    g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

    g_variant_dict_insert (&dict, "id", "t", ps->info->key);
    g_variant_dict_insert (&dict, "service", "s", ps->info->service);
    g_variant_dict_insert (&dict, "mine", "b", ps->info->mine);
    g_variant_dict_insert (&dict, "received", "t", (guint64) atomic_load (&ps->info->received));
    g_variant_dict_insert (&dict, "sent", "t", (guint64) atomic_load (&ps->info->sent));
    g_variant_builder_add_value (&builder, g_variant_dict_end (&dict));
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

void
hypha_node_peer_drain (HyphaNodePeer *self)
{
  self->draining = TRUE;
}

guint
hypha_node_peer_n_streams (HyphaNodePeer *self)
{
  return g_hash_table_size (self->streams);
}

gboolean
hypha_node_peer_close_stream (HyphaNodePeer *self, guint64 id, GError **error)
{
  PeerStream *ps = g_hash_table_lookup (self->streams, &id);

  if (ps == NULL || self->engine == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("%s has no stream %" PRIu64), self->name,
                 id);
    return FALSE;
  }
  hypha_engine_reset (self->engine, ps->info);
  return TRUE;
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
  iface->open_stream_async = open_stream_async;
  iface->open_stream_finish = open_stream_finish;
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

  signals[STREAM_CLOSED] =
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
  self->streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, peer_stream_free);
}
