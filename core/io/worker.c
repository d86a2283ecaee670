/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/worker.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <hypha-api.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "io/inbox.h"
#include "io/scratch.h"
#include "io/timers.h"
#include "hypha-thread.h"

#define BATCH 64

typedef struct {
  HyphaWorkFunc func;
  gpointer data;
} Closure;

struct _HyphaWorker {
  pthread_t thread;
  char *name;
  int epoll;
  int alarm; /* a timerfd, for guests; edge-triggered, so nobody reads it */
  HyphaInbox inbox;
  _Atomic guint spin; /* us */

  /* Whoever runs the worker has this: its thread, but while that sleeps; or a guest. Of all below.
   */
  pthread_mutex_t running;
  _Atomic gboolean closed; /* nobody may enter (any more) */
  gboolean guest;          /* whoever runs it now is one */
  gboolean stale;          /* a guest has stopped a watch that may be in a batch under way */
  gint64 sleeps_until;
  GArray *afterwards; /* of Closure */
  gboolean stopping;
  gint64 now;
  HyphaTimers timers;
  guint n_watches;
  HyphaScratch scratch;
  struct epoll_event batch[BATCH]; /* data.ptr: the watch; the worker itself: the inbox; NULL:
                                      stopped, or the alarm */
  int n_batch;
};

/**
 * hypha_timer_set: (skip)
 * @timer: a timer, set or not
 * @worker: the current worker
 * @due: when, in monotonic microseconds
 * @func: called once, at @due or up to a millisecond later
 * @user_data: for the owner
 */
void
hypha_timer_set (HyphaTimer *timer, HyphaWorker *worker, gint64 due, HyphaTimerFunc func,
                 gpointer user_data)
{
  g_assert (timer->worker == NULL || timer->worker == worker);
  hypha_timer_cancel (timer);
  timer->worker = worker;
  timer->due = due;
  timer->func = func;
  timer->user_data = user_data;
  hypha_timers_add (&worker->timers, timer);
}

/**
 * hypha_timer_cancel: (skip)
 * @timer: a timer
 *
 * Does nothing if it was not set.
 */
void
hypha_timer_cancel (HyphaTimer *timer)
{
  if (timer->worker == NULL)
    return;
  hypha_timers_remove (timer);
  timer->worker = NULL;
}

static void
run_timers (HyphaWorker *self)
{
  HyphaTimer *timer;

  hypha_timers_begin (&self->timers, self->now);
  while ((timer = hypha_timers_next (&self->timers)) != NULL) {
    hypha_timer_cancel (timer);
    timer->func (timer);
    self->now = g_get_monotonic_time ();
  }
}

/**
 * hypha_watch_start: (skip)
 * @watch: a watch that is not started
 * @worker: the current worker
 * @fd: the descriptor, borrowed: stop the watch before closing it
 * @events: EPOLLIN, EPOLLOUT; errors and hang-ups are always told
 * @func: called while the descriptor is ready
 * @user_data: for the owner
 * @error: return location for a #GError
 *
 * Returns: %FALSE with %HYPHA_ERROR_FAILED if the kernel cannot watch this descriptor (a regular
 * file, a limit)
 */
gboolean
hypha_watch_start (HyphaWatch *watch, HyphaWorker *worker, int fd, guint32 events,
                   HyphaWatchFunc func, gpointer user_data, GError **error)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };

  g_assert (watch->worker == NULL);
  if (epoll_ctl (worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
    int saved = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("Cannot watch descriptor %d: %s"), fd,
                 g_strerror (saved));
    return FALSE;
  }
  *watch = (HyphaWatch){
    .worker = worker,
    .fd = fd,
    .events = events,
    .func = func,
    .user_data = user_data,
  };
  worker->n_watches++;
  return TRUE;
}

/* What epoll still knows would be called when it is no more: Linux has no reason to refuse this,
 * but something may stand between. */
static void
unwatch (HyphaWorker *worker, int fd)
{
  for (guint i = 0; i < 3; i++)
    if (epoll_ctl (worker->epoll, EPOLL_CTL_DEL, fd, NULL) == 0)
      return;
  g_critical ("Cannot stop watching descriptor %d: %s", fd, g_strerror (errno));
}

/**
 * hypha_watch_set_events: (skip)
 * @watch: a started watch
 * @events: what to wait for from now on; with 0 an error or a hang-up still comes, again and again
 */
void
hypha_watch_set_events (HyphaWatch *watch, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };
  int epoll = watch->worker->epoll;

  if (watch->events == events)
    return;
  watch->events = events;
  if (epoll_ctl (epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0)
    return;
  /* Nor this. From the beginning, then. */
  unwatch (watch->worker, watch->fd);
  if (epoll_ctl (epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0)
    g_critical ("Cannot watch descriptor %d any more: %s", watch->fd, g_strerror (errno));
}

/**
 * hypha_watch_stop: (skip)
 * @watch: a watch
 *
 * It is not called any more. Does nothing if it was not started.
 */
void
hypha_watch_stop (HyphaWatch *watch)
{
  HyphaWorker *worker = watch->worker;

  if (worker == NULL)
    return;
  unwatch (worker, watch->fd);
  for (int i = 0; i < worker->n_batch; i++)
    if (worker->batch[i].data.ptr == watch)
      worker->batch[i].data.ptr = NULL;
  worker->n_watches--;
  worker->stale = worker->stale || worker->guest;
  watch->worker = NULL;
}

/* Milliseconds for epoll_wait: rounded up, for a timer must not fire early. */
static int
time_to_sleep (HyphaWorker *self)
{
  HyphaTimer *timer = hypha_timers_first (&self->timers);
  gint64 now, left;

  self->sleeps_until = G_MAXINT64;
  if (timer == NULL)
    return -1;
  self->sleeps_until = timer->due;
  now = g_get_monotonic_time ();
  if (timer->due <= now)
    return 0;
  left = timer->due - now;
  return (int) MIN (left / 1000 + (left % 1000 != 0), G_MAXINT);
}

/* What was put off is done now: it wakes threads, which would want the worker at once. After the
 * lock is let go, a guest must not touch the worker any more. */
static void
let_go (HyphaWorker *self)
{
  Closure few[8];
  const guint n = self->afterwards->len;
  g_autoptr (GArray) many = NULL;
  const Closure *all = few;

  if (n > G_N_ELEMENTS (few)) {
    many = g_steal_pointer (&self->afterwards);
    all = (const Closure *) many->data;
    self->afterwards = g_array_new (FALSE, FALSE, sizeof (Closure));
  } else if (n > 0) {
    memcpy (few, self->afterwards->data, n * sizeof (Closure));
    g_array_set_size (self->afterwards, 0);
  }
  pthread_mutex_unlock (&self->running);
  for (guint i = 0; i < n; i++)
    all[i].func (all[i].data);
}

static void
run_batch (HyphaWorker *self)
{
  for (int i = 0; i < self->n_batch; i++) {
    gpointer target = self->batch[i].data.ptr;

    if (target == NULL)
      continue;
    if (target == self) {
      hypha_inbox_run (&self->inbox);
    } else {
      HyphaWatch *watch = target;

      watch->func (watch, self->batch[i].events);
    }
    self->now = g_get_monotonic_time ();
    if (self->afterwards->len > 0 && i + 1 < self->n_batch) {
      let_go (self);
      pthread_mutex_lock (&self->running);
    }
  }
  self->n_batch = 0;
}

/* The batch is the kernel's while the worker is not held, and guests may free watches meanwhile:
 * then it is looked for again, for nothing is lost (level-triggered). */
static int
sleep_once (HyphaWorker *self, int timeout)
{
  int n;

  self->stale = FALSE;
  let_go (self);
  n = epoll_wait (self->epoll, self->batch, BATCH, timeout);
  pthread_mutex_lock (&self->running);
  if (self->stale)
    n = epoll_wait (self->epoll, self->batch, BATCH, 0);
  return MAX (n, 0);
}

/* Going to sleep and being woken costs more than what there is to do, where the next message comes
 * soon. */
static int
wait_for_batch (HyphaWorker *self)
{
  const guint spin = atomic_load_explicit (&self->spin, memory_order_relaxed);
  int timeout = time_to_sleep (self), n = 0;

  if (spin > 0 && timeout != 0) {
    /* Whoever else wants this CPU may be the one that is waited for. */
    while ((n = sleep_once (self, 0)) == 0 && g_get_monotonic_time () < self->now + spin)
      sched_yield ();
    timeout = time_to_sleep (self);
  }
  return n != 0 ? n : sleep_once (self, timeout);
}

static gpointer
worker_main (gpointer data)
{
  HyphaWorker *self = data;

  pthread_setname_np (pthread_self (), self->name);
  pthread_mutex_lock (&self->running);
  while (!self->stopping) {
    self->n_batch = wait_for_batch (self);
    self->now = g_get_monotonic_time ();
    run_batch (self);
    run_timers (self);
  }
  atomic_store (&self->closed, TRUE);
  hypha_inbox_drain (&self->inbox);
  let_go (self);
  g_assert (self->n_watches == 0);
  return NULL;
}

static void
worker_destroy (HyphaWorker *self)
{
  if (self->inbox.fd >= 0)
    hypha_inbox_clear (&self->inbox);
  if (self->epoll >= 0)
    close (self->epoll);
  if (self->alarm >= 0)
    close (self->alarm);
  hypha_timers_clear (&self->timers);
  g_array_unref (self->afterwards);
  pthread_mutex_destroy (&self->running);
  hypha_scratch_clear (&self->scratch);
  g_free (self->name);
  g_free (self);
}

static gboolean
worker_open (HyphaWorker *self, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = self };
  struct epoll_event alarm = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
  int failed;

  if (!hypha_scratch_init (&self->scratch)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("Cannot set up worker %s: there is no memory for its buffers"), self->name);
    return FALSE;
  }
  if (!hypha_inbox_init (&self->inbox, error))
    return FALSE;
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  self->alarm = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->epoll < 0 || self->alarm < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->inbox.fd, &event) < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->alarm, &alarm) < 0) {
    int saved = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("Cannot set up epoll for worker %s: %s"), self->name, g_strerror (saved));
    return FALSE;
  }
  failed = hypha_thread_create (&self->thread, worker_main, self);
  if (failed != 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("Cannot start the thread of worker %s: %s"), self->name, g_strerror (failed));
    return FALSE;
  }
  return TRUE;
}

/**
 * hypha_worker_new: (skip)
 * @name: what debuggers call the thread; 15 bytes of it count
 * @error: return location for a #GError
 *
 * Starts a thread that waits for descriptors, timers and closures.
 *
 * Returns: (transfer full) (nullable): the worker, or %NULL with %HYPHA_ERROR_FAILED where the
 * system has no memory, descriptor or thread left
 */
HyphaWorker *
hypha_worker_new (const char *name, GError **error)
{
  HyphaWorker *self = g_new0 (HyphaWorker, 1);

  self->name = g_strndup (name, 15);
  self->epoll = self->alarm = -1;
  self->inbox.fd = -1;
  hypha_timers_init (&self->timers);
  self->afterwards = g_array_new (FALSE, FALSE, sizeof (Closure));
  pthread_mutex_init (&self->running, NULL);
  self->now = g_get_monotonic_time ();
  if (!worker_open (self, error)) {
    worker_destroy (self);
    return NULL;
  }
  return self;
}

static void
stop (gpointer data)
{
  HyphaWorker *self = data;

  self->stopping = TRUE;
}

/**
 * hypha_worker_free: (skip)
 * @self: (transfer full): a worker
 *
 * Carries out what has been posted, ends the thread and waits for it. Not to be called on the
 * worker itself, nor before its watches and timers are gone.
 */
void
hypha_worker_free (HyphaWorker *self)
{
  g_assert (!hypha_worker_is_current (self));
  hypha_worker_post (self, stop, self);
  pthread_join (self->thread, NULL);
  worker_destroy (self);
}

/* Whoever spins on the only CPU there is keeps those from it whom it waits for. */
static gboolean
has_one_cpu (void)
{
  cpu_set_t set;

  return sched_getaffinity (0, sizeof set, &set) == 0 && CPU_COUNT (&set) < 2;
}

/**
 * hypha_worker_set_spin: (skip)
 * @self: a worker
 * @spin: microseconds, %HYPHA_WORKER_SPIN_MAX at most
 *
 * For how long the worker looks for more to do before it sleeps, each time it had something to do.
 * That takes a CPU meanwhile, so it is without effect where the process may use only one.
 */
void
hypha_worker_set_spin (HyphaWorker *self, guint spin)
{
  atomic_store_explicit (&self->spin, has_one_cpu () ? 0 : MIN (spin, HYPHA_WORKER_SPIN_MAX),
                         memory_order_relaxed);
}

/**
 * hypha_worker_post: (skip)
 * @self: a worker
 * @func: what to carry out on its thread
 * @data: for @func
 *
 * From any thread. Closures of one thread are carried out in the order in which it posted them; one
 * that is posted by the worker itself comes after it has looked at its descriptors again.
 */
void
hypha_worker_post (HyphaWorker *self, HyphaWorkFunc func, gpointer data)
{
  hypha_inbox_post (&self->inbox, func, data);
}

/* What a guest leaves to be done earlier than the worker wakes up by itself: a timer of the
 * kernel's sees to that, for to wake it only to let it sleep again are two switches of threads. */
static void
set_alarm (HyphaWorker *self, gint64 due)
{
  const struct itimerspec when = { .it_value = { .tv_sec = due / G_USEC_PER_SEC,
                                                 .tv_nsec = due % G_USEC_PER_SEC * 1000 } };

  self->sleeps_until = due;
  if (due <= self->now || timerfd_settime (self->alarm, TFD_TIMER_ABSTIME, &when, NULL) < 0)
    hypha_inbox_wake (&self->inbox);
}

/**
 * hypha_worker_do: (skip)
 * @self: a worker
 * @func: what to carry out as if on its thread
 * @data: for @func
 *
 * Like hypha_worker_post(), but @func is carried out here and now if the worker sleeps and nothing
 * waits for it, which spares a thread its waking. It must not write to what may raise SIGPIPE.
 * Whoever calls keeps to what hypha_worker_enter() asks for.
 */
void
hypha_worker_do (HyphaWorker *self, HyphaWorkFunc func, gpointer data)
{
  gboolean entered = hypha_worker_enter (self);
  /* What this thread has posted before comes first. */
  gboolean first = entered && hypha_inbox_is_empty (&self->inbox);

  if (first)
    func (data);
  if (entered)
    hypha_worker_leave (self);
  if (!first)
    hypha_worker_post (self, func, data);
}

/**
 * hypha_worker_enter: (skip)
 * @self: a worker
 *
 * Makes the caller the one who runs the worker, if nobody does: its thread sleeps. What belongs to
 * the worker may then be used as if on its thread, until hypha_worker_leave(). So what a program
 * has to say need not wait for another thread to wake up. Never waits.
 *
 * The caller sees to it that the worker is not freed meanwhile: that something which has to be gone
 * before is not.
 *
 * Returns: whether the caller has it; if not, hypha_worker_post() does the same later
 */
gboolean
hypha_worker_enter (HyphaWorker *self)
{
  if (pthread_mutex_trylock (&self->running) != 0)
    return FALSE;
  if (atomic_load (&self->closed) || self->n_batch > 0) {
    pthread_mutex_unlock (&self->running);
    return FALSE;
  }
  self->guest = TRUE;
  self->now = g_get_monotonic_time ();
  return TRUE;
}

/**
 * hypha_worker_leave: (skip)
 * @self: a worker that the caller has entered
 */
void
hypha_worker_leave (HyphaWorker *self)
{
  HyphaTimer *first = hypha_timers_first (&self->timers);

  self->guest = FALSE;
  if (first != NULL && first->due < self->sleeps_until)
    set_alarm (self, first->due);
  let_go (self);
}

/**
 * hypha_worker_afterwards: (skip)
 * @self: the current worker
 * @func: called on this thread as soon as the worker is not held any more
 * @data: for @func
 */
void
hypha_worker_afterwards (HyphaWorker *self, HyphaWorkFunc func, gpointer data)
{
  g_array_append_val (self->afterwards, ((Closure){ func, data }));
}

/**
 * hypha_worker_is_current: (skip)
 * @self: a worker
 *
 * Returns: whether the caller runs on the thread of @self
 */
gboolean
hypha_worker_is_current (HyphaWorker *self)
{
  return pthread_equal (pthread_self (), self->thread);
}

/**
 * hypha_worker_now: (skip)
 * @self: the current worker
 *
 * Returns: monotonic time in microseconds, as of when the callback that is running began
 */
gint64
hypha_worker_now (HyphaWorker *self)
{
  return self->now;
}

/**
 * hypha_worker_scratch: (skip)
 * @self: the current worker
 * @least: how many bytes there have to be, %HYPHA_CHUNK_LARGE at most
 * @size: (out): how many there are, at least 128 KiB
 *
 * Returns: (transfer none): a buffer that all on this worker share, for the duration of one
 * callback. Behind what was kept of it, or, where little is left, in another piece of memory; what
 * lies in the one before is good until the next time that this is so
 */
guint8 *
hypha_worker_scratch (HyphaWorker *self, gsize least, gsize *size)
{
  return hypha_scratch_get (&self->scratch, least, size);
}

/**
 * hypha_worker_keep: (skip)
 * @self: the current worker
 * @data: (array length=length): bytes in its buffer
 * @length: how many
 *
 * Keeps bytes where they lie: the buffer begins behind them from now on.
 *
 * Returns: (transfer full) (nullable): what holds them, or %NULL if they lie elsewhere
 */
HyphaChunk *
hypha_worker_keep (HyphaWorker *self, const guint8 *data, gsize length)
{
  return hypha_scratch_keep (&self->scratch, data, length);
}
