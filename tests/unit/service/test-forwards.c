/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Forwards of alpha to services of beta. What goes over them is tried in tests/daemon. */

#include "node-pair.h"

#include "service/forwards.h"

typedef struct {
  NodePair pair;
  HyphaForwards *forwards;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  node_pair_set_up (&f->pair, data);
  f->forwards = hypha_forwards_new (f->pair.a.node);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_forwards_stop (f->forwards);
  /* What was answered at last may still hold it. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (f->forwards);
  node_pair_tear_down (&f->pair, data);
}

static HyphaForward *
add (Fixture *f, const char *local, const char *peer, const char *target, GError **error)
{
  const HyphaForwardPlan plan = { local, peer, target, FALSE };
  g_autoptr (GAsyncResult) result = NULL;

  hypha_forwards_add_async (f->forwards, &plan, keep_result, &result);
  wait_until (result != NULL);
  return hypha_forwards_add_finish (f->forwards, result, error);
}

static guint
n_forwards (Fixture *f)
{
  return g_list_model_get_n_items (hypha_forwards_get_list (f->forwards));
}

static gboolean
configure (Fixture *f, const char *text, GError **error)
{
  g_autoptr (GVariant) forwards =
      g_variant_parse (G_VARIANT_TYPE ("aa{sv}"), text, NULL, NULL, NULL);

  return hypha_forwards_configure (f->forwards, forwards, error);
}

static GSocketConnection *
connect_to (HyphaForward *forward)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;
  GSocketConnection *connection;

  /* Who would be asked for a proxy may throw exceptions, which a sanitizer does not take. */
  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect_to_host (
      client, hypha_forward_get_local (forward) + strlen ("tcp://"), 1, NULL, &error);
  g_assert_no_error (error);
  return connection;
}

static void
test_connection_is_joined_when_the_peer_comes (Fixture *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  guint64 rx = 0, tx = 0;
  char text[5] = "";

  trust (&f->pair.a, &f->pair.b, "beta");
  forward = add (f, "tcp://127.0.0.1:0", "beta", "echo", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_forward_get_state (forward), ==, "listening");
  connection = connect_to (forward);
  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), "ping", 4,
                             NULL, NULL, &error);
  g_assert_no_error (error);
  peer = join (&f->pair, bound);
  wait_until (n_streams (peer) == 1);
  g_socket_shutdown (g_socket_connection_get_socket (connection), FALSE, TRUE, NULL);
  wait_until ((hypha_forward_get_counters (forward, &rx, &tx), rx == 4));
  g_assert_cmpuint (tx, ==, 4);
  g_input_stream_read_all (g_io_stream_get_input_stream (G_IO_STREAM (connection)), text, 4, NULL,
                           NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "ping");
  g_assert_cmpstr (hypha_forward_get_reason (forward), ==, "");
}

/* ---- a mux ---- */

static void
say (GSocketConnection *connection, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), text,
                             strlen (text), NULL, NULL, &error);
  g_assert_no_error (error);
}

static gboolean
can_be_read (GSocketConnection *connection)
{
  return g_pollable_input_stream_is_readable (
      G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (G_IO_STREAM (connection))));
}

static void
assert_hears (GSocketConnection *connection, const char *text)
{
  g_autofree char *buffer = g_malloc0 (strlen (text) + 1);
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (connection));

  for (gsize done = 0; done < strlen (text);) {
    gssize n;

    wait_until (can_be_read (connection));
    n = g_input_stream_read (input, buffer + done, strlen (text) - done, NULL, NULL);
    g_assert_cmpint (n, >, 0);
    done += (gsize) n;
  }
  g_assert_cmpstr (buffer, ==, text);
}

static void
assert_is_closed (GSocketConnection *connection)
{
  char byte;

  wait_until (can_be_read (connection));
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (connection)),
                                        &byte, 1, NULL, NULL),
                   <=, 0);
}

static HyphaForward *
add_mux (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  HyphaForward *forward = add (f, "tcp://127.0.0.1:0", "beta", HYPHA_FORWARD_MUX, &error);

  g_assert_no_error (error);
  return forward;
}

static void
test_mux_leads_each_connection_where_it_says (Fixture *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;

  trust (&f->pair.a, &f->pair.b, "beta");
  peer = join (&f->pair, bound);
  forward = add_mux (f);
  first = connect_to (forward);
  second = connect_to (forward);
  say (first, "CONN");
  say (second, "CONNECT discard\n");
  assert_hears (second, "OK 1073741824\n");
  /* What comes before the answer is not lost. */
  say (first, "ECT echo\nearly, ");
  say (first, "and late");
  assert_hears (first, "OK 1073741824\nearly, and late");
  g_assert_true (g_io_stream_close (G_IO_STREAM (first), NULL, NULL));
  g_assert_true (g_io_stream_close (G_IO_STREAM (second), NULL, NULL));
  wait_until (n_streams (peer) == 0);
}

static void
test_mux_closes_what_it_cannot_lead (Fixture *f, gconstpointer data)
{
  static const char *const lines[] = { "CONNECT nothing-there\n", "CONNECT 7\n", "HELO\n" };
  static const char *const reasons[] = { "'nothing-there'", "'port:7'",
                                         "has to begin with CONNECT" };
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  trust (&f->pair.a, &f->pair.b, "beta");
  peer = join (&f->pair, bound);
  forward = add_mux (f);
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autoptr (GSocketConnection) connection = connect_to (forward);

    say (connection, lines[i]);
    assert_is_closed (connection);
    wait_until (strstr (hypha_forward_get_reason (forward), reasons[i]) != NULL);
  }
}

static GLogWriterOutput
count_reasons (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer counter)
{
  for (gsize i = 0; i < n_fields; i++)
    if (g_str_equal (fields[i].key, "MESSAGE") && strstr (fields[i].value, "no such service"))
      ++*(guint *) counter;
  return g_log_writer_default (level, fields, n_fields, NULL);
}

static void
test_mux_fills_no_log (Fixture *f, gconstpointer data)
{
  if (g_test_subprocess ()) {
    g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
    g_autoptr (HyphaForward) forward = NULL;
    g_autoptr (HyphaNodePeer) peer = NULL;
    guint lines = 0;

    trust (&f->pair.a, &f->pair.b, "beta");
    peer = join (&f->pair, bound);
    forward = add_mux (f);
    g_log_set_writer_func (count_reasons, &lines, NULL);
    for (guint i = 0; i < 20; i++) {
      g_autoptr (GSocketConnection) connection = connect_to (forward);
      g_autofree char *line = g_strdup_printf ("CONNECT %u\n", i);
      g_autofree char *reason = g_strdup_printf ("'port:%u'", i);

      say (connection, line);
      assert_is_closed (connection);
      wait_until (strstr (hypha_forward_get_reason (forward), reason) != NULL);
    }
    g_assert_cmpuint (lines, ==, 5);
    return;
  }
  /* The log has one writer for the whole life of a process. */
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed ();
}

static void
test_mux_that_goes_takes_those_along_who_have_not_said (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (GSocketConnection) silent = NULL;
  g_autoptr (GSocketConnection) other = NULL;

  trust (&f->pair.a, &f->pair.b, "beta");
  forward = add_mux (f);
  silent = connect_to (forward);
  /* It comes after the silent one. */
  other = connect_to (forward);
  say (other, "?\n");
  assert_is_closed (other);
  hypha_forwards_remove (f->forwards, forward);
  assert_is_closed (silent);
}

static void
test_connection_that_waits_is_reset_when_its_forward_goes (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  char byte;

  trust (&f->pair.a, &f->pair.b, "beta");
  forward = add (f, "tcp://127.0.0.1:0", "beta", "echo", &error);
  g_assert_no_error (error);
  connection = connect_to (forward);
  /* Until it was let in: another one is there, then, too. */
  {
    g_autoptr (GSocketConnection) refused = NULL;
    g_autoptr (HyphaForward) other = add (f, "tcp://127.0.0.1:0", "nobody", "echo", &error);

    g_assert_no_error (error);
    refused = connect_to (other);
    wait_until (*hypha_forward_get_reason (other) != '\0');
  }
  hypha_forwards_remove (f->forwards, forward);
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (connection)),
                                        &byte, 1, NULL, &error),
                   ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

static void
test_settings_are_told_as_they_were_given (Fixture *f, gconstpointer data)
{
  static const char text[] =
      "[{'target': <'web'>, 'local': <'tcp://127.0.0.1:0'>, 'peer': <'beta'>}]";
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (GVariant) told = NULL;
  g_autoptr (HyphaForward) first = NULL;

  g_assert_true (configure (f, text, &error));
  g_assert_no_error (error);
  first = g_list_model_get_item (hypha_forwards_get_list (f->forwards), 0);
  wait_until (g_str_equal (hypha_forward_get_state (first), "listening"));
  forward = add (f, "tcp://127.0.0.1:0", "beta", "echo", &error);
  g_assert_no_error (error);
  told = hypha_forwards_dup (f->forwards);
  g_assert_cmpuint (g_variant_n_children (told), ==, 1);
  g_assert_true (configure (f, text, &error));
  /* The same object: it was left alone. */
  g_assert_true (
      g_list_store_find (G_LIST_STORE (hypha_forwards_get_list (f->forwards)), first, NULL));
  g_assert_true (configure (f, "[]", &error));
  g_assert_cmpuint (n_forwards (f), ==, 1);
}

static void
test_there_is_an_end_to_forwards (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new ("[");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < HYPHA_FORWARDS_MAX + 1; i++)
    g_string_append_printf (text,
                            "%s{'local': <'unix://%s/x%u'>, 'peer': <'beta'>, 'target': <'web'>}",
                            i > 0 ? ", " : "", f->pair.dir, i);
  g_string_append (text, "]");
  g_assert_false (configure (f, text->str, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "entry 257"));
  g_assert_cmpuint (n_forwards (f), ==, 0);
}

static void
test_nothing_is_forwarded_once_stopped (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  hypha_forwards_stop (f->forwards);
  g_assert_null (add (f, "tcp://127.0.0.1:0", "beta", "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_assert_true (
      configure (f, "[{'local': <'tcp://127.0.0.1:0'>, 'peer': <'x'>, 'target': <'y'>}]", NULL));
  g_assert_cmpuint (n_forwards (f), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add (name, Fixture, NULL, set_up, test, tear_down)
  ADD ("/forwards/connection-is-joined-when-the-peer-comes",
       test_connection_is_joined_when_the_peer_comes);
  ADD ("/forwards/connection-that-waits-is-reset-when-its-forward-goes",
       test_connection_that_waits_is_reset_when_its_forward_goes);
  ADD ("/forwards/mux/leads-each-connection-where-it-says",
       test_mux_leads_each_connection_where_it_says);
  ADD ("/forwards/mux/closes-what-it-cannot-lead", test_mux_closes_what_it_cannot_lead);
  ADD ("/forwards/mux/fills-no-log", test_mux_fills_no_log);
  ADD ("/forwards/mux/takes-those-along-who-have-not-said",
       test_mux_that_goes_takes_those_along_who_have_not_said);
  ADD ("/forwards/settings-are-told-as-they-were-given", test_settings_are_told_as_they_were_given);
  ADD ("/forwards/there-is-an-end-to-forwards", test_there_is_an_end_to_forwards);
  ADD ("/forwards/nothing-is-forwarded-once-stopped", test_nothing_is_forwarded_once_stopped);
  return g_test_run ();
}
