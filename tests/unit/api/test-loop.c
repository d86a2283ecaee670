/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../descriptors.h"

#define MS (1000 * 1000ULL)

/* What the loops of these tests keep; by the end of a test all of them have gone, and what they
 * opened. Semaphores, not GLib's locks: ThreadSanitizer sees them. */
typedef struct {
  guint number;
  char zeros[60000];
} State;

static sem_t cleared;
static _Atomic guint last_number; /* of a state that was cleared */
static _Atomic pthread_t last_thread;

static void
clear_state (gpointer data)
{
  State *state = data;

  atomic_store (&last_number, state->number);
  atomic_store (&last_thread, pthread_self ());
  sem_post (&cleared);
}

static HyphaLoop *
acquire (const char *name)
{
  g_autoptr (GError) error = NULL;
  HyphaLoop *loop = hypha_loop_acquire (name, sizeof (State), clear_state, &error);

  g_assert_no_error (error);
  g_assert_nonnull (loop);
  return loop;
}

typedef struct {
  guint descriptors;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  sem_init (&cleared, 0, 0);
  f->descriptors = count_descriptors ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  /* Its state is cleared a little before its descriptors are closed. */
  while (count_descriptors () > f->descriptors)
    sched_yield ();
  g_assert_cmpuint (count_descriptors (), ==, f->descriptors);
  sem_destroy (&cleared);
}

static void
release_and_wait (HyphaLoop *loop)
{
  hypha_loop_release (loop);
  sem_wait (&cleared);
}

typedef struct {
  HyphaLoopFunc func;
  gpointer data;
  sem_t done;
} Errand;

static void
run_errand (gpointer data)
{
  Errand *errand = data;

  if (errand->func != NULL)
    errand->func (errand->data);
  sem_post (&errand->done);
}

/* FUNC has been called on the loop when this returns. */
static void
run_there (HyphaLoop *loop, HyphaLoopFunc func, gpointer data)
{
  Errand errand = { .func = func, .data = data };

  sem_init (&errand.done, 0, 0);
  hypha_loop_call (loop, run_errand, &errand);
  sem_wait (&errand.done);
  sem_destroy (&errand.done);
}

/* ---- calls ---- */

#define CALLERS 4
#define CALLS 2000

typedef struct {
  HyphaLoop *loop;
  guint next; /* the loop's */
  sem_t *done;
} Caller;

typedef struct {
  Caller *caller;
  guint number;
} Numbered;

static void
take_number (gpointer data)
{
  g_autofree Numbered *numbered = data;

  g_assert_cmpuint (numbered->number, ==, numbered->caller->next);
  if (++numbered->caller->next == CALLS)
    sem_post (numbered->caller->done);
}

static void *
call_often (void *data)
{
  Caller *caller = data;

  for (guint i = 0; i < CALLS; i++) {
    Numbered *numbered = g_new (Numbered, 1);

    *numbered = (Numbered){ caller, i };
    hypha_loop_call (caller->loop, take_number, numbered);
  }
  return NULL;
}

static void
test_calls (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-calls");
  Caller callers[CALLERS];
  pthread_t threads[CALLERS];
  sem_t done;

  sem_init (&done, 0, 0);
  for (guint i = 0; i < CALLERS; i++) {
    callers[i] = (Caller){ loop, 0, &done };
    g_assert_cmpint (pthread_create (&threads[i], NULL, call_often, &callers[i]), ==, 0);
  }
  for (guint i = 0; i < CALLERS; i++) {
    pthread_join (threads[i], NULL);
    sem_wait (&done);
  }
  release_and_wait (loop);
  sem_destroy (&done);
}

/* ---- its life ---- */

typedef struct {
  HyphaLoop *loop;
  pthread_t thread;
  char name[16];
  gboolean hears_terminate, hears_fault, is_default;
  guint further; /* calls, each made by the one before */
} Visit;

static void
look_around (gpointer data)
{
  Visit *visit = data;
  State *state = hypha_loop_get_state (visit->loop);
  sigset_t blocked;

  for (guint i = 0; i < sizeof state->zeros; i++)
    g_assert_cmpint (state->zeros[i], ==, 0);
  state->number = 17;
  visit->thread = pthread_self ();
  g_assert_cmpint (pthread_getname_np (visit->thread, visit->name, sizeof visit->name), ==, 0);
  pthread_sigmask (SIG_SETMASK, NULL, &blocked);
  visit->hears_terminate = !sigismember (&blocked, SIGTERM);
  visit->hears_fault = !sigismember (&blocked, SIGSEGV);
  visit->is_default =
      g_main_context_get_thread_default () == hypha_loop_get_context (visit->loop) &&
      g_main_context_is_owner (hypha_loop_get_context (visit->loop));
}

static void
test_thread (Fixture *f, gconstpointer data)
{
  Visit visit = { .loop = acquire ("hypha-fifteen-b") };

  run_there (visit.loop, look_around, &visit);
  g_assert_cmpstr (visit.name, ==, "hypha-fifteen-b");
  g_assert_false (visit.hears_terminate);
  g_assert_true (visit.hears_fault);
  g_assert_true (visit.is_default);
  release_and_wait (visit.loop);
  g_assert_cmpuint (atomic_load (&last_number), ==, 17);
  g_assert_true (pthread_equal (atomic_load (&last_thread), visit.thread));
}

static void
note_further (gpointer data)
{
  Visit *visit = data;

  if (++visit->further < 10)
    hypha_loop_call (visit->loop, note_further, visit);
}

/* What was called runs, and what that calls, though nobody holds it any more. */
static void
test_end (Fixture *f, gconstpointer data)
{
  Visit visit = { .loop = acquire ("hypha-end") };

  g_assert_true (hypha_loop_ref (visit.loop) == visit.loop);
  hypha_loop_release (visit.loop);
  hypha_loop_call (visit.loop, note_further, &visit);
  release_and_wait (visit.loop);
  g_assert_cmpuint (visit.further, ==, 10);
}

static void
release_there (gpointer loop)
{
  hypha_loop_release (loop);
}

static void
test_end_from_within (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 200; i++) {
    HyphaLoop *loop = acquire ("hypha-within");

    hypha_loop_call (loop, release_there, loop);
    sem_wait (&cleared);
  }
}

static void
test_names (Fixture *f, gconstpointer data)
{
  Visit one = { .loop = acquire ("hypha-one") };
  Visit two = { .loop = acquire ("hypha-two") };
  HyphaLoop *again = acquire ("hypha-one");
  g_autoptr (GError) error = NULL;

  g_assert_true (again == one.loop);
  g_assert_true (two.loop != one.loop);
  run_there (one.loop, look_around, &one);
  run_there (two.loop, look_around, &two);
  g_assert_false (pthread_equal (one.thread, two.thread));
  g_assert_null (hypha_loop_acquire ("hypha-two", 1, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  hypha_loop_release (again);
  release_and_wait (one.loop);
  release_and_wait (two.loop);
}

/* Neither is there a loop without its descriptors, nor does GLib end the program. */
static void
test_no_descriptors (Fixture *f, gconstpointer data)
{
  struct rlimit before, now;
  HyphaLoop *loop = NULL;
  guint refused = 0;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  now = before;
  for (now.rlim_cur = 3; loop == NULL; now.rlim_cur++) {
    g_autoptr (GError) error = NULL;

    g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &now), ==, 0);
    loop = hypha_loop_acquire ("hypha-none", sizeof (State), clear_state, &error);
    if (loop != NULL)
      continue;
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
    refused++;
  }
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
  g_assert_cmpuint (refused, >=, 4);
  release_and_wait (loop);
}

/* ---- watches ---- */

typedef struct _Ear Ear;

struct _Ear {
  HyphaLoop *loop;
  HyphaLoopWatch watch;
  int far;
  Ear *other;
  guint told;
  gboolean watched;
};

static void
silence_other (gpointer owner, guint32 events)
{
  Ear *ear = owner;

  g_assert_cmpuint (events & EPOLLIN, ==, EPOLLIN);
  ear->told++;
  hypha_loop_unwatch (ear->loop, &ear->watch);
  if (ear->other != NULL)
    hypha_loop_unwatch (ear->loop, &ear->other->watch);
}

static void
ear_init (Ear *self, HyphaLoop *loop)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  *self = (Ear){ .loop = loop, .far = fds[1] };
  self->watch = (HyphaLoopWatch){ .fd = fds[0], .ready = silence_other, .owner = self };
}

static void
ear_clear (Ear *self)
{
  if (self->watch.fd >= 0)
    close (self->watch.fd);
  close (self->far);
}

static void
say (Ear *self)
{
  g_assert_cmpint (send (self->far, "x", 1, 0), ==, 1);
}

static void
watch_both (gpointer data)
{
  Ear *ears = data;

  for (guint i = 0; i < 2; i++)
    g_assert_true (hypha_loop_watch (ears[i].loop, &ears[i].watch, EPOLLIN));
}

/* Both are ready in one turn; whoever is told first silences the other. */
static void
test_unwatch_within (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-watch");
  Ear ears[2];

  for (guint i = 0; i < 2; i++) {
    ear_init (&ears[i], loop);
    say (&ears[i]);
  }
  ears[0].other = &ears[1];
  ears[1].other = &ears[0];
  run_there (loop, watch_both, ears);
  run_there (loop, NULL, NULL);
  run_there (loop, NULL, NULL);
  g_assert_cmpuint (ears[0].told + ears[1].told, ==, 1);
  release_and_wait (loop);
  for (guint i = 0; i < 2; i++)
    ear_clear (&ears[i]);
}

static void
watch_one (gpointer data)
{
  Ear *ear = data;

  ear->watched = hypha_loop_watch (ear->loop, &ear->watch, EPOLLIN);
}

static void
drop_watch (gpointer data)
{
  ((Ear *) data)->watch.on = FALSE;
}

/* A copy of a descriptor that was closed says nothing any more. */
static void
test_forget (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-forget");
  int copy;
  Ear ear;

  ear_init (&ear, loop);
  copy = dup (ear.watch.fd);
  run_there (loop, watch_one, &ear);
  g_assert_true (ear.watched);
  hypha_loop_forget (loop, ear.watch.fd);
  close (ear.watch.fd);
  say (&ear);
  run_there (loop, NULL, NULL);
  run_there (loop, NULL, NULL);
  g_assert_cmpuint (ear.told, ==, 0);
  run_there (loop, drop_watch, &ear);
  release_and_wait (loop);
  close (copy);
  close (ear.far);
}

/* What the kernel does not watch is told at once: a file is always ready. */
static void
test_no_watch (Fixture *f, gconstpointer data)
{
  Ear ear = { .loop = acquire ("hypha-no-watch"), .watched = TRUE };

  ear.watch = (HyphaLoopWatch){ .fd = -1, .ready = silence_other, .owner = &ear };
  run_there (ear.loop, watch_one, &ear);
  g_assert_false (ear.watched);
  g_assert_false (ear.watch.on);
  release_and_wait (ear.loop);
}

#define MESSAGES 100

static _Atomic int n_ready; /* descriptors of the context, GLib's own among them */

static int
poll_counted (GPollFD *fds, guint n, int timeout)
{
  int ready = g_poll (fds, n, timeout);

  atomic_fetch_add (&n_ready, ready);
  return ready;
}

typedef struct {
  Ear ear;
  sem_t heard;
} Hearer;

static void
hear (gpointer owner, guint32 events)
{
  Hearer *hearer = owner;
  char byte;

  g_assert_cmpint (recv (hearer->ear.watch.fd, &byte, 1, 0), ==, 1);
  sem_post (&hearer->heard);
}

static void
begin_counting (gpointer data)
{
  Ear *ear = data;

  g_main_context_set_poll_func (hypha_loop_get_context (ear->loop), poll_counted);
  watch_one (ear);
}

static void
unwatch_one (gpointer data)
{
  Ear *ear = data;

  hypha_loop_unwatch (ear->loop, &ear->watch);
}

/* One who is ready is one, and GLib has not woken itself besides. */
static void
test_nobody_wakes (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-no-waking");
  Hearer hearer;

  ear_init (&hearer.ear, loop);
  hearer.ear.watch.ready = hear;
  hearer.ear.watch.owner = &hearer;
  sem_init (&hearer.heard, 0, 0);
  atomic_store (&n_ready, 0);
  run_there (loop, begin_counting, &hearer.ear);
  for (guint i = 0; i < MESSAGES; i++) {
    say (&hearer.ear);
    sem_wait (&hearer.heard);
  }
  run_there (loop, unwatch_one, &hearer.ear);
  g_assert_cmpint (atomic_load (&n_ready), <, MESSAGES * 3 / 2);
  release_and_wait (loop);
  ear_clear (&hearer.ear);
  sem_destroy (&hearer.heard);
}

/* ---- timers ---- */

typedef struct _Alarm Alarm;

struct _Alarm {
  HyphaLoop *loop;
  HyphaLoopTimer timer;
  guint *fired; /* how many have */
  guint place;  /* among those; 0: not yet */
  Alarm *victim;
  sem_t *done;
};

static void
ring (gpointer owner, guint64 now)
{
  Alarm *alarm = owner;

  g_assert_cmpuint (now, >=, alarm->timer.due);
  g_assert_cmpuint (alarm->timer.place, ==, 0);
  g_assert_cmpuint (alarm->place, ==, 0);
  alarm->place = ++*alarm->fired;
  if (alarm->victim != NULL)
    hypha_loop_set_timer (alarm->loop, &alarm->victim->timer, HYPHA_LOOP_NEVER);
  if (alarm->done != NULL)
    sem_post (alarm->done);
}

#define ALARMS 100

static void
set_alarms (gpointer data)
{
  Alarm *alarms = data;
  guint64 now = hypha_loop_now ();

  /* Far away first, and then where they belong: each by its number, though set in another order. */
  for (guint i = 0; i < ALARMS; i++)
    hypha_loop_set_timer (alarms[i].loop, &alarms[i].timer, now + 3600 * 1000 * MS - i);
  for (guint i = 0; i < ALARMS; i++) {
    guint which = i * 37 % ALARMS;

    hypha_loop_set_timer (alarms[which].loop, &alarms[which].timer,
                          now + which / 10 * MS + which % 10);
  }
  /* One is taken away before it can fire, and one by another. */
  hypha_loop_set_timer (alarms[50].loop, &alarms[50].timer, HYPHA_LOOP_NEVER);
  hypha_loop_set_timer (alarms[50].loop, &alarms[50].timer, HYPHA_LOOP_NEVER);
}

static void
test_timers (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-timers");
  Alarm alarms[ALARMS] = { 0 };
  guint fired = 0;
  sem_t done;

  sem_init (&done, 0, 0);
  for (guint i = 0; i < ALARMS; i++) {
    alarms[i] = (Alarm){ .loop = loop, .fired = &fired };
    alarms[i].timer = (HyphaLoopTimer){ .fire = ring, .owner = &alarms[i] };
  }
  /* Of the same turn: they are 1 ns apart. */
  alarms[20].victim = &alarms[21];
  alarms[ALARMS - 1].done = &done;
  run_there (loop, set_alarms, alarms);
  sem_wait (&done);
  release_and_wait (loop);
  g_assert_cmpuint (fired, ==, ALARMS - 2);
  for (guint i = 0, place = 1; i < ALARMS; i++)
    g_assert_cmpuint (alarms[i].place, ==, i == 21 || i == 50 ? 0 : place++);
  sem_destroy (&done);
}

typedef struct {
  Ear ear;
  HyphaLoopTimer timer;
  guint left;
  sem_t done;
} Busy;

/* One who is always due leaves everybody else his turn. */
static void
ring_again (gpointer owner, guint64 now)
{
  Busy *busy = owner;

  busy->left++;
  if (busy->ear.told == 0)
    hypha_loop_set_timer (busy->ear.loop, &busy->timer, 0);
  else
    sem_post (&busy->done);
}

static void
be_busy (gpointer data)
{
  Busy *busy = data;

  hypha_loop_set_timer (busy->ear.loop, &busy->timer, 0);
  watch_one (&busy->ear);
}

static void
test_busy_timer (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = acquire ("hypha-busy");
  Busy busy = { .left = 0 };

  ear_init (&busy.ear, loop);
  sem_init (&busy.done, 0, 0);
  busy.timer = (HyphaLoopTimer){ .fire = ring_again, .owner = &busy };
  run_there (loop, be_busy, &busy);
  say (&busy.ear);
  sem_wait (&busy.done);
  release_and_wait (loop);
  ear_clear (&busy.ear);
  sem_destroy (&busy.done);
}

typedef struct {
  HyphaLoop *loop;
  HyphaLoopTimer first, second, idle[8];
  guint order, first_again, second_fired, called;
  sem_t done;
} Turns;

static void
note_call (gpointer data)
{
  Turns *turns = data;

  turns->called = ++turns->order;
}

/* The first of the turn, who wants to run again, and the other as well, who is due by himself. */
static void
ring_first (gpointer owner, guint64 now)
{
  Turns *turns = owner;

  if (turns->called > 0) {
    turns->first_again = ++turns->order;
    sem_post (&turns->done);
    return;
  }
  hypha_loop_set_timer (turns->loop, &turns->first, 0);
  hypha_loop_set_timer (turns->loop, &turns->second, 0);
}

static void
ring_second (gpointer owner, guint64 now)
{
  Turns *turns = owner;

  turns->second_fired = ++turns->order;
}

static void
never_ring (gpointer owner, guint64 now)
{
  g_assert_not_reached ();
}

static void
take_turns (gpointer data)
{
  Turns *turns = data;

  hypha_loop_set_timer (turns->loop, &turns->first, 1);
  hypha_loop_set_timer (turns->loop, &turns->second, 2);
  for (guint i = 0; i < G_N_ELEMENTS (turns->idle); i++)
    hypha_loop_set_timer (turns->loop, &turns->idle[i], hypha_loop_now () + 3600 * 1000 * MS);
  hypha_loop_call (turns->loop, note_call, turns);
}

/* However many wait: who runs again does so when all who were due have run, in another turn. */
static void
test_again_is_another_turn (Fixture *f, gconstpointer data)
{
  Turns turns = { .loop = acquire ("hypha-turns") };

  sem_init (&turns.done, 0, 0);
  turns.first = (HyphaLoopTimer){ .fire = ring_first, .owner = &turns };
  turns.second = (HyphaLoopTimer){ .fire = ring_second, .owner = &turns };
  for (guint i = 0; i < G_N_ELEMENTS (turns.idle); i++)
    turns.idle[i] = (HyphaLoopTimer){ .fire = never_ring, .owner = &turns };
  run_there (turns.loop, take_turns, &turns);
  sem_wait (&turns.done);
  release_and_wait (turns.loop);
  g_assert_cmpuint (turns.second_fired, ==, 1);
  g_assert_cmpuint (turns.called, ==, 2);
  g_assert_cmpuint (turns.first_again, ==, 3);
  sem_destroy (&turns.done);
}

/* ---- with GIO ---- */

typedef struct {
  HyphaLoop *loop;
  HyphaLoopTimer timer;
  guint order, called, fired;
  sem_t done;
} Mixed;

static void
note_fired (gpointer owner, guint64 now)
{
  Mixed *mixed = owner;

  mixed->fired = ++mixed->order;
}

static void
note_called (gpointer data)
{
  Mixed *mixed = data;

  mixed->called = ++mixed->order;
  sem_post (&mixed->done);
}

static gboolean
on_timeout (gpointer data)
{
  Mixed *mixed = data;

  hypha_loop_call (mixed->loop, note_called, mixed);
  hypha_loop_set_timer (mixed->loop, &mixed->timer, 0);
  return G_SOURCE_REMOVE;
}

static void
begin_mixed (gpointer data)
{
  Mixed *mixed = data;
  g_autoptr (GSource) source = g_timeout_source_new (1);

  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, on_timeout, mixed, NULL);
  g_source_attach (source, hypha_loop_get_context (mixed->loop));
}

/* What a source of the context sets and calls happens without anybody who wakes the loop. */
static void
test_with_gio (Fixture *f, gconstpointer data)
{
  Mixed mixed = { .loop = acquire ("hypha-gio") };

  sem_init (&mixed.done, 0, 0);
  mixed.timer = (HyphaLoopTimer){ .fire = note_fired, .owner = &mixed };
  run_there (mixed.loop, begin_mixed, &mixed);
  sem_wait (&mixed.done);
  release_and_wait (mixed.loop);
  g_assert_cmpuint (mixed.fired, ==, 1);
  g_assert_cmpuint (mixed.called, ==, 2);
  sem_destroy (&mixed.done);
}

static void
iterate (gpointer data)
{
  Mixed *mixed = data;

  hypha_loop_call (mixed->loop, note_called, mixed);
  hypha_loop_set_timer (mixed->loop, &mixed->timer, 0);
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (hypha_loop_get_context (mixed->loop), FALSE);
  g_assert_cmpuint (mixed->order, ==, 0);
}

/* What others of the same turn may know still, nobody frees under their hands. */
static void
test_turn_within (Fixture *f, gconstpointer data)
{
  Mixed mixed = { .loop = acquire ("hypha-turn") };

  sem_init (&mixed.done, 0, 0);
  mixed.timer = (HyphaLoopTimer){ .fire = note_fired, .owner = &mixed };
  run_there (mixed.loop, iterate, &mixed);
  sem_wait (&mixed.done);
  release_and_wait (mixed.loop);
  g_assert_cmpuint (mixed.fired, ==, 1);
  g_assert_cmpuint (mixed.called, ==, 2);
  sem_destroy (&mixed.done);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_main_context_default (); /* has a descriptor, which is to be there from the start */
#define ADD(path, func) g_test_add ("/loop/" path, Fixture, NULL, set_up, func, tear_down)
  ADD ("calls", test_calls);
  ADD ("thread", test_thread);
  ADD ("end", test_end);
  ADD ("end-from-within", test_end_from_within);
  ADD ("names", test_names);
  ADD ("no-descriptors", test_no_descriptors);
  ADD ("unwatch-within", test_unwatch_within);
  ADD ("forget", test_forget);
  ADD ("no-watch", test_no_watch);
  ADD ("nobody-wakes-who-is-awake", test_nobody_wakes);
  ADD ("timers", test_timers);
  ADD ("busy-timer", test_busy_timer);
  ADD ("again-is-another-turn", test_again_is_another_turn);
  ADD ("with-gio", test_with_gio);
  ADD ("turn-within", test_turn_within);
#undef ADD
  return g_test_run ();
}
