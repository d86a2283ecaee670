/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "contract-fixture.h"

/* Connecting, and how it fails. */

static void
test_refused (Fixture *f)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin;
  guint before;
  Pair pair;

  before = fixture_count_at_rest (f);
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
test_deadline (Fixture *f)
{
  const guint deadline_ms = 300;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin, took;
  guint before;

  if ((endpoint = fixture_silent (f)) == NULL)
    return;
  before = fixture_count_at_rest (f);
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

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  /* It goes with its last reference, and is not kept until somebody asks for it. */
}

/* Deadlines that grow, until one is long enough: each ends in time, in one way or the other. */
static void
test_short_deadlines (Fixture *f)
{
  guint before = fixture_count_at_rest (f);
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  gboolean connected = FALSE;
  guint listening;

  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), NULL);
  g_assert_true (harness_wait_stable (&listening));
  for (guint deadline_ms = 1; !connected && deadline_ms <= CONNECT_MS; deadline_ms *= 2) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaChannel) channel =
        harness_connect (f->transport, hypha_listener_get_bound (listener), deadline_ms, &error);

    connected = channel != NULL;
    if (!connected)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
    g_clear_object (&channel);
    g_assert_true (harness_wait_descriptors (listening));
  }
  g_assert_true (connected);
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

const ContractTest contract_connect_tests[] = {
  { "connect/refused-names-the-endpoint", test_refused, NEEDS_LISTENER | NEEDS_STREAM,
    "where nobody listens, connecting fails soon, and says where" },
  { "connect/honours-the-deadline", test_deadline, NEEDS_CHANNEL,
    "where nobody answers, connecting fails at its deadline, says where, and leaves nothing" },
  { "connect/short-deadlines-leave-nothing", test_short_deadlines, NEEDS_CHANNEL | NEEDS_STREAM,
    "a deadline at any step of connecting is kept, and leaves nothing" },
  { NULL, NULL, 0, NULL },
};
