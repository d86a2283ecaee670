/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define CONNECT_MS 10000
#define LARGE (8 * 1024 * 1024)
#define MANY 200

/* ---- the fixture: a transport of its own for each test, and a private directory ---- */

typedef struct {
  const Contract *contract;
  HyphaTransport *transport;
  char *directory;
  gpointer beside;
  GArray *held; /* of int: descriptors that make an endpoint silent */
  gboolean skipped;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *why = NULL;

  f->contract = data;
  f->held = g_array_new (FALSE, FALSE, sizeof (int));
  f->directory = g_dir_make_tmp ("hypha-contract-XXXXXX", &error);
  g_assert_no_error (error);
  if (f->contract->usable != NULL && !f->contract->usable (&why)) {
    f->skipped = TRUE;
    g_test_skip (why);
    return;
  }
  f->transport = f->contract->create ();
  g_assert_true (HYPHA_IS_TRANSPORT (f->transport));
  if (f->contract->begin != NULL)
    f->beside = f->contract->begin (f->directory);
}

static void
release_held (Fixture *f)
{
  for (guint i = 0; i < f->held->len; i++)
    close (g_array_index (f->held, int, i));
  g_array_set_size (f->held, 0);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  release_held (f);
  g_array_unref (f->held);
  if (f->transport != NULL) {
    hypha_transport_stop (f->transport);
    g_assert_finalize_object (f->transport);
  }
  if (f->beside != NULL)
    f->contract->end (f->beside);
  /* Only what a test itself left in its directory; a transport has to clean up. */
  dir = g_dir_open (f->directory, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (f->directory, name, NULL);

    if (!g_str_has_prefix (name, "silent") && !g_str_equal (name, "handed-over")) {
      g_test_message ("left behind: %s", path);
      g_test_fail ();
    }
    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
}

static HyphaEndpoint *
parse (Fixture *f, const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *endpoint = harness_parse (f->transport, uri, &error);

  g_assert_no_error (error);
  return endpoint;
}

static HyphaEndpoint *
fresh (Fixture *f)
{
  g_autofree char *uri = f->contract->fresh (f->directory);

  return parse (f, uri);
}

/* NULL: the test has been skipped. */
static HyphaEndpoint *
silent (Fixture *f)
{
  g_autofree char *uri = NULL;

  if (f->contract->silent == NULL) {
    g_test_skip ("there is no silent endpoint of this transport");
    return NULL;
  }
  uri = f->contract->silent (f->directory, f->held);
  return parse (f, uri);
}

static HyphaListener *
listen_at (Fixture *f, HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = harness_listen (f->transport, endpoint, &error);

  g_assert_no_error (error);
  g_assert_true (HYPHA_IS_LISTENER (listener));
  return listener;
}

static HyphaChannel *
connect_to (Fixture *f, HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = harness_connect (f->transport, endpoint, CONNECT_MS, &error);

  g_assert_no_error (error);
  g_assert_true (HYPHA_IS_CHANNEL (channel));
  return channel;
}

/* A channel of datagrams is accepted with the first of them; it has its length before it. */
static void
knock (Fixture *f, HyphaChannel *dialled)
{
  if (f->contract->lossy)
    g_assert_true (harness_write_all (hypha_channel_get_fd (dialled), "\0\5knock", 7));
}

static void
welcome (Fixture *f, HyphaChannel *accepted)
{
  char knocked[7] = "";

  for (gssize got = 0; f->contract->lossy && got < 7;) {
    gssize n = harness_read (hypha_channel_get_fd (accepted), knocked + got, 7 - (gsize) got);

    g_assert_cmpint (n, >, 0);
    got += n;
  }
  g_assert_true (!f->contract->lossy || memcmp (knocked, "\0\5knock", 7) == 0);
}

/* A listener and both ends of one channel. */
typedef struct {
  HyphaListener *listener;
  HarnessSink *sink;
  HyphaChannel *dialled;
  HyphaChannel *accepted;
} Pair;

static Pair
pair_new (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = fresh (f);
  Pair pair;

  pair.listener = listen_at (f, endpoint);
  pair.sink = harness_sink_new (pair.listener);
  pair.dialled = connect_to (f, hypha_listener_get_bound (pair.listener));
  knock (f, pair.dialled);
  g_assert_true (harness_wait_accepted (pair.sink, 1));
  pair.accepted = g_object_ref (pair.sink->channels->pdata[0]);
  welcome (f, pair.accepted);
  return pair;
}

static void
pair_clear (Pair *pair)
{
  hypha_listener_close (pair->listener);
  g_clear_object (&pair->listener);
  g_clear_pointer (&pair->sink, harness_sink_free);
  g_clear_object (&pair->dialled);
  g_clear_object (&pair->accepted);
}

/* How many descriptors are open when nothing goes on: what the first use of GLib's machinery opens
 * stays open, so this is counted after one whole round; and what an earlier test left behind may
 * still be ending. */
static guint
count_at_rest (Fixture *f)
{
  static guint at_rest = 0;
  guint expected;

  if (at_rest == 0) {
    Pair pair = pair_new (f);

    pair_clear (&pair);
    g_assert_true (harness_wait_stable (&at_rest));
    at_rest -= f->held->len;
  }
  expected = at_rest + f->held->len;
  g_assert_true (harness_wait_descriptors (expected));
  /* On a busy machine something may have been about to end when they were counted. */
  at_rest = MIN (at_rest, harness_count_descriptors () - f->held->len);
  return at_rest + f->held->len;
}

/* ---- endpoints ---- */

static void
test_parse_is_strict (Fixture *f, gconstpointer data)
{
  if (f->skipped)
    return;
  for (const ContractSpelling *s = f->contract->spellings; s->uri != NULL; s++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) endpoint = harness_parse (f->transport, s->uri, &error);

    g_test_message ("%s: %s", s->uri,
                    error == NULL ? hypha_endpoint_to_string (endpoint) : error->message);
    if (s->canonical != NULL) {
      g_assert_no_error (error);
      g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, s->canonical);
    } else {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      g_assert_null (endpoint);
      g_assert_nonnull (strstr (error->message, s->part));
    }
  }
}

static void
test_parse_is_idempotent (Fixture *f, gconstpointer data)
{
  if (f->skipped)
    return;
  for (const ContractSpelling *s = f->contract->spellings; s->uri != NULL; s++) {
    g_autoptr (HyphaEndpoint) once = NULL;
    g_autoptr (HyphaEndpoint) twice = NULL;
    g_autoptr (HyphaEndpoint) printed = NULL;

    if (s->canonical == NULL)
      continue;
    once = parse (f, s->uri);
    printed = parse (f, hypha_endpoint_to_string (once));
    twice = hypha_transport_parse (f->transport, once, NULL);
    g_assert_true (hypha_endpoint_equal (once, printed));
    g_assert_true (hypha_endpoint_equal (once, twice));
  }
}

static void
test_parse_keeps_options (Fixture *f, gconstpointer data)
{
  g_autofree char *uri = NULL;
  g_autofree char *with = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) bare = NULL;
  g_autoptr (HyphaEndpoint) plain = NULL;

  if (f->skipped)
    return;
  uri = f->contract->fresh (f->directory);
  with = g_strconcat (uri, "?cost=7&tls=never", NULL);
  endpoint = parse (f, with);
  plain = parse (f, uri);
  g_assert_cmpstr (hypha_endpoint_get_option (endpoint, "cost"), ==, "7");
  g_assert_cmpstr (hypha_endpoint_get_option (endpoint, "tls"), ==, "never");
  bare = hypha_endpoint_without_options (endpoint);
  g_assert_true (hypha_endpoint_equal (bare, plain));
}

static void
test_schemes (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  const char *const *schemes;

  if (f->skipped)
    return;
  schemes = hypha_transport_get_schemes (f->transport);
  endpoint = fresh (f);
  g_assert_nonnull (schemes);
  g_assert_cmpstr (hypha_endpoint_get_scheme (endpoint), ==, schemes[0]);
}

/* ---- settings ---- */

static void
test_configure (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) none = NULL;
  g_autoptr (GVariant) unknown = NULL;

  if (f->skipped)
    return;
  none = g_variant_ref_sink (g_variant_new_parsed ("@a{sv} {}"));
  unknown = g_variant_ref_sink (g_variant_new_parsed ("{'no-such-option': <true>}"));
  g_assert_true (hypha_transport_configure (f->transport, none, &error));
  g_assert_no_error (error);
  g_assert_false (hypha_transport_configure (f->transport, unknown, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "no-such-option"));
}

static void
test_probe (Fixture *f, gconstpointer data)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  guint before;

  if (f->skipped)
    return;
  before = harness_count_descriptors ();
  g_assert_true (hypha_transport_probe (f->transport, &details, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (harness_count_descriptors (), ==, before);
}

static void
test_lossy (Fixture *f, gconstpointer data)
{
  if (!f->skipped)
    g_assert_cmpint (hypha_transport_is_lossy (f->transport), ==, f->contract->lossy);
}

static void
test_link_cost (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  guint typical;

  if (f->skipped)
    return;
  endpoint = fresh (f);
  typical = hypha_transport_get_link_cost (f->transport, NULL);
  g_assert_cmpuint (typical, >, 0);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, endpoint), >, 0);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, endpoint), <=, typical);
}

/* ---- channels ---- */

static void
assert_host (Fixture *f, const char *host)
{
  const char *wanted = f->contract->host;
  g_autofree char *path = NULL;

  if (wanted != NULL && *wanted == '.')
    path = g_strconcat (f->directory, wanted + 1, NULL);
  g_assert_cmpstr (host, ==, path != NULL ? path : wanted);
}

static void
assert_traits (Fixture *f, HyphaChannel *channel)
{
  HyphaEndpoint *ends[] = { hypha_channel_get_local (channel), hypha_channel_get_remote (channel) };
  int fd = hypha_channel_get_fd (channel);
  guint32 uid = 0;

  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
  g_assert_cmpuint (hypha_channel_get_flags (channel), ==, f->contract->flags);
  assert_host (f, hypha_channel_get_host (channel));
  g_assert_cmpint (hypha_channel_get_uid (channel, &uid), ==, f->contract->has_uid);
  if (f->contract->has_uid)
    g_assert_cmpuint (uid, ==, geteuid ());
  g_assert_cmpint (hypha_channel_get_cid (channel, NULL), ==, f->contract->has_cid);
  g_assert_cmpint (hypha_channel_get_binding (channel) != NULL, ==, f->contract->encrypted);
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    g_autoptr (HyphaEndpoint) again = NULL;

    if (ends[i] == NULL)
      continue;
    again = parse (f, hypha_endpoint_to_string (ends[i]));
    g_assert_true (hypha_endpoint_equal (ends[i], again));
  }
}

static void
test_traits (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) with = NULL;
  g_autoptr (HyphaChannel) dialled = NULL;
  g_autoptr (HarnessSink) sink = NULL;
  g_autoptr (HyphaListener) listener = NULL;

  if (f->skipped)
    return;
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  sink = harness_sink_new (listener);
  with = hypha_endpoint_with_option (hypha_listener_get_bound (listener), "cost", "3", NULL);
  dialled = connect_to (f, with);
  knock (f, dialled);
  g_assert_true (harness_wait_accepted (sink, 1));
  assert_traits (f, dialled);
  assert_traits (f, sink->channels->pdata[0]);
  /* The other end is what was dialled; options are the caller's business. */
  g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (dialled),
                                       hypha_listener_get_bound (listener)));
  if (f->contract->encrypted)
    g_assert_true (g_bytes_equal (hypha_channel_get_binding (dialled),
                                  hypha_channel_get_binding (sink->channels->pdata[0])));
  hypha_listener_close (listener);
}

static void
test_large_exchange (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  harness_exchange (hypha_channel_get_fd (pair.dialled), hypha_channel_get_fd (pair.accepted),
                    LARGE, &error);
  g_assert_no_error (error);
  pair_clear (&pair);
}

/* One at a time, back and forth: nothing has a reason to get lost. */
static void
test_datagrams (Fixture *f, gconstpointer data)
{
  static const guint16 sizes[] = { 0, 1, 2, 255, 256, 1472, 1473, 9000, 65507 };
  g_autofree guint8 *sent = g_malloc (2 + G_MAXUINT16);
  g_autofree guint8 *got = g_malloc (2 + G_MAXUINT16);
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++) {
    HyphaChannel *ends[] = { pair.dialled, pair.accepted };
    guint16 size = sizes[i / 2];
    gsize done = 0;

    sent[0] = (guint8) (size >> 8);
    sent[1] = (guint8) size;
    for (guint j = 0; j < size; j++)
      sent[2 + j] = (guint8) (i + j * 13 + j / 256);
    g_assert_true (harness_write_all (hypha_channel_get_fd (ends[i % 2]), sent, 2 + size));
    while (done < 2 + (gsize) size) {
      gssize n = harness_read (hypha_channel_get_fd (ends[1 - i % 2]), got + done, 2 + size - done);

      g_assert_cmpint (n, >, 0);
      done += (gsize) n;
    }
    g_assert_cmpmem (got, done, sent, 2 + size);
  }
  pair_clear (&pair);
}

static void
test_outlives_listener (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  hypha_listener_close (pair.listener);
  harness_exchange (hypha_channel_get_fd (pair.dialled), hypha_channel_get_fd (pair.accepted),
                    100000, &error);
  g_assert_no_error (error);
  pair_clear (&pair);
}

static void
test_half_close (Fixture *f, gconstpointer data)
{
  char buffer[64];
  Pair pair;
  int a, b;

  if (f->skipped)
    return;
  if (!f->contract->half_close) {
    g_test_skip ("this transport does not carry the end of one direction");
    return;
  }
  pair = pair_new (f);
  a = hypha_channel_get_fd (pair.dialled);
  b = hypha_channel_get_fd (pair.accepted);
  g_assert_true (harness_write_all (a, "question", 8));
  g_assert_cmpint (shutdown (a, SHUT_WR), ==, 0);
  g_assert_cmpint (harness_read (b, buffer, sizeof buffer), ==, 8);
  g_assert_cmpint (harness_read (b, buffer, sizeof buffer), ==, 0);
  g_assert_true (harness_write_all (b, "answer", 6));
  g_assert_cmpint (shutdown (b, SHUT_WR), ==, 0);
  g_assert_cmpint (harness_read (a, buffer, sizeof buffer), ==, 6);
  g_assert_cmpint (harness_read (a, buffer, sizeof buffer), ==, 0);
  pair_clear (&pair);
}

static void
test_close_is_seen (Fixture *f, gconstpointer data)
{
  char buffer[64];
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  g_assert_true (harness_write_all (hypha_channel_get_fd (pair.dialled), "last", 4));
  g_clear_object (&pair.dialled);
  g_assert_cmpint (harness_read (hypha_channel_get_fd (pair.accepted), buffer, sizeof buffer), ==,
                   4);
  g_assert_cmpint (harness_read (hypha_channel_get_fd (pair.accepted), buffer, sizeof buffer), <=,
                   0);
  pair_clear (&pair);
}

static void
raise_descriptor_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = MIN (limit.rlim_max, 65536);
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

/* With its length before it, for those that carry datagrams. */
typedef struct __attribute__ ((packed)) {
  guint8 length[2];
  guint32 number;
} Numbered;

/* Each dialler sends its number; every number has to arrive once. */
static void
test_many (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) dialled = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HarnessSink) sink = NULL;
  GAsyncResult *results[MANY] = { NULL };
  gboolean seen[MANY] = { FALSE };

  if (f->skipped)
    return;
  raise_descriptor_limit ();
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  sink = harness_sink_new (listener);
  for (guint i = 0; i < MANY; i++)
    hypha_transport_connect_async (f->transport, hypha_listener_get_bound (listener), CONNECT_MS,
                                   NULL, harness_keep_result, &results[i]);
  for (guint32 i = 0; i < MANY; i++) {
    const Numbered message = { { 0, sizeof i }, i };
    g_autoptr (GError) error = NULL;
    HyphaChannel *channel;

    harness_wait_result (&results[i]);
    channel = hypha_transport_connect_finish (f->transport, results[i], &error);
    g_assert_no_error (error);
    g_ptr_array_add (dialled, channel);
    g_clear_object (&results[i]);
    knock (f, channel);
    /* Datagrams that come faster than they are read are lost. */
    g_assert_true (!f->contract->lossy || harness_wait_accepted (sink, i + 1));
    g_assert_true (harness_write_all (hypha_channel_get_fd (channel), &message, sizeof message));
  }
  g_assert_true (harness_wait_accepted (sink, MANY));
  g_assert_cmpuint (sink->channels->len, ==, MANY);
  for (guint i = 0; i < MANY; i++) {
    Numbered message = { .number = MANY };

    welcome (f, sink->channels->pdata[i]);
    g_assert_cmpint (
        harness_read (hypha_channel_get_fd (sink->channels->pdata[i]), &message, sizeof message),
        ==, sizeof message);
    g_assert_cmpuint (message.number, <, MANY);
    g_assert_false (seen[message.number]);
    seen[message.number] = TRUE;
  }
  hypha_listener_close (listener);
}

/* ---- listening ---- */

static void
test_bound_can_be_dialled (Fixture *f, gconstpointer data)
{
  HyphaEndpoint *bound;
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  bound = hypha_listener_get_bound (pair.listener);
  g_assert_nonnull (bound);
  /* A port that the kernel chose stands there as a number. */
  g_assert_false (g_str_has_suffix (hypha_endpoint_to_string (bound), ":0"));
  g_assert_true (harness_write_all (hypha_channel_get_fd (pair.dialled), "x", 1));
  pair_clear (&pair);
}

static void
test_twice_is_in_use (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaListener) second = NULL;
  g_autoptr (GError) error = NULL;
  guint before;

  if (f->skipped)
    return;
  before = count_at_rest (f);
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  second = harness_listen (f->transport, hypha_listener_get_bound (listener), &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (
      strstr (error->message, hypha_endpoint_to_string (hypha_listener_get_bound (listener))));
  /* The one that was there still works. */
  g_object_unref (connect_to (f, hypha_listener_get_bound (listener)));
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_close_frees_the_address (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (HyphaListener) again = NULL;
  g_autoptr (HyphaChannel) refused = NULL;
  g_autoptr (HyphaChannel) taken = NULL;
  g_autoptr (GError) error = NULL;
  Pair pair;

  if (f->skipped)
    return;
  pair = pair_new (f);
  bound = hypha_endpoint_ref (hypha_listener_get_bound (pair.listener));
  hypha_listener_close (pair.listener);
  g_assert_true (hypha_listener_is_closed (pair.listener));

  refused = harness_connect (f->transport, bound, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_cmpuint (pair.sink->channels->len, ==, 1);

  /* The channel that it accepted is still there, and does not stand in the way. */
  again = listen_at (f, bound);
  taken = connect_to (f, bound);
  g_assert_cmpuint (pair.sink->channels->len, ==, 1);
  hypha_listener_close (again);
  pair_clear (&pair);
}

static void
test_last_unref_closes (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  HyphaListener *listener;

  if (f->skipped)
    return;
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  bound = hypha_endpoint_ref (hypha_listener_get_bound (listener));
  g_assert_finalize_object (listener);
  listener = listen_at (f, bound);
  hypha_listener_close (listener);
  g_object_unref (listener);
}

static void
test_listen_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) after = NULL;
  guint before;

  if (f->skipped)
    return;
  before = count_at_rest (f);
  endpoint = fresh (f);
  /* Before it began, and after. */
  for (guint late = 0; late < 2; late++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (HyphaListener) listener = NULL;
    g_autoptr (GError) error = NULL;

    if (late == 0)
      g_cancellable_cancel (cancellable);
    hypha_transport_listen_async (f->transport, endpoint, cancellable, harness_keep_result,
                                  &result);
    if (late == 1)
      g_cancellable_cancel (cancellable);
    harness_wait_result (&result);
    listener = hypha_transport_listen_finish (f->transport, result, &error);
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_null (listener);
  }
  g_assert_true (harness_wait_descriptors (before));
  after = listen_at (f, endpoint);
  hypha_listener_close (after);
}

/* ---- connecting ---- */

static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin;
  guint before;
  Pair pair;

  if (f->skipped)
    return;
  before = count_at_rest (f);
  pair = pair_new (f);
  bound = hypha_endpoint_ref (hypha_listener_get_bound (pair.listener));
  pair_clear (&pair);
  begin = g_get_monotonic_time ();
  channel = harness_connect (f->transport, bound, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  g_assert_null (channel);
  g_assert_nonnull (strstr (error->message, hypha_endpoint_to_string (bound)));
  g_assert_cmpint (g_get_monotonic_time () - begin, <, CONNECT_MS / 2 * G_TIME_SPAN_MILLISECOND);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_deadline (Fixture *f, gconstpointer data)
{
  const guint deadline_ms = 300;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin, took;
  guint before;

  if (f->skipped || (endpoint = silent (f)) == NULL)
    return;
  before = count_at_rest (f);
  begin = g_get_monotonic_time ();
  channel = harness_connect (f->transport, endpoint, deadline_ms, &error);
  took = g_get_monotonic_time () - begin;
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, hypha_endpoint_to_string (endpoint)));
  g_assert_cmpint (took, >=, (deadline_ms - 10) * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (took, <, (deadline_ms + 5000) * G_TIME_SPAN_MILLISECOND);
  g_assert_true (harness_wait_descriptors (before));
}

static gboolean
on_cancel_now (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

static void
cancel_connect (Fixture *f, HyphaEndpoint *endpoint, gint delay_ms)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  if (delay_ms < 0)
    g_cancellable_cancel (cancellable);
  hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, cancellable,
                                 harness_keep_result, &result);
  g_assert_null (result);
  if (delay_ms == 0)
    g_cancellable_cancel (cancellable);
  else if (delay_ms > 0)
    g_timeout_add ((guint) delay_ms, on_cancel_now, cancellable);
  harness_wait_result (&result);
  channel = hypha_transport_connect_finish (f->transport, result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (channel);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, CONNECT_MS / 2 * G_TIME_SPAN_MILLISECOND);
}

static void
test_connect_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  guint before;

  if (f->skipped || (endpoint = silent (f)) == NULL)
    return;
  before = count_at_rest (f);
  cancel_connect (f, endpoint, -1);
  cancel_connect (f, endpoint, 0);
  cancel_connect (f, endpoint, 50);
  g_assert_true (harness_wait_descriptors (before));
}

/* It may be too late for the connect, but never for the descriptor. */
static void
test_cancelled_while_succeeding (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  guint before, rounds = 20;

  if (f->skipped)
    return;
  before = count_at_rest (f);
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  for (guint i = 0; i < rounds; i++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (HyphaChannel) channel = NULL;
    g_autoptr (GError) error = NULL;

    hypha_transport_connect_async (f->transport, hypha_listener_get_bound (listener), CONNECT_MS,
                                   cancellable, harness_keep_result, &result);
    for (guint turn = 0; turn < i % 5; turn++)
      g_main_context_iteration (NULL, FALSE);
    g_cancellable_cancel (cancellable);
    harness_wait_result (&result);
    channel = hypha_transport_connect_finish (f->transport, result, &error);
    if (channel == NULL)
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

/* ---- sockets that somebody else has made ---- */

static HyphaListener *
adopt (Fixture *f, int fd)
{
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = hypha_transport_adopt (f->transport, fd, &error);

  g_assert_no_error (error);
  return listener;
}

static void
test_adopted (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  guint before;
  int fd;

  if (f->skipped)
    return;
  if (f->contract->handed_over == NULL) {
    g_test_skip ("this transport takes over no sockets");
    return;
  }
  before = count_at_rest (f);
  fd = f->contract->handed_over (f->directory);
  /* Twice: whoever made it has it still when the first listener is closed. */
  for (guint i = 0; i < 2; i++) {
    g_autoptr (HyphaListener) listener = NULL;
    g_autoptr (HyphaChannel) early = NULL;
    g_autoptr (HyphaChannel) late = NULL;
    g_autoptr (HarnessSink) sink = NULL;

    /* Who comes in between waits. */
    if (bound != NULL)
      early = connect_to (f, bound);
    listener = adopt (f, fd);
    sink = harness_sink_new (listener);
    if (bound != NULL)
      g_assert_true (hypha_endpoint_equal (bound, hypha_listener_get_bound (listener)));
    else
      bound = hypha_endpoint_ref (hypha_listener_get_bound (listener));
    late = connect_to (f, bound);
    g_assert_true (harness_wait_accepted (sink, 1 + i));
    for (guint j = 0; j < sink->channels->len; j++) {
      HyphaChannel *accepted = sink->channels->pdata[j];

      g_assert_cmpuint (hypha_channel_get_flags (accepted), ==, f->contract->flags);
      g_assert_cmpstr (hypha_channel_get_host (accepted), ==, f->contract->host);
    }
    hypha_listener_close (listener);
  }
  close (fd);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_stop_ends_adopted (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) listener = NULL;
  int fd;

  if (f->skipped)
    return;
  if (f->contract->handed_over == NULL) {
    g_test_skip ("this transport takes over no sockets");
    return;
  }
  fd = f->contract->handed_over (f->directory);
  listener = adopt (f, fd);
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (listener));
  close (fd);
}

/* Of any transport: a socket of another kind, one that does not listen, and none at all. */
static void
test_foreign_is_not_adopted (Fixture *f, gconstpointer data)
{
  int fds[3];
  guint before;

  if (f->skipped)
    return;
  before = count_at_rest (f);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  fds[2] = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_transport_adopt (f->transport, fds[i], &error));
    if (f->contract->handed_over != NULL)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
    else
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
    close (fds[i]);
  }
  g_assert_true (harness_wait_descriptors (before));
}

/* ---- the end ---- */

static void
test_stop (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) quiet = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaListener) late = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) late_error = NULL;
  guint before;

  if (f->skipped)
    return;
  if (f->contract->silent != NULL)
    quiet = silent (f);
  before = count_at_rest (f);
  endpoint = fresh (f);
  listener = listen_at (f, endpoint);
  if (quiet != NULL) {
    hypha_transport_connect_async (f->transport, quiet, CONNECT_MS, NULL, harness_keep_result,
                                   &result);
    g_main_context_iteration (NULL, FALSE);
  }
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (listener));
  if (quiet != NULL) {
    harness_wait_result (&result);
    channel = hypha_transport_connect_finish (f->transport, result, &error);
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_null (channel);
  }
  g_assert_true (harness_wait_descriptors (before));
  late = harness_listen (f->transport, endpoint, &late_error);
  g_assert_null (late);
  g_assert_nonnull (late_error);
}

/* ---- the list ---- */

/* Which transports have to pass. */
typedef enum { ALL, STREAMS, DATAGRAMS } Which;

static const struct {
  const char *name;
  void (*run) (Fixture *f, gconstpointer data);
  Which which;
} tests[] = {
  { "parse/is-strict", test_parse_is_strict },
  { "parse/is-idempotent", test_parse_is_idempotent },
  { "parse/keeps-options", test_parse_keeps_options },
  { "schemes/first-is-canonical", test_schemes },
  { "configure/names-an-unknown-option", test_configure },
  { "probe/leaves-nothing", test_probe },
  { "lossy/only-if-it-says-so", test_lossy },
  { "link-cost/typical-is-the-dearest", test_link_cost },
  { "channel/has-its-traits", test_traits },
  { "channel/carries-8-mib-both-ways-at-once", test_large_exchange, STREAMS },
  { "channel/carries-datagrams-of-any-size", test_datagrams, DATAGRAMS },
  { "channel/outlives-its-listener", test_outlives_listener, STREAMS },
  { "channel/half-close-arrives", test_half_close, STREAMS },
  { "channel/close-is-seen-after-the-last-byte", test_close_is_seen, STREAMS },
  { "channel/200-at-once", test_many },
  { "listen/bound-can-be-dialled", test_bound_can_be_dialled },
  { "listen/twice-is-in-use", test_twice_is_in_use },
  { "listen/close-frees-the-address", test_close_frees_the_address, STREAMS },
  { "listen/last-unref-closes", test_last_unref_closes },
  { "listen/cancelled-leaves-nothing", test_listen_cancelled },
  { "connect/refused-names-the-endpoint", test_refused, STREAMS },
  { "connect/honours-the-deadline", test_deadline },
  { "connect/cancelled-leaves-nothing", test_connect_cancelled },
  { "connect/cancelled-while-succeeding-leaves-nothing", test_cancelled_while_succeeding },
  { "adopt/serves-a-socket-that-is-handed-over", test_adopted },
  { "adopt/refuses-what-does-not-listen", test_foreign_is_not_adopted },
  { "stop/ends-what-was-handed-over", test_stop_ends_adopted },
  { "stop/ends-all-that-goes-on", test_stop },
};

void
contract_add_tests (const Contract *contract)
{
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *path = g_strconcat ("/contract/", contract->name, "/", tests[i].name, NULL);

    if (tests[i].which == (contract->lossy ? STREAMS : DATAGRAMS))
      continue;
    g_test_add (path, Fixture, contract, set_up, tests[i].run, tear_down);
  }
}
