/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a node offers: the settings against what programs register. */

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node-pair.h"

typedef struct {
  HyphaIncoming *incoming; /* not answered yet */
  guint n;
} Asked;

static void
on_asked (HyphaIncoming *incoming, gpointer user_data)
{
  Asked *asked = user_data;

  asked->incoming = incoming;
  asked->n++;
}

static void
configure (NodePair *f, const char *text)
{
  g_autoptr (GVariant) services =
      g_variant_parse (G_VARIANT_TYPE ("a{sa{sv}}"), text, NULL, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_services_configure (f->b.services, services, &error));
  g_assert_no_error (error);
}

static void
must_register (NodePair *f, const char *name, Asked *asked)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_services_register (f->b.services, name, ":1.7", on_asked, asked, &error));
  g_assert_no_error (error);
}

static HyphaNodePeer *
connected (NodePair *f)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");

  return join (f, bound);
}

static HyphaStream *
opening (HyphaNodePeer *peer, GAsyncResult **result, Asked *asked)
{
  g_autoptr (GError) error = NULL;

  hypha_peer_open_stream_async (HYPHA_PEER (peer), "app", 10000, NULL, keep_result, result);
  wait_until (asked->incoming != NULL);
  return hypha_incoming_make_stream (asked->incoming, &error);
}

static void
test_stream_is_open_when_the_program_has_taken_it (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GAsyncResult) result = NULL, ended = NULL;
  g_autoptr (HyphaStream) served = NULL, stream = NULL;
  g_autoptr (GError) error = NULL;
  Asked asked = { NULL, 0 };
  char text[3] = "";

  must_register (f, "app", &asked);
  served = opening (peer, &result, &asked);
  g_assert_cmpuint (hypha_stream_get_id (served), ==, hypha_incoming_get_id (asked.incoming));
  hypha_stream_wait_end_async (served, NULL, keep_result, &ended);
  g_assert_null (result);
  hypha_incoming_accept_made (asked.incoming);
  wait_until (result != NULL);
  stream = hypha_peer_open_stream_finish (HYPHA_PEER (peer), result, &error);
  g_assert_no_error (error);
  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (stream)), "hi", 2, NULL,
                             NULL, &error);
  g_assert_no_error (error);
  g_input_stream_read_all (g_io_stream_get_input_stream (G_IO_STREAM (served)), text, 2, NULL, NULL,
                           &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "hi");
  g_assert_true (hypha_stream_close_write (served, &error));
  g_assert_true (hypha_stream_close_write (stream, &error));
  wait_until (ended != NULL);
  g_assert_true (hypha_stream_wait_end_finish (served, ended, NULL, NULL, &error));
  g_assert_no_error (error);
}

static void
test_stream_that_was_refused_is_told_to_who_was_asked (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GAsyncResult) result = NULL, ended = NULL;
  g_autoptr (HyphaStream) served = NULL;
  g_autoptr (GError) error = NULL;
  Asked asked = { NULL, 0 };

  must_register (f, "app", &asked);
  served = opening (peer, &result, &asked);
  hypha_stream_wait_end_async (served, NULL, keep_result, &ended);
  hypha_incoming_refuse (asked.incoming, HYPHA_ERROR_REFUSED);
  wait_until (result != NULL && ended != NULL);
  g_assert_null (hypha_peer_open_stream_finish (HYPHA_PEER (peer), result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED);
  g_clear_error (&error);
  g_assert_false (hypha_stream_wait_end_finish (served, ended, NULL, NULL, &error));
  g_assert_nonnull (error);
}

static void
test_stream_that_ended_before_the_answer_needs_no_answer (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GAsyncResult) result = NULL, ended = NULL;
  g_autoptr (HyphaStream) served = NULL;
  g_autoptr (GError) error = NULL;
  Asked asked = { NULL, 0 };
  char byte;

  must_register (f, "app", &asked);
  served = opening (peer, &result, &asked);
  hypha_stream_wait_end_async (served, NULL, keep_result, &ended);
  hypha_peer_disconnect_async (HYPHA_PEER (peer), NULL, NULL, NULL);
  wait_until (result != NULL && ended != NULL);
  g_assert_false (hypha_stream_wait_end_finish (served, ended, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_clear_error (&error);
  hypha_incoming_accept_made (asked.incoming);
  /* The program's end breaks, and is not left hanging. */
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (served)), &byte,
                                        1, NULL, &error),
                   ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE);
}

static void
expect_refusal (NodePair *f, HyphaNodePeer *peer, HyphaError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (open_stream (peer, "app", &error));
  g_assert_error (error, HYPHA_ERROR, (gint) code);
}

static void
test_settings_say_who_may_use_what_is_registered (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaStream) served = NULL;
  Asked asked = { NULL, 0 };

  configure (f, "{'app': {'peers': <['gamma']>}}");
  expect_refusal (f, peer, HYPHA_ERROR_NO_SUCH_SERVICE);
  must_register (f, "app", &asked);
  expect_refusal (f, peer, HYPHA_ERROR_PERMISSION_DENIED);
  g_assert_cmpuint (asked.n, ==, 0);
  configure (f, "{'app': {'target': <'handler'>, 'peers': <['alpha']>}}");
  served = opening (peer, &result, &asked);
  hypha_incoming_refuse (asked.incoming, HYPHA_ERROR_BUSY);
  wait_until (result != NULL);
}

static void
test_target_of_the_settings_goes_before_what_is_registered (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  Asked asked = { NULL, 0 };

  must_register (f, "app", &asked);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "service 'app': *'echo'; :1.7*");
  configure (f, "{'app': {'target': <'echo'>}}");
  g_test_assert_expected_messages ();
  stream = must_open (peer, "app");
  g_assert_cmpuint (asked.n, ==, 0);
  g_assert_false (hypha_services_register (f->b.services, "app", ":1.8", on_asked, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
}

/* As long as this process has no descriptor for the thread that serves it. */
static void
test_builtin_that_cannot_be_served_sends_the_opener_to_the_log (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  struct rlimit limit, none;
  int lowest = dup (STDIN_FILENO); /* of those that are free; poll() needs the others */

  close (lowest);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  none = limit;
  none.rlim_cur = (rlim_t) lowest;
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "service 'echo': *");
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  hypha_peer_open_stream_async (HYPHA_PEER (peer), "echo", 10000, NULL, keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  g_test_assert_expected_messages ();
  g_assert_null (hypha_peer_open_stream_finish (HYPHA_PEER (peer), result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED);
  g_assert_nonnull (strstr (error->message, "its log says why"));
  stream = must_open (peer, "echo");
}

static void
count_change (HyphaServices *services, guint *changes)
{
  ++*changes;
}

static void
test_list_is_kept_current (NodePair *f, gconstpointer data)
{
  g_autoptr (GVariant) before = hypha_services_dup (f->b.services);
  g_autoptr (GVariant) there = NULL, after = NULL;
  g_autofree char *printed = NULL;
  guint changes = 0;

  g_signal_connect (f->b.services, "changed", G_CALLBACK (count_change), &changes);
  configure (f, "{'app': {'peers': <['alpha']>}, 'echo': {'target': <'off'>}}");
  must_register (f, "app", NULL);
  there = hypha_services_dup (f->b.services);
  printed = g_variant_print (there, FALSE);
  g_assert_cmpstr (printed, ==,
                   "{'app': {'target': <'handler'>, 'peers': <['alpha']>, 'owner': <':1.7'>}, "
                   "'discard': {'target': <'discard'>}}");
  hypha_services_unregister (f->b.services, "app");
  hypha_services_unregister (f->b.services, "nosuch");
  configure (f, "{}");
  g_assert_cmpuint (changes, ==, 4);
  after = hypha_services_dup (f->b.services);
  g_assert_true (g_variant_equal (before, after));
}

static void
test_settings_that_are_wrong_change_nothing (NodePair *f, gconstpointer data)
{
  static const char *const wrong[] = {
    "{'': {}}",
    "{'two words': {}}",
    "{'app': {'target': <'nowhere'>}}",
    "{'app': {'target': <1>}}",
    "{'app': {'peers': <'alpha'>}}",
    "{'app': {'frob': <'x'>}}",
  };
  g_autoptr (GVariant) before = NULL, after = NULL;

  configure (f, "{'app': {'target': <'discard'>}}");
  before = hypha_services_dup (f->b.services);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GVariant) services =
        g_variant_parse (G_VARIANT_TYPE ("a{sa{sv}}"), wrong[i], NULL, NULL, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_false (hypha_services_configure (f->b.services, services, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  }
  after = hypha_services_dup (f->b.services);
  g_assert_true (g_variant_equal (before, after));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) \
  g_test_add (name, NodePair, NULL, node_pair_set_up, test, node_pair_tear_down)
  ADD ("/services/stream-is-open-when-the-program-has-taken-it",
       test_stream_is_open_when_the_program_has_taken_it);
  ADD ("/services/stream-that-was-refused-is-told-to-who-was-asked",
       test_stream_that_was_refused_is_told_to_who_was_asked);
  ADD ("/services/stream-that-ended-before-the-answer-needs-no-answer",
       test_stream_that_ended_before_the_answer_needs_no_answer);
  ADD ("/services/settings-say-who-may-use-what-is-registered",
       test_settings_say_who_may_use_what_is_registered);
  ADD ("/services/target-of-the-settings-goes-before-what-is-registered",
       test_target_of_the_settings_goes_before_what_is_registered);
  ADD ("/services/builtin-that-cannot-be-served-sends-the-opener-to-the-log",
       test_builtin_that_cannot_be_served_sends_the_opener_to_the_log);
  ADD ("/services/list-is-kept-current", test_list_is_kept_current);
  ADD ("/services/settings-that-are-wrong-change-nothing",
       test_settings_that_are_wrong_change_nothing);
  return g_test_run ();
}
