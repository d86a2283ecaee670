/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/resource.h>

#include "contract-fixture.h"

/* Many at once. */

#define MANY 200
#define EXCHANGING 100
#define EXCHANGED (64 * 1024)
#define STORM 60
/* Some go on trying where nobody listens any more. */
#define STORM_MS 1500

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
test_many (Fixture *f)
{
  g_autoptr (GPtrArray) dialled = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HarnessSink) sink = NULL;
  GAsyncResult *results[MANY] = { NULL };
  gboolean seen[MANY] = { FALSE };

  raise_descriptor_limit ();
  endpoint = fixture_fresh (f);
  listener = fixture_listen (f, endpoint);
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
    fixture_knock (f, channel);
    /* Datagrams that come faster than they are read are lost. */
    g_assert_true (!f->contract->lossy || harness_wait_accepted (sink, i + 1));
    g_assert_true (harness_write_all (hypha_channel_get_fd (channel), &message, sizeof message));
  }
  g_assert_true (harness_wait_accepted (sink, MANY));
  g_assert_cmpuint (sink->channels->len, ==, MANY);
  for (guint i = 0; i < MANY; i++) {
    Numbered message = { .number = MANY };

    fixture_welcome (f, sink->channels->pdata[i]);
    g_assert_cmpint (
        harness_read (hypha_channel_get_fd (sink->channels->pdata[i]), &message, sizeof message),
        ==, sizeof message);
    g_assert_cmpuint (message.number, <, MANY);
    g_assert_false (seen[message.number]);
    seen[message.number] = TRUE;
  }
  hypha_listener_close (listener);
}

/* ---- each of them at work ---- */

static void
test_many_exchange (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  g_autoptr (HarnessSink) sink = harness_sink_new (listener);
  g_autoptr (GPtrArray) dialled = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;
  GAsyncResult *results[EXCHANGING] = { NULL };
  int fds[2 * EXCHANGING];

  raise_descriptor_limit ();
  for (guint i = 0; i < EXCHANGING; i++)
    hypha_transport_connect_async (f->transport, hypha_listener_get_bound (listener), CONNECT_MS,
                                   NULL, harness_keep_result, &results[i]);
  for (guint8 i = 0; i < EXCHANGING; i++) {
    harness_wait_result (&results[i]);
    g_ptr_array_add (dialled, hypha_transport_connect_finish (f->transport, results[i], &error));
    g_assert_no_error (error);
    g_clear_object (&results[i]);
    fds[2 * i] = hypha_channel_get_fd (dialled->pdata[i]);
    g_assert_true (harness_write_all (fds[2 * i], &i, 1));
  }
  g_assert_true (harness_wait_accepted (sink, EXCHANGING));
  /* They may come in any order. */
  for (guint i = 0; i < EXCHANGING; i++) {
    int fd = hypha_channel_get_fd (sink->channels->pdata[i]);
    guint8 number = EXCHANGING;

    g_assert_cmpint (harness_read (fd, &number, 1), ==, 1);
    g_assert_cmpuint (number, <, EXCHANGING);
    fds[2 * number + 1] = fd;
  }
  harness_exchange_all (fds, EXCHANGING, EXCHANGED, &error);
  g_assert_no_error (error);
  hypha_listener_close (listener);
}

/* ---- a listener that is closed while they come ---- */

/* Whoever was accepted answers; whoever was not hears that nobody does. */
static void
assert_answered_or_ended (GPtrArray *dialled, GPtrArray *accepted)
{
  guint answered = 0;

  for (guint i = 0; i < accepted->len; i++) {
    int fd = hypha_channel_get_fd (accepted->pdata[i]);
    char byte;
    gssize n = harness_read (fd, &byte, 1);

    g_assert_false (n < 0 && errno == ETIMEDOUT);
    if (n == 1)
      harness_write_all (fd, &byte, 1);
  }
  for (guint i = 0; i < dialled->len; i++) {
    char byte;
    gssize n = harness_read (hypha_channel_get_fd (dialled->pdata[i]), &byte, 1);

    g_assert_false (n < 0 && errno == ETIMEDOUT);
    answered += n == 1 ? 1 : 0;
  }
  g_test_message ("%u connected, %u accepted, %u answered", dialled->len, accepted->len, answered);
}

/* AFTER of them have connected when the listener is closed. */
static void
close_under_load (Fixture *f, guint after)
{
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  g_autoptr (HarnessSink) sink = harness_sink_new (listener);
  g_autoptr (GPtrArray) dialled = g_ptr_array_new_with_free_func (g_object_unref);
  GAsyncResult *results[STORM] = { NULL };
  guint accepted, open;

  for (guint i = 0; i < STORM; i++)
    hypha_transport_connect_async (f->transport, hypha_listener_get_bound (listener), STORM_MS,
                                   NULL, harness_keep_result, &results[i]);
  g_assert_true (harness_wait_accepted (sink, after));
  hypha_listener_close (listener);
  accepted = sink->channels->len;
  for (guint i = 0; i < STORM; i++) {
    g_autoptr (GError) error = NULL;
    HyphaChannel *channel;

    harness_wait_result (&results[i]);
    channel = hypha_transport_connect_finish (f->transport, results[i], &error);
    g_clear_object (&results[i]);
    if (channel == NULL) {
      /* Nobody has cancelled it. */
      g_assert_true (error->domain == HYPHA_ERROR);
      g_assert_false (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN));
      continue;
    }
    g_ptr_array_add (dialled, channel);
    harness_write_all (hypha_channel_get_fd (channel), "x", 1);
  }
  /* A transport may have to end, in the main loop, what was on its way to the listener. */
  g_assert_true (harness_wait_stable (&open));
  /* What is closed accepts nothing more. */
  g_assert_cmpuint (sink->channels->len, ==, accepted);
  assert_answered_or_ended (dialled, sink->channels);
}

static void
test_closed_under_load (Fixture *f)
{
  static const guint moments[] = { 1, STORM / 2 };
  guint before = fixture_count_at_rest (f);

  raise_descriptor_limit ();
  for (guint i = 0; i < G_N_ELEMENTS (moments); i++) {
    close_under_load (f, moments[i]);
    g_assert_true (harness_wait_descriptors (before));
  }
}

const ContractTest contract_many_tests[] = {
  { "channel/200-at-once", test_many, NEEDS_CHANNEL,
    "200 who connect at once are all accepted, each as itself" },
  { "channel/100-exchange-at-once", test_many_exchange, NEEDS_CHANNEL | NEEDS_STREAM,
    "100 channels at work at once do not mix, and none of them waits for ever" },
  { "listen/closed-under-load", test_closed_under_load, NEEDS_LISTENER | NEEDS_STREAM,
    "when a listener is closed while many connect, each of them gets a channel that is answered or "
    "ends, or an error, soon" },
  { NULL, NULL, 0, NULL },
};
