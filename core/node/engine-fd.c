/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/engine-private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/hard-close.h"

/* One wake-up moves at most this much from one program, so that no stream starves the others of its
 * worker: a whole chunk, which leaves in full frames. */
#define READ_AT_ONCE HYPHA_CHUNK_LARGE
#define PIECES 8

EngineStream *
hypha_engine_stream_new (HyphaEngine *engine, EngineSession *es, HyphaSessionStream *stream,
                         HyphaStreamInfo *info)
{
  EngineStream *self = g_new0 (EngineStream, 1);

  self->engine = engine;
  self->es = es;
  self->stream = stream;
  self->info = hypha_stream_info_ref (info);
  self->fd = self->answer = -1;
  hypha_session_stream_set_data (stream, self);
  g_hash_table_insert (engine->streams, &self->info->key, self);
  return self;
}

/* Nobody will read what the peer sends, or the program has gone: tell the peer to stop. */
static void
stop_writing (EngineStream *self)
{
  self->writing = FALSE;
  self->blocked = FALSE;
  hypha_session_stream_stop (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
}

/* The kernel tells of a reset once, to whoever calls first. A TCP connection that was reset has
 * lost bytes, and reads as if it were at its end from then on; a Unix socket only says that the
 * program left some of ours unread, which stop_writing tells, and still holds all that it wrote. */
static void
note_error (EngineStream *self, int number)
{
  if (number != EAGAIN && number != EINTR && number != EPIPE && !self->is_unix)
    self->cut = TRUE;
}

/* What the program wrote, into the session; at most READ_AT_ONCE. */
static void
pull (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  gsize room = MIN (hypha_session_stream_room (session, self->stream), READ_AT_ONCE);
  struct iovec pieces[PIECES];
  guint n;
  gssize got;

  if (room == 0)
    return;
  n = hypha_session_stream_reserve (session, self->stream, room, pieces, PIECES);
  do
    got = readv (self->fd, pieces, (int) n);
  while (got < 0 && errno == EINTR);

  if (got > 0) {
    hypha_session_stream_commit (session, self->stream, (gsize) got);
    atomic_fetch_add (&self->info->sent, (guint64) got);
    return;
  }
  hypha_session_stream_commit (session, self->stream, 0);
  if (got < 0 && errno == EAGAIN)
    return;
  self->reading = FALSE;
  if (got < 0 && errno == ECONNRESET && self->is_unix) {
    if (self->writing)
      stop_writing (self);
    got = 0;
  }
  if (got == 0 && !self->cut)
    hypha_session_stream_finish (session, self->stream);
  else
    hypha_session_stream_reset (session, self->stream, HYPHA_CODE_APPLICATION);
}

gsize
hypha_engine_stream_deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data,
                             gsize length, gpointer user_data)
{
  EngineStream *self = hypha_session_stream_get_data (stream);
  gssize put;

  if (self == NULL || self->fd < 0 || self->blocked || !self->writing)
    return 0;
  do
    put = send (self->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);

  if (put < 0) {
    /* The session must not be called from here: the held bytes come up again as READABLE, and push
     * finds the error. */
    self->blocked = errno == EAGAIN;
    note_error (self, errno);
    return 0;
  }
  atomic_fetch_add (&self->info->received, (guint64) put);
  self->blocked = (gsize) put < length;
  return (gsize) put;
}

void
hypha_engine_stream_push (EngineStream *self)
{
  HyphaSession *session = self->es->session;
  struct iovec pieces[PIECES];

  while (self->writing && !self->blocked) {
    struct msghdr message = { .msg_iov = pieces };
    gssize put;

    message.msg_iovlen = hypha_session_stream_pieces (session, self->stream, pieces, PIECES);
    if (message.msg_iovlen == 0)
      break;
    put = sendmsg (self->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
      atomic_fetch_add (&self->info->received, (guint64) put);
      hypha_session_stream_read (session, self->stream, (gsize) put,
                                 hypha_engine_now (self->engine));
    } else if (errno == EAGAIN) {
      self->blocked = TRUE;
    } else if (errno != EINTR) {
      note_error (self, errno);
      stop_writing (self);
    }
  }
  if (self->writing && hypha_session_stream_at_end (self->stream)) {
    self->writing = FALSE;
    shutdown (self->fd, SHUT_WR);
  }
}

static void
ready (HyphaWatch *watch, guint32 events)
{
  EngineStream *self = watch->user_data;
  HyphaEngine *engine = self->engine;

  if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
    self->blocked = FALSE;
    hypha_engine_stream_push (self);
  }
  if (self->reading && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
    pull (self);
  /* The program has closed both its ends, and epoll would go on to say so. */
  if (events & (EPOLLHUP | EPOLLERR) && !self->reading && self->writing)
    stop_writing (self);
  hypha_engine_stream_update (self);
  hypha_engine_work (engine);
}

void
hypha_engine_stream_update (EngineStream *self)
{
  guint32 events = 0;
  /* It has said all it had to say, but while it is there it may read. */
  gboolean may_hang_up = self->writing && !self->reading;

  if (self->fd < 0)
    return;
  if (self->reading && hypha_session_stream_room (self->es->session, self->stream) > 0)
    events |= EPOLLIN;
  if (self->writing && self->blocked)
    events |= EPOLLOUT;

  /* A descriptor that is watched for nothing would still wake the worker, for ever, once it has
   * hung up. */
  if (events == 0 && !may_hang_up)
    hypha_watch_stop (&self->watch);
  else if (self->watch.worker != NULL)
    hypha_watch_set_events (&self->watch, events);
  else if (!hypha_watch_start (&self->watch, self->engine->parameters.worker, self->fd, events,
                               ready, self, NULL)) {
    hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
    stop_writing (self);
    self->reading = FALSE;
  }
}

void
hypha_engine_stream_attach (EngineStream *self, int fd, gboolean target)
{
  int domain = AF_UNIX;
  socklen_t length = sizeof domain;

  getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
  self->is_unix = domain == AF_UNIX;
  self->fd = fd;
  self->target = target;
  /* If this process is killed in the middle, that is not to look like the end. */
  if (target)
    hypha_hard_close_later (fd);
  self->reading = self->writing = TRUE;
  hypha_engine_stream_push (self);
  hypha_engine_stream_update (self);
}

void
hypha_engine_stream_peer_reset (EngineStream *self)
{
  if (self->fd < 0)
    return;
  self->writing = self->blocked = FALSE;
  if (self->target) {
    if (self->reading)
      hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
    self->reading = FALSE;
  } else {
    shutdown (self->fd, SHUT_WR);
  }
  hypha_engine_stream_update (self);
}

void
hypha_engine_stream_stopped (EngineStream *self)
{
  self->reading = FALSE;
  if (self->fd >= 0)
    shutdown (self->fd, SHUT_RD);
  hypha_engine_stream_update (self);
}

void
hypha_engine_stream_ended (EngineStream *self, GError *error)
{
  HyphaNews news = { .type = HYPHA_NEWS_STREAM_ENDED,
                     .stream = hypha_stream_info_ref (self->info),
                     .error = error };

  if (self->stream != NULL)
    hypha_session_stream_set_data (self->stream, NULL);
  hypha_watch_stop (&self->watch);
  if (self->fd >= 0) {
    if (!self->target)
      close (self->fd);
    else if (error != NULL)
      hypha_hard_close (self->fd);
    else
      hypha_soft_close (self->fd);
  }
  g_hash_table_remove (self->engine->streams, &self->info->key);
  hypha_engine_tell (self->engine, &news);
  hypha_stream_info_unref (self->info);
  g_free (self);
}
