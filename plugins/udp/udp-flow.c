/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-flow.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define LENGTH_BYTES 2
/* What one wake-up reads of a stream, and how many datagrams it makes of that, which may be of two
 * bytes each: flows are served by turns. */
#define READ_BYTES (64 * 1024)
#define DATAGRAMS_AT_ONCE 64

struct _UdpFlow {
  HyphaLoop *loop;
  HyphaLoopWatch watch;
  UdpWay way;
  gboolean from_network;
  gint64 idle;
  const UdpFlowEvents *events;
  gpointer port;

  UdpFlowState state;
  gint64 born, last;
  gint64 over_at; /* while it closes */
  gboolean answered, settled;
  gboolean heard_all; /* no more comes from the stream */
  gboolean said_all;  /* no more goes into it */

  /* The datagram that the stream has taken in part, and what of it has to follow. */
  guint8 *rest;
  gsize rest_at, rest_size;
  /* The datagram that has come in part: its length, as far as that has, and then its bytes. */
  guint8 head[LENGTH_BYTES];
  guint8 *held;
  gsize have;
  /* What has been read, and comes behind that when it is this flow's turn again. */
  guint8 *later;
  gsize later_at, later_size;
};

UdpFlow *
udp_flow_new (HyphaLoop *loop, int fd, const UdpWay *way, gboolean from_network, gint64 idle,
              const UdpFlowEvents *events, gpointer port)
{
  UdpFlow *self = g_new0 (UdpFlow, 1);

  self->loop = loop;
  self->watch.fd = fd;
  self->watch.owner = self;
  if (way != NULL)
    self->way = *way;
  self->from_network = from_network;
  self->idle = idle;
  self->events = events;
  self->port = port;
  self->born = self->last = g_get_monotonic_time ();
  return self;
}

void
udp_flow_free (gpointer flow)
{
  UdpFlow *self = flow;

  if (self->watch.fd >= 0)
    close (self->watch.fd);
  g_free (self->rest);
  g_free (self->held);
  g_free (self->later);
  g_free (self);
}

static void
drop (UdpFlow *self, UdpDrop why, int reason)
{
  udp_drops_note (why, self->events->get_display (self->port), reason);
}

/* ---- its end ---- */

void
udp_flow_end (UdpFlow *self)
{
  if (self->state == UDP_FLOW_ENDED)
    return;
  self->state = UDP_FLOW_ENDED;
  self->said_all = self->heard_all = TRUE;
  if (self->have > 0 || self->rest != NULL || self->later != NULL)
    drop (self, UDP_DROP_CUT, 0);
  hypha_loop_unwatch (self->loop, &self->watch);
  close (self->watch.fd);
  self->watch.fd = -1;
  self->events->ended (self->port, self);
}

/* A stream that ends in each direction has ended well; one that is just closed has not. */
static void
begin_end (UdpFlow *self, gint64 now)
{
  if (self->heard_all || self->state != UDP_FLOW_OPEN) {
    udp_flow_end (self);
    return;
  }
  self->state = UDP_FLOW_CLOSING;
  self->over_at = now + UDP_LINGER;
  self->said_all = TRUE;
  shutdown (self->watch.fd, SHUT_WR);
  self->events->closing (self->port, self);
}

static gint64
get_idle (const UdpFlow *self)
{
  gint64 idle = self->idle != 0 ? self->idle : self->settled ? UDP_IDLE_SETTLED : UDP_IDLE_NEW;

  /* Who has asked all that he will may still hear the answers, but they are all that there is. */
  return self->heard_all ? MIN (idle, UDP_LINGER) : idle;
}

gint64
udp_flow_tick (UdpFlow *self, gint64 now)
{
  if (self->state == UDP_FLOW_OPEN && now >= self->last + get_idle (self))
    begin_end (self, now);
  else if (self->state == UDP_FLOW_CLOSING && now >= self->over_at)
    udp_flow_end (self);
  switch (self->state) {
  case UDP_FLOW_OPEN:
    return self->last + get_idle (self);
  case UDP_FLOW_CLOSING:
    return self->over_at;
  default:
    return UDP_NEVER;
  }
}

/* One datagram has gone where it should. */
static void
note (UdpFlow *self, gboolean from_network)
{
  self->last = g_get_monotonic_time ();
  if (from_network != self->from_network)
    self->answered = TRUE;
  else if (self->answered && self->last >= self->born + UDP_SETTLES_AFTER)
    self->settled = TRUE;
}

/* ---- to the stream ---- */

static void
watch (UdpFlow *self)
{
  gboolean more = !self->heard_all && self->later == NULL;
  guint32 events = (more ? EPOLLIN : 0) | (self->rest != NULL ? EPOLLOUT : 0);

  if (self->state != UDP_FLOW_ENDED && !hypha_loop_watch (self->loop, &self->watch, events))
    udp_flow_end (self);
}

/* Nobody reads there any more; what was said before still goes. Who is asked by datagrams cannot be
 * told; but the next of them makes a flow of its own. */
static void
lose_reader (UdpFlow *self)
{
  self->said_all = TRUE;
  g_clear_pointer (&self->rest, g_free);
  if (self->from_network || self->heard_all)
    begin_end (self, g_get_monotonic_time ());
}

static void
flush (UdpFlow *self)
{
  gssize put;

  do
    put = send (self->watch.fd, self->rest + self->rest_at, self->rest_size - self->rest_at,
                MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);
  if (put < 0 && errno != EAGAIN) {
    lose_reader (self);
    return;
  }
  self->rest_at += put > 0 ? (gsize) put : 0;
  if (self->rest_at == self->rest_size)
    g_clear_pointer (&self->rest, g_free);
}

static void
keep_rest (UdpFlow *self, const guint8 *head, const guint8 *data, gsize size, gsize put)
{
  self->rest_size = LENGTH_BYTES + size;
  self->rest_at = put;
  self->rest = g_malloc (self->rest_size);
  memcpy (self->rest, head, LENGTH_BYTES);
  if (size > 0)
    memcpy (self->rest + LENGTH_BYTES, data, size);
  watch (self);
}

/* The queue is what the kernel holds for the stream, and one datagram: whoever is slower loses the
 * newest, as with any socket of datagrams. */
void
udp_flow_deliver (UdpFlow *self, const guint8 *data, gsize size)
{
  const guint8 head[LENGTH_BYTES] = { (guint8) (size >> 8), (guint8) size };
  struct iovec pieces[] = { { (void *) head, sizeof head }, { (void *) data, size } };
  struct msghdr message = { .msg_iov = pieces, .msg_iovlen = G_N_ELEMENTS (pieces) };
  gssize put;

  if (self->said_all || self->rest != NULL) {
    drop (self, self->said_all ? UDP_DROP_ENDED : UDP_DROP_SLOW, 0);
    return;
  }
  do
    put = sendmsg (self->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);
  if (put < 0) {
    gboolean slow = errno == EAGAIN || errno == ENOBUFS;

    drop (self, slow ? UDP_DROP_SLOW : UDP_DROP_ENDED, 0);
    if (!slow)
      lose_reader (self);
    return;
  }
  note (self, TRUE);
  if ((gsize) put < LENGTH_BYTES + size)
    keep_rest (self, head, data, size, (gsize) put);
}

/* ---- from the stream ---- */

static void
send_datagram (UdpFlow *self, const guint8 *data, gsize size)
{
  int reason = self->events->send (self->port, self, data, size);

  if (reason == 0)
    note (self, FALSE);
  else
    drop (self, UDP_DROP_NETWORK, reason);
}

static gsize
get_length (const guint8 *head)
{
  return (gsize) head[0] << 8 | head[1];
}

/* Where the next byte of a datagram belongs that has come in part, and how many are missing there.
 */
static struct iovec
get_gap (UdpFlow *self)
{
  if (self->have < LENGTH_BYTES)
    return (struct iovec){ self->head + self->have, LENGTH_BYTES - self->have };
  return (struct iovec){ self->held + self->have - LENGTH_BYTES,
                         LENGTH_BYTES + get_length (self->head) - self->have };
}

/* N bytes have come into the gap. */
static void
fill_gap (UdpFlow *self, gsize n)
{
  gboolean had_length = self->have >= LENGTH_BYTES;
  gsize length;

  self->have += n;
  if (self->have < LENGTH_BYTES)
    return;
  length = get_length (self->head);
  if (self->have == LENGTH_BYTES + length) {
    send_datagram (self, self->held, length);
    g_clear_pointer (&self->held, g_free);
    self->have = 0;
  } else if (!had_length) {
    self->held = g_malloc (length);
  }
}

/* Whole datagrams go from where they lie. Gives how much is left. */
static gsize
parse (UdpFlow *self, const guint8 *data, gsize size)
{
  for (guint i = 0; size > 0 && i < DATAGRAMS_AT_ONCE; i++) {
    struct iovec gap = get_gap (self);
    gsize whole = self->have == 0 && size >= LENGTH_BYTES ? LENGTH_BYTES + get_length (data) : 0;
    gsize n;

    if (whole > 0 && size >= whole) {
      send_datagram (self, data + LENGTH_BYTES, whole - LENGTH_BYTES);
      n = whole;
    } else {
      n = MIN (gap.iov_len, size);
      memcpy (gap.iov_base, data, n);
      fill_gap (self, n);
    }
    data += n;
    size -= n;
  }
  return size;
}

/* On the loop, behind whoever is ready now. */
static void
go_on (gpointer flow)
{
  UdpFlow *self = flow;
  gsize left;

  if (self->state == UDP_FLOW_ENDED)
    return;
  left = parse (self, self->later + self->later_at, self->later_size - self->later_at);
  self->later_at = self->later_size - left;
  if (left > 0)
    hypha_loop_call (self->loop, go_on, self);
  else
    g_clear_pointer (&self->later, g_free);
  watch (self);
}

static void
go_on_later (UdpFlow *self, const guint8 *data, gsize size)
{
  self->later = g_memdup2 (data, size);
  self->later_at = 0;
  self->later_size = size;
  hypha_loop_call (self->loop, go_on, self);
}

static void
hear_end (UdpFlow *self)
{
  self->heard_all = TRUE;
  self->last = g_get_monotonic_time ();
  /* Nobody else will answer who sends datagrams here. */
  if (self->from_network || self->said_all)
    udp_flow_end (self);
  else
    self->events->closing (self->port, self);
}

static void
pull (UdpFlow *self)
{
  guint8 buffer[READ_BYTES];
  struct iovec pieces[2] = { get_gap (self), { buffer, sizeof buffer } };
  gssize got;
  gsize left;

  do
    got = readv (self->watch.fd, pieces, G_N_ELEMENTS (pieces));
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0) {
    hear_end (self);
    return;
  }
  fill_gap (self, MIN ((gsize) got, pieces[0].iov_len));
  if ((gsize) got <= pieces[0].iov_len)
    return;
  got -= (gssize) pieces[0].iov_len;
  left = parse (self, buffer, (gsize) got);
  if (left > 0)
    go_on_later (self, buffer + (gsize) got - left, left);
}

static void
ready (gpointer flow, guint32 events)
{
  UdpFlow *self = flow;

  if (self->rest != NULL && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
    flush (self);
  if (self->state != UDP_FLOW_ENDED && !self->heard_all && self->later == NULL)
    pull (self);
  /* Both directions, and nothing is left. */
  if (self->state != UDP_FLOW_ENDED && self->heard_all && (events & EPOLLHUP) != 0)
    udp_flow_end (self);
  watch (self);
}

gboolean
udp_flow_start (UdpFlow *self)
{
  self->watch.ready = ready;
  return hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
}

/* ---- what is told of it ---- */

const UdpWay *
udp_flow_get_way (const UdpFlow *self)
{
  return &self->way;
}

UdpFlowState
udp_flow_get_state (const UdpFlow *self)
{
  return self->state;
}

gint64
udp_flow_get_born (const UdpFlow *self)
{
  return self->born;
}

gint64
udp_flow_get_last (const UdpFlow *self)
{
  return self->last;
}

gboolean
udp_flow_is_answered (const UdpFlow *self)
{
  return self->answered;
}

gboolean
udp_flow_is_settled (const UdpFlow *self)
{
  return self->settled;
}
