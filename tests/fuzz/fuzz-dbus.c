/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>

#include "daemon-world.h"
#include "daemon/gate.h"
#include "daemon/objects.h"
#include "dbus/errors.h"
#include "dbus/paths.h"

/* Calls of a client, as hyphad gets them over a private connection. Either lines: a method
 * ("Config1.Set") and its arguments, as GVariant prints them. Or, where the first byte is 0: the
 * number of a method, and its arguments as a message has them. */

#define CALLS_MAX 16
#define LINE_MAX_BYTES 4096

static const struct {
  const char *method, *type;
} methods[] = {
  { "Node1.Connect", "(sa{sv})" },
  { "Node1.Listen", "(sa{sv})" },
  { "Node1.Unlisten", "(s)" },
  { "Node1.Trust", "(ss)" },
  { "Node1.Forget", "(s)" },
  { "Node1.Pair", "(u)" },
  { "Node1.ConfirmPairing", "(sb)" },
  { "Node1.Dial", "(sa{sv})" },
  { "Node1.Attach", "(sa{sv})" },
  { "Node1.AddForward", "(sssa{sv})" },
  { "Node1.RegisterService", "(so)" },
  { "Node1.UnregisterService", "(s)" },
  { "Node1.Renew", "()" },
  { "Node1.Explain", "(s)" },
  { "Config1.List", "()" },
  { "Config1.Get", "(s)" },
  { "Config1.Set", "(sv)" },
  { "Config1.Reset", "(s)" },
  { "Peer1.OpenStream", "(sa{sv})" },
  { "Peer1.StreamResult", "(t)" },
  { "Peer1.Streams", "()" },
  { "Peer1.CloseStream", "(t)" },
  { "Peer1.Disconnect", "()" },
};

static HyphaObjects *objects;
static GDBusConnection *client, *server;
static HyphaGate *gate;
static guint asked, answered;

/* --- The connection --- */

typedef struct {
  int fd;
  GDBusConnectionFlags flags;
  GDBusConnection *connection;
} End;

static gpointer
authenticate (gpointer data)
{
  End *end = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (end->fd, &error);
  g_autoptr (GSocketConnection) stream = NULL;
  g_autofree char *guid = g_dbus_generate_guid ();
  gboolean server_side = (end->flags & G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER) != 0;

  g_assert_no_error (error);
  stream = g_socket_connection_factory_create_connection (socket);
  end->connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), server_side ? guid : NULL,
                                                end->flags, NULL, NULL, &error);
  g_assert_no_error (error);
  return NULL;
}

static void
connect_client (void)
{
  g_autoptr (GError) error = NULL;
  End ends[2] = { { .flags = G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                             G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING },
                  { .flags = G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT } };
  GThread *thread;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  ends[0].fd = fds[0];
  ends[1].fd = fds[1];
  thread = g_thread_new ("server", authenticate, &ends[0]);
  authenticate (&ends[1]);
  g_thread_join (thread);
  server = ends[0].connection;
  client = ends[1].connection;
  g_dbus_connection_set_exit_on_close (client, FALSE);
  g_dbus_connection_set_exit_on_close (server, FALSE);
  gate = hypha_gate_new (server);
  hypha_objects_export (objects, server, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (server);
}

/* The caller leaves: whatever it waits for ends. */
static void
leave (void)
{
  g_dbus_connection_close_sync (client, NULL, NULL);
  while (answered < asked || !g_dbus_connection_is_closed (server))
    g_main_context_iteration (NULL, TRUE);
  hypha_objects_unexport (objects, server);
  g_clear_pointer (&gate, hypha_gate_free);
  g_clear_object (&client);
  g_clear_object (&server);
  daemon_world_turn ();
}

/* --- The calls --- */

static gboolean
is_ours (const char *name)
{
  return g_str_has_prefix (name, "org.hypha.Error.") ||
         g_str_has_prefix (name, "org.freedesktop.DBus.Error.");
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusMessage) reply =
      g_dbus_connection_send_message_with_reply_finish (G_DBUS_CONNECTION (source), result, &error);

  answered++;
  if (reply == NULL || g_dbus_message_get_message_type (reply) != G_DBUS_MESSAGE_TYPE_ERROR)
    return;
  g_assert_true (is_ours (g_dbus_message_get_error_name (reply)));
  g_assert_nonnull (g_dbus_message_get_arg0 (reply));
  g_assert_cmpuint (strlen (g_dbus_message_get_arg0 (reply)), <, 16384);
}

static char *
find_object (const char *interface)
{
  HyphaNode *node = daemon_world ()->node;
  g_autoptr (HyphaPeer) peer = NULL;
  g_autofree char *id = NULL;

  if (!g_str_equal (interface, "Peer1"))
    return g_strdup (HYPHA_DBUS_ROOT);
  peer = g_list_model_get_item (hypha_node_get_peers (node), 0);
  if (peer == NULL)
    return g_strdup (HYPHA_DBUS_ROOT);
  id = hypha_peer_dup_id (peer);
  return hypha_dbus_path (HYPHA_DBUS_PEER, id);
}

static void
call (const char *method, GVariant *arguments)
{
  g_auto (GStrv) parts = g_strsplit (method, ".", 2);
  g_autofree char *interface = g_strconcat ("org.hypha.", parts[0], NULL);
  g_autofree char *object = find_object (parts[0]);
  g_autoptr (GDBusMessage) message =
      g_dbus_message_new_method_call (NULL, object, interface, parts[1]);

  g_dbus_message_set_body (message, arguments);
  asked++;
  g_dbus_connection_send_message_with_reply (client, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                             G_MAXINT, NULL, NULL, on_answer, NULL);
}

static void
call_by_text (const char *line)
{
  const char *rest = strchr (line, ' ');
  g_autofree char *method = rest != NULL ? g_strndup (line, (gsize) (rest - line)) : NULL;

  for (gsize i = 0; method != NULL && i < G_N_ELEMENTS (methods); i++) {
    g_autoptr (GVariant) arguments = NULL;

    if (!g_str_equal (method, methods[i].method))
      continue;
    arguments = g_variant_parse (G_VARIANT_TYPE (methods[i].type), rest, NULL, NULL, NULL);
    if (arguments != NULL)
      call (method, arguments);
  }
}

static void
call_by_bytes (const guint8 *data, gsize size)
{
  guint which = size > 0 ? data[0] % G_N_ELEMENTS (methods) : 0;
  g_autoptr (GBytes) bytes = g_bytes_new (data + MIN (size, 1), size - MIN (size, 1));
  g_autoptr (GVariant) untrusted = g_variant_ref_sink (
      g_variant_new_from_bytes (G_VARIANT_TYPE (methods[which].type), bytes, FALSE));
  g_autoptr (GVariant) arguments = g_variant_get_normal_form (untrusted);

  call (methods[which].method, arguments);
}

/* What needs no waiting is answered before this is. */
static void
on_barrier (GObject *source, GAsyncResult *result, gpointer user_data)
{
  gboolean *passed = user_data;
  GVariant *reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);

  g_clear_pointer (&reply, g_variant_unref);
  *passed = TRUE;
}

static void
wait_for_answers (void)
{
  gboolean passed = FALSE;

  g_dbus_connection_call (client, NULL, HYPHA_DBUS_ROOT, "org.hypha.Config1", "Get",
                          g_variant_new ("(s)", "name"), NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT,
                          NULL, on_barrier, &passed);
  while (!passed)
    g_main_context_iteration (NULL, TRUE);
  daemon_world_turn ();
}

static void
call_all (const uint8_t *data, size_t size)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (size > 0 && data[0] == 0) {
    call_by_bytes (data + 1, size - 1);
    return;
  }
  text = g_strndup (size > 0 ? (const char *) data : "", size);
  if (!g_utf8_validate (text, -1, NULL))
    return;
  lines = g_strsplit (text, "\n", CALLS_MAX + 1);
  for (guint i = 0; i < CALLS_MAX && lines[i] != NULL; i++)
    if (strlen (lines[i]) < LINE_MAX_BYTES)
      call_by_text (lines[i]);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  DaemonWorld *world = daemon_world ();

  if (objects == NULL) {
    hypha_dbus_errors_register ();
    objects = hypha_objects_new (world->node, world->settings, world->services, world->forwards);
  }
  if (client == NULL)
    connect_client ();
  call_all (data, size);
  wait_for_answers ();
  /* What has no answer yet waits for a peer; and what was registered goes with its caller. */
  if (answered < asked || memmem (data, size, "Register", 8) != NULL)
    leave ();
  daemon_world_reset (world);
  return 0;
}
