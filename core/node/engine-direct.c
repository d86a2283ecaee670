/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The session's stream that goes with a direct one: no program's descriptor is at its ends. One
 * byte goes over it, to the opener: whether the stream is taken, or why not. */

#include "node/engine-private.h"

/* The peer takes it when it has room for it: then this comes again. */
static void
say (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  struct iovec piece;

  if (self->answer < 0 || hypha_session_stream_room (session, self->stream) == 0 ||
      hypha_session_stream_reserve (session, self->stream, 1, &piece, 1) == 0)
    return;
  *(guint8 *) piece.iov_base = (guint8) self->answer;
  self->answer = -1;
  hypha_session_stream_commit (session, self->stream, 1);
  hypha_session_stream_finish (session, self->stream);
}

/* What else the peer may say is of no interest, and does not stay. */
static void
hear (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  struct iovec piece;

  while (hypha_session_stream_pieces (session, self->stream, &piece, 1) > 0) {
    if (self->info->mine && !self->heard) {
      HyphaNews news = { .type = HYPHA_NEWS_DIRECT_ANSWERED,
                         .stream = hypha_stream_info_ref (self->info),
                         .code = *(const guint8 *) piece.iov_base };

      self->heard = TRUE;
      hypha_engine_tell (self->engine, &news);
    }
    hypha_session_stream_read (session, self->stream, piece.iov_len,
                               hypha_engine_now (self->engine));
  }
  /* Without an answer, nobody else would end it. */
  if (self->info->mine && !self->heard && hypha_session_stream_at_end (self->stream))
    hypha_session_stream_finish (session, self->stream);
}

void
hypha_engine_direct_answer (EngineStream *self, guint code)
{
  hypha_session_accept (self->es->session, self->stream);
  self->answer = (int) code;
  say (self);
}

gboolean
hypha_engine_direct_event (EngineStream *self, HyphaSessionEventType type)
{
  switch (type) {
  case HYPHA_SESSION_READABLE:
  case HYPHA_SESSION_FINISHED:
    hear (self);
    return TRUE;
  case HYPHA_SESSION_WRITABLE:
    say (self);
    return TRUE;
  case HYPHA_SESSION_PEER_RESET:
    if (!self->info->mine)
      hypha_session_accept (self->es->session, self->stream);
    hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
    return TRUE;
  default:
    return FALSE;
  }
}
