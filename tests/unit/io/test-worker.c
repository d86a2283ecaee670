/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate.h"
#include "io/worker.h"

static HyphaWorker *
new_worker (void)
{
  g_autoptr (GError) error = NULL;
  HyphaWorker *worker = hypha_worker_new ("test", &error);

  g_assert_no_error (error);
  g_assert_nonnull (worker);
  return worker;
}

static void
make_pair (int fds[2])
{
  int result = socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);

  g_assert_cmpint (result, ==, 0);
}

/* Posting */

#define POSTERS 4
#define POSTS 5000

typedef struct {
  HyphaWorker *worker;
  guint poster, number;
  guint *next;
} Posted;

static void
posted (gpointer data)
{
  Posted *self = data;

  g_assert_true (hypha_worker_is_current (self->worker));
  g_assert_cmpuint (self->number, ==, self->next[self->poster]);
  self->next[self->poster]++;
  g_free (self);
}

typedef struct {
  HyphaWorker *worker;
  guint poster;
  guint *next;
} Poster;

static gpointer
poster_main (gpointer data)
{
  Poster *self = data;

  for (guint i = 0; i < POSTS; i++) {
    Posted *item = g_new (Posted, 1);

    *item = (Posted){ self->worker, self->poster, i, self->next };
    hypha_worker_post (self->worker, posted, item);
  }
  return NULL;
}

static void
test_post_from_many_threads (void)
{
  HyphaWorker *worker = new_worker ();
  guint next[POSTERS] = { 0 };
  Poster posters[POSTERS];
  GThread *threads[POSTERS];

  g_assert_false (hypha_worker_is_current (worker));
  for (guint i = 0; i < POSTERS; i++) {
    posters[i] = (Poster){ worker, i, next };
    threads[i] = g_thread_new ("poster", poster_main, &posters[i]);
  }
  for (guint i = 0; i < POSTERS; i++)
    g_thread_join (threads[i]);
  hypha_worker_free (worker);
  for (guint i = 0; i < POSTERS; i++)
    g_assert_cmpuint (next[i], ==, POSTS);
}

typedef struct {
  HyphaWorker *worker;
  guint left;
} Chain;

static void
post_again (gpointer data)
{
  Chain *chain = data;

  if (--chain->left > 0)
    hypha_worker_post (chain->worker, post_again, chain);
}

static void
test_free_carries_out_everything (void)
{
  Chain chain = { new_worker (), 100 };

  hypha_worker_post (chain.worker, post_again, &chain);
  hypha_worker_free (chain.worker);
  g_assert_cmpuint (chain.left, ==, 0);
}

/* Timers */

#define TIMERS 500

typedef struct {
  HyphaWorker *worker;
  HyphaTimer timers[TIMERS];
  gboolean cancelled[TIMERS];
  guint expected, fired;
  gint64 last;
  Gate gate;
} Timers;

static void
timer_fired (HyphaTimer *timer)
{
  Timers *self = timer->user_data;

  g_assert_null (timer->worker);
  g_assert_false (self->cancelled[timer - self->timers]);
  g_assert_cmpint (timer->due, >=, self->last);
  g_assert_cmpint (timer->due, <=, hypha_worker_now (self->worker));
  self->last = timer->due;
  if (++self->fired == self->expected)
    gate_open (&self->gate);
}

static void
set_timers (gpointer data)
{
  Timers *self = data;
  gint64 now = hypha_worker_now (self->worker);

  for (guint i = 0; i < TIMERS; i++)
    hypha_timer_set (&self->timers[i], self->worker, now + g_test_rand_int_range (0, 30000),
                     timer_fired, self);
  for (guint i = 0; i < TIMERS; i += 3) /* moved, in both directions */
    hypha_timer_set (&self->timers[i], self->worker, now + g_test_rand_int_range (-1000, 30000),
                     timer_fired, self);
  for (guint i = 0; i < TIMERS; i += 5) {
    hypha_timer_cancel (&self->timers[i]);
    hypha_timer_cancel (&self->timers[i]);
    self->cancelled[i] = TRUE;
    self->expected--;
  }
}

/* SPIN: whether the worker sleeps or stays awake makes no difference. */
static void
test_timers_in_order (gconstpointer spin)
{
  g_autofree Timers *self = g_new0 (Timers, 1);

  gate_init (&self->gate);
  self->worker = new_worker ();
  self->expected = TIMERS;
  hypha_worker_set_spin (self->worker, GPOINTER_TO_UINT (spin));
  hypha_worker_post (self->worker, set_timers, self);
  gate_wait (&self->gate, 1);
  hypha_worker_free (self->worker);
  g_assert_cmpuint (self->fired, ==, self->expected);
}

typedef struct {
  HyphaWorker *worker;
  HyphaTimer timer, never;
  HyphaWatch watch;
  int fds[2];
  guint fired;
  gboolean read;
  Gate gate;
} Greedy;

static void
greedy_fired (HyphaTimer *timer)
{
  Greedy *self = timer->user_data;

  self->fired++;
  if (!self->read)
    hypha_timer_set (timer, self->worker, 0, greedy_fired, self);
}

static void
greedy_read (HyphaWatch *watch, guint32 events)
{
  Greedy *self = watch->user_data;

  self->read = TRUE;
  hypha_watch_stop (watch);
  hypha_timer_cancel (&self->never);
  gate_open (&self->gate);
}

static void
greedy_start (gpointer data)
{
  Greedy *self = data;
  g_autoptr (GError) error = NULL;

  hypha_timer_set (&self->timer, self->worker, 0, greedy_fired, self);
  hypha_timer_set (&self->never, self->worker, G_MAXINT64, greedy_fired, self);
  hypha_watch_start (&self->watch, self->worker, self->fds[0], EPOLLIN, greedy_read, self, &error);
  g_assert_no_error (error);
}

static void
test_timer_in_the_past_starves_nobody (void)
{
  Greedy self = { .worker = new_worker (), .gate = GATE_INIT };

  make_pair (self.fds);
  hypha_worker_post (self.worker, greedy_start, &self);
  g_assert_cmpint (write (self.fds[1], "x", 1), ==, 1);
  gate_wait (&self.gate, 1);
  hypha_worker_free (self.worker);
  g_assert_cmpuint (self.fired, >, 0);
  close (self.fds[0]);
  close (self.fds[1]);
}

typedef struct {
  HyphaWorker *worker;
  HyphaTimer greedy, others[8];
  HyphaWatch watch;
  int fds[2];
  guint rounds, fired, in_round;
  Gate gate;
} Rounds;

static void
never_fired (HyphaTimer *timer)
{
  g_assert_not_reached ();
}

static void
fired_in_round (HyphaTimer *timer)
{
  Rounds *self = timer->user_data;

  self->fired++;
  g_assert_cmpuint (++self->in_round, ==, 1);
  hypha_timer_set (timer, self->worker, 0, fired_in_round, self);
}

static void
round_begins (HyphaWatch *watch, guint32 events)
{
  Rounds *self = watch->user_data;

  self->in_round = 0;
  if (++self->rounds < 20)
    return;
  hypha_watch_stop (watch);
  hypha_timer_cancel (&self->greedy);
  for (guint i = 0; i < G_N_ELEMENTS (self->others); i++)
    hypha_timer_cancel (&self->others[i]);
  gate_open (&self->gate);
}

static void
rounds_start (gpointer data)
{
  Rounds *self = data;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (self->others); i++)
    hypha_timer_set (&self->others[i], self->worker, G_MAXINT64, never_fired, self);
  hypha_timer_set (&self->greedy, self->worker, 0, fired_in_round, self);
  /* Always writable: it is called in every round, before the timers. */
  hypha_watch_start (&self->watch, self->worker, self->fds[0], EPOLLOUT, round_begins, self,
                     &error);
  g_assert_no_error (error);
}

static void
test_timer_in_the_past_fires_once_a_round (void)
{
  Rounds self = { .worker = new_worker (), .gate = GATE_INIT };

  make_pair (self.fds);
  hypha_worker_post (self.worker, rounds_start, &self);
  gate_wait (&self.gate, 1);
  hypha_worker_free (self.worker);
  g_assert_cmpuint (self.fired, >=, self.rounds - 1);
  close (self.fds[0]);
  close (self.fds[1]);
}

typedef struct {
  HyphaWorker *worker;
  HyphaTimer timers[3];
  guint fired;
  Gate gate;
} Group;

/* The first to fire cancels one whose turn it was, and puts the other off. */
static void
group_fired (HyphaTimer *timer)
{
  Group *self = timer->user_data;

  self->fired++;
  if (timer == &self->timers[2]) {
    gate_open (&self->gate);
    return;
  }
  g_assert_true (timer == &self->timers[0]);
  hypha_timer_cancel (&self->timers[1]);
  hypha_timer_set (&self->timers[2], self->worker, hypha_worker_now (self->worker) + 1000,
                   group_fired, self);
}

static void
group_start (gpointer data)
{
  Group *self = data;

  for (guint i = 0; i < G_N_ELEMENTS (self->timers); i++)
    hypha_timer_set (&self->timers[i], self->worker, i, group_fired, self);
}

static void
test_timer_cancels_and_moves_what_is_due_too (void)
{
  Group self = { .worker = new_worker (), .gate = GATE_INIT };

  hypha_worker_post (self.worker, group_start, &self);
  gate_wait (&self.gate, 1);
  hypha_worker_free (self.worker);
  g_assert_cmpuint (self.fired, ==, 2);
}

/* Watches */

typedef struct {
  HyphaWorker *worker;
  HyphaWatch watches[2];
  int fds[2][2];
  guint calls;
  Gate gate;
} Rivals;

static void
rival_ready (HyphaWatch *watch, guint32 events)
{
  Rivals *self = watch->user_data;

  /* Both are ready in one wake-up; whoever is called first stops both and lets go of the memory. */
  self->calls++;
  for (guint i = 0; i < 2; i++) {
    hypha_watch_stop (&self->watches[i]);
    hypha_watch_stop (&self->watches[i]);
    memset (&self->watches[i], 0xaa, sizeof self->watches[i]);
  }
  gate_open (&self->gate);
}

static void
rivals_start (gpointer data)
{
  Rivals *self = data;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2; i++) {
    hypha_watch_start (&self->watches[i], self->worker, self->fds[i][0], EPOLLIN, rival_ready, self,
                       &error);
    g_assert_no_error (error);
  }
}

static void
test_stopped_watch_is_not_called (void)
{
  Rivals self = { .worker = new_worker (), .gate = GATE_INIT };

  for (guint i = 0; i < 2; i++) {
    make_pair (self.fds[i]);
    g_assert_cmpint (write (self.fds[i][1], "x", 1), ==, 1);
  }
  hypha_worker_post (self.worker, rivals_start, &self);
  gate_wait (&self.gate, 1);
  hypha_worker_free (self.worker);
  g_assert_cmpuint (self.calls, ==, 1);
  for (guint i = 0; i < 2; i++) {
    close (self.fds[i][0]);
    close (self.fds[i][1]);
  }
}

typedef struct {
  HyphaWorker *worker;
  HyphaWatch watch;
  int fds[2];
  guint32 seen[3];
  guint calls;
  Gate gate;
} Modes;

static void
modes_ready (HyphaWatch *watch, guint32 events)
{
  Modes *self = watch->user_data;

  self->seen[self->calls++] = events;
  if (self->calls == 1) {
    hypha_watch_set_events (watch, EPOLLOUT);
  } else if (self->calls == 2) {
    hypha_watch_set_events (watch, 0);
    close (self->fds[1]);
  } else {
    hypha_watch_stop (watch);
    gate_open (&self->gate);
  }
}

static void
modes_start (gpointer data)
{
  Modes *self = data;
  g_autoptr (GError) error = NULL;

  hypha_watch_start (&self->watch, self->worker, self->fds[0], EPOLLIN, modes_ready, self, &error);
  g_assert_no_error (error);
}

static void
test_events_change (void)
{
  Modes self = { .worker = new_worker (), .gate = GATE_INIT };

  make_pair (self.fds);
  g_assert_cmpint (write (self.fds[1], "x", 1), ==, 1);
  hypha_worker_post (self.worker, modes_start, &self);
  gate_wait (&self.gate, 1);
  hypha_worker_free (self.worker);
  g_assert_cmphex (self.seen[0], ==, EPOLLIN);
  g_assert_cmphex (self.seen[1], ==, EPOLLOUT);
  g_assert_cmphex (self.seen[2], ==, EPOLLHUP);
  close (self.fds[0]);
}

static void
watch_a_file (gpointer data)
{
  HyphaWorker *worker = data;
  g_autoptr (GError) error = NULL;
  HyphaWatch watch = { 0 };
  int fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_false (hypha_watch_start (&watch, worker, fd, EPOLLIN, modes_ready, NULL, &error));
  g_assert_nonnull (error);
  g_assert_null (watch.worker);
  hypha_watch_stop (&watch);
  close (fd);
}

static void
test_unwatchable_descriptor_is_an_error (void)
{
  HyphaWorker *worker = new_worker ();

  hypha_worker_post (worker, watch_a_file, worker);
  hypha_worker_free (worker);
}

static void
write_to_nobody (gpointer data)
{
  int *fd = data;
  gssize n = write (*fd, "x", 1);

  g_assert_cmpint (n, ==, -1);
  g_assert_cmpint (errno, ==, EPIPE);
}

static void
test_no_sigpipe (void)
{
  HyphaWorker *worker = new_worker ();
  int fds[2];

  make_pair (fds);
  close (fds[1]);
  hypha_worker_post (worker, write_to_nobody, &fds[0]);
  hypha_worker_free (worker);
  close (fds[0]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/worker/post/each-thread-in-order", test_post_from_many_threads);
  g_test_add_func ("/worker/post/free-carries-out-everything", test_free_carries_out_everything);
  g_test_add_data_func ("/worker/timer/in-order-moved-cancelled", GUINT_TO_POINTER (0),
                        test_timers_in_order);
  g_test_add_data_func ("/worker/timer/in-order-while-staying-awake", GUINT_TO_POINTER (100),
                        test_timers_in_order);
  g_test_add_func ("/worker/timer/in-the-past-starves-nobody",
                   test_timer_in_the_past_starves_nobody);
  g_test_add_func ("/worker/timer/in-the-past-fires-once-a-round",
                   test_timer_in_the_past_fires_once_a_round);
  g_test_add_func ("/worker/timer/cancels-and-moves-what-is-due-too",
                   test_timer_cancels_and_moves_what_is_due_too);
  g_test_add_func ("/worker/watch/stopped-in-same-batch-is-not-called",
                   test_stopped_watch_is_not_called);
  g_test_add_func ("/worker/watch/events-change", test_events_change);
  g_test_add_func ("/worker/watch/unwatchable-is-an-error",
                   test_unwatchable_descriptor_is_an_error);
  g_test_add_func ("/worker/no-sigpipe", test_no_sigpipe);
  return g_test_run ();
}
