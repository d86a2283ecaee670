/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- waiting ---- */

static gboolean
on_patience_ended (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/* What other threads do wakes no main context: look again every few milliseconds. */
static gboolean
on_tick (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

gboolean
harness_wait (HarnessCondition condition, gpointer data)
{
  gboolean ended = FALSE;
  guint patience = g_timeout_add_seconds (HARNESS_PATIENCE_S, on_patience_ended, &ended);
  guint tick = g_timeout_add (5, on_tick, NULL);
  gboolean holds;

  while (!(holds = condition (data)) && !ended)
    g_main_context_iteration (NULL, TRUE);
  if (!ended)
    g_source_remove (patience);
  g_source_remove (tick);
  return holds;
}

void
harness_keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **kept = user_data;

  g_assert_null (*kept);
  *kept = g_object_ref (result);
}

static gboolean
has_result (gpointer data)
{
  return *(GAsyncResult **) data != NULL;
}

void
harness_wait_result (GAsyncResult **result)
{
  g_assert_true (harness_wait (has_result, result));
}

/* ---- transports ---- */

HyphaEndpoint *
harness_parse (HyphaTransport *transport, const char *uri, GError **error)
{
  g_autoptr (HyphaEndpoint) given = hypha_endpoint_parse (uri, error);

  return given == NULL ? NULL : hypha_transport_parse (transport, given, error);
}

HyphaChannel *
harness_connect (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                 GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_connect_async (transport, endpoint, timeout_ms, NULL, harness_keep_result,
                                 &result);
  harness_wait_result (&result);
  return hypha_transport_connect_finish (transport, result, error);
}

HyphaListener *
harness_listen (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_listen_async (transport, endpoint, NULL, harness_keep_result, &result);
  harness_wait_result (&result);
  return hypha_transport_listen_finish (transport, result, error);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  HarnessSink *sink = user_data;

  g_ptr_array_add (sink->channels, g_object_ref (channel));
}

HarnessSink *
harness_sink_new (HyphaListener *listener)
{
  HarnessSink *sink = g_new0 (HarnessSink, 1);

  sink->channels = g_ptr_array_new_with_free_func (g_object_unref);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), sink);
  return sink;
}

void
harness_sink_free (HarnessSink *sink)
{
  g_ptr_array_unref (sink->channels);
  g_free (sink);
}

static gboolean
has_accepted (gpointer data)
{
  HarnessSink *sink = data;

  return sink->channels->len >= sink->wanted;
}

gboolean
harness_wait_accepted (HarnessSink *sink, guint n)
{
  sink->wanted = n;
  return harness_wait (has_accepted, sink);
}

/* ---- descriptors ---- */

guint
harness_count_descriptors (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n - 1; /* less the one that reads the directory */
}

static gboolean
has_descriptors (gpointer data)
{
  return harness_count_descriptors () <= *(guint *) data;
}

gboolean
harness_wait_descriptors (guint n)
{
  return harness_wait (has_descriptors, &n);
}

#define STABLE_LOOKS 60

typedef struct {
  guint n;
  guint looks;
} Stability;

static gboolean
is_stable (gpointer data)
{
  Stability *stability = data;
  guint now = harness_count_descriptors ();

  stability->looks = now == stability->n ? stability->looks + 1 : 0;
  stability->n = now;
  return stability->looks >= STABLE_LOOKS;
}

gboolean
harness_wait_stable (guint *n)
{
  Stability stability = { 0, 0 };
  gboolean stable = harness_wait (is_stable, &stability);

  *n = stability.n;
  return stable;
}

int
harness_listening_socket (const struct sockaddr *address, socklen_t length)
{
  int fd = socket (address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (bind (fd, address, length), ==, 0);
  g_assert_cmpint (listen (fd, 16), ==, 0);
  return fd;
}

gssize
harness_read (int fd, void *buffer, gsize size)
{
  struct pollfd pollfd = { .fd = fd, .events = POLLIN };
  gssize n;

  do {
    if (poll (&pollfd, 1, HARNESS_PATIENCE_S * 1000) <= 0)
      return -1;
    n = recv (fd, buffer, size, 0);
  } while (n < 0 && (errno == EAGAIN || errno == EINTR));
  return n;
}

gboolean
harness_write_all (int fd, const void *buffer, gsize size)
{
  struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
  gsize done = 0;

  while (done < size) {
    gssize n = send (fd, (const char *) buffer + done, size - done, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return FALSE;
    if (n < 0 && poll (&pollfd, 1, HARNESS_PATIENCE_S * 1000) <= 0)
      return FALSE;
    done += n > 0 ? (gsize) n : 0;
  }
  return TRUE;
}

/* ---- the exchange ---- */

/* What one end sends and gets. */
typedef struct {
  int fd;
  gsize to_send;
  gsize to_receive;
  GRand *random;
  GChecksum *sent;
  GChecksum *received;
  guint8 piece[32 * 1024];
  gsize piece_size;
  gsize piece_done;
} End;

static void
end_init (End *end, int fd, gsize size, guint32 seed)
{
  *end = (End){
    .fd = fd,
    .to_send = size,
    .to_receive = size,
    .random = g_rand_new_with_seed (seed),
    .sent = g_checksum_new (G_CHECKSUM_SHA256),
    .received = g_checksum_new (G_CHECKSUM_SHA256),
  };
}

static void
end_clear (End *end)
{
  g_rand_free (end->random);
  g_checksum_free (end->sent);
  g_checksum_free (end->received);
}

/* Pieces of odd sizes, so that nothing depends on where one ends. */
static void
fill_piece (End *end)
{
  gsize size = (gsize) g_rand_int_range (end->random, 1, sizeof end->piece + 1);

  end->piece_size = MIN (size, end->to_send);
  end->piece_done = 0;
  for (gsize i = 0; i + 4 <= end->piece_size; i += 4) {
    guint32 word = g_rand_int (end->random);

    memcpy (end->piece + i, &word, 4);
  }
  g_checksum_update (end->sent, end->piece, (gssize) end->piece_size);
}

static gboolean
send_some (End *end)
{
  while (end->to_send > 0) {
    gssize n;

    if (end->piece_done == end->piece_size)
      fill_piece (end);
    n = send (end->fd, end->piece + end->piece_done, end->piece_size - end->piece_done,
              MSG_NOSIGNAL);
    if (n < 0)
      return errno == EAGAIN;
    end->piece_done += (gsize) n;
    end->to_send -= (gsize) n;
  }
  return TRUE;
}

static gboolean
receive_some (End *end)
{
  guint8 buffer[64 * 1024];

  while (end->to_receive > 0) {
    gssize n = recv (end->fd, buffer, MIN (sizeof buffer, end->to_receive), 0);

    if (n < 0)
      return errno == EAGAIN;
    if (n == 0) {
      errno = EPIPE;
      return FALSE;
    }
    g_checksum_update (end->received, buffer, n);
    end->to_receive -= (gsize) n;
  }
  return TRUE;
}

static gboolean
run_ends (End ends[2])
{
  while (ends[0].to_send + ends[0].to_receive + ends[1].to_send + ends[1].to_receive > 0) {
    struct pollfd fds[2];

    for (guint i = 0; i < 2; i++)
      fds[i] = (struct pollfd){
        .fd = ends[i].to_send + ends[i].to_receive > 0 ? ends[i].fd : -1,
        .events =
            (short) ((ends[i].to_send > 0 ? POLLOUT : 0) | (ends[i].to_receive > 0 ? POLLIN : 0)),
      };
    if (poll (fds, 2, HARNESS_PATIENCE_S * 1000) <= 0) {
      errno = ETIMEDOUT;
      return FALSE;
    }
    for (guint i = 0; i < 2; i++)
      if (!send_some (&ends[i]) || !receive_some (&ends[i]))
        return FALSE;
  }
  return TRUE;
}

gboolean
harness_exchange (int a, int b, gsize size, GError **error)
{
  End *ends = g_new0 (End, 2);
  gboolean good;

  end_init (&ends[0], a, size, 1);
  end_init (&ends[1], b, size, 2);
  good = run_ends (ends);
  if (!good)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                 "%s, with %zu and %zu bytes still to come", g_strerror (errno), ends[0].to_receive,
                 ends[1].to_receive);
  for (guint i = 0; good && i < 2; i++) {
    good = g_str_equal (g_checksum_get_string (ends[i].sent),
                        g_checksum_get_string (ends[1 - i].received));
    if (!good)
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                   "direction %u: not the bytes that were sent", i);
  }
  end_clear (&ends[0]);
  end_clear (&ends[1]);
  g_free (ends);
  return good;
}
