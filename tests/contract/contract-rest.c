/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>

#include "contract-fixture.h"

/* What is left when all is done. */

/* Rounds that are looked at together, and how often at most: what is lost is lost each time, while
 * the caches of malloc fill up within a few (GLIBC_TUNABLES can do without them). */
#define ROUNDS 30
#define LOOKS 12

/* Some go on trying where nobody listens. */
#define REFUSED_MS 5

/* Less than a round that loses anything loses: the smallest object of GLib's is larger. */
#define SPARE_BYTES (ROUNDS * 24)
#define SPARE_THREADS (ROUNDS / 3)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- memory, threads ---- */

static guint64
get_bytes_in_use (void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

/* Whoever gave up in the round before may still be on his way, by way of somebody in between: which
 * of those that were accepted is the other end shows in what it hears. */
static void
find_accepted (Pair *pair)
{
  char byte;

  g_assert_true (harness_write_all (pair_get_fd (pair, 0), "x", 1));
  for (guint i = 0;; i++) {
    g_assert_true (harness_wait_accepted (pair->sink, i + 1));
    g_set_object (&pair->accepted, pair->sink->channels->pdata[i]);
    if (harness_read (pair_get_fd (pair, 1), &byte, 1) == 1)
      return;
  }
}

/* A listener, a channel that carries something each way, one that is refused or late, and the end
 * of all.
 */
static void
run_round (Fixture *f)
{
  Pair pair = pair_new (f);
  g_autoptr (HyphaEndpoint) bound = hypha_endpoint_ref (hypha_listener_get_bound (pair.listener));
  g_autoptr (HyphaChannel) channel = NULL;

  if (!f->contract->lossy) {
    g_autoptr (GError) error = NULL;

    find_accepted (&pair);
    harness_exchange (pair_get_fd (&pair, 0), pair_get_fd (&pair, 1), 10000, &error);
    g_assert_no_error (error);
  }
  pair_clear (&pair);
  if (!f->contract->lossy && f->contract->fresh != NULL)
    channel = harness_connect (f->transport, bound, REFUSED_MS, NULL);
}

static void
test_memory_and_threads (Fixture *f)
{
  guint before = fixture_count_at_rest (f);
  guint64 least_bytes = G_MAXUINT64;
  guint least_threads = G_MAXUINT;

  for (guint look = 0;
       look <= LOOKS && (least_bytes >= SPARE_BYTES || least_threads >= SPARE_THREADS); look++) {
    guint64 bytes = get_bytes_in_use ();
    guint threads = harness_count_threads ();
    guint64 more_bytes;
    guint more_threads;

    for (guint i = 0; i < ROUNDS; i++)
      run_round (f);
    g_assert_true (harness_wait_descriptors (before));
    more_bytes = MAX (get_bytes_in_use (), bytes) - bytes;
    more_threads = MAX (harness_count_threads (), threads) - threads;
    g_test_message ("%u rounds: %" G_GUINT64_FORMAT " bytes and %u threads more", ROUNDS,
                    more_bytes, more_threads);
    /* The first time, much is made that stays. */
    if (look > 0) {
      least_bytes = MIN (least_bytes, more_bytes);
      least_threads = MIN (least_threads, more_threads);
    }
  }
  if (SANITIZED)
    g_test_message ("memory is the sanitizer's to look at");
  else
    g_assert_cmpuint (least_bytes, <, SPARE_BYTES);
  g_assert_cmpuint (least_threads, <, SPARE_THREADS);
}

/* ---- its stop ---- */

static void
test_stop (Fixture *f)
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

  if (f->contract->silent != NULL)
    quiet = fixture_silent (f);
  before = fixture_count_at_rest (f);
  endpoint = fixture_fresh (f);
  listener = fixture_listen (f, endpoint);
  if (quiet != NULL) {
    hypha_transport_connect_async (f->transport, quiet, CONNECT_MS, NULL, harness_keep_result,
                                   &result);
    g_main_context_iteration (NULL, FALSE);
  }
  hypha_transport_stop (f->transport);
  /* That of one which only connects is this suite's own. */
  if (f->contract->fresh == NULL)
    hypha_listener_close (listener);
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

const ContractTest contract_rest_tests[] = {
  { "rest/no-memory-and-no-thread-is-left", test_memory_and_threads, NEEDS_CHANNEL,
    "what is connected and closed leaves no memory and no thread behind" },
  { "stop/ends-all-that-goes-on", test_stop, NEEDS_CHANNEL,
    "its stop closes what listens, cancels what connects, and lets nothing new begin" },
  { NULL, NULL, 0, NULL },
};
