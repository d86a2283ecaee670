/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ports that beta tells, and alpha's mirror of them. What the kernels of two machines say is tried
 * in tests/daemon. */

#include "node-pair.h"

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/forward.h"
#include "service/forwards.h"
#include "service/mirror.h"
#include "service/port-set.h"
#include "service/port-teller.h"

#define LOCAL "tcp://127.0.0.1:*"

typedef struct {
  NodePair pair;
  HyphaForwards *forwards;
  HyphaNodePeer *peer;
  HyphaStream *told; /* what beta tells on; it is the test's */
  guint n_asked;
} Fixture;

static void
on_asked (HyphaIncoming *incoming, gpointer user_data)
{
  Fixture *f = user_data;

  g_clear_object (&f->told);
  f->told = hypha_incoming_make_stream (incoming, NULL);
  g_assert_nonnull (f->told);
  hypha_incoming_accept_made (incoming);
  f->n_asked++;
}

static void
configure (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) services =
      g_variant_parse (G_VARIANT_TYPE ("a{sa{sv}}"), text, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (hypha_services_configure (f->pair.b.services, services, &error));
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *bound = NULL;
  g_autoptr (GError) error = NULL;

  node_pair_set_up (&f->pair, data);
  f->forwards = hypha_forwards_new (f->pair.a.node);
  bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  f->peer = join (&f->pair, bound);
  g_assert_true (
      hypha_services_register (f->pair.b.services, "ports", ":1.7", on_asked, f, &error));
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_forwards_stop (f->forwards);
  g_clear_object (&f->told);
  /* What was answered at last may still hold it. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (f->forwards);
  g_clear_object (&f->peer);
  node_pair_tear_down (&f->pair, data);
}

static HyphaForward *
add (Fixture *f, const char *local, GError **error)
{
  const HyphaForwardPlan plan = { local, "beta", "kind:*", FALSE };
  g_autoptr (GAsyncResult) result = NULL;

  hypha_forwards_add_async (f->forwards, &plan, keep_result, &result);
  wait_until (result != NULL);
  return hypha_forwards_add_finish (f->forwards, result, error);
}

static HyphaForward *
must_add (Fixture *f, const char *local)
{
  g_autoptr (GError) error = NULL;
  HyphaForward *forward = add (f, local, &error);

  g_assert_no_error (error);
  wait_until (f->told != NULL);
  return forward;
}

/* TEXT stays until it is written, or nobody listens any more. */
static void
tell (Fixture *f, const char *text)
{
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (f->told)), text,
                                   strlen (text), G_PRIORITY_DEFAULT, NULL, NULL, NULL);
}

static int
listening_socket (guint *port)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { g_htonl (INADDR_LOOPBACK) } };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  *port = g_ntohs (address.sin_port);
  return fd;
}

static guint
free_port (void)
{
  guint port;

  close (listening_socket (&port));
  return port;
}

static gboolean
has_ports (HyphaForward *forward, const char *text)
{
  g_autoptr (GVariant) ports = hypha_forward_dup_ports (forward);
  g_autofree char *printed = g_variant_print (ports, FALSE);

  return g_str_equal (printed, text);
}

static void
wait_for_port (HyphaForward *forward, guint port)
{
  g_autofree char *text = g_strdup_printf ("[%u]", port);

  wait_until (has_ports (forward, text));
}

static GSocketConnection *
connect_to (guint port)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  GSocketConnection *connection;

  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect_to_host (client, "127.0.0.1", (guint16) port, NULL, NULL);
  return connection;
}

static void
test_port_that_is_told_leads_to_its_service_until_it_is_gone (Fixture *f, gconstpointer data)
{
  guint port = free_port ();
  g_autofree char *list = g_strdup_printf ("[%u]\n", port);
  g_autofree char *services = g_strdup_printf ("{'kind:%u': {'target': <'echo'>}}", port);
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GSocketConnection) late = NULL;
  GInputStream *input;
  char text[5] = "";

  configure (f, services);
  g_assert_cmpstr (hypha_forward_get_state (mirror), ==, "opening");
  tell (f, list);
  wait_for_port (mirror, port);
  g_assert_cmpstr (hypha_forward_get_state (mirror), ==, "listening");
  connection = connect_to (port);
  g_assert_nonnull (connection);
  g_assert_cmpint (g_output_stream_write (g_io_stream_get_output_stream (G_IO_STREAM (connection)),
                                          "ping", 4, NULL, NULL),
                   ==, 4);
  input = g_io_stream_get_input_stream (G_IO_STREAM (connection));
  wait_until (g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (input)));
  g_assert_true (g_input_stream_read_all (input, text, 4, NULL, NULL, NULL));
  g_assert_cmpstr (text, ==, "ping");
  tell (f, "[]\n");
  wait_until (has_ports (mirror, "[]"));
  late = connect_to (port);
  g_assert_null (late);
  g_assert_cmpstr (hypha_forward_get_reason (mirror), ==, "");
  /* What is joined goes on: but for the list, it is the last. */
  g_assert_cmpuint (n_streams (f->peer), ==, 2);
  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  wait_until (n_streams (f->peer) == 1);
}

static void
test_list_counts_when_its_line_has_ended (Fixture *f, gconstpointer data)
{
  guint port = free_port ();
  g_autofree char *digits = g_strdup_printf ("%u", port);
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);
  GOutputStream *told;

  tell (f, "[]\n[");
  wait_until (g_str_equal (hypha_forward_get_state (mirror), "listening"));
  told = g_io_stream_get_output_stream (G_IO_STREAM (f->told));
  tell (f, digits);
  wait_until (!g_output_stream_has_pending (told));
  tell (f, "]");
  wait_until (!g_output_stream_has_pending (told));
  g_assert_true (has_ports (mirror, "[]"));
  tell (f, "\n");
  wait_for_port (mirror, port);
}

static void
test_only_ports_that_are_asked_for (Fixture *f, gconstpointer data)
{
  guint port = free_port ();
  g_autofree char *local = g_strdup_printf (LOCAL "?ports=%u,80", port);
  g_autofree char *list = g_strdup_printf ("[1,79,%u,%u,%u]\n", port - 1, port, port + 1);
  g_autoptr (HyphaForward) mirror = must_add (f, local);

  g_assert_cmpstr (hypha_forward_get_local (mirror), ==, local);
  tell (f, list);
  wait_for_port (mirror, port);
}

static void
test_what_is_no_list_ends_it_with_a_reason (Fixture *f, gconstpointer data)
{
  g_autofree char *long_line = g_strnfill (HYPHA_PORT_LINE_MAX, '1');
  /* One that would be a list, if only it ended. */
  g_autofree char *spaces = g_strnfill (HYPHA_PORT_LINE_MAX, ' ');
  const char *const lies[] = { "[65536]\n", long_line, spaces };
  static const char *const reasons[] = { "no JSON array", "has no end", "has no end" };
  guint port = free_port ();
  g_autofree char *list = g_strdup_printf ("[%u]\n", port);
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);

  *long_line = '[';
  memcpy (spaces, "[]", strlen ("[]"));
  for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
    guint n = f->n_asked;

    tell (f, list);
    wait_for_port (mirror, port);
    tell (f, lies[i]);
    wait_until (g_str_equal (hypha_forward_get_state (mirror), "failed"));
    g_assert_true (has_ports (mirror, "[]"));
    g_assert_nonnull (strstr (hypha_forward_get_reason (mirror), reasons[i]));
    /* A link that comes anew would do as well as time. */
    wait_until (f->n_asked > n);
  }
}

static void
count_message (const char *domain, GLogLevelFlags level, const char *message, gpointer user_data)
{
  guint *n = user_data;

  if (strstr (message, "cannot listen on") != NULL)
    ++*n;
}

static void
count_change (guint *n)
{
  ++*n;
}

static void
test_ports_that_cannot_be_opened_do_not_fill_the_log (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) list = g_string_new ("[");
  guint n_messages = 0, n_changes = 0;
  guint handler = g_log_set_handler ("hypha", G_LOG_LEVEL_MESSAGE, count_message, &n_messages);
  int fds[8];
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);

  for (gsize i = 0; i < G_N_ELEMENTS (fds); i++) {
    guint port;

    fds[i] = listening_socket (&port);
    g_string_append_printf (list, "%s%u", i > 0 ? "," : "", port);
  }
  g_string_append (list, "]\n");
  g_signal_connect_swapped (mirror, "changed", G_CALLBACK (count_change), &n_changes);
  tell (f, list->str);
  /* The list, and each port. */
  wait_until (n_changes > G_N_ELEMENTS (fds));
  g_assert_nonnull (strstr (hypha_forward_get_reason (mirror), "this very process"));
  g_assert_cmpuint (n_messages, ==, 5);
  g_signal_handlers_disconnect_by_data (mirror, &n_changes);
  g_log_remove_handler ("hypha", handler);
  for (gsize i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

static HyphaForward *
make (Fixture *f, const char *local, const char *target, GError **error)
{
  const HyphaForwardPlan plan = { local, "beta", target, FALSE };

  return hypha_forward_new (f->pair.a.node, NULL, 1, &plan, HYPHA_FORWARD_ASKED, error);
}

static void
test_what_is_too_long_with_a_port_is_refused (Fixture *f, gconstpointer data)
{
  g_autofree char *ranges = g_strnfill (4096, '1');
  g_autofree char *local = g_strdup_printf (LOCAL "?ports=%s", ranges);
  g_autofree char *kind = g_strnfill (255 - strlen (":65535"), 'k');
  g_autofree char *good = g_strdup_printf ("%s:*", kind);
  g_autofree char *long_target = g_strdup_printf ("k%s", good);
  g_autoptr (HyphaForward) mirror = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (make (f, local, "kind:*", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_clear_error (&error);
  g_assert_null (make (f, LOCAL, long_target, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  mirror = make (f, LOCAL, good, &error);
  g_assert_no_error (error);
}

static void
test_peer_that_goes_takes_its_ports_along (Fixture *f, gconstpointer data)
{
  guint port = free_port ();
  g_autofree char *list = g_strdup_printf ("[%u]\n", port);
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);

  tell (f, list);
  wait_for_port (mirror, port);
  hypha_peer_disconnect_async (HYPHA_PEER (f->peer), NULL, NULL, NULL);
  wait_until (has_ports (mirror, "[]"));
  g_assert_cmpstr (hypha_forward_get_reason (mirror), !=, "");
}

static void
test_peer_that_is_not_known_may_be_soon (Fixture *f, gconstpointer data)
{
  const HyphaForwardPlan plan = { LOCAL, "gamma", "kind:*", FALSE };
  g_autofree char *id = id_of (&f->pair.b);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaForward) mirror = NULL;
  g_autoptr (GAsyncResult) result = NULL;

  hypha_forwards_add_async (f->forwards, &plan, keep_result, &result);
  wait_until (result != NULL);
  mirror = hypha_forwards_add_finish (f->forwards, result, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_forward_get_state (mirror), ==, "failed");
  g_assert_nonnull (strstr (hypha_forward_get_reason (mirror), "'gamma'"));
  g_assert_true (hypha_node_trust (f->pair.a.node, id, "gamma", &error));
  g_assert_no_error (error);
  wait_until (f->told != NULL);
  tell (f, "[]\n");
  wait_until (g_str_equal (hypha_forward_get_state (mirror), "listening"));
}

static void
keep_waiting (HyphaIncoming *incoming, gpointer user_data)
{
  HyphaIncoming **kept = user_data;

  *kept = incoming;
}

static void
test_ports_of_one_are_not_those_of_the_next_of_its_name (Fixture *f, gconstpointer data)
{
  guint port = free_port ();
  g_autofree char *list = g_strdup_printf ("[%u]\n", port);
  g_autofree char *bound = listen_on (&f->pair.a, "tcp://127.0.0.1:0");
  g_autofree char *beta = id_of (&f->pair.b);
  g_autofree char *gamma_id = NULL;
  g_autoptr (HyphaForward) mirror = must_add (f, LOCAL);
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GError) error = NULL;
  HyphaIncoming *incoming = NULL;
  Side gamma = { 0 };

  side_up (&gamma, hypha_identity_generate (NULL), "gamma");
  gamma_id = id_of (&gamma);
  trust (&f->pair.a, &gamma, "gamma");
  trust (&gamma, &f->pair.a, "alpha");
  g_assert_true (
      hypha_services_register (gamma.services, "ports", ":1.8", keep_waiting, &incoming, &error));
  peer = dial (&gamma, bound, NULL, &error);
  g_assert_no_error (error);
  tell (f, list);
  wait_for_port (mirror, port);
  g_assert_true (hypha_node_trust (f->pair.a.node, beta, "old", &error));
  g_assert_no_error (error);
  g_assert_true (hypha_node_trust (f->pair.a.node, gamma_id, "beta", &error));
  g_assert_no_error (error);
  wait_until (incoming != NULL);
  g_assert_true (has_ports (mirror, "[]"));
  g_assert_cmpstr (hypha_forward_get_state (mirror), ==, "opening");
  hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
  wait_until (g_str_equal (hypha_forward_get_state (mirror), "failed"));
  g_clear_object (&peer);
  side_down (&gamma);
  hypha_identity_unref (gamma.identity);
}

static void
test_mirror_is_one_of_the_settings (Fixture *f, gconstpointer data)
{
  g_autoptr (GVariant) wanted = g_variant_ref_sink (g_variant_new_parsed (
      "[{'local': <'tcp://127.0.0.1:*?ports=9000'>, 'peer': <'beta'>, 'target': <'kind:*'>}]"));
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) told = NULL;

  g_assert_true (hypha_forwards_configure (f->forwards, wanted, &error));
  g_assert_no_error (error);
  told = hypha_forwards_dup (f->forwards);
  g_assert_true (g_variant_equal (told, wanted));
  wait_until (f->told != NULL);
}

static void
test_mirror_that_is_asked_for_twice_at_once_is_one (Fixture *f, gconstpointer data)
{
  const HyphaForwardPlan plan = { LOCAL, "beta", "kind:*", FALSE };
  g_autoptr (GAsyncResult) first = NULL;
  g_autoptr (GAsyncResult) second = NULL;
  g_autoptr (HyphaForward) one = NULL;
  g_autoptr (HyphaForward) other = NULL;

  hypha_forwards_add_async (f->forwards, &plan, keep_result, &first);
  hypha_forwards_add_async (f->forwards, &plan, keep_result, &second);
  wait_until (first != NULL && second != NULL);
  one = hypha_forwards_add_finish (f->forwards, first, NULL);
  other = hypha_forwards_add_finish (f->forwards, second, NULL);
  g_assert_nonnull (one);
  g_assert_true (one == other);
  g_assert_cmpuint (g_list_model_get_n_items (hypha_forwards_get_list (f->forwards)), ==, 1);
  wait_until (f->told != NULL);
}

/* ---- what this machine listens on ---- */

/* Somebody else who listens there. */
static pid_t
lend (int fd)
{
  pid_t child = fork ();

  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    for (int other = 0; other < 1024; other++)
      if (other != fd)
        close (other);
    pause ();
    _exit (0);
  }
  close (fd);
  return child;
}

static void
end (pid_t child)
{
  kill (child, SIGKILL);
  g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
}

/* The next list, without those ports that others have at this moment. */
static gboolean
tells (HyphaStream *stream, GString *line, HyphaPortSet *set)
{
  GPollableInputStream *input =
      G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (G_IO_STREAM (stream)));
  char byte = '\0';
  g_autoptr (GError) error = NULL;

  while (byte != '\n' &&
         g_pollable_input_stream_read_nonblocking (input, &byte, 1, NULL, NULL) == 1)
    g_string_append_c (line, byte);
  if (byte != '\n')
    return FALSE;
  g_assert_true (hypha_port_set_parse_line (set, line->str, line->len - 1, &error));
  g_assert_no_error (error);
  g_string_truncate (line, 0);
  return TRUE;
}

static gboolean
tells_of (HyphaStream *stream, GString *line, HyphaPortSet *set, guint port, gboolean there)
{
  while (tells (stream, line, set))
    ;
  return line->len == 0 && hypha_port_set_has (set, port) == there;
}

static void
test_port_is_told_while_somebody_else_listens_on_it (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GString) line = g_string_new (NULL);
  HyphaPortSet set = { 0 };
  guint own, other;
  int fd = listening_socket (&own);
  pid_t child;

  configure (f, "{'ports': {'target': <'ports'>}}");
  child = lend (listening_socket (&other));
  stream = must_open (f->peer, "ports");
  wait_until (tells_of (stream, line, &set, other, TRUE));
  g_assert_false (hypha_port_set_has (&set, own));
  end (child);
  wait_until (tells_of (stream, line, &set, other, FALSE));
  close (fd);
}

static void
test_ports_are_told_to_so_many_at_once (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;
  /* As beta sees it: an end that tells nothing more. */
  HyphaNodePeer *hearer = peer_of (&f->pair.b, "alpha");

  configure (f, "{'ports': {'target': <'ports'>}}");
  for (guint i = 0; i < HYPHA_PORT_TELLER_MAX; i++)
    g_ptr_array_add (streams, must_open (f->peer, "ports"));
  g_assert_null (open_stream (f->peer, "ports", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_clear_error (&error);
  g_io_stream_close (streams->pdata[0], NULL, NULL);
  wait_until (n_streams (hearer) < HYPHA_PORT_TELLER_MAX);
  g_ptr_array_add (streams, must_open (f->peer, "ports"));
  /* Who says something there has mistaken it for something else. */
  g_output_stream_write_all (g_io_stream_get_output_stream (streams->pdata[1]), "GET /", 5, NULL,
                             NULL, NULL);
  wait_until (n_streams (hearer) < HYPHA_PORT_TELLER_MAX);
  hypha_services_stop (f->pair.b.services);
  for (guint i = 0; i < streams->len; i++)
    g_io_stream_close (streams->pdata[i], NULL, NULL);
  wait_until (n_streams (hearer) == 0 && n_streams (f->peer) == 0);
}

static void
test_peer_that_may_hear_no_more_is_cut_off (Fixture *f, gconstpointer data)
{
  static const char *const without[] = { "{'ports': {'target': <'ports'>, 'peers': <['gamma']>}}",
                                         "{'ports': {'target': <'off'>}}", "{}" };
  HyphaNodePeer *hearer = peer_of (&f->pair.b, "alpha");

  for (gsize i = 0; i < G_N_ELEMENTS (without); i++) {
    g_autoptr (HyphaStream) stream = NULL;

    configure (f, "{'ports': {'target': <'ports'>, 'peers': <['alpha']>}}");
    stream = must_open (f->peer, "ports");
    configure (f, "{'ports': {'target': <'ports'>}}");
    g_main_context_iteration (NULL, FALSE);
    g_assert_cmpuint (n_streams (hearer), ==, 1);
    configure (f, without[i]);
    wait_until (n_streams (hearer) == 0);
  }
}

static void
test_peer_with_many_keeps_no_other_out (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  Side gamma = { 0 };

  side_up (&gamma, hypha_identity_generate (NULL), "gamma");
  trust (&f->pair.b, &gamma, "gamma");
  trust (&gamma, &f->pair.b, "beta");
  configure (f, "{'ports': {'target': <'ports'>}}");
  for (guint i = 0; i < HYPHA_PORT_TELLER_MAX; i++)
    g_ptr_array_add (streams, must_open (f->peer, "ports"));
  peer = dial (&gamma, bound, NULL, &error);
  g_assert_no_error (error);
  stream = must_open (peer, "ports");
  hypha_services_stop (f->pair.b.services);
  g_clear_object (&stream);
  g_clear_object (&peer);
  side_down (&gamma);
  hypha_identity_unref (gamma.identity);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add (name, Fixture, NULL, set_up, test, tear_down)
  ADD ("/mirror/port-that-is-told-leads-to-its-service-until-it-is-gone",
       test_port_that_is_told_leads_to_its_service_until_it_is_gone);
  ADD ("/mirror/list-counts-when-its-line-has-ended", test_list_counts_when_its_line_has_ended);
  ADD ("/mirror/only-ports-that-are-asked-for", test_only_ports_that_are_asked_for);
  ADD ("/mirror/what-is-no-list-ends-it-with-a-reason", test_what_is_no_list_ends_it_with_a_reason);
  ADD ("/mirror/ports-that-cannot-be-opened-do-not-fill-the-log",
       test_ports_that_cannot_be_opened_do_not_fill_the_log);
  ADD ("/mirror/what-is-too-long-with-a-port-is-refused",
       test_what_is_too_long_with_a_port_is_refused);
  ADD ("/mirror/peer-that-goes-takes-its-ports-along", test_peer_that_goes_takes_its_ports_along);
  ADD ("/mirror/peer-that-is-not-known-may-be-soon", test_peer_that_is_not_known_may_be_soon);
  ADD ("/mirror/ports-of-one-are-not-those-of-the-next-of-its-name",
       test_ports_of_one_are_not_those_of_the_next_of_its_name);
  ADD ("/mirror/mirror-is-one-of-the-settings", test_mirror_is_one_of_the_settings);
  ADD ("/mirror/asked-for-twice-at-once-is-one",
       test_mirror_that_is_asked_for_twice_at_once_is_one);
  ADD ("/ports/port-is-told-while-somebody-else-listens-on-it",
       test_port_is_told_while_somebody_else_listens_on_it);
  ADD ("/ports/told-to-so-many-at-once", test_ports_are_told_to_so_many_at_once);
  ADD ("/ports/peer-that-may-hear-no-more-is-cut-off", test_peer_that_may_hear_no_more_is_cut_off);
  ADD ("/ports/peer-with-many-keeps-no-other-out", test_peer_with_many_keeps_no_other_out);
  return g_test_run ();
}
