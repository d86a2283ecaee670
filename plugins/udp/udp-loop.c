/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-loop.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 64

typedef struct {
  UdpLoopFunc func;
  gpointer data;
} Call;

struct _UdpLoop {
  guint users; /* under the mutex of all loops */
  int epoll, wake;

  pthread_mutex_t mutex;
  GArray *inbox; /* of Call */
  gboolean stopping;

  /* The thread's alone. */
  GPtrArray *tickers;
  gint64 due; /* of the first of them, or before */
  guint8 buffer[UDP_LOOP_BUFFER];
};

/* Not by GLib: ThreadSanitizer sees these alone, as Debian builds GLib. */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static UdpLoop *current;

/* ---- its thread ---- */

static void
loop_free (UdpLoop *self)
{
  close (self->epoll);
  close (self->wake);
  pthread_mutex_destroy (&self->mutex);
  g_array_unref (self->inbox);
  g_ptr_array_unref (self->tickers);
  g_free (self);
}

/* Whether there is more to come. */
static gboolean
run_inbox (UdpLoop *self)
{
  g_autoptr (GArray) calls = NULL;
  gboolean over;

  pthread_mutex_lock (&self->mutex);
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
run_tickers (UdpLoop *self, gint64 now)
{
  g_autoptr (GPtrArray) due = NULL;

  if (now < self->due)
    return;
  due = g_ptr_array_new ();
  for (guint i = 0; i < self->tickers->len; i++)
    if (((UdpTicker *) self->tickers->pdata[i])->due <= now)
      g_ptr_array_add (due, self->tickers->pdata[i]);
  for (guint i = 0; i < due->len; i++) {
    UdpTicker *ticker = due->pdata[i];

    /* One of the others may have taken it out; it is freed later in any case. */
    ticker->due = ticker->tick (ticker->owner, now);
  }
  self->due = UDP_NEVER;
  for (guint i = 0; i < self->tickers->len; i++)
    self->due = MIN (self->due, ((UdpTicker *) self->tickers->pdata[i])->due);
}

static int
get_timeout (UdpLoop *self)
{
  gint64 left;

  if (self->due == UDP_NEVER)
    return -1;
  left = self->due - g_get_monotonic_time ();
  return left <= 0 ? 0 : (int) MIN (left / 1000 + 1, 3600 * 1000);
}

static void *
run (void *data)
{
  UdpLoop *self = data;
  struct epoll_event events[BATCH];

  do {
    int n = epoll_wait (self->epoll, events, BATCH, get_timeout (self));

    for (int i = 0; i < n; i++) {
      UdpWatch *watch = events[i].data.ptr;
      guint64 count;

      if (watch == NULL) {
        if (read (self->wake, &count, sizeof count) < 0 && errno != EAGAIN)
          g_debug ("eventfd: %s", g_strerror (errno));
      } else if (watch->on)
        watch->ready (watch->owner, events[i].events);
    }
    run_tickers (self, g_get_monotonic_time ());
  } while (run_inbox (self));
  loop_free (self);
  return NULL;
}

/* ---- from any thread ---- */

/* Under the loop's mutex. */
static void
wake (UdpLoop *self)
{
  const guint64 one = 1;

  if (write (self->wake, &one, sizeof one) < 0 && errno != EAGAIN)
    g_debug ("eventfd: %s", g_strerror (errno));
}

static UdpLoop *
loop_new (GError **error)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
  UdpLoop *self = g_new0 (UdpLoop, 1);
  struct epoll_event event = { .events = EPOLLIN };
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_t thread;
  int reason = 0;

  pthread_mutex_init (&self->mutex, NULL);
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  self->tickers = g_ptr_array_new ();
  self->due = UDP_NEVER;
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->epoll < 0 || self->wake < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->wake, &event) < 0)
    reason = errno;
  if (reason == 0) {
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
  }
  if (reason == 0) {
    pthread_setname_np (thread, "hypha-udp");
    return self;
  }
  loop_free (self);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("no thread for datagrams can be made: %s"), g_strerror (reason));
  return NULL;
}

UdpLoop *
udp_loop_acquire (GError **error)
{
  UdpLoop *self;

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
udp_loop_release (UdpLoop *self)
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
udp_loop_call (UdpLoop *self, UdpLoopFunc func, gpointer data)
{
  const Call call = { func, data };

  pthread_mutex_lock (&self->mutex);
  g_array_append_val (self->inbox, call);
  wake (self);
  pthread_mutex_unlock (&self->mutex);
}

/* ---- on the loop ---- */

guint8 *
udp_loop_get_buffer (UdpLoop *self)
{
  return self->buffer;
}

/* Also changes what a watch waits for. */
gboolean
udp_loop_watch (UdpLoop *self, UdpWatch *watch, guint32 events)
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
udp_loop_unwatch (UdpLoop *self, UdpWatch *watch)
{
  if (watch->on)
    epoll_ctl (self->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->on = FALSE;
}

void
udp_loop_add_ticker (UdpLoop *self, UdpTicker *ticker)
{
  g_ptr_array_add (self->tickers, ticker);
  self->due = MIN (self->due, ticker->due);
}

void
udp_loop_remove_ticker (UdpLoop *self, UdpTicker *ticker)
{
  g_ptr_array_remove_fast (self->tickers, ticker);
}

void
udp_loop_hurry (UdpLoop *self, UdpTicker *ticker, gint64 due)
{
  ticker->due = MIN (ticker->due, due);
  self->due = MIN (self->due, due);
}
