/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-port.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One datagram, which the loop has for whoever is at work, until he returns. */
#define DATAGRAM_BYTES G_MAXUINT16
/* What one wake-up takes of a socket: ports are served by turns. */
#define DATAGRAMS_AT_ONCE 64
/* Flows are not looked through more often than that. */
#define TICK (100 * G_TIME_SPAN_MILLISECOND)
/* A flow keeps its place for so long, whoever ended it: so there are no more new ones, each second,
 * than there are places, whatever sources and the peer do. */
#define HOLD (1 * G_TIME_SPAN_SECOND)

struct _UdpPort {
  HyphaLoop *loop;
  char *display;
  gboolean listening;
  gint64 idle;
  guint max_flows;
  UdpPortKnocked knocked;
  gpointer user_data;

  pthread_mutex_t mutex;
  int fd;          /* under the mutex; -1: closed */
  gboolean closed; /* under the mutex: nobody is told any more */

  /* The loop's alone. */
  gboolean over;
  HyphaLoopWatch watch;
  HyphaLoopTimer timer;
  GPtrArray *flows;   /* of UdpFlow: all that have a place */
  gint64 look_again;  /* for a flow that may go; before, there was none */
  GHashTable *by_way; /* UdpWay to UdpFlow: those that take datagrams */
};

static const char *
get_display (gpointer port)
{
  return ((UdpPort *) port)->display;
}

static void
drop (UdpPort *self, UdpDrop why, int reason)
{
  udp_drops_note (why, self->display, reason);
}

HyphaLoop *
udp_port_acquire_loop (GError **error)
{
  return hypha_loop_acquire ("hypha-udp", DATAGRAM_BYTES, NULL, error);
}

/* ---- its end ---- */

static void
port_free (gpointer port)
{
  UdpPort *self = port;

  if (self->fd >= 0)
    close (self->fd);
  pthread_mutex_destroy (&self->mutex);
  g_clear_pointer (&self->flows, g_ptr_array_unref);
  g_clear_pointer (&self->by_way, g_hash_table_unref);
  g_free (self->display);
  g_free (self);
}

/* The next datagram that comes its way is for another. */
static void
leave_way (UdpPort *self, UdpFlow *flow)
{
  if (g_hash_table_lookup (self->by_way, udp_flow_get_way (flow)) == flow)
    g_hash_table_remove (self->by_way, udp_flow_get_way (flow));
}

static void
drop_place (UdpPort *self, UdpFlow *flow)
{
  g_ptr_array_remove_fast (self->flows, flow);
  leave_way (self, flow);
  hypha_loop_call (self->loop, udp_flow_free, flow);
}

static void
end_port (gpointer port)
{
  UdpPort *self = port;
  g_autoptr (GPtrArray) flows = NULL;

  if (self->over)
    return;
  self->over = TRUE;
  flows = g_ptr_array_copy (self->flows, NULL, NULL);
  for (guint i = 0; i < flows->len; i++) {
    udp_flow_end (flows->pdata[i]);
    if (g_ptr_array_find (self->flows, flows->pdata[i], NULL))
      drop_place (self, flows->pdata[i]);
  }
  /* Of one that listened, the descriptor is closed, and the watch taken back with it. */
  if (self->fd >= 0)
    hypha_loop_unwatch (self->loop, &self->watch);
  self->watch.on = FALSE;
  hypha_loop_set_timer (self->loop, &self->timer, HYPHA_LOOP_NEVER);
  hypha_loop_call (self->loop, port_free, self);
  hypha_loop_release (self->loop);
}

void
udp_port_close (UdpPort *self)
{
  pthread_mutex_lock (&self->mutex);
  self->closed = TRUE;
  hypha_loop_forget (self->loop, self->fd);
  close (self->fd);
  self->fd = -1;
  pthread_mutex_unlock (&self->mutex);
  hypha_loop_call (self->loop, end_port, self);
}

/* ---- flows ---- */

/* DUE as of g_get_monotonic_time(). */
static void
set_timer (UdpPort *self, gint64 due)
{
  hypha_loop_set_timer (self->loop, &self->timer,
                        due == UDP_NEVER ? HYPHA_LOOP_NEVER : (guint64) due * 1000);
}

/* Looks through the flows at DUE, or before. */
static void
hurry (UdpPort *self, gint64 due)
{
  if (!self->over && (self->timer.place == 0 || (guint64) due * 1000 < self->timer.due))
    set_timer (self, due);
}

static int
send_along (gpointer port, UdpFlow *flow, const guint8 *data, gsize size)
{
  UdpPort *self = port;
  int reason = ENOTCONN;

  pthread_mutex_lock (&self->mutex);
  if (self->fd >= 0)
    reason =
        udp_message_send (self->fd, self->listening ? udp_flow_get_way (flow) : NULL, data, size);
  pthread_mutex_unlock (&self->mutex);
  return reason;
}

static gboolean
keeps_place (UdpPort *self, UdpFlow *flow, gint64 now)
{
  return self->listening && !self->over && now < udp_flow_get_born (flow) + HOLD;
}

/* One that was refused takes its datagrams with it: they do not ask more often. */
static gboolean
keeps_way (UdpPort *self, UdpFlow *flow, gint64 now)
{
  return keeps_place (self, flow, now) && !udp_flow_is_answered (flow);
}

static void
on_closing (gpointer port, UdpFlow *flow)
{
  UdpPort *self = port;
  gint64 now = g_get_monotonic_time ();

  if (!keeps_way (self, flow, now))
    leave_way (self, flow);
  hurry (self, now + TICK);
}

static void
on_ended (gpointer port, UdpFlow *flow)
{
  UdpPort *self = port;
  gint64 now = g_get_monotonic_time ();

  if (keeps_place (self, flow, now)) {
    if (!keeps_way (self, flow, now))
      leave_way (self, flow);
    hurry (self, udp_flow_get_born (flow) + HOLD);
    return;
  }
  drop_place (self, flow);
  if (!self->listening)
    end_port (self);
}

static const UdpFlowEvents flow_events = {
  .send = send_along,
  .get_display = get_display,
  .closing = on_closing,
  .ended = on_ended,
};

static void
tick (gpointer port, guint64 fired)
{
  UdpPort *self = port;
  gint64 now = (gint64) (fired / 1000);
  g_autoptr (GPtrArray) flows = NULL;
  gint64 due = UDP_NEVER;

  flows = g_ptr_array_copy (self->flows, NULL, NULL);
  for (guint i = 0; i < flows->len; i++) {
    UdpFlow *flow = flows->pdata[i];

    due = MIN (due, udp_flow_tick (flow, now));
    if (!g_ptr_array_find (self->flows, flow, NULL) || udp_flow_get_state (flow) != UDP_FLOW_ENDED)
      continue;
    if (keeps_place (self, flow, now))
      due = MIN (due, udp_flow_get_born (flow) + HOLD);
    else
      drop_place (self, flow);
  }
  if (!self->over)
    set_timer (self, due == UDP_NEVER ? due : MAX (due, now + TICK));
}

/* Which flow goes for a newcomer: one that closes, or else that which has been silent for longest
 * of those that were not more than a question, if that was for a second at least. NULL: none. */
static UdpFlow *
choose_victim (UdpPort *self, gint64 now)
{
  UdpFlow *victim = NULL;

  for (guint i = 0; i < self->flows->len; i++) {
    UdpFlow *flow = self->flows->pdata[i];

    if (udp_flow_get_state (flow) == UDP_FLOW_CLOSING)
      return flow;
    if (udp_flow_get_state (flow) != UDP_FLOW_OPEN || udp_flow_is_settled (flow) ||
        now < udp_flow_get_last (flow) + HOLD)
      continue;
    if (victim == NULL || udp_flow_get_last (flow) < udp_flow_get_last (victim))
      victim = flow;
  }
  return victim;
}

/* Takes FD. */
static UdpFlow *
add_flow (UdpPort *self, int fd, const UdpWay *way)
{
  UdpFlow *flow =
      udp_flow_new (self->loop, fd, way, self->listening, self->idle, &flow_events, self);

  if (!udp_flow_start (flow)) {
    udp_flow_free (flow);
    return NULL;
  }
  g_ptr_array_add (self->flows, flow);
  g_hash_table_insert (self->by_way, (gpointer) udp_flow_get_way (flow), flow);
  hurry (self, udp_flow_tick (flow, udp_flow_get_born (flow)));
  return flow;
}

static gboolean
make_room (UdpPort *self)
{
  UdpFlow *victim;
  gint64 now;

  if (self->flows->len < self->max_flows)
    return TRUE;
  now = g_get_monotonic_time ();
  if (now < self->look_again)
    return FALSE;
  victim = choose_victim (self, now);
  if (victim != NULL)
    udp_flow_end (victim);
  else
    self->look_again = now + TICK;
  return self->flows->len < self->max_flows;
}

/* NULL: there is no place for it. */
static UdpFlow *
greet (UdpPort *self, const UdpWay *way)
{
  UdpFlow *flow;
  int fds[2], reason = 0;

  if (!make_room (self))
    return NULL;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
    drop (self, UDP_DROP_FULL, errno);
    return NULL;
  }
  flow = add_flow (self, fds[0], way);
  if (flow == NULL) {
    close (fds[1]);
    return NULL;
  }
  pthread_mutex_lock (&self->mutex);
  reason = self->closed;
  if (!reason)
    self->knocked (fds[1], way, self->user_data);
  pthread_mutex_unlock (&self->mutex);
  if (!reason)
    return flow;
  close (fds[1]);
  return NULL;
}

/* ---- datagrams ---- */

static UdpFlow *
find_flow (UdpPort *self, const UdpWay *way)
{
  UdpFlow *flow;

  if (!self->listening)
    return self->flows->len > 0 ? self->flows->pdata[0] : NULL;
  flow = g_hash_table_lookup (self->by_way, way);
  return flow != NULL ? flow : greet (self, way);
}

static gssize
receive (UdpPort *self, UdpWay *way)
{
  gssize got = -1;

  pthread_mutex_lock (&self->mutex);
  errno = EAGAIN;
  if (self->fd >= 0)
    got = udp_message_receive (self->fd, hypha_loop_get_state (self->loop), DATAGRAM_BYTES,
                               self->listening ? way : NULL);
  pthread_mutex_unlock (&self->mutex);
  return got;
}

static void
ready (gpointer port, guint32 events)
{
  UdpPort *self = port;

  for (guint i = 0; i < DATAGRAMS_AT_ONCE && !self->over; i++) {
    UdpWay way;
    gssize got = receive (self, &way);
    UdpFlow *flow;

    if (got < 0 && errno == EAGAIN)
      return;
    /* That an earlier one was not heard, say: a server that starts anew will hear the next. */
    if (got < 0) {
      drop (self, UDP_DROP_NETWORK, errno);
      continue;
    }
    flow = find_flow (self, &way);
    if (flow != NULL)
      udp_flow_deliver (flow, hypha_loop_get_state (self->loop), (gsize) got);
    else
      drop (self, UDP_DROP_FULL, 0);
  }
}

/* ---- its beginning ---- */

/* Takes FD. */
static UdpPort *
port_new (int fd, const char *display, gint64 idle, GError **error)
{
  UdpPort *self = g_new0 (UdpPort, 1);

  self->fd = fd;
  pthread_mutex_init (&self->mutex, NULL);
  self->display = g_strdup (display);
  self->idle = idle;
  self->max_flows = 1;
  self->watch = (HyphaLoopWatch){ .fd = fd, .ready = ready, .owner = self };
  self->timer = (HyphaLoopTimer){ .fire = tick, .owner = self };
  self->flows = g_ptr_array_new ();
  self->by_way = g_hash_table_new (udp_way_hash, udp_way_equal);
  self->loop = udp_port_acquire_loop (error);
  if (self->loop == NULL)
    g_clear_pointer (&self, port_free);
  return self;
}

/* On the loop. */
static gboolean
begin (UdpPort *self)
{
  return self->fd >= 0 && hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
}

static void
begin_listening (gpointer port)
{
  UdpPort *self = port;

  pthread_mutex_lock (&self->mutex);
  if (!begin (self) && self->fd >= 0)
    g_warning ("%s: the kernel does not watch this socket", self->display);
  pthread_mutex_unlock (&self->mutex);
}

UdpPort *
udp_port_listen (int fd, const char *display, gint64 idle, guint max_flows, UdpPortKnocked knocked,
                 gpointer user_data, GError **error)
{
  UdpPort *self = port_new (fd, display, idle, error);

  if (self == NULL)
    return NULL;
  self->listening = TRUE;
  self->max_flows = max_flows;
  self->knocked = knocked;
  self->user_data = user_data;
  hypha_loop_call (self->loop, begin_listening, self);
  return self;
}

typedef struct {
  UdpPort *port;
  int stream;
} Joining;

static void
begin_joined (gpointer data)
{
  g_autofree Joining *joining = data;
  UdpPort *self = joining->port;

  if (!begin (self))
    close (joining->stream);
  else if (add_flow (self, joining->stream, NULL) != NULL)
    return;
  end_port (self);
}

gboolean
udp_port_join (int fd, int stream, const char *display, gint64 idle, GError **error)
{
  UdpPort *self = port_new (fd, display, idle, error);
  Joining *joining;

  if (self == NULL) {
    close (stream);
    return FALSE;
  }
  joining = g_new (Joining, 1);
  *joining = (Joining){ self, stream };
  hypha_loop_call (self->loop, begin_joined, joining);
  return TRUE;
}
