/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract-fixture.h"

/* Connecting that is cancelled, at whatever moment. */

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
test_connect_cancelled (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  guint before;

  if ((endpoint = fixture_silent (f)) == NULL)
    return;
  before = fixture_count_at_rest (f);
  cancel_connect (f, endpoint, -1);
  cancel_connect (f, endpoint, 0);
  cancel_connect (f, endpoint, 50);
  g_assert_true (harness_wait_descriptors (before));
}

/* ---- at every step ---- */

/* Steps of a main context, or microseconds, after which it is cancelled. */
typedef enum { STEPS, MICROSECONDS } Measure;

static gboolean
on_tick (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

/* Until it has a result, or LENGTH is over. */
static void
pass (GAsyncResult **result, Measure measure, gint64 length)
{
  gint64 end = g_get_monotonic_time () + length;
  guint tick = g_timeout_add (1, on_tick, NULL);

  if (measure == STEPS)
    for (gint64 step = 0; *result == NULL && step < length; step++)
      g_main_context_iteration (NULL, TRUE);
  else
    while (*result == NULL && g_get_monotonic_time () < end)
      g_main_context_iteration (NULL, FALSE);
  g_source_remove (tick);
}

/* Whether it was too late to be cancelled. */
static gboolean
cancel_after (Fixture *f, HyphaEndpoint *endpoint, Measure measure, gint64 length)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();
  gboolean late;

  hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, cancellable,
                                 harness_keep_result, &result);
  pass (&result, measure, length);
  late = result != NULL;
  g_cancellable_cancel (cancellable);
  harness_wait_result (&result);
  channel = hypha_transport_connect_finish (f->transport, result, &error);
  g_assert_cmpint (channel != NULL, ==, error == NULL);
  /* It may come too late for the connect, but never for the descriptor. */
  if (channel == NULL)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (g_get_monotonic_time () - begin, <,
                   length + CONNECT_MS / 2 * G_TIME_SPAN_MILLISECOND);
  return late;
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  /* It goes with its last reference. */
}

static void
test_cancelled_at_every_step (Fixture *f)
{
  guint before = fixture_count_at_rest (f);
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  HyphaEndpoint *bound = hypha_listener_get_bound (listener);
  guint listening, rounds = 0;
  gboolean late = FALSE;

  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), NULL);
  g_assert_true (harness_wait_stable (&listening));
  for (gint64 steps = 0; !late && steps < 1000; steps += 1 + steps / 16, rounds++) {
    late = cancel_after (f, bound, STEPS, steps);
    g_assert_true (harness_wait_descriptors (listening));
  }
  g_assert_true (late);
  late = FALSE;
  for (gint64 us = 10; !late && us < CONNECT_MS * 1000; us += us / 3, rounds++) {
    late = cancel_after (f, bound, MICROSECONDS, us);
    g_assert_true (harness_wait_descriptors (listening));
  }
  g_assert_true (late);
  g_test_message ("cancelled at %u moments", rounds);
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

const ContractTest contract_cancel_tests[] = {
  { "connect/cancelled-leaves-nothing", test_connect_cancelled, NEEDS_CHANNEL,
    "connecting to who never answers ends as cancelled when it is, and leaves nothing" },
  { "connect/cancelled-at-every-step-leaves-nothing", test_cancelled_at_every_step, NEEDS_CHANNEL,
    "connecting ends once, as cancelled or with its channel, whenever it is cancelled, and leaves "
    "nothing" },
  { NULL, NULL, 0, NULL },
};
