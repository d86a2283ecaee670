/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program that serves streams over a connection without a bus, where nobody has a name. */

#include "node-pair.h"

#include <gio/gunixfdlist.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/service-handlers.h"
#include "dbus/errors.h"

typedef struct {
  NodePair pair;
  HyphaServiceHandlers *handlers; /* of beta */
  GDBusConnection *here, *there;  /* beta's end, and the program's */
  HyphaDBusNode1 *node;
  HyphaDBusServiceHandler1 *handler;
  GUnixFDList *fds; /* of the last Accept */
  guint64 id;
} Fixture;

static gboolean
on_register (HyphaDBusNode1 *node, GDBusMethodInvocation *invocation, const char *name,
             const char *path, gpointer user_data)
{
  Fixture *f = user_data;
  g_autoptr (GError) error = NULL;

  if (hypha_service_handlers_register (f->handlers, invocation, name, path, &error))
    hypha_dbus_node1_complete_register_service (node, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return TRUE;
}

static gboolean
on_accept (HyphaDBusServiceHandler1 *handler, GDBusMethodInvocation *invocation, GUnixFDList *fds,
           const char *peer, GVariant *stream, guint64 id, GVariant *info, gpointer user_data)
{
  Fixture *f = user_data;

  g_set_object (&f->fds, fds);
  f->id = id;
  hypha_dbus_service_handler1_complete_accept (handler, invocation, NULL);
  return TRUE;
}

static GIOStream *
stream_of (int fd)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);

  g_assert_no_error (error);
  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

static void
connect_both (Fixture *f)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GAsyncResult) here = NULL, there = NULL;
  g_autoptr (GIOStream) one = NULL, other = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  one = stream_of (fds[0]);
  other = stream_of (fds[1]);
  g_dbus_connection_new (one, guid, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, NULL, NULL,
                         keep_result, &here);
  g_dbus_connection_new (other, NULL, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL,
                         keep_result, &there);
  wait_until (here != NULL && there != NULL);
  f->here = g_dbus_connection_new_finish (here, &error);
  g_assert_no_error (error);
  f->there = g_dbus_connection_new_finish (there, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  node_pair_set_up (&f->pair, data);
  hypha_dbus_errors_register ();
  f->handlers = hypha_service_handlers_new (f->pair.b.services);
  connect_both (f);
  f->node = hypha_dbus_node1_skeleton_new ();
  g_signal_connect (f->node, "handle-register-service", G_CALLBACK (on_register), f);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (f->node), f->here, "/node", &error);
  g_assert_no_error (error);
  f->handler = hypha_dbus_service_handler1_skeleton_new ();
  g_signal_connect (f->handler, "handle-accept", G_CALLBACK (on_accept), f);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (f->handler), f->there, "/handler",
                                    &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_service_handlers_free (f->handlers);
  g_clear_object (&f->fds);
  g_object_unref (f->node);
  g_object_unref (f->handler);
  g_object_unref (f->here);
  g_object_unref (f->there);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  node_pair_tear_down (&f->pair, data);
}

static void
must_register (Fixture *f, const char *name)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  g_dbus_connection_call (f->there, NULL, "/node", "org.hypha.Node1", "RegisterService",
                          g_variant_new ("(so)", name, "/handler"), NULL, G_DBUS_CALL_FLAGS_NONE,
                          -1, NULL, keep_result, &result);
  wait_until (result != NULL);
  reply = g_dbus_connection_call_finish (f->there, result, &error);
  g_assert_no_error (error);
}

static gboolean
is_offered (Fixture *f, const char *name)
{
  g_autoptr (GVariant) services = hypha_services_dup (f->pair.b.services);
  g_autoptr (GVariant) entry = g_variant_lookup_value (services, name, NULL);

  return entry != NULL;
}

static void
test_registration_lives_as_long_as_the_connection (Fixture *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (&f->pair, bound);
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  int fd;
  char text[3] = "";

  must_register (f, "app");
  stream = must_open (peer, "app");
  g_assert_nonnull (f->fds);
  fd = g_unix_fd_list_get (f->fds, 0, &error);
  g_assert_no_error (error);
  g_clear_object (&f->fds);
  g_assert_true (g_dbus_connection_close_sync (f->there, NULL, &error));
  wait_until (!is_offered (f, "app"));
  g_assert_null (open_stream (peer, "app", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE);
  g_clear_error (&error);
  /* Its stream is the descriptor's affair. */
  g_assert_cmpint (write (fd, "hi", 2), ==, 2);
  g_input_stream_read_all (g_io_stream_get_input_stream (G_IO_STREAM (stream)), text, 2, NULL, NULL,
                           &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "hi");
  close (fd);
}

static gboolean
hold_back (HyphaDBusServiceHandler1 *handler, GDBusMethodInvocation *invocation, GUnixFDList *fds,
           const char *peer, GVariant *stream, guint64 id, GVariant *info, gpointer user_data)
{
  *(GDBusMethodInvocation **) user_data = invocation;
  return TRUE;
}

static void
test_connection_that_closes_refuses_what_it_was_asked (Fixture *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->pair.b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (&f->pair, bound);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GDBusMethodInvocation) asked = NULL;
  g_autoptr (GError) error = NULL;

  g_signal_handlers_disconnect_by_func (f->handler, on_accept, f);
  g_signal_connect (f->handler, "handle-accept", G_CALLBACK (hold_back), &asked);
  must_register (f, "app");
  hypha_peer_open_stream_async (HYPHA_PEER (peer), "app", 10000, NULL, keep_result, &result);
  wait_until (asked != NULL);
  g_assert_true (g_dbus_connection_close_sync (f->there, NULL, &error));
  wait_until (result != NULL);
  g_assert_null (hypha_peer_open_stream_finish (HYPHA_PEER (peer), result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add (name, Fixture, NULL, set_up, test, tear_down)
  ADD ("/service-handlers/registration-lives-as-long-as-the-connection",
       test_registration_lives_as_long_as_the_connection);
  ADD ("/service-handlers/connection-that-closes-refuses-what-it-was-asked",
       test_connection_that_closes_refuses_what_it_was_asked);
  return g_test_run ();
}
