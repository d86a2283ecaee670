/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib-unix.h>
#include <netinet/in.h>

#include "../descriptors.h"
#include "link-end.h"

/* Links over TCP on this machine, one worker for each side: so what is unread when a socket is
 * closed makes a reset, which a socketpair does not know. */
typedef struct {
  HyphaWorker *workers[2];
  HyphaIdentity *identities[2];
  HyphaNonceClock clocks[2];
  HyphaLinkParameters parameters[2];
  GPtrArray *ends;    /* of End: a caller's, then a listener's, and so on */
  Gate held, release; /* the listeners' worker, while it is kept from its work */
} Fixture;

enum { CALLER, LISTENER };

typedef enum { PLAIN, TLS } Way;

static void
setup (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 2; i++) {
    self->workers[i] = new_worker ("test");
    self->identities[i] = new_identity ();
    self->parameters[i] = end_parameters (self->identities[i], i == CALLER,
                                          GPOINTER_TO_INT (data) == TLS, &self->clocks[i]);
  }
  self->ends = g_ptr_array_new_with_free_func (g_free);
  gate_init (&self->held);
  gate_init (&self->release);
}

static void
clear_ends (Fixture *self)
{
  for (guint i = 0; i < self->ends->len; i++)
    end_clear (self->ends->pdata[i]);
  g_ptr_array_set_size (self->ends, 0);
}

static void
teardown (Fixture *self, gconstpointer data)
{
  clear_ends (self);
  g_ptr_array_unref (self->ends);
  for (guint i = 0; i < 2; i++) {
    hypha_identity_unref (self->identities[i]);
    if (self->workers[i] != NULL)
      free_worker (self->workers[i]);
  }
}

/* What lies in the kernel has to be read before the last word is; on a slow machine, too, in less
 * time than a worker that ends has. */
static int
make_socket (void)
{
  static const int size = 64 * 1024;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), ==, 0);
  g_assert_cmpint (setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), ==, 0);
  return fd;
}

static void
make_tcp_pair (int fds[2])
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int listening = make_socket ();

  g_assert_cmpint (bind (listening, (struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (listen (listening, 1), ==, 0);
  g_assert_cmpint (getsockname (listening, (struct sockaddr *) &address, &length), ==, 0);
  fds[CALLER] = make_socket ();
  g_assert_cmpint (connect (fds[CALLER], (struct sockaddr *) &address, length), ==, 0);
  fds[LISTENER] = accept4 (listening, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (fds[LISTENER], >=, 0);
  for (guint i = 0; i < 2; i++)
    g_assert_true (g_unix_set_fd_nonblocking (fds[i], TRUE, NULL));
  close (listening);
}

/* A link each end of which sends VOLUME bytes. */
static void
make_link (Fixture *self, End *ends[2], guint64 volume)
{
  int fds[2];

  make_tcp_pair (fds);
  for (guint i = 0; i < 2; i++) {
    ends[i] = g_new0 (End, 1);
    end_init (ends[i], self->workers[i], fds[i], &self->parameters[i], NULL);
    ends[i]->to_send = volume;
    g_ptr_array_add (self->ends, ends[i]);
  }
  for (guint i = 0; i < 2; i++)
    end_go (ends[i]);
}

static void
wait_received (End *end, guint64 bytes)
{
  const HyphaLinkStatus *status = hypha_link_get_status (end->link);
  gint64 give_up = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

  gate_wait (&end->established, 1);
  while (atomic_load (&((HyphaLinkStatus *) status)->rx_bytes) < bytes &&
         g_get_monotonic_time () < give_up)
    g_usleep (200);
  g_assert_cmpuint (atomic_load (&((HyphaLinkStatus *) status)->rx_bytes), >=, bytes);
}

static void
close_as_twin (gpointer data)
{
  End *end = data;

  hypha_link_close (end->link, HYPHA_AWAY_TWIN, HYPHA_ERROR_DISCONNECTED, "one too many");
}

static void
test_busy (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 20; i++) {
    End *ends[2];

    make_link (self, ends, G_MAXUINT64);
    wait_received (ends[CALLER], 4 * 1024 * 1024);
    wait_received (ends[LISTENER], 4 * 1024 * 1024);
    hypha_worker_post (self->workers[i % 2], close_as_twin, ends[i % 2]);
    end_expect_closed (ends[i % 2], HYPHA_ERROR_DISCONNECTED, "one too many");
    end_expect_closed (ends[!(i % 2)], HYPHA_ERROR_DISCONNECTED, "another link of the same kind");
    clear_ends (self);
  }
}

static void
hold (gpointer data)
{
  Fixture *self = data;

  gate_open (&self->held);
  gate_wait (&self->release, 1);
}

/* From when this returns, no listener reads any more. */
static void
hold_listeners (Fixture *self)
{
  hypha_worker_post (self->workers[LISTENER], hold, self);
  gate_wait (&self->held, 1);
}

/* Nobody waits for a peer that does not read: the owner is told at once, the other links go on, and
 * the descriptor is closed after a second. */
static void
test_deaf (Fixture *self, gconstpointer data)
{
  End *ends[2];
  guint before;
  gint64 start;

  make_link (self, ends, G_MAXUINT64);
  wait_received (ends[CALLER], 1024 * 1024);
  hold_listeners (self);
  before = count_descriptors ();
  start = g_get_monotonic_time ();
  hypha_worker_post (self->workers[CALLER], close_as_twin, ends[CALLER]);
  gate_wait (&ends[CALLER]->closed, 1);
  g_assert_cmpint (g_get_monotonic_time () - start, <, G_USEC_PER_SEC / 2);
  /* The link is gone; what it left has its own memory. */
  end_clear (ends[CALLER]);
  ends[CALLER]->worker = NULL;
  while (count_descriptors () == before && g_get_monotonic_time () - start < 20 * G_USEC_PER_SEC)
    g_usleep (1000);
  g_assert_cmpuint (count_descriptors (), ==, before - 1);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, G_USEC_PER_SEC / 2);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 3 * G_USEC_PER_SEC);
  gate_open (&self->release);
  gate_wait (&ends[LISTENER]->closed, 1);
}

/* However many they are, a worker that ends gives them a quarter of a second all together. */
static void
test_many_deaf (Fixture *self, gconstpointer data)
{
  End *ends[2];
  gint64 start;

  for (guint i = 0; i < 12; i++) {
    make_link (self, ends, 0);
    for (guint k = 0; k < 2; k++)
      gate_wait (&ends[k]->established, 1);
  }
  hold_listeners (self);
  start = g_get_monotonic_time ();
  for (guint i = 0; i < self->ends->len; i += 2)
    hypha_worker_post (self->workers[CALLER], close_as_twin, self->ends->pdata[i]);
  for (guint i = 0; i < self->ends->len; i += 2) {
    end_clear (self->ends->pdata[i]);
    ((End *) self->ends->pdata[i])->worker = NULL;
  }
  free_worker (g_steal_pointer (&self->workers[CALLER]));
  g_assert_cmpint (g_get_monotonic_time () - start, <, G_USEC_PER_SEC);
  gate_open (&self->release);
}

/* A peer that hears is not kept waiting for, and has heard all when the worker is gone. */
static void
test_worker_ends (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 20; i++) {
    End *ends[2];

    make_link (self, ends, G_MAXUINT64);
    wait_received (ends[CALLER], 2 * 1024 * 1024);
    wait_received (ends[LISTENER], 2 * 1024 * 1024);
    hypha_worker_post (self->workers[CALLER], close_as_twin, ends[CALLER]);
    end_clear (ends[CALLER]);
    ends[CALLER]->worker = NULL;
    free_worker (self->workers[CALLER]);
    self->workers[CALLER] = new_worker ("test");
    end_expect_closed (ends[LISTENER], HYPHA_ERROR_DISCONNECTED, "another link of the same kind");
    clear_ends (self);
  }
}

/* A thread of the program's that runs the worker for a moment leaves nothing to itself. */
static void
test_guest (Fixture *self, gconstpointer data)
{
  End *ends[2];

  make_link (self, ends, 0);
  for (guint k = 0; k < 2; k++)
    gate_wait (&ends[k]->established, 1);
  hold_listeners (self);
  while (!hypha_worker_enter (self->workers[CALLER]))
    g_usleep (100);
  close_as_twin (ends[CALLER]);
  hypha_worker_leave (self->workers[CALLER]);
  gate_open (&self->release);
  end_expect_closed (ends[CALLER], HYPHA_ERROR_DISCONNECTED, "one too many");
  end_expect_closed (ends[LISTENER], HYPHA_ERROR_DISCONNECTED, "another link of the same kind");
}

/* Even if the worker is about to end by then. */
static void
test_guest_is_the_last (Fixture *self, gconstpointer data)
{
  HyphaWorker *worker = self->workers[CALLER];
  End *ends[2];

  make_link (self, ends, 0);
  for (guint k = 0; k < 2; k++)
    gate_wait (&ends[k]->established, 1);
  hold_listeners (self);
  while (!hypha_worker_enter (worker))
    g_usleep (100);
  hypha_farewell_finish (worker);
  close_as_twin (ends[CALLER]);
  hypha_worker_leave (worker);
  end_expect_closed (ends[CALLER], HYPHA_ERROR_DISCONNECTED, "one too many");
  end_clear (ends[CALLER]);
  ends[CALLER]->worker = NULL;
  hypha_worker_free (g_steal_pointer (&self->workers[CALLER]));
  gate_open (&self->release);
  end_expect_closed (ends[LISTENER], HYPHA_ERROR_DISCONNECTED, "another link of the same kind");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, WAY, FUNC) \
  g_test_add ("/farewell/" NAME, Fixture, GINT_TO_POINTER (WAY), setup, FUNC, teardown)
  ADD ("arrives-in-a-busy-transfer-plain", PLAIN, test_busy);
  ADD ("arrives-in-a-busy-transfer-tls", TLS, test_busy);
  ADD ("arrives-when-the-worker-ends-plain", PLAIN, test_worker_ends);
  ADD ("arrives-when-the-worker-ends-tls", TLS, test_worker_ends);
  ADD ("costs-no-more-than-a-second-plain", PLAIN, test_deaf);
  ADD ("costs-no-more-than-a-second-tls", TLS, test_deaf);
  ADD ("is-the-worker-s-also-when-a-guest-closes-plain", PLAIN, test_guest);
  ADD ("is-the-worker-s-also-when-a-guest-closes-tls", TLS, test_guest);
  ADD ("is-no-burden-to-a-worker-that-ends-plain", PLAIN, test_guest_is_the_last);
  ADD ("is-no-burden-to-a-worker-that-ends-tls", TLS, test_guest_is_the_last);
  ADD ("many-are-waited-for-together-plain", PLAIN, test_many_deaf);
  ADD ("many-are-waited-for-together-tls", TLS, test_many_deaf);
#undef ADD
  return g_test_run ();
}
