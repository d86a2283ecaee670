/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream that a peer has opened, until somebody here has answered. */

#include "node/node-peer-inner.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <unistd.h>

struct _HyphaIncoming {
  HyphaNodePeer *peer;
  HyphaStreamInfo *info;
  int fd;          /* of a direct one: its own, until the program has it; else -1 */
  HyphaPipe *pipe; /* what was made for the program; NULL: nothing */
};

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

gboolean
hypha_incoming_is_direct (HyphaIncoming *self)
{
  return self->info->direct;
}

/* Nobody takes the stream that its program may hold already. */
static void
drop_pipe (HyphaPipe *pipe)
{
  g_autoptr (GError) error =
      g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the stream was not taken"));

  hypha_pipe_abandon (pipe, error);
  hypha_pipe_unref (pipe);
}

static HyphaStream *
make_stream (HyphaIncoming *self, gboolean carries, GError **error)
{
  PeerStream *ps = g_hash_table_lookup (self->peer->streams, &self->info->key);
  HyphaStream *stream;

  if (ps == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the stream has ended"));
    return NULL;
  }
  if (self->info->direct) {
    stream = hypha_stream_new (g_steal_fd (&self->fd), self->info->key, self->info->service);
    if (stream == NULL)
      g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                           _ ("the channel has no connected socket any more"));
  } else {
    if (self->pipe != NULL)
      drop_pipe (self->pipe); /* somebody was asked before, and does not want it */
    self->info->carries = carries;
    self->pipe = hypha_pipe_new ();
    stream = hypha_peer_stream_make (self->pipe, self->info);
  }
  g_weak_ref_set (&ps->stream, stream);
  return stream;
}

HyphaStream *
hypha_incoming_make_stream (HyphaIncoming *self, GError **error)
{
  return make_stream (self, FALSE, error);
}

HyphaStream *
hypha_incoming_make_carrying (HyphaIncoming *self, GError **error)
{
  return make_stream (self, TRUE, error);
}

void
hypha_incoming_free (HyphaIncoming *self)
{
  if (self->fd >= 0)
    close (self->fd);
  if (self->pipe != NULL)
    drop_pipe (self->pipe);
  self->peer->n_incoming--;
  g_object_unref (self->peer);
  hypha_stream_info_unref (self->info);
  g_free (self);
}

/* Tells the opener of a direct stream whether it is taken. */
static void
answer_direct (HyphaIncoming *self, HyphaCode code)
{
  PeerStream *ps = g_hash_table_lookup (self->peer->streams, &self->info->key);

  if (ps != NULL)
    ps->answered = TRUE;
  if (ps != NULL && self->peer->engine != NULL)
    hypha_engine_answer_direct (self->peer->engine, self->info, code);
  hypha_incoming_free (self);
}

/* By what was made for the program, or FD. */
static void
accept_end (HyphaIncoming *self, int fd, GObject *keep)
{
  PeerStream *ps = g_hash_table_lookup (self->peer->streams, &self->info->key);

  if (ps != NULL && self->peer->engine != NULL) {
    g_set_object (&ps->keep, keep);
    hypha_engine_accept (self->peer->engine, self->info, fd, keep != NULL, self->pipe);
    g_clear_pointer (&self->pipe, hypha_pipe_unref);
  } else if (fd >= 0) {
    close (fd); /* the stream has ended meanwhile */
  }
  hypha_incoming_free (self);
}

void
hypha_incoming_accept_made (HyphaIncoming *self)
{
  if (self->info->direct)
    answer_direct (self, 0);
  else
    accept_end (self, -1, NULL);
}

void
hypha_incoming_accept (HyphaIncoming *self, int fd, GObject *keep)
{
  accept_end (self, fd, keep);
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
  if (self->info->direct) {
    answer_direct (self, refusal (error));
    return;
  }
  if (self->peer->engine != NULL)
    hypha_engine_refuse (self->peer->engine, self->info, refusal (error));
  hypha_incoming_free (self);
}

static void
on_direct_incoming (HyphaDirect *direct, int fd, const GError *error, gpointer user_data)
{
  PeerStream *ps = user_data;
  HyphaNodePeer *self = ps->peer;
  HyphaIncoming *incoming = g_steal_pointer (&ps->held);

  incoming->fd = fd;
  if (fd >= 0) {
    self->events.incoming (self, incoming, self->user_data);
    return;
  }
  g_message ("%s, a direct stream to '%s': %s", self->name, ps->info->service, error->message);
  hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
}

/* Its stream of the session is taken, whatever becomes of it: over that the program's answer goes.
 * Where that is there at once, both go together. */
static void
begin_direct (PeerStream *ps, HyphaIncoming *incoming)
{
  g_autoptr (HyphaNodePeer) self = g_object_ref (ps->peer);
  g_autoptr (HyphaStreamInfo) info = hypha_stream_info_ref (ps->info);
  g_autoptr (GError) error = NULL;

  ps->direct = hypha_direct_new_answering (self->directs, self, ps->info->ticket, &error);
  if (ps->direct == NULL) {
    g_message ("%s, a direct stream to '%s': %s", self->name, ps->info->service, error->message);
    answer_direct (incoming, HYPHA_CODE_BUSY);
    return;
  }
  ps->held = incoming;
  hypha_direct_start (ps->direct, on_direct_incoming, NULL, ps);
  ps = g_hash_table_lookup (self->streams, &info->key);
  if (ps != NULL && !ps->answered && self->engine != NULL)
    hypha_engine_take_direct (self->engine, info);
}

void
hypha_node_peer_stream_incoming (HyphaNodePeer *self, HyphaStreamInfo *info)
{
  HyphaIncoming *incoming = g_new0 (HyphaIncoming, 1);
  PeerStream *ps = hypha_peer_stream_new (self, info);

  incoming->peer = g_object_ref (self);
  incoming->info = hypha_stream_info_ref (info);
  incoming->fd = -1;
  /* The peer may end its streams and open others, but not so the waiting for what they led to. */
  if (++self->n_incoming > self->max_incoming) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
  } else if (info->direct) {
    begin_direct (ps, incoming);
  } else {
    self->events.incoming (self, incoming, self->user_data);
  }
}
