/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-loop.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SECOND 1000000000ULL

typedef struct {
  QuicLoopFunc func;
  gpointer data;
} Call;

struct _QuicLoop {
  guint users; /* under the mutex of all loops */
  int epoll, wake, clock;

  pthread_mutex_t mutex;
  GArray *inbox; /* of Call */
  gboolean stopping;

  /* The thread's alone. */
  GPtrArray *timers; /* of QuicTimer, a heap: the first is due first */
  guint64 armed;     /* when the clock rings */
  guint8 *input, *output;
  gpointer routes;
};

/* Not by GLib: ThreadSanitizer sees these alone, as Debian builds GLib. */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static QuicLoop *current;

guint64
quic_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (guint64) now.tv_sec * SECOND + (guint64) now.tv_nsec;
}

/* ---- timers ---- */

static QuicTimer *
timer_at (QuicLoop *self, guint place)
{
  return self->timers->pdata[place - 1];
}

static void
put_timer (QuicLoop *self, guint place, QuicTimer *timer)
{
  self->timers->pdata[place - 1] = timer;
  timer->place = place;
}

static void
sift (QuicLoop *self, QuicTimer *timer)
{
  guint place = timer->place, last = self->timers->len;

  while (place > 1 && timer_at (self, place / 2)->due > timer->due) {
    put_timer (self, place, timer_at (self, place / 2));
    place /= 2;
  }
  while (2 * place <= last) {
    guint child = 2 * place;

    if (child < last && timer_at (self, child + 1)->due < timer_at (self, child)->due)
      child++;
    if (timer_at (self, child)->due >= timer->due)
      break;
    put_timer (self, place, timer_at (self, child));
    place = child;
  }
  put_timer (self, place, timer);
}

static void
remove_timer (QuicLoop *self, QuicTimer *timer)
{
  QuicTimer *last = timer_at (self, self->timers->len);
  guint place = timer->place;

  g_ptr_array_set_size (self->timers, (int) self->timers->len - 1);
  timer->place = 0;
  if (last == timer)
    return;
  put_timer (self, place, last);
  sift (self, last);
}

/* QUIC_NEVER takes it away. */
void
quic_loop_set_timer (QuicLoop *self, QuicTimer *timer, guint64 due)
{
  timer->due = due;
  if (due == QUIC_NEVER) {
    if (timer->place > 0)
      remove_timer (self, timer);
    return;
  }
  if (timer->place == 0) {
    g_ptr_array_add (self->timers, timer);
    timer->place = self->timers->len;
  }
  sift (self, timer);
}

/* Whoever wants to run once more now does so behind whoever is ready by then. */
static void
run_timers (QuicLoop *self)
{
  guint64 now = quic_now ();
  guint n = self->timers->len;

  while (n-- > 0 && self->timers->len > 0 && timer_at (self, 1)->due <= now) {
    QuicTimer *timer = timer_at (self, 1);

    remove_timer (self, timer);
    timer->fire (timer->owner, now);
  }
}

/* 0 if somebody is due, -1 if the clock will ring, or nobody waits. */
static int
set_clock (QuicLoop *self)
{
  struct itimerspec when = { 0 };
  guint64 due = self->timers->len > 0 ? timer_at (self, 1)->due : QUIC_NEVER;

  if (due == QUIC_NEVER)
    return -1;
  if (due <= quic_now ())
    return 0;
  /* One that rings too early costs less than setting it each time. */
  if (self->armed <= due)
    return -1;
  when.it_value.tv_sec = (time_t) (due / SECOND);
  when.it_value.tv_nsec = (long) (due % SECOND);
  if (timerfd_settime (self->clock, TFD_TIMER_ABSTIME, &when, NULL) < 0)
    return 1;
  self->armed = due;
  return -1;
}

/* ---- its thread ---- */

static void
loop_free (QuicLoop *self)
{
  if (self->epoll >= 0)
    close (self->epoll);
  if (self->wake >= 0)
    close (self->wake);
  if (self->clock >= 0)
    close (self->clock);
  pthread_mutex_destroy (&self->mutex);
  g_array_unref (self->inbox);
  g_ptr_array_unref (self->timers);
  g_free (self->input);
  g_free (self->output);
  g_free (self);
}

/* Whether there is more to come. */
static gboolean
run_inbox (QuicLoop *self)
{
  g_autoptr (GArray) calls = NULL;
  gboolean over;

  pthread_mutex_lock (&self->mutex);
  over = self->stopping && self->inbox->len == 0;
  if (self->inbox->len == 0) {
    pthread_mutex_unlock (&self->mutex);
    return !over;
  }
  calls = g_steal_pointer (&self->inbox);
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  pthread_mutex_unlock (&self->mutex);
  for (guint i = 0; i < calls->len; i++) {
    const Call *call = &g_array_index (calls, Call, i);

    call->func (call->data);
  }
  /* Whoever ended may have left something to be freed. */
  pthread_mutex_lock (&self->mutex);
  over = self->stopping && self->inbox->len == 0;
  pthread_mutex_unlock (&self->mutex);
  return !over;
}

static void
take_count (int fd)
{
  guint64 count;

  if (read (fd, &count, sizeof count) < 0 && errno != EAGAIN)
    g_debug ("quic: reading a count: %s", g_strerror (errno));
}

static void *
run (void *data)
{
  QuicLoop *self = data;
  struct epoll_event events[BATCH];

  do {
    int n = epoll_wait (self->epoll, events, BATCH, set_clock (self));

    for (int i = 0; i < n; i++) {
      QuicWatch *watch = events[i].data.ptr;

      if (events[i].data.ptr == NULL)
        take_count (self->wake);
      else if (events[i].data.ptr == self) {
        take_count (self->clock);
        self->armed = QUIC_NEVER;
      } else if (watch->on)
        watch->ready (watch->owner, events[i].events);
    }
    run_timers (self);
  } while (run_inbox (self));
  loop_free (self);
  return NULL;
}

/* ---- from any thread ---- */

/* Under the loop's mutex. */
static void
wake (QuicLoop *self)
{
  const guint64 one = 1;

  if (write (self->wake, &one, sizeof one) < 0 && errno != EAGAIN)
    g_debug ("eventfd: %s", g_strerror (errno));
}

/* 0, or errno. */
static int
open_descriptors (QuicLoop *self)
{
  struct epoll_event waking = { .events = EPOLLIN };
  struct epoll_event ringing = { .events = EPOLLIN, .data.ptr = self };

  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->clock = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->epoll < 0 || self->wake < 0 || self->clock < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->wake, &waking) < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->clock, &ringing) < 0)
    return errno;
  return 0;
}

/* 0, or errno. */
static int
start_thread (QuicLoop *self)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_t thread;
  int reason;

  /* Signals are for the threads of the program. */
  sigfillset (&all);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    sigdelset (&all, faults[i]);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pthread_attr_init (&attributes);
  pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED);
  reason = pthread_create (&thread, &attributes, run, self);
  pthread_attr_destroy (&attributes);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (reason == 0)
    pthread_setname_np (thread, "hypha-quic");
  return reason;
}

static QuicLoop *
loop_new (GError **error)
{
  QuicLoop *self = g_new0 (QuicLoop, 1);
  int reason;

  self->epoll = self->wake = self->clock = -1;
  pthread_mutex_init (&self->mutex, NULL);
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  self->timers = g_ptr_array_new ();
  self->armed = QUIC_NEVER;
  self->input = g_malloc (QUIC_LOOP_BATCH * QUIC_LOOP_BUFFER);
  self->output = g_malloc (QUIC_LOOP_BUFFER);
  reason = open_descriptors (self);
  if (reason == 0)
    reason = start_thread (self);
  if (reason == 0)
    return self;
  loop_free (self);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("no thread for datagrams can be made: %s"), g_strerror (reason));
  return NULL;
}

QuicLoop *
quic_loop_acquire (GError **error)
{
  QuicLoop *self;

  pthread_mutex_lock (&all_mutex);
  if (current == NULL)
    current = loop_new (error);
  self = current;
  if (self != NULL)
    self->users++;
  pthread_mutex_unlock (&all_mutex);
  return self;
}

void
quic_loop_release (QuicLoop *self)
{
  gboolean last;

  pthread_mutex_lock (&all_mutex);
  last = --self->users == 0;
  if (last)
    current = NULL;
  pthread_mutex_unlock (&all_mutex);
  if (!last)
    return;
  pthread_mutex_lock (&self->mutex);
  self->stopping = TRUE;
  wake (self);
  pthread_mutex_unlock (&self->mutex);
}

void
quic_loop_call (QuicLoop *self, QuicLoopFunc func, gpointer data)
{
  const Call call = { func, data };

  pthread_mutex_lock (&self->mutex);
  g_array_append_val (self->inbox, call);
  wake (self);
  pthread_mutex_unlock (&self->mutex);
}

void
quic_loop_forget (QuicLoop *self, int fd)
{
  epoll_ctl (self->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- on the loop ---- */

guint8 *
quic_loop_get_input (QuicLoop *self, guint i)
{
  return self->input + (gsize) i * QUIC_LOOP_BUFFER;
}

guint8 *
quic_loop_get_output (QuicLoop *self)
{
  return self->output;
}

gpointer *
quic_loop_get_routes (QuicLoop *self)
{
  return &self->routes;
}

/* Also changes what a watch waits for. */
gboolean
quic_loop_watch (QuicLoop *self, QuicWatch *watch, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };

  if (watch->on && watch->events == events)
    return TRUE;
  if (epoll_ctl (self->epoll, watch->on ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &event) < 0)
    return FALSE;
  watch->on = TRUE;
  watch->events = events;
  return TRUE;
}

void
quic_loop_unwatch (QuicLoop *self, QuicWatch *watch)
{
  if (watch->on)
    epoll_ctl (self->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->on = FALSE;
}
