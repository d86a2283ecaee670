/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A session that ends in the midst of a transfer, both ways: the peer is told, and its streams end
 * at once rather than after session-timeout. Over TCP, where closing a socket with unread input
 * takes with it what was sent last. */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate.h"
#include "node-pair.h"
#include "node/node-private.h"

#define ROUNDS 20
#define ENOUGH (4 * 1024 * 1024)         /* bytes each way: it is busy */
#define AT_ONCE (5 * G_TIME_SPAN_SECOND) /* a loaded machine's; session-timeout is 60 s */

/* A program that writes without an end, and reads whatever comes. */
typedef struct {
  int fd;
  GThread *thread;
  _Atomic guint64 read, written;
} Program;

static gpointer
chatter (gpointer data)
{
  Program *self = data;
  static const guint8 out[65536];
  g_autofree guint8 *in = g_malloc (sizeof out);
  struct pollfd polled = { .fd = self->fd, .events = POLLIN | POLLOUT };

  for (;;) {
    gssize n;

    poll (&polled, 1, -1);
    n = recv (self->fd, in, sizeof out, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
      return NULL;
    atomic_fetch_add (&self->read, (guint64) MAX (n, 0));
    n = send (self->fd, out, sizeof out, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
      return NULL;
    atomic_fetch_add (&self->written, (guint64) MAX (n, 0));
  }
}

static void
program_start (Program *self, HyphaStream *stream)
{
  *self = (Program){ .fd = hypha_stream_steal_fd (stream) };
  self->thread = g_thread_new ("chatter", chatter, self);
}

static void
program_end (Program *self)
{
  g_thread_join (self->thread);
  close (self->fd);
}

static void
trust_in_the_open (Side *side, Side *other, const char *name)
{
  g_autofree char *id = id_of (other);
  g_autoptr (GVariant) trusted = g_variant_ref_sink (
      g_variant_new_parsed ("{%s: {'name': <%s>, 'tls': <'never'>}}", id, name));
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_set_trusted (side->node, trusted, &error));
  g_assert_no_error (error);
}

/* alpha, linked to beta; plain: over TCP it has to be wanted at both ends. */
static HyphaNodePeer *
meet (NodePair *f, gboolean tls)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *endpoint = g_strconcat (bound, tls ? NULL : "?tls=never", NULL);
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer;

  if (tls) {
    trust_each_other (f);
  } else {
    trust_in_the_open (&f->a, &f->b, "beta");
    trust_in_the_open (&f->b, &f->a, "alpha");
  }
  peer = dial (&f->a, endpoint, NULL, &error);
  g_assert_no_error (error);
  return peer;
}

typedef void (*EndFunc) (NodePair *f);

static void
beta_stops (NodePair *f)
{
  hypha_node_stop (f->b.node);
}

static void
beta_disconnects (NodePair *f)
{
  hypha_peer_disconnect_async (HYPHA_PEER (peer_of (&f->b, "alpha")), NULL, NULL, NULL);
}

/* What the stream of a program at alpha ends with when END comes in the midst of its transfer. */
static GError *
end_in_the_midst (gboolean tls, EndFunc end_session)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  GError *error = NULL;
  NodePair f = { 0 };
  Program program;
  gint64 start;

  node_pair_set_up (&f, NULL);
  peer = meet (&f, tls);
  wait_until (hypha_node_peer_get_best_link (peer) != NULL);
  g_assert_true (hypha_node_link_get_encrypted (hypha_node_peer_get_best_link (peer)) == tls);
  stream = must_open (peer, "echo");
  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  program_start (&program, stream);
  wait_until (atomic_load (&program.read) > ENOUGH && atomic_load (&program.written) > ENOUGH);

  start = g_get_monotonic_time ();
  end_session (&f);
  wait_until (result != NULL);
  g_assert_cmpint (g_get_monotonic_time () - start, <, AT_ONCE);
  g_assert_false (hypha_stream_wait_end_finish (stream, result, NULL, NULL, &error));
  program_end (&program);
  g_clear_object (&stream);
  g_clear_object (&peer);
  node_pair_tear_down (&f, NULL);
  return error;
}

static void
test_stop (gconstpointer data)
{
  for (guint i = 0; i < ROUNDS; i++) {
    g_autoptr (GError) error = end_in_the_midst (GPOINTER_TO_INT (data), beta_stops);

    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
    g_assert_nonnull (strstr (error->message, "shutting down"));
  }
}

static void
test_disconnect (gconstpointer data)
{
  for (guint i = 0; i < ROUNDS; i++) {
    g_autoptr (GError) error = end_in_the_midst (GPOINTER_TO_INT (data), beta_disconnects);

    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
    g_assert_nonnull (strstr (error->message, "ended the session"));
  }
}

/* ---- peers that do not listen ---- */

#define DEAF 8

typedef struct {
  Side side;
  Gate held, release;
} Deaf;

static void
hold (gpointer data)
{
  Deaf *self = data;

  gate_open (&self->held);
  gate_wait (&self->release, 1);
}

static void
deaf_up (Deaf *self, NodePair *f, const char *endpoint, guint n)
{
  g_autofree char *name = g_strdup_printf ("deaf-%u", n);
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GError) error = NULL;

  gate_init (&self->held);
  gate_init (&self->release);
  side_up (&self->side, hypha_identity_generate (NULL), name);
  trust (&self->side, &f->b, "beta");
  trust (&f->b, &self->side, name);
  peer = dial (&self->side, endpoint, NULL, &error);
  g_assert_no_error (error);
  wait_until (n_links (&f->b) == n + 1);
}

/* A node that stops gives them a quarter of a second, not each of them but all. */
static void
test_deaf (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  Deaf deaf[DEAF] = { 0 };
  gint64 took;

  for (guint i = 0; i < DEAF; i++)
    deaf_up (&deaf[i], f, bound, i);
  for (guint i = 0; i < DEAF; i++) {
    hypha_worker_post (deaf[i].side.node->workers->pdata[0], hold, &deaf[i]);
    gate_wait (&deaf[i].held, 1);
  }
  took = -g_get_monotonic_time ();
  hypha_node_stop (f->b.node);
  took += g_get_monotonic_time ();
  g_test_message ("stopped after %" G_GINT64_FORMAT " ms", took / 1000);
  g_assert_cmpint (took, <, DEAF * G_TIME_SPAN_SECOND / 4 / 2);
  for (guint i = 0; i < DEAF; i++) {
    gate_open (&deaf[i].release);
    side_down (&deaf[i].side);
    hypha_identity_unref (deaf[i].side.identity);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/last-words/stop-in-the-midst-plain", GINT_TO_POINTER (FALSE), test_stop);
  g_test_add_data_func ("/last-words/stop-in-the-midst-tls", GINT_TO_POINTER (TRUE), test_stop);
  g_test_add_data_func ("/last-words/disconnect-in-the-midst-plain", GINT_TO_POINTER (FALSE),
                        test_disconnect);
  g_test_add_data_func ("/last-words/disconnect-in-the-midst-tls", GINT_TO_POINTER (TRUE),
                        test_disconnect);
  g_test_add ("/last-words/deaf-peers-are-waited-for-together", NodePair, NULL, node_pair_set_up,
              test_deaf, node_pair_tear_down);
  return g_test_run ();
}
