/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hypha-api.h>
#include "../gate.h"
#include "../memory.h"
#include "io/pipe.h"

/* A program's thread at one end; at the other something that lives on a worker: here it sends back
 * what it is given, as far as the program reads it. */

#define WINDOW (256 * 1024)

typedef struct {
  HyphaWorker *worker;
  HyphaPipe *pipe;
  gboolean echo;

  /* the worker's */
  gsize room;        /* what it takes */
  gsize unread;      /* what it has delivered and the program has not read */
  guint64 taken;     /* by the worker */
  gboolean finished; /* all was taken, and the program has closed */
  gboolean read_closed;
  _Atomic gboolean over;
} Pipe;

static gsize
swallow (Pipe *self, const guint8 *data, gsize length)
{
  gsize done = MIN (length, self->room);

  if (self->echo)
    done = MIN (done, WINDOW - self->unread);
  self->taken += done;
  if (!self->echo)
    self->room -= done;
  hypha_pipe_set_room (self->pipe, done > 0);
  if (done > 0 && self->echo) {
    hypha_pipe_deliver (self->pipe, data, done);
    self->unread += done;
  }
  return done;
}

static gsize
take (gpointer user_data, const guint8 *data, gsize length)
{
  return swallow (user_data, data, length);
}

static void
moved (gpointer user_data)
{
  Pipe *self = user_data;
  HyphaPipeMoves moves;
  const guint8 *data;
  gsize length, done = 1;

  hypha_pipe_take_moves (self->pipe, &moves);
  g_assert_false (moves.turned);
  g_assert_cmpuint (moves.read, <=, MAX (self->unread, moves.read));
  self->unread -= MIN (moves.read, self->unread);
  self->read_closed = moves.read_closed;
  hypha_pipe_set_room (self->pipe, self->room > 0 && self->unread < WINDOW);
  while (done > 0 && (length = hypha_pipe_peek (self->pipe, &data)) > 0) {
    done = swallow (self, data, length);
    hypha_pipe_consume (self->pipe, done);
  }
  if (done > 0 && moves.write_closed && !self->finished) {
    self->finished = TRUE;
    hypha_pipe_finish (self->pipe);
  }
}

static const HyphaPipeEvents events = { take, moved };

static void
attach (gpointer data)
{
  Pipe *self = data;

  hypha_pipe_attach (self->pipe, self->worker, &events, self);
  hypha_pipe_set_step (self->pipe, WINDOW / 4);
  moved (self);
}

static void
detach (gpointer data)
{
  hypha_pipe_detach (((Pipe *) data)->pipe);
}

static void
set_up (Pipe *self, gconstpointer data)
{
  self->worker = hypha_worker_new ("test", NULL);
  self->pipe = hypha_pipe_new ();
  self->echo = TRUE;
  self->room = G_MAXSIZE;
  g_assert_nonnull (self->worker);
  if (data == NULL)
    hypha_worker_post (self->worker, attach, self);
}

static void
tear_down (Pipe *self, gconstpointer data)
{
  if (self->worker != NULL) {
    hypha_worker_post (self->worker, detach, self);
    hypha_worker_free (self->worker);
  }
  hypha_pipe_unref (self->pipe);
}

static gssize
read_some (HyphaPipe *pipe, void *buffer, gsize size)
{
  gssize n;

  while ((n = hypha_pipe_read (pipe, buffer, size)) == HYPHA_PIPE_AGAIN)
    g_assert_true (hypha_pipe_wait (pipe, TRUE, -1, NULL, NULL));
  return n;
}

static void
write_all (HyphaPipe *pipe, const guint8 *data, gsize length)
{
  while (length > 0) {
    gssize n = hypha_pipe_write (pipe, data, length);

    if (n == HYPHA_PIPE_AGAIN) {
      g_assert_true (hypha_pipe_wait (pipe, FALSE, -1, NULL, NULL));
      continue;
    }
    g_assert_cmpint (n, >, 0);
    data += n;
    length -= (gsize) n;
  }
}

/* ---- bytes ---- */

#define TOTAL (24 * 1024 * 1024)

static guint8
byte_at (guint64 offset)
{
  return (guint8) (offset * 31 + offset / 251);
}

static gpointer
write_much (gpointer data)
{
  Pipe *self = data;
  guint8 block[20000];

  for (guint64 at = 0; at < TOTAL;) {
    gsize length = MIN (TOTAL - at, 1 + at % sizeof block);

    for (gsize i = 0; i < length; i++)
      block[i] = byte_at (at + i);
    write_all (self->pipe, block, length);
    at += length;
  }
  hypha_pipe_close_write (self->pipe);
  return NULL;
}

static void
test_two_threads (Pipe *self, gconstpointer data)
{
  g_autofree guint8 *block = g_malloc (50000);
  guint64 at = 0;
  pthread_t writer;
  gssize n;

  g_assert_cmpint (pthread_create (&writer, NULL, write_much, self), ==, 0);
  while ((n = read_some (self->pipe, block, 1 + at % 50000)) > 0) {
    for (gssize i = 0; i < n; i++)
      if (block[i] != byte_at (at + (guint64) i))
        g_error ("another byte at %" G_GUINT64_FORMAT, at + (guint64) i);
    at += (guint64) n;
  }
  g_assert_cmpuint (at, ==, TOTAL);
  g_assert_cmpint (pthread_join (writer, NULL), ==, 0);
}

static void
test_before_anybody_is_there (Pipe *self, gconstpointer data)
{
  guint8 buffer[8];

  write_all (self->pipe, (const guint8 *) "early", 5);
  hypha_pipe_close_write (self->pipe);
  g_assert_cmpint (hypha_pipe_read (self->pipe, buffer, sizeof buffer), ==, HYPHA_PIPE_AGAIN);
  hypha_worker_post (self->worker, attach, self);
  g_assert_cmpint (read_some (self->pipe, buffer, sizeof buffer), ==, 5);
  g_assert_cmpmem (buffer, 5, "early", 5);
  g_assert_cmpint (read_some (self->pipe, buffer, sizeof buffer), ==, 0);
}

static gpointer
close_reading (gpointer data)
{
  hypha_pipe_close_read (data);
  return NULL;
}

static void
test_half_close (Pipe *self, gconstpointer data)
{
  guint8 buffer[8];
  pthread_t closer;

  /* A reader that waits is at the end then. */
  g_assert_cmpint (pthread_create (&closer, NULL, close_reading, self->pipe), ==, 0);
  g_assert_cmpint (read_some (self->pipe, buffer, sizeof buffer), ==, 0);
  g_assert_cmpint (pthread_join (closer, NULL), ==, 0);
  /* The other direction goes on. */
  write_all (self->pipe, (const guint8 *) "x", 1);
  hypha_pipe_close_write (self->pipe);
  g_assert_cmpint (hypha_pipe_write (self->pipe, "y", 1), ==, HYPHA_PIPE_BROKEN);
}

static void
test_full (Pipe *self, gconstpointer data)
{
  g_autofree guint8 *block = g_malloc0 (1024 * 1024);
  guint64 written = 0;
  gssize n;

  self->echo = FALSE;
  self->room = 1000;
  hypha_worker_post (self->worker, attach, self);
  while ((n = hypha_pipe_write (self->pipe, block, 1024 * 1024)) > 0)
    written += (guint64) n;
  g_assert_cmpint (n, ==, HYPHA_PIPE_AGAIN);
  /* Little lies here if nobody takes it. */
  g_assert_cmpuint (written, >=, 1000);
  g_assert_cmpuint (written, <, 512 * 1024);
  g_assert_false (hypha_pipe_wait (self->pipe, FALSE, g_get_monotonic_time () + 1000, NULL, NULL));
}

static void
test_deadline (Pipe *self, gconstpointer data)
{
  gint64 due = g_get_monotonic_time () + 2000;

  g_assert_false (hypha_pipe_wait (self->pipe, TRUE, due, NULL, NULL));
  g_assert_cmpint (g_get_monotonic_time (), >=, due);
  g_assert_false (hypha_pipe_wait (self->pipe, TRUE, due, NULL, NULL));
}

static gboolean
is_set (gpointer data)
{
  return atomic_load ((_Atomic gboolean *) data);
}

static gpointer
give_up (gpointer data)
{
  Pipe *self = data;

  atomic_store (&self->over, TRUE);
  hypha_pipe_interrupt (self->pipe);
  return NULL;
}

static void
test_interrupted (Pipe *self, gconstpointer data)
{
  pthread_t other;

  g_assert_cmpint (pthread_create (&other, NULL, give_up, self), ==, 0);
  g_assert_true (hypha_pipe_wait (self->pipe, TRUE, -1, is_set, &self->over));
  g_assert_false (hypha_pipe_is_ready (self->pipe, TRUE));
  g_assert_cmpint (pthread_join (other, NULL), ==, 0);
}

static void
break_it (gpointer data)
{
  Pipe *self = data;
  g_autoptr (GError) error =
      g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESTARTED, "so it ended");

  hypha_pipe_break (self->pipe, TRUE, error);
  hypha_pipe_break (self->pipe, FALSE, error);
}

static void
test_broken (Pipe *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  guint8 buffer[8];

  hypha_worker_post (self->worker, break_it, self);
  g_assert_cmpint (read_some (self->pipe, buffer, sizeof buffer), ==, HYPHA_PIPE_BROKEN);
  error = hypha_pipe_dup_error (self->pipe, TRUE);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
  g_assert_true (hypha_pipe_wait (self->pipe, FALSE, -1, NULL, NULL));
  while (hypha_pipe_write (self->pipe, "x", 1) != HYPHA_PIPE_BROKEN)
    g_assert_true (hypha_pipe_wait (self->pipe, FALSE, -1, NULL, NULL));
}

static void
finish_and_break (gpointer data)
{
  Pipe *self = data;

  hypha_pipe_finish (self->pipe);
  break_it (data);
}

static void
test_complete_before_it_broke (Pipe *self, gconstpointer data)
{
  guint8 buffer[8];

  write_all (self->pipe, (const guint8 *) "whole", 5);
  while (hypha_pipe_read (self->pipe, buffer, 1) != 1)
    continue;
  hypha_worker_post (self->worker, finish_and_break, self);
  g_assert_cmpint (read_some (self->pipe, buffer + 1, 4), ==, 4);
  g_assert_cmpmem (buffer, 5, "whole", 5);
  g_assert_cmpint (read_some (self->pipe, buffer, 1), ==, 0);
}

/* ---- memory ---- */

#define CROWD 400
#define LITTLE 4096 /* the least that is kept where it lies, and so holds the most around it */

typedef struct {
  Pipe *base;
  HyphaPipe *pipes[CROWD];
  gsize before, grown;
  _Atomic gboolean over;
} Crowd;

static gsize
never_take (gpointer user_data, const guint8 *data, gsize length)
{
  return 0;
}

static void
look_away (gpointer user_data)
{
}

static const HyphaPipeEvents idle = { never_take, look_away };

/* On the worker: each of them gets the beginning of a buffer, whose rest is of no use then. */
static void
deliver_to_crowd (gpointer data)
{
  Crowd *crowd = data;
  HyphaWorker *worker = crowd->base->worker;

  crowd->before = memory_in_use ();
  for (guint i = 0; i < CROWD; i++) {
    gsize size;
    guint8 *buffer = hypha_worker_scratch (worker, HYPHA_CHUNK_LARGE, &size);

    memset (buffer, (int) i, LITTLE);
    hypha_pipe_attach (crowd->pipes[i], worker, &idle, NULL);
    hypha_pipe_deliver (crowd->pipes[i], buffer, LITTLE);
    hypha_pipe_detach (crowd->pipes[i]);
  }
  crowd->grown = memory_in_use () - crowd->before;
  crowd->over = TRUE;
}

/* However many programs leave however little unread, the buffers around it are bounded. */
static void
test_little_unread_in_many (Pipe *self, gconstpointer data)
{
  Crowd crowd = { .base = self };
  guint8 got[LITTLE + 1];

  for (guint i = 0; i < CROWD; i++)
    crowd.pipes[i] = hypha_pipe_new ();
  hypha_worker_post (self->worker, deliver_to_crowd, &crowd);
  while (!crowd.over)
    g_usleep (100);
  g_test_message ("%d times %d bytes unread take %" G_GSIZE_FORMAT " KiB", CROWD, LITTLE,
                  crowd.grown / 1024);
  /* What is copied, in chunks that fit; and the worker has two buffers of its own. */
  g_assert_cmpuint (crowd.grown, <=, 16 * 1024 * 1024 + CROWD * 2 * LITTLE + 2 * HYPHA_CHUNK_LARGE);
  for (guint i = 0; i < CROWD; i++) {
    g_assert_cmpint (hypha_pipe_read (crowd.pipes[i], got, sizeof got), ==, LITTLE);
    for (guint j = 0; j < LITTLE; j++)
      g_assert_cmpuint (got[j], ==, (guint8) i);
    hypha_pipe_unref (crowd.pipes[i]);
  }
}

/* ---- how much is told ---- */

#define SOME 10

static void
count_read (gpointer user_data)
{
  Pipe *self = user_data;
  HyphaPipeMoves moves;

  hypha_pipe_take_moves (self->pipe, &moves);
  self->unread -= moves.read;
}

static const HyphaPipeEvents counting = { never_take, count_read };

static void
deliver_some (gpointer data)
{
  Pipe *self = data;

  hypha_pipe_attach (self->pipe, self->worker, &counting, self);
  hypha_pipe_set_step (self->pipe, 2 * SOME);
  hypha_pipe_deliver (self->pipe, (const guint8 *) "some bytes", SOME);
  self->unread = SOME;
}

static void
lower_step (gpointer data)
{
  Pipe *self = data;

  hypha_pipe_set_step (self->pipe, SOME);
  self->over = TRUE;
}

static void
note_over (gpointer data)
{
  ((Pipe *) data)->over = TRUE;
}

static void
run_on_worker (Pipe *self, HyphaWorkFunc func)
{
  self->over = FALSE;
  hypha_worker_post (self->worker, func, self);
  while (!self->over)
    g_usleep (100);
}

/* What was too little to be told is enough now, and nothing more may come to be read. */
static void
test_step_is_lowered (Pipe *self, gconstpointer data)
{
  guint8 got[SOME];

  hypha_worker_post (self->worker, deliver_some, self);
  g_assert_cmpint (read_some (self->pipe, got, SOME), ==, SOME);
  run_on_worker (self, lower_step);
  run_on_worker (self, note_over);
  g_assert_cmpuint (self->unread, ==, 0);
}

/* ---- turned into a descriptor ---- */

/* On the worker, which delivers all at once, and leaves. */
static void
deliver_and_go (gpointer data)
{
  g_autofree guint8 *bytes = g_malloc (WINDOW);
  Pipe *self = data;

  hypha_pipe_attach (self->pipe, self->worker, &idle, self);
  memset (bytes, 'w', WINDOW);
  for (gsize left = self->room; left > 0; left -= MIN (left, WINDOW))
    hypha_pipe_deliver (self->pipe, bytes, MIN (left, WINDOW));
  finish_and_break (self);
  hypha_pipe_detach (self->pipe);
  self->over = TRUE;
}

static void
make_pair (int fds[2])
{
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
}

static void
expect_whole (int fd, gsize length)
{
  char got[64];

  for (gsize i = 0; i < length; i++)
    g_assert_cmpint (recv (fd, got, 1, 0), ==, 1);
  g_assert_cmpint (recv (fd, got, 1, 0), ==, 0);
  close (fd);
}

/* Nobody is left, and it has to come out of the descriptor all the same. */
static void
test_turned_when_nobody_is_left (Pipe *self, gconstpointer data)
{
  int fds[2];

  self->room = 5000; /* some of it */
  make_pair (fds);
  hypha_worker_post (self->worker, deliver_and_go, self);
  while (!self->over)
    g_usleep (100);
  g_assert_true (hypha_pipe_turn (self->pipe, fds[1]));
  expect_whole (fds[0], 5000);
}

/* Likewise where somebody still was, but left before he could look. */
static void
test_turned_just_before (Pipe *self, gconstpointer data)
{
  int fds[2];

  self->room = 5000;
  make_pair (fds);
  g_assert_true (hypha_pipe_turn (self->pipe, fds[1]));
  hypha_worker_post (self->worker, deliver_and_go, self);
  while (!self->over)
    g_usleep (100);
  expect_whole (fds[0], 5000);
}

static void
test_turned_with_too_much (Pipe *self, gconstpointer data)
{
  const gsize length = 3 * 1024 * 1024;
  g_autofree guint8 *got = g_malloc (length);
  int fds[2];

  self->room = length;
  make_pair (fds);
  hypha_worker_post (self->worker, deliver_and_go, self);
  while (!self->over)
    g_usleep (100);
  g_assert_false (hypha_pipe_turn (self->pipe, fds[1]));
  close (fds[0]);
  g_assert_cmpint (read_some (self->pipe, got, length), ==, length);
  g_assert_cmpint (read_some (self->pipe, got, 1), ==, 0);
}

static gpointer
write_until_broken (gpointer data)
{
  Pipe *self = data;
  gssize n;

  while ((n = hypha_pipe_write (self->pipe, "some bytes", 10)) != HYPHA_PIPE_BROKEN)
    if (n == HYPHA_PIPE_AGAIN)
      g_assert_true (hypha_pipe_wait (self->pipe, FALSE, -1, NULL, NULL));
  return NULL;
}

/* A program that writes all the time never touches a worker that has gone. */
static void
test_worker_ends (Pipe *self, gconstpointer data)
{
  pthread_t writer;

  self->echo = FALSE;
  g_assert_cmpint (pthread_create (&writer, NULL, write_until_broken, self), ==, 0);
  hypha_worker_post (self->worker, attach, self);
  hypha_worker_post (self->worker, break_it, self);
  hypha_worker_post (self->worker, detach, self);
  hypha_worker_free (self->worker);
  self->worker = NULL;
  g_assert_cmpint (pthread_join (writer, NULL), ==, 0);
}

#define ADD(name, func, data) \
  g_test_add ("/pipe/" name, Pipe, GINT_TO_POINTER (data), set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("a-writer-and-a-reader", test_two_threads, 0);
  ADD ("written-before-anybody-is-there", test_before_anybody_is_there, 1);
  ADD ("directions-close-apart", test_half_close, 0);
  ADD ("full-when-nobody-takes-it", test_full, 1);
  ADD ("deadline", test_deadline, 0);
  ADD ("interrupted", test_interrupted, 0);
  ADD ("broken", test_broken, 0);
  ADD ("complete-before-it-broke", test_complete_before_it_broke, 0);
  ADD ("little-unread-in-many", test_little_unread_in_many, 1);
  ADD ("told-when-the-step-is-lowered", test_step_is_lowered, 1);
  ADD ("turned-when-nobody-is-left", test_turned_when_nobody_is_left, 1);
  ADD ("turned-just-before-nobody-is-left", test_turned_just_before, 1);
  ADD ("turned-with-more-than-fits", test_turned_with_too_much, 1);
  ADD ("worker-ends-while-a-program-writes", test_worker_ends, 1);
  return g_test_run ();
}
