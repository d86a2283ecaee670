/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client library against a node that has a peer `alpha`: run by test-nodes.py, which ends the
 * node's process when this one asks. */

#include <gio/gunixfdlist.h>
#include <signal.h>
#include <string.h>

#include "client/client.h"

typedef struct {
  HyphaBus bus;
  HyphaClient *client;
  HyphaClientPeer *alpha;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->bus.address = g_strdup (g_getenv ("HYPHA_TEST_ADDRESS"));
  f->client = hypha_client_new (f->bus.address, NULL, &error);
  g_assert_no_error (error);
  f->alpha = hypha_client_find_peer (f->client, "alpha", &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_object (&f->alpha);
  g_clear_object (&f->client);
  hypha_bus_clear (&f->bus);
}

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *result;
}

static HyphaStream *
open_stream (Fixture *f, const char *service, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_peer_open_stream_async (HYPHA_PEER (f->alpha), service, 10000, NULL, on_done, &result);
  return hypha_peer_open_stream_finish (HYPHA_PEER (f->alpha), wait_for (&result), error);
}

static gboolean
wait_end (HyphaStream *stream, guint64 *received, guint64 *sent, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_stream_wait_end_async (stream, NULL, on_done, &result);
  return hypha_stream_wait_end_finish (stream, wait_for (&result), received, sent, error);
}

static void
test_peer_has_the_properties_of_the_interface (Fixture *f, gconstpointer data)
{
  g_autofree char *id = hypha_peer_dup_id (HYPHA_PEER (f->alpha));
  g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (f->alpha));

  g_assert_cmpuint (strlen (id), ==, HYPHA_NODE_ID_CHARS);
  g_assert_cmpstr (name, ==, "alpha");
  g_assert_true (hypha_peer_get_trusted (HYPHA_PEER (f->alpha)));
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (f->alpha)), ==, HYPHA_PEER_ONLINE);
  g_assert_cmpuint (hypha_peer_get_link_cost (HYPHA_PEER (f->alpha)), <, G_MAXUINT);
  g_assert_cmpuint (g_list_model_get_n_items (hypha_client_get_peers (f->client)), ==, 1);
}

static void
test_new_async_finds_the_same_node (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaClient) other = NULL;
  g_autoptr (GError) error = NULL;

  hypha_client_new_async (f->bus.address, NULL, on_done, &result);
  other = hypha_client_new_finish (wait_for (&result), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_dbus_node1_get_id (hypha_client_get_node (other)), ==,
                   hypha_dbus_node1_get_id (hypha_client_get_node (f->client)));
}

static void
test_stream_carries_bytes_and_tells_how_it_ended (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "echo", &error);
  GOutputStream *output;
  GInputStream *input;
  char buffer[8] = "";
  guint64 received, sent;
  gsize n;

  g_assert_no_error (error);
  output = g_io_stream_get_output_stream (G_IO_STREAM (stream));
  input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  g_assert_true (g_output_stream_write_all (output, "hyphae", 6, &n, NULL, &error));
  g_assert_true (hypha_stream_close_write (stream, &error));
  g_assert_true (g_input_stream_read_all (input, buffer, sizeof buffer, &n, NULL, &error));
  g_assert_cmpmem (buffer, n, "hyphae", 6);
  g_assert_true (wait_end (stream, &received, &sent, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (received, ==, 6);
  g_assert_cmpuint (sent, ==, 6);
}

static void
test_refusal_is_an_error_of_the_domain (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "nosuch", &error);

  g_assert_null (stream);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE);
  g_assert_null (strstr (error->message, "GDBus"));
}

static void
test_reset_is_told_apart_from_an_end (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "echo", &error);

  g_assert_no_error (error);
  g_assert_true (hypha_dbus_peer1_call_close_stream_sync (
      hypha_client_peer_get_proxy (f->alpha), hypha_stream_get_id (stream), G_DBUS_CALL_FLAGS_NONE,
      -1, NULL, &error));
  g_assert_false (wait_end (stream, NULL, NULL, &error));
  g_assert_cmpuint (error->domain, ==, HYPHA_ERROR);
}

static void
test_result_belongs_to_who_opened_the_stream (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "echo", &error);
  g_autoptr (HyphaClient) stranger = NULL;
  g_autoptr (HyphaClientPeer) alpha = NULL;
  guint64 id;

  g_assert_no_error (error);
  id = hypha_stream_get_id (stream);
  stranger = hypha_client_new (f->bus.address, NULL, &error);
  g_assert_no_error (error);
  alpha = hypha_client_find_peer (stranger, "alpha", &error);
  g_assert_no_error (error);
  g_assert_false (hypha_dbus_peer1_call_stream_result_sync (hypha_client_peer_get_proxy (alpha), id,
                                                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL,
                                                            NULL, NULL, &error));
  hypha_client_clean_error (&error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE);
}

static gboolean
ask (Fixture *f, guint64 id, char **text, GError **error)
{
  gboolean answered = hypha_dbus_peer1_call_stream_result_sync (
      hypha_client_peer_get_proxy (f->alpha), id, G_DBUS_CALL_FLAGS_NONE, -1, text, NULL, NULL,
      NULL, error);

  hypha_client_clean_error (error);
  return answered;
}

static void
test_result_is_given_once_and_to_one_who_waits (Fixture *f, gconstpointer data)
{
  HyphaDBusPeer1 *proxy = hypha_client_peer_get_proxy (f->alpha);
  g_autoptr (GError) error = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) handle = NULL;
  g_autofree char *text = NULL;
  guint64 id;

  hypha_dbus_peer1_call_open_stream_sync (proxy, "echo", g_variant_new_parsed ("@a{sv} {}"),
                                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, &handle, &id, &fds,
                                          NULL, &error);
  g_assert_no_error (error);
  hypha_dbus_peer1_call_stream_result (proxy, id, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, on_done,
                                       &result);
  g_assert_false (ask (f, id, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_clear_error (&error);
  g_clear_object (&fds);
  hypha_dbus_peer1_call_stream_result_finish (proxy, &text, NULL, NULL, wait_for (&result), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "");
  g_assert_false (ask (f, id, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE);
}

static GVariant *
dup_streams (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  GVariant *streams;

  hypha_dbus_peer1_call_streams_sync (hypha_client_peer_get_proxy (f->alpha),
                                      G_DBUS_CALL_FLAGS_NONE, -1, &streams, NULL, &error);
  g_assert_no_error (error);
  return streams;
}

/* Neither the library nor the daemon keeps an end of it. */
static void
test_stream_that_is_dropped_ends (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = open_stream (f, "echo", &error);
  gsize open = 1;

  g_assert_no_error (error);
  g_object_unref (stream);
  while (open > 0) {
    g_autoptr (GVariant) streams = dup_streams (f);

    open = g_variant_n_children (streams);
    g_main_context_iteration (NULL, FALSE);
  }
}

static void
test_more_streams_than_a_bus_lets_a_client_wait_for (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 200; i++) {
    HyphaStream *stream = open_stream (f, "echo", &error);

    g_assert_no_error (error);
    g_ptr_array_add (streams, stream);
  }
  for (guint i = 0; i < streams->len; i++) {
    g_assert_true (hypha_stream_close_write (streams->pdata[i], &error));
    g_assert_true (wait_end (streams->pdata[i], NULL, NULL, &error));
  }
}

static void
test_disconnect_ends_the_stream_as_disconnected (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "echo", &error);
  g_autoptr (GAsyncResult) result = NULL;

  g_assert_no_error (error);
  hypha_peer_disconnect_async (HYPHA_PEER (f->alpha), NULL, on_done, &result);
  g_assert_true (hypha_peer_disconnect_finish (HYPHA_PEER (f->alpha), wait_for (&result), &error));
  g_assert_false (wait_end (stream, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  while (hypha_peer_get_state (HYPHA_PEER (f->alpha)) != HYPHA_PEER_ONLINE)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_node_that_is_killed_ends_the_stream_and_takes_the_peers_along (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (f, "echo", &error);

  g_assert_no_error (error);
  kill ((pid_t) g_ascii_strtoll (g_getenv ("HYPHA_TEST_DAEMON"), NULL, 10), SIGKILL);
  g_assert_false (wait_end (stream, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
  while (g_list_model_get_n_items (hypha_client_get_peers (f->client)) > 0)
    g_main_context_iteration (NULL, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)
  ADD ("/client/peer/has-the-properties-of-the-interface",
       test_peer_has_the_properties_of_the_interface);
  ADD ("/client/new-async/finds-the-same-node", test_new_async_finds_the_same_node);
  ADD ("/client/stream/carries-bytes-and-tells-how-it-ended",
       test_stream_carries_bytes_and_tells_how_it_ended);
  ADD ("/client/stream/refusal-is-an-error-of-the-domain", test_refusal_is_an_error_of_the_domain);
  ADD ("/client/stream/reset-is-told-apart-from-an-end", test_reset_is_told_apart_from_an_end);
  ADD ("/client/stream/result-belongs-to-who-opened-it",
       test_result_belongs_to_who_opened_the_stream);
  ADD ("/client/stream/result-is-given-once-and-to-one-who-waits",
       test_result_is_given_once_and_to_one_who_waits);
  ADD ("/client/stream/that-is-dropped-ends", test_stream_that_is_dropped_ends);
  ADD ("/client/stream/more-than-a-bus-lets-a-client-wait-for",
       test_more_streams_than_a_bus_lets_a_client_wait_for);
  ADD ("/client/peer/disconnect-ends-the-stream-as-disconnected",
       test_disconnect_ends_the_stream_as_disconnected);
  ADD ("/client/node/that-is-killed-ends-the-stream-and-takes-the-peers-along",
       test_node_that_is_killed_ends_the_stream_and_takes_the_peers_along);
  return g_test_run ();
}
