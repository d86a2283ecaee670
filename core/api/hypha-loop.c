/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-loop.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "hypha-error.h"
#include "hypha-source.h"
#include "hypha-thread.h"

#define NAME_BYTES 16 /* of a thread, its end included */
#define BATCH 64
#define SECOND 1000000000ULL

typedef struct {
  HyphaLoopFunc func;
  gpointer data;
} Call;

/* What the context has of the loop: everybody who waits for a descriptor, and the one timer that
 * is due first. */
typedef struct {
  GSource parent;
  HyphaLoop *loop;
} LoopSource;

struct _HyphaLoop {
  char name[NAME_BYTES];
  HyphaLoop *next; /* under the mutex of all loops */
  guint users;     /* likewise */
  int epoll, wake, clock;
  gsize state_size;
  GDestroyNotify clear_state;
  gpointer state;
  GMainContext *context;

  pthread_mutex_t mutex;
  GArray *inbox;     /* of Call */
  gboolean sleeping; /* and to be woken by who calls */

  /* The thread's alone. */
  GSource *source;
  gpointer polled;   /* the epoll descriptor in the source */
  GPtrArray *timers; /* of HyphaLoopTimer, a heap: the first is due first */
  guint64 armed;     /* when the clock rings */
  gboolean at_work;
  guint64 firing; /* the time that timers are told; 0: none runs */
  gboolean over;
};

/* Not by GLib: ThreadSanitizer sees these alone, as Debian builds GLib. */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static HyphaLoop *all;

/**
 * hypha_loop_now:
 *
 * Returns: the time of timers: monotonic (`CLOCK_MONOTONIC`), in nanoseconds
 *
 * Since: ABI 1.2
 */
guint64
hypha_loop_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (guint64) now.tv_sec * SECOND + (guint64) now.tv_nsec;
}

/* ---- timers ---- */

static HyphaLoopTimer *
timer_at (HyphaLoop *self, guint place)
{
  return self->timers->pdata[place - 1];
}

static void
put_timer (HyphaLoop *self, guint place, HyphaLoopTimer *timer)
{
  self->timers->pdata[place - 1] = timer;
  timer->place = place;
}

static void
sift (HyphaLoop *self, HyphaLoopTimer *timer)
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
remove_timer (HyphaLoop *self, HyphaLoopTimer *timer)
{
  HyphaLoopTimer *last = timer_at (self, self->timers->len);
  guint place = timer->place;

  g_ptr_array_set_size (self->timers, (int) self->timers->len - 1);
  timer->place = 0;
  if (last == timer)
    return;
  put_timer (self, place, last);
  sift (self, last);
}

/**
 * hypha_loop_set_timer:
 * @self: the loop, on its thread
 * @timer: a timer
 * @due: when it fires, at once if that is past; %HYPHA_LOOP_NEVER takes it away
 *
 * Sets @timer, whether it waits already or not. Who is set while timers run, for now or before, and
 * was not due by itself, runs behind whoever is ready by then.
 *
 * Since: ABI 1.2
 */
void
hypha_loop_set_timer (HyphaLoop *self, HyphaLoopTimer *timer, guint64 due)
{
  if (self->firing > 0 && due <= self->firing) {
    /* It has its turn already, */
    if (timer->place > 0 && timer->due <= self->firing)
      return;
    /* or waits for the next. */
    due = self->firing + 1;
  }
  timer->due = due;
  if (due == HYPHA_LOOP_NEVER) {
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

static void
run_timers (HyphaLoop *self)
{
  if (self->timers->len == 0)
    return;
  self->firing = hypha_loop_now ();
  while (self->timers->len > 0 && timer_at (self, 1)->due <= self->firing) {
    HyphaLoopTimer *timer = timer_at (self, 1);

    remove_timer (self, timer);
    timer->fire (timer->owner, self->firing);
  }
  self->firing = 0;
}

/* 0 if somebody is due, -1 if the clock will ring, or nobody waits. */
static int
set_clock (HyphaLoop *self)
{
  struct itimerspec when = { 0 };
  guint64 due = self->timers->len > 0 ? timer_at (self, 1)->due : HYPHA_LOOP_NEVER;

  if (due == HYPHA_LOOP_NEVER)
    return -1;
  if (due <= hypha_loop_now ())
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
run_inbox (HyphaLoop *self)
{
  g_autoptr (GArray) calls = NULL;

  pthread_mutex_lock (&self->mutex);
  if (self->inbox->len > 0) {
    calls = g_steal_pointer (&self->inbox);
    self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  }
  pthread_mutex_unlock (&self->mutex);
  for (guint i = 0; calls != NULL && i < calls->len; i++) {
    const Call *call = &g_array_index (calls, Call, i);

    call->func (call->data);
  }
}

static void
run_watches (HyphaLoop *self)
{
  struct epoll_event events[BATCH];
  int n = epoll_wait (self->epoll, events, BATCH, 0);

  for (int i = 0; i < n; i++) {
    HyphaLoopWatch *watch = events[i].data.ptr;

    if (events[i].data.ptr == self)
      self->armed = HYPHA_LOOP_NEVER; /* the clock has rung */
    else if (watch != NULL && watch->on)
      watch->ready (watch->owner, events[i].events);
  }
}

static gboolean
prepare (GSource *source, int *timeout)
{
  HyphaLoop *self = ((LoopSource *) source)->loop;
  gboolean called;

  *timeout = set_clock (self);
  if (*timeout == 0)
    return TRUE;
  pthread_mutex_lock (&self->mutex);
  called = self->inbox->len > 0;
  self->sleeping = !called;
  pthread_mutex_unlock (&self->mutex);
  return called;
}

/* Whether the descriptor has something, GLib sees by itself. */
static gboolean
check (GSource *source)
{
  HyphaLoop *self = ((LoopSource *) source)->loop;

  pthread_mutex_lock (&self->mutex);
  self->sleeping = FALSE;
  pthread_mutex_unlock (&self->mutex);
  return FALSE;
}

static gboolean
dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  HyphaLoop *self = ((LoopSource *) source)->loop;

  /* Within a turn there is no other one, though somebody may iterate the context there. */
  if (self->at_work)
    return G_SOURCE_CONTINUE;
  self->at_work = TRUE;
  if (g_source_query_unix_fd (source, self->polled) != 0)
    run_watches (self);
  run_timers (self);
  /* Last: there is where is freed what the others may have known still. */
  run_inbox (self);
  self->at_work = FALSE;
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
  .prepare = prepare,
  .check = check,
  .dispatch = dispatch,
};

static void
loop_free (HyphaLoop *self)
{
  hypha_clear_source (&self->source);
  g_clear_pointer (&self->context, g_main_context_unref);
  if (self->epoll >= 0)
    close (self->epoll);
  if (self->wake >= 0)
    close (self->wake);
  if (self->clock >= 0)
    close (self->clock);
  pthread_mutex_destroy (&self->mutex);
  g_array_unref (self->inbox);
  g_ptr_array_unref (self->timers);
  g_free (self->state);
  g_free (self);
}

static void *
run (void *data)
{
  HyphaLoop *self = data;

  g_main_context_push_thread_default (self->context);
  while (!self->over)
    g_main_context_iteration (self->context, TRUE);
  /* What was called before its end, and what was given up on: that ends at once, but by the
   * context. */
  while (g_main_context_iteration (self->context, FALSE))
    ;
  if (self->clear_state != NULL)
    self->clear_state (self->state);
  g_main_context_pop_thread_default (self->context);
  loop_free (self);
  return NULL;
}

/* ---- its beginning ---- */

/* 0, or errno. Edge-triggered are those that nobody has to read: what they count is no matter. */
static int
open_descriptors (HyphaLoop *self)
{
  struct epoll_event waking = { .events = EPOLLIN | EPOLLET };
  struct epoll_event ringing = { .events = EPOLLIN | EPOLLET, .data.ptr = self };
  int spare;

  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (self->epoll < 0)
    return errno;
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->wake < 0)
    return errno;
  self->clock = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->clock < 0 || epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->wake, &waking) < 0 ||
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->clock, &ringing) < 0)
    return errno;
  /* GLib ends the program where it finds no descriptor for a context: so one is found before. */
  spare = eventfd (0, EFD_CLOEXEC);
  if (spare < 0)
    return errno;
  close (spare);
  self->context = g_main_context_new ();
  return 0;
}

static void
attach_source (HyphaLoop *self)
{
  self->source = g_source_new (&source_funcs, sizeof (LoopSource));
  ((LoopSource *) self->source)->loop = self;
  g_source_set_static_name (self->source, self->name);
  self->polled = g_source_add_unix_fd (self->source, self->epoll, G_IO_IN);
  /* Or else GLib takes its descriptor out of the context for each turn, puts it back, and wakes
   * itself for either. */
  g_source_set_can_recurse (self->source, TRUE);
  g_source_attach (self->source, self->context);
}

/* 0, or errno. */
static int
start_thread (HyphaLoop *self)
{
  pthread_t thread;
  int reason = hypha_thread_create (&thread, run, self);

  if (reason != 0)
    return reason;
  /* Nobody waits for its end, not even the next one. */
  pthread_setname_np (thread, self->name);
  pthread_detach (thread);
  return 0;
}

static HyphaLoop *
loop_new (const char *name, gsize state_size, GDestroyNotify clear_state, GError **error)
{
  HyphaLoop *self = g_new0 (HyphaLoop, 1);
  int reason;

  g_strlcpy (self->name, name, sizeof self->name);
  self->epoll = self->wake = self->clock = -1;
  pthread_mutex_init (&self->mutex, NULL);
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  self->timers = g_ptr_array_new ();
  self->armed = HYPHA_LOOP_NEVER;
  self->state_size = state_size;
  self->clear_state = clear_state;
  self->state = g_try_malloc0 (state_size);
  reason = self->state == NULL && state_size > 0 ? ENOMEM : open_descriptors (self);
  if (reason == 0) {
    attach_source (self);
    reason = start_thread (self);
  }
  if (reason == 0)
    return self;
  loop_free (self);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("the thread %s cannot be made: %s"), name,
               g_strerror (reason));
  return NULL;
}

/* ---- from any thread ---- */

/**
 * hypha_loop_acquire:
 * @name: of the thread, at most 15 bytes: `hypha-` and what the transport is called
 * @state_size: how many bytes the transport keeps with it
 * @clear_state: (nullable) (scope notified): is given these bytes at the thread's end, on the
 * thread
 * @error: return location for an error: there is no memory, no descriptor or no thread for it; or
 *   somebody else has one of this name
 *
 * Holds the thread of this name, and makes it if there is none. It has all signals blocked, but for
 * those of its own faults. Who asks for it again asks with the same @state_size and @clear_state.
 *
 * Returns: (transfer full): the loop, to be given back by [method@Hypha.Loop.release]; or %NULL
 *
 * Since: ABI 1.2
 */
HyphaLoop *
hypha_loop_acquire (const char *name, gsize state_size, GDestroyNotify clear_state, GError **error)
{
  HyphaLoop *self;

  g_return_val_if_fail (name != NULL, NULL);

  pthread_mutex_lock (&all_mutex);
  for (self = all; self != NULL; self = self->next)
    if (strncmp (self->name, name, NAME_BYTES - 1) == 0)
      break;
  if (self == NULL) {
    self = loop_new (name, state_size, clear_state, error);
    if (self != NULL) {
      self->next = all;
      all = self;
    }
  } else if (self->state_size != state_size || self->clear_state != clear_state) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("two plug-ins call a thread %s: each needs a name of its own"), name);
    self = NULL;
  }
  if (self != NULL)
    self->users++;
  pthread_mutex_unlock (&all_mutex);
  return self;
}

/**
 * hypha_loop_ref:
 * @self: a loop that is held
 *
 * Holds it once more.
 *
 * Returns: (transfer full): @self
 *
 * Since: ABI 1.2
 */
HyphaLoop *
hypha_loop_ref (HyphaLoop *self)
{
  pthread_mutex_lock (&all_mutex);
  self->users++;
  pthread_mutex_unlock (&all_mutex);
  return self;
}

static void
stop (gpointer loop)
{
  ((HyphaLoop *) loop)->over = TRUE;
}

/**
 * hypha_loop_release:
 * @self: (transfer full): a loop that is held
 *
 * Gives it back. With the last holder the thread ends, by itself and soon: what was called before
 * runs, and what that calls in its turn, and what is ready in the context. Whoever asks for one of
 * this name from now on gets another.
 *
 * Since: ABI 1.2
 */
void
hypha_loop_release (HyphaLoop *self)
{
  gboolean last;

  pthread_mutex_lock (&all_mutex);
  last = --self->users == 0;
  for (HyphaLoop **at = &all; last && *at != NULL;)
    if (*at == self)
      *at = self->next;
    else
      at = &(*at)->next;
  pthread_mutex_unlock (&all_mutex);
  if (last)
    hypha_loop_call (self, stop, self);
}

/**
 * hypha_loop_get_context:
 * @self: a loop
 *
 * Returns: (transfer none): the default context of its thread
 *
 * Since: ABI 1.2
 */
GMainContext *
hypha_loop_get_context (HyphaLoop *self)
{
  return self->context;
}

/**
 * hypha_loop_call:
 * @self: a loop that is held
 * @func: (scope async) (closure data): what to do
 * @data: for @func
 *
 * Calls @func on the loop, once, after all that is under way there and after what was called
 * before. It is the way from another thread, and on the loop itself the way to free what others of
 * the same turn may know still. Who wants the loop to be there until then has it held.
 *
 * Since: ABI 1.2
 */
void
hypha_loop_call (HyphaLoop *self, HyphaLoopFunc func, gpointer data)
{
  const Call call = { func, data };

  /* The call may be what ends the loop, which waits for the mutex. */
  pthread_mutex_lock (&self->mutex);
  g_array_append_val (self->inbox, call);
  if (self->sleeping) {
    self->sleeping = FALSE;
    while (eventfd_write (self->wake, 1) < 0 && errno == EINTR)
      ;
  }
  pthread_mutex_unlock (&self->mutex);
}

/**
 * hypha_loop_forget:
 * @self: a loop that is held
 * @fd: a descriptor
 *
 * For who closes a descriptor on another thread than the loop's: before that. No copy of it, in a
 * child that has not got as far as its program, tells of it any more. Its watch is not
 * [method@Hypha.Loop.unwatch]ed later, since the number may be another's by then: its owner clears
 * its field `on`, on the loop.
 *
 * Since: ABI 1.2
 */
void
hypha_loop_forget (HyphaLoop *self, int fd)
{
  epoll_ctl (self->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- on the loop ---- */

/**
 * hypha_loop_get_state:
 * @self: the loop, on its thread
 *
 * Returns: (transfer none): the bytes that the transport keeps with it: 0 at first
 *
 * Since: ABI 1.2
 */
gpointer
hypha_loop_get_state (HyphaLoop *self)
{
  return self->state;
}

/**
 * hypha_loop_watch:
 * @self: the loop, on its thread
 * @watch: a watch
 * @events: what to wait for, as of epoll(7): `EPOLLIN`, `EPOLLOUT`; 0: its hang-up alone
 *
 * Waits, or waits for something else.
 *
 * Returns: %TRUE, or %FALSE if the kernel does not watch the descriptor
 *
 * Since: ABI 1.2
 */
gboolean
hypha_loop_watch (HyphaLoop *self, HyphaLoopWatch *watch, guint32 events)
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

/**
 * hypha_loop_unwatch:
 * @self: the loop, on its thread
 * @watch: a watch, whether it waits or not
 *
 * Waits no more, and is told no more. The descriptor has to be open still.
 *
 * Since: ABI 1.2
 */
void
hypha_loop_unwatch (HyphaLoop *self, HyphaLoopWatch *watch)
{
  if (watch->on)
    epoll_ctl (self->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->on = FALSE;
}
