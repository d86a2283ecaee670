/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream whose program has a descriptor. */

#include "node/engine-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/hard-close.h"

/* One wake-up moves at most this much from one program, so that no stream starves the others of its
 * worker: a whole chunk, which leaves in full frames. */
#define READ_AT_ONCE HYPHA_CHUNK_LARGE
#define PIECES 8

/* The kernel tells of a reset once, to whoever calls first. A TCP connection that was reset has
 * lost bytes, and reads as if it were at its end from then on; a Unix socket only says that the
 * program left some of ours unread, which ending it tells, and still holds all that it wrote. */
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
      hypha_engine_stream_end_writing (self);
    got = 0;
  }
  if (got == 0 && !self->cut)
    hypha_session_stream_finish (session, self->stream);
  else
    hypha_session_stream_reset (session, self->stream, HYPHA_CODE_APPLICATION);
}

/* A fresh socket has room for it. One that takes it in part, or not at all, is to take nothing else
 * either. */
void
hypha_engine_stream_greet (EngineStream *self)
{
  const char *greeting = self->info->greeting;

  if (self->greeted || greeting == NULL || self->fd < 0)
    return;
  self->greeted = TRUE;
  if (send (self->fd, greeting, strlen (greeting), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      (gssize) strlen (greeting))
    shutdown (self->fd, SHUT_RDWR);
}

static gsize
deliver (EngineStream *self, const guint8 *data, gsize length)
{
  gssize put;

  hypha_engine_stream_greet (
      self); /* the news that the peer has accepted may come after its bytes */
  if (self->blocked || !self->writing)
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

/* No more comes for the program. One that cannot be told so is not there. */
static void
end_output (EngineStream *self)
{
  self->writing = FALSE;
  if (shutdown (self->fd, SHUT_WR) == 0)
    return;
  self->cut = TRUE;
  if (self->reading)
    hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
  self->reading = FALSE;
}

/* A program that has gone ends what it says, too. One that is there, and lost bytes all the same,
 * would go on waiting for them: nothing more is to be had from it. */
static void
fail_writing (EngineStream *self, int number)
{
  gboolean gone = number == EPIPE || number == ECONNRESET;

  note_error (self, number);
  hypha_engine_stream_end_writing (self);
  if (gone || !self->reading)
    return;
  hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
  self->reading = FALSE;
}

static void
push (EngineStream *self)
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
      fail_writing (self, errno);
    }
  }
  if (self->writing && hypha_session_stream_at_end (self->stream))
    end_output (self);
}

static void update (EngineStream *self);

static void
ready (HyphaWatch *watch, guint32 events)
{
  EngineStream *self = watch->user_data;
  HyphaEngine *engine = self->engine;

  if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
    self->blocked = FALSE;
    push (self);
  }
  if (self->reading && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
    pull (self);
  /* The program has closed both its ends, and epoll would go on to say so. */
  if (events & (EPOLLHUP | EPOLLERR) && !self->reading && self->writing)
    hypha_engine_stream_end_writing (self);
  update (self);
  hypha_engine_work (engine);
}

/* Nobody may have said that it takes more, nor that it has gone. */
static void
try_again (HyphaTimer *timer)
{
  EngineStream *self = timer->user_data;
  HyphaEngine *engine = self->engine;

  self->blocked = FALSE;
  push (self);
  update (self);
  hypha_engine_work (engine);
}

static void
update_timer (EngineStream *self)
{
  if (!self->writing || !self->blocked)
    hypha_timer_cancel (&self->again);
  else if (self->again.worker == NULL)
    hypha_timer_set (&self->again, self->engine->parameters.worker,
                     hypha_engine_now (self->engine) + HYPHA_WRITE_ANYWAY, try_again, self);
}

static gboolean
is_watched_for (EngineStream *self, guint32 events)
{
  return self->watch.worker != NULL && (self->watch.events & events) != 0;
}

static void
update (EngineStream *self)
{
  guint32 events = 0;
  gboolean may_hang_up;

  if (self->fd < 0)
    return;
  /* Room has come: there is nearly always something for it, and then nothing to wait for. */
  if (self->reading && !is_watched_for (self, EPOLLIN))
    pull (self);
  if (self->reading && hypha_session_stream_room (self->es->session, self->stream) > 0)
    events |= EPOLLIN;
  if (self->writing && self->blocked)
    events |= EPOLLOUT;

  /* It has said all it had to say, but while it is there it may read. */
  may_hang_up = self->writing && !self->reading;
  /* A descriptor that is watched for nothing would still wake the worker, for ever, once it has
   * hung up. */
  if (events == 0 && !may_hang_up)
    hypha_watch_stop (&self->watch);
  else if (self->watch.worker != NULL)
    hypha_watch_set_events (&self->watch, events);
  else if (!hypha_watch_start (&self->watch, self->engine->parameters.worker, self->fd, events,
                               ready, self, NULL)) {
    hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
    hypha_engine_stream_end_writing (self);
    self->reading = FALSE;
  }
  update_timer (self);
}

static void
peer_reset (EngineStream *self)
{
  self->writing = self->blocked = FALSE;
  if (self->target) {
    if (self->reading)
      hypha_session_stream_reset (self->es->session, self->stream, HYPHA_CODE_APPLICATION);
    self->reading = FALSE;
  } else {
    end_output (self);
  }
}

/* A program that waits in poll() because its Unix socket is full is not told that nobody reads it
 * any more, but that there is room. Nothing can follow what is in there. */
static void
make_room (EngineStream *self)
{
  guint8 buffer[4096];
  gssize n;

  do
    n = recv (self->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  while (n > 0 || (n < 0 && errno == EINTR));
}

static void
stopped (EngineStream *self)
{
  self->reading = FALSE;
  if (self->fd >= 0 && shutdown (self->fd, SHUT_RD) == 0 && self->is_unix)
    make_room (self);
}

static void
release (EngineStream *self)
{
  hypha_watch_stop (&self->watch);
  hypha_timer_cancel (&self->again);
}

/* The peer may take its time to acknowledge; the program here need not wait for that. */
static void
reset (EngineStream *self)
{
  if (self->fd < 0)
    return;
  if (self->info->carries)
    shutdown (self->fd, SHUT_RDWR); /* the link that it was is to notice now */
  if (!self->target)
    return;
  release (self);
  hypha_hard_close (g_steal_fd (&self->fd));
}

static void
ended (EngineStream *self, const GError *error)
{
  release (self);
  if (self->fd < 0)
    return;
  if (!self->target)
    close (self->fd);
  else if (error != NULL)
    hypha_hard_close (self->fd);
  else
    hypha_soft_close (self->fd);
}

static const EngineEnd fd_end = {
  .deliver = deliver,
  .push = push,
  .update = update,
  .peer_reset = peer_reset,
  .stopped = stopped,
  .reset = reset,
  .ended = ended,
};

void
hypha_engine_stream_attach_fd (EngineStream *self, int fd, gboolean target)
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
  self->end = &fd_end;
  push (self);
  update (self);
}
