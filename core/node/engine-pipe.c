/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream whose program is in this process: its bytes pass in memory, and each is copied once on
 * its way in and once on its way out. */

#include "node/engine-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/socket.h>

/* So much from one program, then others have their turn. */
#define WRITE_AT_ONCE HYPHA_CHUNK_LARGE
#define PIECES 8

/* What a program has written, into the session. Returns how much of it; if none, the program is
 * told as soon as there is room. */
static gsize
put (EngineStream *self, const guint8 *data, gsize length)
{
  HyphaSession *session = self->es->session;
  struct iovec pieces[PIECES];
  guint n = 0;
  gsize done = 0;

  if (self->reading)
    n = hypha_session_stream_reserve (session, self->stream, MIN (length, WRITE_AT_ONCE), pieces,
                                      PIECES);
  for (guint i = 0; i < n; i++) {
    memcpy (pieces[i].iov_base, data + done, pieces[i].iov_len);
    done += pieces[i].iov_len;
  }
  hypha_pipe_set_room (self->pipe, done > 0);
  if (done == 0)
    return 0;
  hypha_session_stream_commit (session, self->stream, done);
  atomic_fetch_add (&self->info->sent, (guint64) done);
  return done;
}

/* What the program wrote while somebody else had the worker. FALSE: there is more of it. */
static gboolean
pull (EngineStream *self)
{
  const guint8 *data;
  gsize length, done;

  while (self->reading && (length = hypha_pipe_peek (self->pipe, &data)) > 0) {
    done = put (self, data, length);
    if (done == 0)
      return FALSE;
    hypha_pipe_consume (self->pipe, done);
  }
  return TRUE;
}

/* All that the program can do, looked at together. */
static void
look (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  HyphaPipeMoves moves;
  gboolean all_pulled;

  hypha_pipe_take_moves (self->pipe, &moves);
  self->turning = moves.turned;
  if (moves.read > 0 && self->writing) {
    hypha_session_stream_read (session, self->stream, moves.read, hypha_engine_now (self->engine));
    hypha_pipe_set_step (self->pipe, hypha_session_stream_get_step (self->stream));
  }
  if (moves.read_closed && self->writing)
    hypha_engine_stream_end_writing (self);
  all_pulled = pull (self);
  if (all_pulled && moves.write_closed && self->reading) {
    self->reading = FALSE;
    hypha_session_stream_finish (session, self->stream);
  }
}

/* The program goes on with a descriptor: all that it wrote is on its way, and what it did not read
 * will be read there. */
static void
turn (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  g_autoptr (HyphaPipe) pipe = g_steal_pointer (&self->pipe);
  const guint8 *data;
  HyphaChunk *chunk;
  gsize length;
  int fd = hypha_pipe_take_turned (pipe);

  self->turning = FALSE;
  while ((length = hypha_pipe_take_back (pipe, &data, &chunk)) > 0) {
    if (self->writing)
      hypha_session_stream_give_back (session, self->stream, data, length);
    hypha_chunk_unref (chunk);
  }
  hypha_session_stream_hold_inside (session, self->stream);
  hypha_pipe_detach (pipe);
  /* What the program could have learnt from the pipe. */
  if (!self->writing)
    shutdown (fd, SHUT_WR);
  hypha_engine_stream_attach_fd (self, fd, FALSE);
  if (!self->reading)
    self->end->stopped (self);
}

static void
look_and_turn (EngineStream *self)
{
  const guint8 *data;

  look (self);
  /* Where the peer has stopped reading, what was not taken never will be. */
  if (self->turning && (!self->reading || hypha_pipe_peek (self->pipe, &data) == 0))
    turn (self);
}

/* ---- what the program does ---- */

static gsize
take (gpointer user_data, const guint8 *data, gsize length)
{
  EngineStream *self = user_data;
  HyphaEngine *engine = self->engine;
  gsize done = put (self, data, length);

  hypha_engine_work (engine);
  return done;
}

static void
moved (gpointer user_data)
{
  EngineStream *self = user_data;
  HyphaEngine *engine = self->engine;

  look_and_turn (self);
  hypha_engine_work (engine);
}

static const HyphaPipeEvents pipe_events = { .take = take, .moved = moved };

/* ---- what the session does ---- */

static gsize
deliver (EngineStream *self, const guint8 *data, gsize length)
{
  hypha_pipe_deliver (self->pipe, data, length);
  atomic_fetch_add (&self->info->received, (guint64) length);
  return length;
}

static void
push (EngineStream *self)
{
  if (self->writing && hypha_session_stream_is_complete (self->stream))
    hypha_pipe_finish (self->pipe);
}

static void
update (EngineStream *self)
{
  if (self->reading)
    hypha_pipe_set_room (self->pipe,
                         hypha_session_stream_room (self->es->session, self->stream) > 0);
  look_and_turn (self);
}

static void
break_with (EngineStream *self, gboolean reading, const char *text)
{
  g_autoptr (GError) error = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET, text);

  hypha_pipe_break (self->pipe, reading, error);
}

static void
peer_reset (EngineStream *self)
{
  self->writing = FALSE;
  break_with (self, TRUE, _ ("the other program ended the stream early"));
}

static void
stopped (EngineStream *self)
{
  self->reading = FALSE;
  break_with (self, FALSE, _ ("the other program stopped reading"));
}

static void
reset (EngineStream *self)
{
  break_with (self, TRUE, _ ("it was reset here"));
  break_with (self, FALSE, _ ("it was reset here"));
}

static void
ended (EngineStream *self, const GError *error)
{
  if (error != NULL) {
    hypha_pipe_break (self->pipe, TRUE, error);
    hypha_pipe_break (self->pipe, FALSE, error);
  }
  hypha_pipe_detach (self->pipe);
  g_clear_pointer (&self->pipe, hypha_pipe_unref);
}

static const EngineEnd pipe_end = {
  .deliver = deliver,
  .push = push,
  .update = update,
  .peer_reset = peer_reset,
  .stopped = stopped,
  .reset = reset,
  .ended = ended,
};

void
hypha_engine_stream_attach_pipe (EngineStream *self, HyphaPipe *pipe)
{
  self->pipe = hypha_pipe_ref (pipe);
  self->end = &pipe_end;
  hypha_pipe_attach (pipe, self->engine->parameters.worker, &pipe_events, self);
  hypha_session_stream_hold_outside (self->es->session, self->stream);
  hypha_pipe_set_step (pipe, hypha_session_stream_get_step (self->stream));
  push (self);
  update (self);
}
