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
expect_refusal_of (HyphaNodePeer *peer, const char *service, HyphaError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (open_stream (peer, service, &error));
  g_assert_error (error, HYPHA_ERROR, (gint) code);
}

static void
expect_refusal (NodePair *f, HyphaNodePeer *peer, HyphaError code)
{
  expect_refusal_of (peer, "app", code);
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

/* ---- names that stand for all ports of a kind ---- */

static void
test_port_of_the_name_is_that_of_the_target (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GSocketListener) program = g_socket_listener_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketConnection) accepted = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  guint16 port = g_socket_listener_add_any_inet_port (program, NULL, &error);
  g_autofree char *name = g_strdup_printf ("a:tcp:%u", port);
  g_autofree char *exact =
      g_strdup_printf ("{'a:tcp:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['alpha']>}, "
                       "'%s': {'target': <'off'>}}",
                       name);

  g_assert_no_error (error);
  configure (f, "{'a:tcp:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['alpha']>}}");
  g_socket_listener_accept_async (program, NULL, keep_result, &result);
  stream = must_open (peer, name);
  accepted = program_accepted (program, &result);
  configure (f, "{'a:tcp:*': {'target': <'tcp://127.0.0.1:*'>, 'peers': <['gamma']>}}");
  expect_refusal_of (peer, name, HYPHA_ERROR_PERMISSION_DENIED);
  configure (f, exact);
  expect_refusal_of (peer, name, HYPHA_ERROR_NO_SUCH_SERVICE);
}

static void
test_only_a_port_is_put_into_a_target (NodePair *f, gconstpointer data)
{
  static const char *const covered[] = { "port:1", "port:4294967295", "tcp:65536" };
  static const char *const others[] = {
    "port",
    "port:",
    "port:0",
    "port:007",
    "port:+1",
    "port:-1",
    "port:1/../2",
    "port:ssh",
    "port:0x7",
    "port:*",
    "port:1:*",
    "port:4294967296",
    "port:18446744073709551617",
    "port:1:2",
    "xport:1",
    "tcp:*",
  };
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autofree char *text =
      g_strdup_printf ("{'port:*': {'target': <'unix://%s/app:*'>}, 'tcp:*': {'target': "
                       "<'tcp://127.0.0.1:*'>}}",
                       f->dir);

  configure (f, text);
  for (gsize i = 0; i < G_N_ELEMENTS (covered); i++) {
    g_autofree char *logged = g_strdup_printf ("service '%s': *", covered[i]);

    g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, logged);
    expect_refusal_of (peer, covered[i], HYPHA_ERROR_REFUSED);
    g_test_assert_expected_messages ();
  }
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    expect_refusal_of (peer, others[i], HYPHA_ERROR_NO_SUCH_SERVICE);
}

static gboolean
registers (NodePair *f, const char *name, HyphaError *code)
{
  g_autoptr (GError) error = NULL;
  gboolean registered =
      hypha_services_register (f->b.services, name, ":1.8", on_asked, NULL, &error);

  *code = registered ? 0 : (HyphaError) error->code;
  return registered;
}

static void
test_names_that_are_covered_belong_to_the_settings (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) peer = connected (f);
  g_autoptr (GVariant) there = NULL;
  g_autofree char *printed = NULL;
  Asked asked = { NULL, 0 };
  HyphaError code;

  must_register (f, "port:7", &asked);
  must_register (f, "port:ssh", &asked);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE,
                         "service 'port:7': *'unix:///nosuch:*'; :1.7*");
  configure (f, "{'port:*': {'target': <'unix:///nosuch:*'>}, 'port:9': {}}");
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "service 'port:7': *");
  expect_refusal_of (peer, "port:7", HYPHA_ERROR_REFUSED);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (asked.n, ==, 0);
  g_assert_false (registers (f, "port:8", &code));
  g_assert_cmpint (code, ==, HYPHA_ERROR_BUSY);
  g_assert_false (registers (f, "port:*", &code));
  g_assert_cmpint (code, ==, HYPHA_ERROR_INVALID_ARGUMENT);
  g_assert_true (registers (f, "port:9", &code));
  there = hypha_services_dup (f->b.services);
  printed = g_variant_print (there, FALSE);
  g_assert_cmpstr (printed, ==,
                   "{'discard': {'target': <'discard'>}, 'echo': {'target': <'echo'>}, "
                   "'port:*': {'target': <'unix:///nosuch:*'>}, "
                   "'port:9': {'target': <'handler'>, 'owner': <':1.8'>}, "
                   "'port:ssh': {'target': <'handler'>, 'owner': <':1.7'>}}");
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
    "{'port:*': {}}",
    "{'port:*': {'target': <'handler'>}}",
    "{'port:*': {'target': <'off'>}}",
    "{'port:*': {'target': <'tcp://127.0.0.1:80'>}}",
    "{'port:*': {'target': <'tcp://*:*'>}}",
    "{'port:*': {'target': <'tcp://127.0.0.1:*?cost=3'>}}",
    "{'port:*': {'target': <'unix:///run/*'>}}",
    "{'port:*': {'target': <'tcp://:*'>}}",
    "{'port:80': {'target': <'tcp://127.0.0.1:*'>}}",
    "{'*': {'target': <'tcp://127.0.0.1:*'>}}",
    "{':*': {'target': <'tcp://127.0.0.1:*'>}}",
    "{'port*': {'target': <'tcp://127.0.0.1:*'>}}",
    "{'port*': {'target': <'tcp://127.0.0.1:80'>}}",
    "{'*:80': {'target': <'tcp://127.0.0.1:*'>}}",
    "{'*:*': {'target': <'tcp://127.0.0.1:*'>}}",
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
  ADD ("/services/port-of-the-name-is-that-of-the-target",
       test_port_of_the_name_is_that_of_the_target);
  ADD ("/services/only-a-port-is-put-into-a-target", test_only_a_port_is_put_into_a_target);
  ADD ("/services/names-that-are-covered-belong-to-the-settings",
       test_names_that_are_covered_belong_to_the_settings);
  ADD ("/services/builtin-that-cannot-be-served-sends-the-opener-to-the-log",
       test_builtin_that_cannot_be_served_sends_the_opener_to_the_log);
  ADD ("/services/list-is-kept-current", test_list_is_kept_current);
  ADD ("/services/settings-that-are-wrong-change-nothing",
       test_settings_that_are_wrong_change_nothing);
  return g_test_run ();
}
