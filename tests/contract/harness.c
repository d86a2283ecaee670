/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static guint64
get_number (const char *variable, guint64 otherwise)
{
  const char *text = g_getenv (variable);
  guint64 number = otherwise;

  if (text != NULL && !g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &number, NULL))
    g_error ("%s is '%s': it is a number above 0", variable, text);
  return number;
}

guint64
harness_bytes (guint64 otherwise)
{
  return get_number ("HYPHA_CONTRACT_BYTES", otherwise);
}

guint
harness_patience (void)
{
  return (guint) get_number ("HYPHA_CONTRACT_PATIENCE", 30);
}

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

/* ---- descriptors, threads ---- */

static guint
count_entries (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

guint
harness_count_descriptors (void)
{
  return count_entries ("/proc/self/fd") - 1; /* less the one that reads the directory */
}

guint
harness_count_threads (void)
{
  return count_entries ("/proc/self/task");
}

static gboolean
has_threads (gpointer data)
{
  return harness_count_threads () <= *(guint *) data;
}

gboolean
harness_wait_threads (guint n)
{
  return harness_wait (has_threads, &n);
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

gboolean
harness_has_ipv6 (char **why)
{
  const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  int fd = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  gboolean works = fd >= 0 && bind (fd, (const struct sockaddr *) &loopback, sizeof loopback) == 0;

  if (!works)
    *why = g_strdup_printf ("this machine has no ::1: %s", g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return works;
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
    if (poll (&pollfd, 1, (int) HARNESS_PATIENCE_S * 1000) <= 0) {
      errno = ETIMEDOUT;
      return -1;
    }
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
    if (n < 0 && poll (&pollfd, 1, (int) HARNESS_PATIENCE_S * 1000) <= 0) {
      errno = ETIMEDOUT;
      return FALSE;
    }
    done += n > 0 ? (gsize) n : 0;
  }
  return TRUE;
}

/* ---- the exchange ---- */

/* A checksum that changes with every byte and its place: quick, for it is taken of gigabytes. */
typedef struct {
  guint64 value;
  guint8 pending[8];
  guint n_pending;
} Sum;

static void
sum_mix (Sum *sum, const guint8 *bytes)
{
  guint64 word;

  memcpy (&word, bytes, sizeof word);
  sum->value = (sum->value ^ word) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  sum->value ^= sum->value >> 32;
}

static void
sum_add (Sum *sum, const guint8 *bytes, gsize size)
{
  while (size > 0 && (sum->n_pending > 0 || size < sizeof sum->pending)) {
    sum->pending[sum->n_pending++] = *bytes++;
    size--;
    if (sum->n_pending == sizeof sum->pending) {
      sum_mix (sum, sum->pending);
      sum->n_pending = 0;
    }
  }
  for (; size >= sizeof sum->pending; bytes += sizeof sum->pending, size -= sizeof sum->pending)
    sum_mix (sum, bytes);
  while (size-- > 0)
    sum->pending[sum->n_pending++] = *bytes++;
}

static gboolean
sum_equal (const Sum *a, const Sum *b)
{
  return a->value == b->value && a->n_pending == b->n_pending &&
         memcmp (a->pending, b->pending, a->n_pending) == 0;
}

#define PIECE (32 * 1024)

/* What one end sends and gets. */
typedef struct {
  int fd;
  guint64 to_send;
  guint64 to_receive;
  guint64 random;
  Sum sent;
  Sum received;
  guint8 piece[PIECE + 8];
  gsize piece_size;
  gsize piece_done;
} End;

/* Steele, Lea and Flood: SplitMix64. */
static guint64
next_random (guint64 *state)
{
  guint64 z = (*state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Pieces of odd sizes, so that nothing depends on where one ends. */
static void
fill_piece (End *end)
{
  guint64 size = 1 + next_random (&end->random) % PIECE;

  end->piece_size = (gsize) MIN (size, end->to_send);
  end->piece_done = 0;
  for (gsize i = 0; i < end->piece_size; i += 8) {
    guint64 word = next_random (&end->random);

    memcpy (end->piece + i, &word, sizeof word);
  }
  sum_add (&end->sent, end->piece, end->piece_size);
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
    end->to_send -= (guint64) n;
  }
  return TRUE;
}

static gboolean
receive_some (End *end)
{
  guint8 buffer[64 * 1024];

  while (end->to_receive > 0) {
    gssize n = recv (end->fd, buffer, (gsize) MIN (sizeof buffer, end->to_receive), 0);

    if (n < 0)
      return errno == EAGAIN;
    if (n == 0) {
      errno = EPIPE;
      return FALSE;
    }
    sum_add (&end->received, buffer, (gsize) n);
    end->to_receive -= (guint64) n;
  }
  return TRUE;
}

/* FALSE: errno tells. */
static gboolean
run_ends (End *ends, guint n)
{
  g_autofree struct pollfd *fds = g_new (struct pollfd, n);

  for (;;) {
    guint busy = 0;

    for (guint i = 0; i < n; i++) {
      short events =
          (short) ((ends[i].to_send > 0 ? POLLOUT : 0) | (ends[i].to_receive > 0 ? POLLIN : 0));

      fds[i] = (struct pollfd){ .fd = events != 0 ? ends[i].fd : -1, .events = events };
      busy += events != 0 ? 1 : 0;
    }
    if (busy == 0)
      return TRUE;
    if (poll (fds, n, (int) HARNESS_PATIENCE_S * 1000) <= 0) {
      errno = ETIMEDOUT;
      return FALSE;
    }
    for (guint i = 0; i < n; i++)
      if (fds[i].revents != 0 && (!send_some (&ends[i]) || !receive_some (&ends[i])))
        return FALSE;
  }
}

static gboolean
check_ends (const End *ends, guint n, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (!sum_equal (&ends[i].sent, &ends[i ^ 1].received)) {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                   "from end %u of pair %u: not the bytes that were sent", i % 2, i / 2);
      return FALSE;
    }
  return TRUE;
}

gboolean
harness_exchange_all (const int *fds, guint n_pairs, guint64 size, GError **error)
{
  guint n = 2 * n_pairs;
  g_autofree End *ends = g_new0 (End, n);
  guint64 missing = 0;

  for (guint i = 0; i < n; i++) {
    ends[i].fd = fds[i];
    ends[i].to_send = ends[i].to_receive = size;
    ends[i].random = i + 1;
  }
  if (run_ends (ends, n))
    return check_ends (ends, n, error);
  for (guint i = 0; i < n; i++)
    missing += ends[i].to_receive;
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
               "%s, with %" G_GUINT64_FORMAT " bytes still to come", g_strerror (errno), missing);
  return FALSE;
}

gboolean
harness_exchange (int a, int b, guint64 size, GError **error)
{
  const int fds[] = { a, b };

  return harness_exchange_all (fds, 1, size, error);
}
