/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "contract-fixture.h"

/* Listening. */

static void
test_bound_can_be_dialled (Fixture *f)
{
  HyphaEndpoint *bound;
  Pair pair;

  pair = pair_new (f);
  bound = hypha_listener_get_bound (pair.listener);
  g_assert_nonnull (bound);
  /* A port that the kernel chose stands there as a number. */
  g_assert_false (g_str_has_suffix (hypha_endpoint_to_string (bound), ":0"));
  g_assert_true (harness_write_all (hypha_channel_get_fd (pair.dialled), "x", 1));
  pair_clear (&pair);
}

static void
test_twice_is_in_use (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaListener) second = NULL;
  g_autoptr (GError) error = NULL;
  guint before;

  before = fixture_count_at_rest (f);
  endpoint = fixture_fresh (f);
  listener = fixture_listen (f, endpoint);
  second = harness_listen (f->transport, hypha_listener_get_bound (listener), &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (
      strstr (error->message, hypha_endpoint_to_string (hypha_listener_get_bound (listener))));
  /* The one that was there still works. */
  g_object_unref (fixture_connect (f, hypha_listener_get_bound (listener)));
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_close_frees_the_address (Fixture *f)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (HyphaListener) again = NULL;
  g_autoptr (HyphaChannel) refused = NULL;
  g_autoptr (HyphaChannel) taken = NULL;
  g_autoptr (GError) error = NULL;
  Pair pair;

  pair = pair_new (f);
  bound = hypha_endpoint_ref (hypha_listener_get_bound (pair.listener));
  hypha_listener_close (pair.listener);
  g_assert_true (hypha_listener_is_closed (pair.listener));

  refused = harness_connect (f->transport, bound, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_cmpuint (pair.sink->channels->len, ==, 1);

  /* The channel that it accepted is still there, and does not stand in the way. */
  again = fixture_listen (f, bound);
  taken = fixture_connect (f, bound);
  g_assert_cmpuint (pair.sink->channels->len, ==, 1);
  hypha_listener_close (again);
  pair_clear (&pair);
}

static void
test_last_unref_closes (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  HyphaListener *listener;

  endpoint = fixture_fresh (f);
  listener = fixture_listen (f, endpoint);
  bound = hypha_endpoint_ref (hypha_listener_get_bound (listener));
  g_assert_finalize_object (listener);
  listener = fixture_listen (f, bound);
  hypha_listener_close (listener);
  g_object_unref (listener);
}

static void
test_listen_cancelled (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) after = NULL;
  guint before;

  before = fixture_count_at_rest (f);
  endpoint = fixture_fresh (f);
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
  after = fixture_listen (f, endpoint);
  hypha_listener_close (after);
}

const ContractTest contract_listen_tests[] = {
  { "listen/bound-can-be-dialled", test_bound_can_be_dialled, NEEDS_LISTENER,
    "a listener says where it listens, with the port that it got" },
  { "listen/twice-is-in-use", test_twice_is_in_use, NEEDS_LISTENER,
    "an address that is taken is told as such, by its name, and nothing is left over" },
  { "listen/close-frees-the-address", test_close_frees_the_address, NEEDS_LISTENER | NEEDS_STREAM,
    "once a listener is closed, connects are refused and its address is free" },
  { "listen/last-unref-closes", test_last_unref_closes, NEEDS_LISTENER,
    "a listener that nobody holds is closed" },
  { "listen/cancelled-leaves-nothing", test_listen_cancelled, NEEDS_LISTENER,
    "listening that is cancelled leaves nothing over" },
  { NULL, NULL, 0, NULL },
};
