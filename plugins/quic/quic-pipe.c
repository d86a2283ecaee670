/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-pipe.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What waits here to be sent for the first time: pings would wait behind more. */
#define UNSENT_BYTES (128 * 1024)
/* What is on its way: as much as a fast and long way holds. */
#define UNHEARD_BYTES (16 * 1024 * 1024)
#define PIECES 8

static void
ready (gpointer pipe, guint32 events)
{
  QuicPipe *self = pipe;

  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    self->hung_up = TRUE;
    /* What it has left is read as there is room: until then this would be told again and again. */
    hypha_loop_unwatch (self->loop, &self->watch);
  }
  self->stirred (self->owner);
}

void
quic_pipe_open (QuicPipe *self, HyphaLoop *loop, int fd, void (*stirred) (gpointer owner),
                gpointer owner)
{
  self->loop = loop;
  self->watch = (HyphaLoopWatch){ .fd = fd, .ready = ready, .owner = self };
  self->stirred = stirred;
  self->owner = owner;
  quic_pipe_watch (self);
}

void
quic_pipe_close (QuicPipe *self)
{
  if (self->watch.fd < 0)
    return;
  hypha_loop_unwatch (self->loop, &self->watch);
  close (self->watch.fd);
  self->watch.fd = -1;
  self->up_all = TRUE;
  quic_buffer_clear (&self->down);
}

void
quic_pipe_clear (QuicPipe *self)
{
  quic_pipe_close (self);
  quic_buffer_clear (&self->up);
}

/* ---- up ---- */

static gboolean
has_room (QuicPipe *self)
{
  return self->up.end - self->sent < UNSENT_BYTES &&
         quic_buffer_get_size (&self->up) < UNHEARD_BYTES;
}

void
quic_pipe_pull (QuicPipe *self)
{
  while (!self->up_all && has_room (self)) {
    gsize room;
    guint8 *at = quic_buffer_get_room (&self->up, &room);
    gssize got;

    do
      got = recv (self->watch.fd, at, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    quic_buffer_add (&self->up, got > 0 ? (gsize) got : 0);
    if (got < 0 && errno == EAGAIN)
      return;
    /* The kernel knows what nobody has read. */
    self->unread = got < 0 && errno == ECONNRESET;
    if (got <= 0)
      self->up_all = TRUE;
    /* The kernel had no more than that; it tells when there is. */
    else if ((gsize) got < room && !self->hung_up)
      return;
  }
}

guint
quic_pipe_peek (QuicPipe *self, struct iovec *pieces, guint max, gsize *size)
{
  guint n = quic_buffer_peek (&self->up, self->sent, pieces, max);

  *size = 0;
  for (guint i = 0; i < n; i++)
    *size += pieces[i].iov_len;
  return n;
}

gboolean
quic_pipe_ends (QuicPipe *self)
{
  return self->up_all && !self->up_end_sent && !quic_pipe_is_cut (self);
}

void
quic_pipe_sent (QuicPipe *self, gsize size, gboolean end)
{
  self->sent += size;
  if (!end)
    return;
  self->up_end_sent = TRUE;
  self->up_end_alone = size == 0;
}

/* Of an end that went without a byte, it is told by an acknowledgement of none. */
void
quic_pipe_acked (QuicPipe *self, guint64 offset, guint64 size)
{
  quic_buffer_drop (&self->up, offset + size);
  if (self->up_end_sent && (size == 0 || (!self->up_end_alone && self->up.begin == self->up.end)))
    self->up_end_acked = TRUE;
}

gboolean
quic_pipe_is_heard (QuicPipe *self)
{
  return self->up_end_acked && self->up.begin == self->up.end;
}

gboolean
quic_pipe_is_cut (QuicPipe *self)
{
  return self->unread || (self->untaken && self->hung_up);
}

/* ---- down ---- */

void
quic_pipe_deliver (QuicPipe *self, const guint8 *data, gsize size, gboolean end)
{
  if (self->down_all)
    return;
  quic_buffer_append (&self->down, data, size);
  self->down_all = end;
}

/* Nobody reads any more. */
static gsize
discard (QuicPipe *self)
{
  gsize size = quic_buffer_get_size (&self->down);

  quic_buffer_drop (&self->down, self->down.end);
  return size;
}

gsize
quic_pipe_push (QuicPipe *self)
{
  gsize done = 0;

  if (self->watch.fd < 0 || self->down_shut)
    return discard (self);
  while (quic_buffer_get_size (&self->down) > 0) {
    struct iovec pieces[PIECES];
    struct msghdr message = { .msg_iov = pieces };
    gssize put;

    message.msg_iovlen = quic_buffer_peek (&self->down, self->down.begin, pieces, PIECES);
    do
      put = sendmsg (self->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    if (put < 0 && errno == EAGAIN)
      return done;
    if (put < 0) {
      self->down_shut = self->untaken = TRUE;
      return done + discard (self);
    }
    quic_buffer_drop (&self->down, self->down.begin + (guint64) put);
    done += (gsize) put;
  }
  if (self->down_all) {
    shutdown (self->watch.fd, SHUT_WR);
    self->down_shut = TRUE;
  }
  return done;
}

guint64
quic_pipe_get_read (QuicPipe *self)
{
  guint64 pushed = self->down.begin;
  int unread;

  /* The kernel counts what it takes to keep them, too. */
  if (quic_buffer_get_size (&self->down) == 0 || self->watch.fd < 0 ||
      ioctl (self->watch.fd, SIOCOUTQ, &unread) < 0)
    return 0;
  return pushed - MIN (pushed, (guint64) unread);
}

gboolean
quic_pipe_is_said (QuicPipe *self)
{
  return self->down_shut || self->watch.fd < 0;
}

/* ---- both ---- */

void
quic_pipe_watch (QuicPipe *self)
{
  guint32 events = 0;

  if (self->watch.fd < 0 || self->hung_up)
    return;
  if (!self->up_all && has_room (self))
    events |= EPOLLIN;
  if (quic_buffer_get_size (&self->down) > 0 && !self->down_shut)
    events |= EPOLLOUT;
  if (!hypha_loop_watch (self->loop, &self->watch, events))
    self->hung_up = TRUE;
}
