/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has to go when too many knock: real links over socketpairs. */

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/admission.h"

#define DEADLINE_MS 20000
#define KNOCKS_MAX 40

/* One who knocks: the other end of its channel, and what it says. */
typedef struct {
  int fd;
  HyphaHandshake *handshake;
} Knock;

typedef struct {
  HyphaIdentity *identity, *stranger;
  HyphaMailbox *mailbox;
  HyphaWorker *worker;
  HyphaAdmission *admission;
  HyphaNonceClock clock;
  Knock knocks[KNOCKS_MAX + 1];
  guint n_knocks;
  guint failed, decided, shut_out;
  GPtrArray *told;
} Fixture;

static void
on_decide (HyphaCandidateLink *candidate, gpointer user_data)
{
  Fixture *f = user_data;

  f->decided++;
  hypha_candidate_link_reject (candidate, HYPHA_REJECT_NOT_TRUSTED);
}

static void
on_failed (HyphaDialler *dialler, const GError *error, gboolean tls_required, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_nonnull (error);
  f->failed++;
}

static void
on_log (const char *domain, GLogLevelFlags level, const char *text, gpointer user_data)
{
  Fixture *f = user_data;

  if (level & G_LOG_LEVEL_MESSAGE)
    g_ptr_array_add (f->told, g_strdup (text));
  else if (!(level & (G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG)))
    g_log_default_handler (domain, level, text, NULL);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  static const HyphaAdmissionEvents events = { .decide = on_decide, .failed = on_failed };
  g_autoptr (GError) error = NULL;

  f->identity = hypha_identity_generate (&error);
  g_assert_no_error (error);
  f->stranger = hypha_identity_generate (&error);
  g_assert_no_error (error);
  f->mailbox = hypha_mailbox_new (&error);
  g_assert_no_error (error);
  f->worker = hypha_worker_new ("test", &error);
  g_assert_no_error (error);
  f->admission = hypha_admission_new (f->mailbox, &events, f);
  f->told = g_ptr_array_new_with_free_func (g_free);
  g_log_set_default_handler (on_log, f);
}

static void
hang_up (Knock *knock)
{
  g_clear_pointer (&knock->handshake, hypha_handshake_free);
  if (knock->fd >= 0)
    close (knock->fd);
  knock->fd = -1;
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_admission_stop (f->admission);
  hypha_worker_free (f->worker);
  hypha_mailbox_free (f->mailbox);
  hypha_admission_free (f->admission);
  for (guint i = 0; i < f->n_knocks; i++)
    hang_up (&f->knocks[i]);
  hypha_identity_unref (f->identity);
  hypha_identity_unref (f->stranger);
  g_log_set_default_handler (g_log_default_handler, NULL);
  g_ptr_array_unref (f->told);
}

static void
limit (Fixture *f, guint max_handshakes, guint max_per_source)
{
  const HyphaAdmissionLimits limits = { max_handshakes, max_per_source };

  hypha_admission_set_limits (f->admission, &limits);
}

static Knock *
knock_within (Fixture *f, const char *host, gboolean initiator, gint64 handshake_timeout)
{
  const HyphaLinkParameters parameters = {
    .initiator = initiator,
    .identity = f->identity,
    .accept_plain = TRUE,
    .clock = &f->clock,
    .limits = { .ping_interval = G_TIME_SPAN_MINUTE,
                .link_timeout = G_TIME_SPAN_MINUTE,
                .first_byte_timeout = handshake_timeout,
                .handshake_timeout = handshake_timeout },
  };
  g_autoptr (HyphaEndpoint) local = hypha_endpoint_parse ("test://here", NULL);
  g_autoptr (HyphaChannel) channel = NULL;
  Knock *knock = &f->knocks[f->n_knocks++];
  int fds[2], result;

  g_assert_cmpuint (f->n_knocks, <=, G_N_ELEMENTS (f->knocks));
  result = socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
  g_assert_cmpint (result, ==, 0);
  *knock = (Knock){ .fd = fds[0] };
  channel = hypha_channel_new (fds[1], local, NULL, HYPHA_CHANNEL_KERNEL);
  hypha_channel_set_host (channel, host);
  if (!hypha_admission_begin (f->admission, channel, &parameters, NULL, NULL, f->worker, NULL))
    f->shut_out++;
  return knock;
}

static Knock *
knock_with (Fixture *f, const char *host, gboolean initiator)
{
  return knock_within (f, host, initiator, G_TIME_SPAN_MINUTE);
}

static Knock *
knock_silently (Fixture *f, const char *host)
{
  return knock_with (f, host, FALSE);
}

/* Says HELLO, and waits until that was answered. */
static Knock *
knock_politely (Fixture *f, const char *host)
{
  HyphaHandshakeParameters parameters = { .identity = f->stranger };
  Knock *knock = knock_with (f, host, FALSE);
  struct pollfd fd = { .fd = knock->fd, .events = POLLIN };
  g_autoptr (GBytes) hello = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;
  gconstpointer bytes;

  memset (parameters.instance.bytes, 9, sizeof parameters.instance.bytes);
  knock->handshake = hypha_handshake_new (TRUE, &parameters, &error);
  g_assert_no_error (error);
  hello = hypha_handshake_take_output (knock->handshake);
  bytes = g_bytes_get_data (hello, &length);
  g_assert_cmpint (send (knock->fd, bytes, length, MSG_NOSIGNAL), ==, length);
  g_assert_cmpint (poll (&fd, 1, DEADLINE_MS), ==, 1);
  g_assert_cmpint (fd.revents & POLLHUP, ==, 0);
  return knock;
}

static gboolean
on_deadline (gpointer data)
{
  g_error ("nothing came for %u ms", DEADLINE_MS);
  return G_SOURCE_REMOVE;
}

static void
wait_for (const guint *count, guint n)
{
  guint deadline = g_timeout_add (DEADLINE_MS, on_deadline, NULL);

  while (*count < n)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (deadline);
}

static gboolean
is_open (const Knock *knock)
{
  struct pollfd fd = { .fd = knock->fd };

  poll (&fd, 1, 0);
  return (fd.revents & POLLHUP) == 0;
}

/* How many of the first N who knocked are still there. */
static guint
count_open (Fixture *f, guint n)
{
  guint open = 0;

  for (guint i = 0; i < n; i++)
    open += is_open (&f->knocks[i]);
  return open;
}

static void
test_silent_first (Fixture *f, gconstpointer data)
{
  guint silent_at = GPOINTER_TO_UINT (data);
  Knock *silent = NULL;

  limit (f, 6, 100);
  for (guint i = 0; i < 6; i++)
    if (i == silent_at)
      silent = knock_silently (f, "192.0.2.1");
    else
      knock_politely (f, "192.0.2.1");
  knock_politely (f, "192.0.2.2");
  wait_for (&f->failed, 1);
  g_assert_false (is_open (silent));
  g_assert_cmpuint (count_open (f, 7), ==, 6);
}

/* A full source loses one of its own: neither is it shut out, nor do others pay. */
static void
test_of_the_same_source (Fixture *f, gconstpointer data)
{
  limit (f, 100, 3);
  knock_silently (f, "192.0.2.1");
  knock_politely (f, "192.0.2.1");
  knock_silently (f, "192.0.2.1");
  for (guint i = 2; i < 10; i++) {
    g_autofree char *host = g_strdup_printf ("192.0.2.%u", i);

    knock_silently (f, host);
  }
  knock_politely (f, "192.0.2.1");
  wait_for (&f->failed, 1);
  g_assert_true (is_open (&f->knocks[1])); /* had said HELLO */
  g_assert_cmpuint (count_open (f, 3), ==, 2);
  g_assert_cmpuint (count_open (f, f->n_knocks), ==, f->n_knocks - 1);
}

static void
test_sources (Fixture *f, gconstpointer data)
{
  limit (f, 100, 1);
  knock_silently (f, "2001:db8:1:1::1");
  knock_silently (f, "2001:db8:1:2::1");
  knock_silently (f, "2001:db8:1:1::2"); /* of the first one's /64 */
  wait_for (&f->failed, 1);
  g_assert_false (is_open (&f->knocks[0]));
  g_assert_cmpuint (count_open (f, 3), ==, 2);
}

/* Where all are alike, chance decides, so no place in the queue is safe, and none is lost. */
static void
test_at_random (Fixture *f, gconstpointer data)
{
  g_random_set_seed (42);
  limit (f, 8, 100);
  for (guint i = 0; i < KNOCKS_MAX; i++) {
    knock_silently (f, "192.0.2.1");
    wait_for (&f->failed, i < 8 ? 0 : i - 7);
  }
  g_assert_cmpuint (count_open (f, KNOCKS_MAX), ==, 8);
  g_assert_true (is_open (&f->knocks[KNOCKS_MAX - 1]));
  g_assert_cmpuint (count_open (f, KNOCKS_MAX - 8), >, 0);
}

static void
test_dialled_stay (Fixture *f, gconstpointer data)
{
  limit (f, 1, 1);
  for (guint i = 0; i < 3; i++)
    knock_with (f, "192.0.2.1", TRUE);
  g_assert_false (hypha_admission_is_crowded (f->admission));
  knock_silently (f, "192.0.2.1");
  knock_silently (f, "192.0.2.1");
  wait_for (&f->failed, 1);
  g_assert_cmpuint (count_open (f, 3), ==, 3);
  g_assert_false (is_open (&f->knocks[3]));
  g_assert_true (is_open (&f->knocks[4]));
}

/* Sources that are many take room from each other, and not from one that is alone. */
static void
test_of_the_source_that_has_most (Fixture *f, gconstpointer data)
{
  Knock *alone;

  limit (f, 9, 4);
  alone = knock_silently (f, "192.0.2.1");
  for (guint i = 0; i < 8; i++)
    knock_silently (f, i % 2 == 0 ? "192.0.2.2" : "192.0.2.3");
  for (guint i = 0; i < 24; i++) {
    g_autofree char *host = g_strdup_printf ("192.0.2.%u", 4 + i % 4);

    knock_silently (f, host);
    wait_for (&f->failed, i + 1);
    g_assert_true (is_open (alone));
  }
  g_assert_cmpuint (count_open (f, f->n_knocks), ==, 9);
}

static void
hold_up (gpointer data)
{
  GMutex *gate = data;

  g_mutex_lock (gate);
  g_mutex_unlock (gate);
}

/* Whoever is turned out holds a descriptor until the worker gets round to it. */
static void
test_flood_that_outruns_the_worker (Fixture *f, gconstpointer data)
{
  GMutex gate;

  g_mutex_init (&gate);
  g_mutex_lock (&gate);
  hypha_worker_post (f->worker, hold_up, &gate);
  limit (f, 4, 2);
  for (guint i = 0; i < KNOCKS_MAX - 1; i++)
    knock_silently (f, "192.0.2.1");
  g_assert_cmpuint (count_open (f, KNOCKS_MAX - 1), ==, 2 + 4);
  g_assert_cmpuint (f->shut_out, ==, KNOCKS_MAX - 1 - (2 + 4));
  knock_silently (f, "192.0.2.2");
  g_assert_true (is_open (&f->knocks[KNOCKS_MAX - 1]));
  g_mutex_unlock (&gate);
  wait_for (&f->failed, KNOCKS_MAX - 3);
  g_assert_cmpuint (count_open (f, KNOCKS_MAX), ==, 3);
  g_assert_true (is_open (&f->knocks[KNOCKS_MAX - 1]));
  /* There is room again for evictions. */
  knock_silently (f, "192.0.2.1");
  wait_for (&f->failed, KNOCKS_MAX - 2);
  g_assert_true (is_open (&f->knocks[KNOCKS_MAX]));
  g_mutex_clear (&gate);
}

/* Whatever the limits are: there may be nobody to drop. */
static void
test_nobody_to_drop (Fixture *f, gconstpointer data)
{
  limit (f, 0, 0);
  knock_silently (f, "192.0.2.1");
  g_assert_true (is_open (&f->knocks[0]));
}

static void
say (Knock *knock, const char *words)
{
  g_assert_cmpint (send (knock->fd, words, strlen (words), MSG_NOSIGNAL), ==, strlen (words));
}

static void
test_the_wordless_are_not_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  for (guint i = 0; i < 10; i++)
    hang_up (knock_silently (f, "192.0.2.1"));
  knock_within (f, "192.0.2.1", FALSE, 20 * G_TIME_SPAN_MILLISECOND);
  wait_for (&f->failed, 11);
  g_assert_cmpuint (f->told->len, ==, 0);
}

/* What was told, once, ends with WORDS, and that is the only question in it. */
static void
assert_told (Fixture *f, const char *reason, const char *words)
{
  const char *text;

  wait_for (&f->failed, 1);
  g_assert_cmpuint (f->told->len, ==, 1);
  text = f->told->pdata[0];
  g_assert_nonnull (strstr (text, "test://here"));
  g_assert_nonnull (strstr (text, reason));
  g_assert_true (g_str_has_suffix (text, words));
  g_assert_true (strchr (text, '?') == text + strlen (text) - 1);
}

static void
test_garbage_is_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  say (knock_silently (f, "192.0.2.1"), "GET / HTTP/1.1\r\n\r\n");
  assert_told (f, "something else than a handshake", "is there a node of Hypha at all?");
}

static void
test_one_byte_is_told (Fixture *f, gconstpointer data)
{
  Knock *knock;

  limit (f, 100, 100);
  knock = knock_silently (f, "192.0.2.1");
  say (knock, "H");
  hang_up (knock);
  assert_told (f, "closed", "; is a node of Hypha there?");
}

/* It begins as TLS does, so the link hands it to TLS, byte by byte. */
static void
test_broken_tls_is_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  say (knock_silently (f, "192.0.2.1"), "\x16garbage");
  assert_told (f, "TLS", "; is a node of Hypha there?");
}

static void
test_one_byte_of_tls_is_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  say (knock_within (f, "192.0.2.1", FALSE, 100 * G_TIME_SPAN_MILLISECOND), "\x16");
  assert_told (f, "not done after", "; is a node of Hypha there?");
}

static void
test_silence_is_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  say (knock_within (f, "192.0.2.1", FALSE, 100 * G_TIME_SPAN_MILLISECOND), "H");
  assert_told (f, "not done after", "; is a node of Hypha there?");
}

static void
test_garbage_is_bounded (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  for (guint i = 0; i < 30; i++)
    say (knock_silently (f, "192.0.2.1"), "GET / HTTP/1.1\r\n\r\n");
  wait_for (&f->failed, 30);
  g_assert_cmpuint (f->told->len, ==, 5);
}

static void
test_nodes_are_told (Fixture *f, gconstpointer data)
{
  limit (f, 100, 100);
  hang_up (knock_politely (f, "192.0.2.1"));
  wait_for (&f->failed, 1);
  g_assert_cmpuint (f->told->len, ==, 1);
  g_assert_nonnull (strstr (f->told->pdata[0], "test://here"));
  for (guint i = 0; i < 30; i++)
    hang_up (knock_politely (f, "192.0.2.1"));
  wait_for (&f->failed, 31);
  g_assert_cmpuint (f->told->len, ==, 5);
  g_assert_nonnull (strstr (f->told->pdata[4], "more of them"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC, DATA) \
  g_test_add ("/admission/" NAME, Fixture, DATA, set_up, FUNC, tear_down)
  ADD ("evicts/first-who-has-said-no-hello/eldest", test_silent_first, GUINT_TO_POINTER (0));
  ADD ("evicts/first-who-has-said-no-hello/third", test_silent_first, GUINT_TO_POINTER (2));
  ADD ("evicts/first-who-has-said-no-hello/youngest", test_silent_first, GUINT_TO_POINTER (5));
  ADD ("evicts/of-the-same-source-when-that-is-full", test_of_the_same_source, NULL);
  ADD ("evicts/ipv6-sources-are-networks", test_sources, NULL);
  ADD ("evicts/of-the-source-that-has-most", test_of_the_source_that_has_most, NULL);
  ADD ("evicts/at-random", test_at_random, NULL);
  ADD ("evicts/none-that-was-dialled", test_dialled_stay, NULL);
  ADD ("evicts/nobody-where-nobody-is", test_nobody_to_drop, NULL);
  ADD ("drops/at-once-what-outruns-the-worker", test_flood_that_outruns_the_worker, NULL);
  ADD ("log/the-wordless-are-not-told", test_the_wordless_are_not_told, NULL);
  ADD ("log/garbage-is-told", test_garbage_is_told, NULL);
  ADD ("log/one-byte-is-told", test_one_byte_is_told, NULL);
  ADD ("log/broken-tls-is-told", test_broken_tls_is_told, NULL);
  ADD ("log/one-byte-of-tls-is-told", test_one_byte_of_tls_is_told, NULL);
  ADD ("log/silence-after-a-byte-is-told", test_silence_is_told, NULL);
  ADD ("log/garbage-is-told-within-bounds", test_garbage_is_bounded, NULL);
  ADD ("log/nodes-are-told-within-bounds", test_nodes_are_told, NULL);
#undef ADD
  return g_test_run ();
}
