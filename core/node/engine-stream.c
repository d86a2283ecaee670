/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/engine-private.h"

EngineStream *
hypha_engine_stream_new (HyphaEngine *engine, EngineSession *es, HyphaSessionStream *stream,
                         HyphaStreamInfo *info)
{
  EngineStream *self = g_new0 (EngineStream, 1);

  self->engine = engine;
  self->es = es;
  self->stream = stream;
  self->info = hypha_stream_info_ref (info);
  self->reading = self->writing = TRUE;
  self->fd = self->answer = -1;
  hypha_session_stream_set_data (stream, self);
  g_hash_table_insert (engine->streams, &self->info->key, self);
  return self;
}

/* Nobody will read what the peer sends, or the program has gone: tell the peer to stop. */
void
hypha_engine_stream_end_writing (EngineStream *self)
{
  self->writing = FALSE;
  self->blocked = FALSE;
  hypha_session_stream_stop (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
}

gsize
hypha_engine_stream_deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data,
                             gsize length, gpointer user_data)
{
  EngineStream *self = hypha_session_stream_get_data (stream);

  return self != NULL && self->end != NULL ? self->end->deliver (self, data, length) : 0;
}

void
hypha_engine_stream_push (EngineStream *self)
{
  if (self->end != NULL)
    self->end->push (self);
}

void
hypha_engine_stream_update (EngineStream *self)
{
  if (self->end != NULL)
    self->end->update (self);
}

void
hypha_engine_stream_peer_reset (EngineStream *self)
{
  if (self->end == NULL) {
    self->writing = FALSE;
    return;
  }
  self->end->peer_reset (self);
  self->end->update (self);
}

void
hypha_engine_stream_stopped (EngineStream *self)
{
  if (self->end == NULL) {
    self->reading = FALSE;
    return;
  }
  self->end->stopped (self);
  self->end->update (self);
}

void
hypha_engine_stream_reset (EngineStream *self)
{
  self->reading = self->writing = FALSE;
  self->was_reset = TRUE;
  hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
  hypha_session_stream_stop (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
  if (self->end == NULL)
    return;
  self->end->reset (self);
  self->end->update (self);
}

void
hypha_engine_stream_catch_up (EngineStream *self)
{
  gboolean was_stopped = !self->reading;

  if (self->end == NULL)
    return;
  if (self->was_reset) {
    self->end->reset (self);
  } else {
    if (!self->writing)
      self->end->peer_reset (self);
    if (was_stopped)
      self->end->stopped (self);
  }
  self->end->update (self);
}

void
hypha_engine_stream_ended (EngineStream *self, GError *error)
{
  HyphaNews news = { .type = HYPHA_NEWS_STREAM_ENDED,
                     .stream = hypha_stream_info_ref (self->info),
                     .error = error };

  if (self->stream != NULL)
    hypha_session_stream_set_data (self->stream, NULL);
  if (self->end != NULL)
    self->end->ended (self, error);
  g_hash_table_remove (self->engine->streams, &self->info->key);
  hypha_engine_tell (self->engine, &news);
  hypha_stream_info_unref (self->info);
  g_free (self);
}
