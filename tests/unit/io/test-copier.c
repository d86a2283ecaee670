/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib.h>
#include <hypha.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate.h"
#include "io/copier.h"

/* A copier on a worker, as the main thread sees it. */
typedef struct {
  HyphaWorker *worker;
  HyphaCopier *copier;
  int from, to;
  Gate done, cancelled;
  guint64 bytes;
  GError *error;
} Fixture;

static void
copier_done (HyphaCopier *copier, guint64 bytes, const GError *error, gpointer user_data)
{
  Fixture *self = user_data;

  g_assert_true (copier == self->copier);
  self->bytes = bytes;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  gate_open (&self->done);
}

static void
start_on_worker (gpointer data)
{
  Fixture *self = data;
  g_autoptr (GError) error = NULL;

  self->copier = hypha_copier_start (self->worker, self->from, self->to, copier_done, self, &error);
  g_assert_no_error (error);
}

static void
cancel_on_worker (gpointer data)
{
  Fixture *self = data;

  hypha_copier_cancel (self->copier);
  gate_open (&self->cancelled);
}

static void
make_pair (int *outer, int *inner)
{
  int fds[2];
  int result = socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);

  g_assert_cmpint (result, ==, 0);
  *outer = fds[0];
  *inner = fds[1];
}

static void
setup (Fixture *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  gate_init (&self->done);
  gate_init (&self->cancelled);
  self->worker = hypha_worker_new ("copy", &error);
  g_assert_no_error (error);
}

static void
teardown (Fixture *self, gconstpointer data)
{
  hypha_worker_free (self->worker);
  g_clear_error (&self->error);
}

#define TOTAL (8 * 1024 * 1024 + 12345)

static guint8
byte_at (gsize offset)
{
  return (guint8) (offset * 31 + (offset >> 12));
}

static gsize
send_some (int fd, gsize sent)
{
  guint8 buffer[20000];
  gsize length = MIN (sizeof buffer, TOTAL - sent);
  gssize n;

  for (gsize i = 0; i < length; i++)
    buffer[i] = byte_at (sent + i);
  n = write (fd, buffer, length);
  if (n < 0)
    g_assert_cmpint (errno, ==, EAGAIN);
  return n < 0 ? sent : sent + (gsize) n;
}

/* TRUE at the end. */
static gboolean
receive_some (int fd, gsize *received)
{
  guint8 buffer[30000];
  gssize n = read (fd, buffer, sizeof buffer);

  if (n < 0)
    g_assert_cmpint (errno, ==, EAGAIN);
  for (gssize i = 0; i < n; i++)
    if (buffer[i] != byte_at (*received + (gsize) i))
      g_error ("byte %zu is wrong", *received + (gsize) i);
  *received += (gsize) MAX (n, 0);
  return n == 0;
}

/* Sends everything into IN and reads all from OUT; half-closes IN at the end. */
static void
pump_through (int in, int out)
{
  gsize sent = 0, received = 0;
  gboolean ended = FALSE;

  while (!ended) {
    struct pollfd fds[2] = {
      { .fd = sent < TOTAL ? in : -1, .events = POLLOUT },
      { .fd = out, .events = POLLIN },
    };

    g_assert_cmpint (poll (fds, 2, 20000), >, 0);
    if (fds[0].revents != 0) {
      sent = send_some (in, sent);
      if (sent == TOTAL)
        shutdown (in, SHUT_WR);
    }
    if (fds[1].revents != 0)
      ended = receive_some (out, &received);
  }
  g_assert_cmpuint (received, ==, TOTAL);
}

static void
test_echo (Fixture *self, gconstpointer data)
{
  int outer;

  make_pair (&outer, &self->from);
  self->to = self->from;
  hypha_worker_post (self->worker, start_on_worker, self);
  pump_through (outer, outer);
  gate_wait (&self->done, 1);
  g_assert_no_error (self->error);
  g_assert_cmpuint (self->bytes, ==, TOTAL);
  close (outer);
}

static void
test_copy (Fixture *self, gconstpointer data)
{
  int in, out, other;

  make_pair (&in, &self->from);
  make_pair (&out, &self->to);
  other = dup (self->to); /* so that closing alone does not end it */
  hypha_worker_post (self->worker, start_on_worker, self);
  pump_through (in, out);
  close (other);
  gate_wait (&self->done, 1);
  g_assert_no_error (self->error);
  g_assert_cmpuint (self->bytes, ==, TOTAL);
  close (in);
  close (out);
}

static void
test_discard (Fixture *self, gconstpointer data)
{
  int outer;
  gsize sent = 0;
  guint8 byte;

  make_pair (&outer, &self->from);
  self->to = -1;
  hypha_worker_post (self->worker, start_on_worker, self);
  while (sent < TOTAL) {
    struct pollfd fd = { .fd = outer, .events = POLLOUT };

    g_assert_cmpint (poll (&fd, 1, 20000), >, 0);
    sent = send_some (outer, sent);
  }
  shutdown (outer, SHUT_WR);
  gate_wait (&self->done, 1);
  g_assert_no_error (self->error);
  g_assert_cmpuint (self->bytes, ==, TOTAL);
  g_assert_cmpint (read (outer, &byte, 1), ==, 0);
  close (outer);
}

/* FROM has hung up with bytes still held back for a TO that does not read: they arrive all the
 * same. */
static void
test_hang_up_while_held (Fixture *self, gconstpointer data)
{
  int in, out;
  gsize sent = 0, received = 0;

  make_pair (&in, &self->from);
  make_pair (&out, &self->to);
  hypha_worker_post (self->worker, start_on_worker, self);
  for (gsize before = 1; before != sent;) {
    struct pollfd fd = { .fd = in, .events = POLLOUT };

    before = sent;
    if (poll (&fd, 1, 200) > 0) /* nothing for a while: all is full */
      sent = send_some (in, sent);
  }
  close (in);
  while (!receive_some (out, &received)) {
    struct pollfd fd = { .fd = out, .events = POLLIN };

    g_assert_cmpint (poll (&fd, 1, 20000), >, 0);
  }
  g_assert_cmpuint (received, ==, sent);
  gate_wait (&self->done, 1);
  g_assert_no_error (self->error);
  close (out);
}

static void
test_reader_gone (Fixture *self, gconstpointer data)
{
  int in, out;

  make_pair (&in, &self->from);
  make_pair (&out, &self->to);
  hypha_worker_post (self->worker, start_on_worker, self);
  close (out); /* first: one that leaves bytes unread resets */
  g_assert_cmpint (write (in, "x", 1), ==, 1);
  gate_wait (&self->done, 1);
  g_assert_error (self->error, HYPHA_ERROR, HYPHA_ERROR_GONE);
  close (in);
}

static void
test_cancel (Fixture *self, gconstpointer data)
{
  int in, out;
  guint8 byte;

  make_pair (&in, &self->from);
  make_pair (&out, &self->to);
  hypha_worker_post (self->worker, start_on_worker, self);
  hypha_worker_post (self->worker, cancel_on_worker, self);
  gate_wait (&self->cancelled, 1);
  g_assert_cmpuint (gate_count (&self->done), ==, 0);
  g_assert_cmpint (read (in, &byte, 1), ==, 0);
  g_assert_cmpint (read (out, &byte, 1), ==, 0);
  close (in);
  close (out);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) g_test_add (NAME, Fixture, NULL, setup, FUNC, teardown)
  ADD ("/copier/echo", test_echo);
  ADD ("/copier/copy", test_copy);
  ADD ("/copier/discard", test_discard);
  ADD ("/copier/hang-up-while-held-loses-nothing", test_hang_up_while_held);
  ADD ("/copier/reader-gone-is-an-error", test_reader_gone);
  ADD ("/copier/cancel-closes-and-is-silent", test_cancel);
#undef ADD
  return g_test_run ();
}
