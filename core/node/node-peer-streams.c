/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The streams of a peer as the main thread knows them: opened, joined, ended. */

#include "node/node-peer-inner.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/hypha-source.h"
#include "io/hard-close.h"
#include "link/name.h"
#include "node/memory-end.h"

#define FINISH_MS 2

/* What went over a stream; of one that was joined, its opener is told. */
typedef struct {
  guint64 received, sent;
} Counts;

/* Of a direct one nothing was counted but how it came about. */
static Counts
count (HyphaStreamInfo *info)
{
  if (info->direct)
    return (Counts){ 0 };
  return (Counts){ atomic_load (&info->received), atomic_load (&info->sent) };
}

static void
forget_sources (PeerStream *ps)
{
  hypha_clear_source (&ps->deadline);
  hypha_clear_source (&ps->cancelled);
}

/* Nobody waits for a channel any more before the peer hears of it. */
static void
say_open (gpointer data)
{
  PeerStream *ps = data;

  if (hypha_clear_source (&ps->unsaid))
    hypha_engine_open (ps->peer->engine, ps->info, -1, FALSE, NULL);
}

static gboolean
say_open_now (gpointer data)
{
  say_open (data);
  return G_SOURCE_REMOVE;
}

/* The stream of the session has done its work. */
static void
finish_direct (PeerStream *ps)
{
  if (hypha_clear_source (&ps->unfinished))
    hypha_engine_finish_direct (ps->peer->engine, ps->info);
}

static gboolean
finish_direct_now (gpointer data)
{
  finish_direct (data);
  return G_SOURCE_REMOVE;
}

static void
say_both (PeerStream *ps)
{
  say_open (ps);
  finish_direct (ps);
}

void
hypha_node_peer_say_all (HyphaNodePeer *self)
{
  GHashTableIter iter;
  PeerStream *ps;

  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &ps))
    say_both (ps);
}

void
hypha_peer_stream_free (gpointer data)
{
  PeerStream *ps = data;

  forget_sources (ps);
  hypha_clear_source (&ps->unsaid);
  hypha_clear_source (&ps->unfinished);
  g_clear_pointer (&ps->pipe, hypha_pipe_unref);
  g_clear_pointer (&ps->direct, hypha_direct_free);
  g_clear_pointer (&ps->held, hypha_incoming_free);
  g_clear_object (&ps->opening);
  g_clear_object (&ps->keep);
  g_weak_ref_clear (&ps->stream);
  hypha_stream_info_unref (ps->info);
  g_free (ps);
}

PeerStream *
hypha_peer_stream_new (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  PeerStream *ps = g_new0 (PeerStream, 1);

  ps->peer = self;
  ps->info = hypha_stream_info_ref (info);
  g_weak_ref_init (&ps->stream, NULL);
  g_hash_table_insert (self->streams, &ps->info->key, ps);
  return ps;
}

/* The program waits no longer; the peer may still answer, and is told that nobody is there. */
static void
give_up (PeerStream *ps, GError *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&ps->opening);

  say_open (ps); /* it ends as any other does */
  forget_sources (ps);
  g_clear_pointer (&ps->pipe, hypha_pipe_unref);
  g_clear_pointer (&ps->direct, hypha_direct_free);
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
  if (hypha_name_is_good (service, HYPHA_SERVICE_MAX))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("the name of a service has 1 to %d bytes of UTF-8 without spaces, control "
                  "characters and others that cannot be seen"),
               HYPHA_SERVICE_MAX);
  return FALSE;
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

/* TASK and DIRECT (nullable) are taken. The OPEN is yet to be said. */
static PeerStream *
begin_stream (HyphaNodePeer *self, const char *service, guint timeout_ms, GTask *task,
              HyphaDirect *direct)
{
  g_autoptr (HyphaStreamInfo) info = NULL;
  PeerStream *ps;

  self->last_key += 2;
  info = hypha_stream_info_new (self->last_key, TRUE, service,
                                direct != NULL ? hypha_direct_get_ticket (direct) : NULL);
  ps = hypha_peer_stream_new (self, info);
  ps->direct = direct;
  ps->opening = task;
  if (timeout_ms > 0)
    ps->deadline = attach_source (g_timeout_source_new (timeout_ms), open_timed_out, ps);
  return ps;
}

HyphaStream *
hypha_peer_stream_make (HyphaPipe *pipe, HyphaStreamInfo *info)
{
  return hypha_stream_new_for_end (hypha_memory_end_new (pipe), info->key, info->service);
}

/* The program gets its end; STREAM is taken. */
static void
finish_opening (PeerStream *ps, HyphaStream *stream)
{
  g_autoptr (GTask) task = g_steal_pointer (&ps->opening);

  forget_sources (ps);
  g_clear_pointer (&ps->pipe, hypha_pipe_unref);
  g_weak_ref_set (&ps->stream, stream);
  g_task_return_pointer (task, stream, g_object_unref);
}

static void
on_direct_opened (HyphaDirect *direct, int fd, const GError *error, gpointer user_data)
{
  PeerStream *ps = user_data;
  HyphaStream *stream = fd >= 0 ? hypha_stream_new (fd, ps->info->key, ps->info->service) : NULL;

  if (stream == NULL) {
    give_up (ps, g_error_new (error != NULL ? error->domain : HYPHA_ERROR,
                              error != NULL ? error->code : HYPHA_ERROR_CONNECT,
                              _ ("%s, service '%s': %s"), ps->peer->name, ps->info->service,
                              error != NULL ? error->message
                                            : _ ("the channel has no connected socket any more")));
    return;
  }
  /* First, for whoever waits may do what he likes. That the stream of the session ends, here and
   * there, and is told of on both buses, takes as long as what he waits for, and must not stand
   * in its way. */
  ps->unfinished = g_timeout_source_new (FINISH_MS);
  attach_source (ps->unfinished, finish_direct_now, ps);
  finish_opening (ps, stream);
}

/* If the channel can be there at once, its token is shown first: then the peer need not say that it
 * expects it. Otherwise the two go side by side. */
static void
begin_direct (PeerStream *ps)
{
  ps->unsaid = g_idle_source_new ();
  g_source_set_priority (ps->unsaid, G_PRIORITY_HIGH_IDLE);
  attach_source (ps->unsaid, say_open_now, ps);
  hypha_direct_start (ps->direct, on_direct_opened, say_open, ps);
}

typedef enum { KIND_PLAIN, KIND_CARRYING, KIND_DIRECT } Kind;

/* TASK is taken. */
static void
open_async (HyphaNodePeer *self, const char *service, Kind kind, guint timeout_ms,
            GCancellable *cancellable, GTask *owned)
{
  const gboolean direct = kind == KIND_DIRECT;
  g_autoptr (GTask) task = owned;
  g_autoptr (GError) error = NULL;
  HyphaDirect *on_its_way = NULL;
  PeerStream *ps;

  if (g_task_return_error_if_cancelled (task))
    return;
  if (may_open (self, service, &error) && direct)
    on_its_way = hypha_direct_new_opening (self->directs, self, &error);
  if (error != NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  ps = begin_stream (self, service, timeout_ms, g_steal_pointer (&task), on_its_way);
  ps->info->carries = kind == KIND_CARRYING;
  if (direct) {
    begin_direct (ps);
  } else {
    ps->pipe = hypha_pipe_new ();
    hypha_engine_open (self->engine, ps->info, -1, FALSE, ps->pipe);
  }
  if (cancellable != NULL)
    ps->cancelled =
        attach_source (g_cancellable_source_new (cancellable), G_SOURCE_FUNC (open_cancelled), ps);
}

void
hypha_node_peer_open_stream_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  GTask *task = g_task_new (peer, cancellable, callback, user_data);

  g_task_set_source_tag (task, hypha_node_peer_open_stream_async);
  open_async (HYPHA_NODE_PEER (peer), service, KIND_PLAIN, timeout_ms, cancellable, task);
}

void
hypha_node_peer_open_carrying_async (HyphaNodePeer *self, const char *service, guint timeout_ms,
                                     GCancellable *cancellable, GAsyncReadyCallback callback,
                                     gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, hypha_node_peer_open_carrying_async);
  open_async (self, service, KIND_CARRYING, timeout_ms, cancellable, task);
}

void
hypha_node_peer_open_direct_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  GTask *task = g_task_new (peer, cancellable, callback, user_data);

  g_task_set_source_tag (task, hypha_node_peer_open_direct_async);
  open_async (HYPHA_NODE_PEER (peer), service, KIND_DIRECT, timeout_ms, cancellable, task);
}

HyphaStream *
hypha_node_peer_open_stream_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
hypha_node_peer_join_async (HyphaNodePeer *self, const char *service, int fd, GObject *keep,
                            const char *greeting, guint timeout_ms, GAsyncReadyCallback callback,
                            gpointer user_data)
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
  ps = begin_stream (self, service, timeout_ms, g_steal_pointer (&task), NULL);
  ps->joins = TRUE;
  ps->info->greeting = g_strdup (greeting);
  hypha_engine_open (self->engine, ps->info, fd, TRUE,
                     NULL); /* the engine moves what goes over FD */
  g_set_object (&ps->keep, keep);
}

gboolean
hypha_node_peer_join_finish (HyphaNodePeer *self, GAsyncResult *result, guint64 *received,
                             guint64 *sent, GError **error)
{
  const Counts *joined = g_task_get_task_data (G_TASK (result));

  if (received != NULL)
    *received = joined != NULL ? joined->received : 0;
  if (sent != NULL)
    *sent = joined != NULL ? joined->sent : 0;
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
hypha_node_peer_stream_accepted (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  PeerStream *ps = g_hash_table_lookup (self->streams, &info->key);

  if (ps == NULL || ps->opening == NULL)
    return;
  if (ps->direct != NULL)
    hypha_direct_accepted (ps->direct);
  else if (ps->joins)
    forget_sources (ps);
  else
    finish_opening (ps, hypha_peer_stream_make (ps->pipe, info));
}

void
hypha_node_peer_direct_answered (HyphaNodePeer *self, HyphaStreamInfo *info, guint8 code)
{
  PeerStream *ps = g_hash_table_lookup (self->streams, &info->key);

  if (ps != NULL && ps->opening != NULL && ps->direct != NULL)
    hypha_direct_answered (ps->direct, code);
}

void
hypha_node_peer_stream_ended (HyphaNodePeer *self, HyphaStreamInfo *info, const GError *error)
{
  const Counts counts = count (info);
  PeerStream *ps = g_hash_table_lookup (self->streams, &info->key);
  g_autoptr (HyphaStream) stream = NULL;

  if (ps == NULL)
    return;
  g_hash_table_steal (self->streams, &info->key);
  stream = g_weak_ref_get (&ps->stream);
  if (stream != NULL)
    hypha_stream_ended (stream, counts.received, counts.sent, error);
  if (ps->opening != NULL) {
    forget_sources (ps);
    if (ps->joins)
      g_task_set_task_data (ps->opening, g_memdup2 (&counts, sizeof counts), g_free);
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
  hypha_peer_stream_free (ps);
  g_signal_emit_by_name (self, "stream-closed", info->key, error != NULL ? error->message : "",
                         counts.received, counts.sent);
}

/* ---- all of them ---- */

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
    const Counts counts = count (ps->info);

    g_variant_dict_insert (&dict, "id", "t", ps->info->key);
    g_variant_dict_insert (&dict, "service", "s", ps->info->service);
    g_variant_dict_insert (&dict, "mine", "b", ps->info->mine);
    g_variant_dict_insert (&dict, "received", "t", counts.received);
    g_variant_dict_insert (&dict, "sent", "t", counts.sent);
    g_variant_builder_add_value (&builder, g_variant_dict_end (&dict));
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

void
hypha_node_peer_drain (HyphaNodePeer *self)
{
  self->draining = TRUE;
}

/* Those that carry links end with what goes over those, or not at all. */
guint
hypha_node_peer_n_streams (HyphaNodePeer *self)
{
  GHashTableIter iter;
  PeerStream *ps;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &ps))
    n += !ps->info->carries;
  return n;
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
