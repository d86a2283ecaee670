/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/worker.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <hypha-api.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/inbox.h"

#define SCRATCH_SIZE (256 * 1024)
#define BATCH 64

struct _HyphaWorker {
  pthread_t thread;
  char *name;
  int epoll;
  HyphaInbox inbox;
  _Atomic guint spin; /* us */

  /* The thread's own. */
  gboolean stopping;
  gint64 now;
  GPtrArray *timers; /* a binary heap of HyphaTimer, borrowed: the next one due is first */
  GPtrArray *due;    /* likewise: those whose turn it is in this round */
  guint n_watches;
  guint8 *scratch;
  struct epoll_event
      batch[BATCH]; /* data.ptr: the watch; the worker itself: the inbox; NULL: stopped */
  int n_batch;
};

static void
heap_place (GPtrArray *heap, guint index, HyphaTimer *timer)
{
  g_ptr_array_index (heap, index) = timer;
  timer->index = index;
}

static void
heap_up (GPtrArray *heap, HyphaTimer *timer)
{
  guint index = timer->index;

  while (index > 0) {
    guint above = (index - 1) / 2;
    HyphaTimer *parent = g_ptr_array_index (heap, above);

    if (parent->due <= timer->due)
      break;
    heap_place (heap, index, parent);
    index = above;
  }
  heap_place (heap, index, timer);
}

static void
heap_down (GPtrArray *heap, HyphaTimer *timer)
{
  guint index = timer->index;

  for (;;) {
    guint below = 2 * index + 1;
    HyphaTimer *child;

    if (below >= heap->len)
      break;
    child = g_ptr_array_index (heap, below);
    if (below + 1 < heap->len) {
      HyphaTimer *other = g_ptr_array_index (heap, below + 1);

      if (other->due < child->due) {
        child = other;
        below++;
      }
    }
    if (timer->due <= child->due)
      break;
    heap_place (heap, index, child);
    index = below;
  }
  heap_place (heap, index, timer);
}

static void
heap_add (GPtrArray *heap, HyphaTimer *timer)
{
  timer->heap = heap;
  timer->index = heap->len;
  g_ptr_array_add (heap, timer);
  heap_up (heap, timer);
}

static void
heap_remove (HyphaTimer *timer)
{
  GPtrArray *heap = g_steal_pointer (&timer->heap);
  HyphaTimer *last = g_ptr_array_index (heap, heap->len - 1);

  g_ptr_array_set_size (heap, (gint) heap->len - 1);
  if (last == timer)
    return;
  heap_place (heap, timer->index, last);
  heap_up (heap, last);
  heap_down (heap, last);
}

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
  heap_add (worker->timers, timer);
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
  heap_remove (timer);
  timer->worker = NULL;
}

static void
run_timers (HyphaWorker *self)
{
  /* Those that are due now, and each of them once: one that sets itself to the past from within
   * comes again, but after the descriptors. */
  while (self->timers->len > 0) {
    HyphaTimer *timer = g_ptr_array_index (self->timers, 0);

    if (timer->due > self->now)
      break;
    heap_remove (timer);
    heap_add (self->due, timer);
  }
  while (self->due->len > 0) {
    HyphaTimer *timer = g_ptr_array_index (self->due, 0);

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

/**
 * hypha_watch_set_events: (skip)
 * @watch: a started watch
 * @events: what to wait for from now on; with 0 an error or a hang-up still comes, again and again
 */
void
hypha_watch_set_events (HyphaWatch *watch, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };
  int result;

  if (watch->events == events)
    return;
  watch->events = events;
  result = epoll_ctl (watch->worker->epoll, EPOLL_CTL_MOD, watch->fd, &event);
  g_assert (result == 0);
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
  epoll_ctl (worker->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  for (int i = 0; i < worker->n_batch; i++)
    if (worker->batch[i].data.ptr == watch)
      worker->batch[i].data.ptr = NULL;
  worker->n_watches--;
  watch->worker = NULL;
}

/* Workers take no signals: those are for the main thread, and a write to a closed socket shall be
 * an error here, not a SIGPIPE. What the thread itself raises by a fault stays as it is. */
static void
block_signals (sigset_t *before)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
  sigset_t all;

  sigfillset (&all);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    sigdelset (&all, faults[i]);
  pthread_sigmask (SIG_SETMASK, &all, before);
}

/* Milliseconds for epoll_wait: rounded up, for a timer must not fire early. */
static int
time_to_sleep (HyphaWorker *self)
{
  HyphaTimer *timer;
  gint64 now, left;

  if (self->timers->len == 0)
    return -1;
  timer = g_ptr_array_index (self->timers, 0);
  now = g_get_monotonic_time ();
  if (timer->due <= now)
    return 0;
  left = timer->due - now;
  return (int) MIN (left / 1000 + (left % 1000 != 0), G_MAXINT);
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
  }
  self->n_batch = 0;
}

/* Going to sleep and being woken costs more than what there is to do, where the next message comes
 * soon. */
static int
wait_for_events (HyphaWorker *self)
{
  const guint spin = atomic_load_explicit (&self->spin, memory_order_relaxed);
  int timeout = time_to_sleep (self), n = 0;

  if (spin > 0 && timeout != 0) {
    /* Whoever else wants this CPU may be the one that is waited for. */
    while ((n = epoll_wait (self->epoll, self->batch, BATCH, 0)) == 0 &&
           g_get_monotonic_time () < self->now + spin)
      sched_yield ();
    timeout = time_to_sleep (self);
  }
  return n != 0 ? n : epoll_wait (self->epoll, self->batch, BATCH, timeout);
}

static gpointer
worker_main (gpointer data)
{
  HyphaWorker *self = data;

  pthread_setname_np (pthread_self (), self->name);
  while (!self->stopping) {
    int n = wait_for_events (self);

    self->now = g_get_monotonic_time ();
    self->n_batch = MAX (n, 0);
    run_batch (self);
    run_timers (self);
  }
  hypha_inbox_drain (&self->inbox);
  g_assert (self->n_watches == 0 && self->timers->len == 0);
  return NULL;
}

static void
worker_destroy (HyphaWorker *self)
{
  if (self->inbox.fd >= 0)
    hypha_inbox_clear (&self->inbox);
  if (self->epoll >= 0)
    close (self->epoll);
  g_ptr_array_unref (self->timers);
  g_ptr_array_unref (self->due);
  g_free (self->scratch);
  g_free (self->name);
  g_free (self);
}

static gboolean
worker_open (HyphaWorker *self, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = self };
  sigset_t before;
  int failed;

  if (!hypha_inbox_init (&self->inbox, error))
    return FALSE;
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (self->epoll < 0 || epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->inbox.fd, &event) < 0) {
    int saved = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("Cannot set up epoll for worker %s: %s"), self->name, g_strerror (saved));
    return FALSE;
  }
  block_signals (&before);
  failed = pthread_create (&self->thread, NULL, worker_main, self);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
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
 * system has no descriptor or thread left
 */
HyphaWorker *
hypha_worker_new (const char *name, GError **error)
{
  HyphaWorker *self = g_new0 (HyphaWorker, 1);

  self->name = g_strndup (name, 15);
  self->epoll = -1;
  self->inbox.fd = -1;
  self->timers = g_ptr_array_new ();
  self->due = g_ptr_array_new ();
  self->scratch = g_malloc (SCRATCH_SIZE);
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
 * @size: (out): how many bytes there are
 *
 * Returns: (transfer none): a buffer that all on this worker share, for the duration of one
 * callback
 */
guint8 *
hypha_worker_scratch (HyphaWorker *self, gsize *size)
{
  *size = SCRATCH_SIZE;
  return self->scratch;
}
