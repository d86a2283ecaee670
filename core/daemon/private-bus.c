/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/private-bus.h"

#include <unistd.h>

#include "daemon/gate.h"
#include "daemon/private-face.h"
#include "daemon/private-socket.h"

/* GDBusServer would do nearly all of this, but it lets in any number of connections, and gives each
 * a thread to authenticate in for as long as it likes. */

#define MAX_CONNECTIONS 64
#define AUTHENTICATION_MS 5000
/* Signals that wait to be written to somebody who does not read. */
#define MAX_BACKLOG 4096
#define LOOK_INTERVAL_S 1
#define PAUSE_MS 1000
#define FLUSH_MS 1000

struct _HyphaPrivateBus {
  HyphaPrivateSocket *socket;
  HyphaObjects *objects;
  GSource *accepting;
  guint pause;        /* there were no descriptors */
  guint look;         /* while somebody is connected */
  GPtrArray *guests;  /* Guest that authenticate */
  GPtrArray *members; /* Member */
  gboolean full;      /* told already */
};

/* Authenticates, in a thread of its own. */
typedef struct {
  HyphaPrivateBus *bus;
  GSocketConnection *stream;
  GCancellable *cancellable;
  guint deadline;
  GThread *thread;
  GSource *done; /* attached by the thread */
  GDBusConnection *connection;
  GError *error;
} Guest;

typedef struct {
  HyphaPrivateBus *bus;
  GDBusConnection *connection;
  HyphaGate *gate;
} Member;

static gboolean
may_enter (GCredentials *credentials)
{
  uid_t uid = credentials ? g_credentials_get_unix_user (credentials, NULL) : (uid_t) -1;

  return uid != (uid_t) -1 && (uid == 0 || uid == geteuid ());
}

/* ---- members ---- */

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, Member *member)
{
  member->bus->full = FALSE;
  g_ptr_array_remove_fast (member->bus->members, member);
}

static void
member_free (gpointer data)
{
  Member *member = data;

  g_signal_handlers_disconnect_by_data (member->connection, member);
  if (member->bus->objects)
    hypha_objects_unexport (member->bus->objects, member->connection);
  hypha_gate_free (member->gate);
  hypha_gate_cut (member->connection);
  g_object_unref (member->connection);
  g_free (member);
}

static gboolean
on_look (gpointer user_data)
{
  HyphaPrivateBus *self = user_data;

  for (guint i = 0; i < self->members->len; i++) {
    Member *member = self->members->pdata[i];

    if (hypha_gate_get_backlog (member->gate) <= MAX_BACKLOG)
      continue;
    g_warning ("a client on the socket does not read what it is told: its connection is closed");
    hypha_gate_cut (member->connection);
  }
  if (self->members->len > 0)
    return G_SOURCE_CONTINUE;
  self->look = 0;
  return G_SOURCE_REMOVE;
}

static void
join (HyphaPrivateBus *self, GDBusConnection *connection)
{
  Member *member = g_new0 (Member, 1);
  g_autoptr (GError) error = NULL;

  member->bus = self;
  member->connection = g_object_ref (connection);
  member->gate = hypha_gate_new (connection);
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), member);
  g_ptr_array_add (self->members, member);
  if (self->look == 0)
    self->look = g_timeout_add_seconds (LOOK_INTERVAL_S, on_look, self);
  /* It is read from while it waits: it may have gone before anybody could be told. */
  if (g_dbus_connection_is_closed (connection)) {
    g_ptr_array_remove_fast (self->members, member);
    return;
  }
  if (hypha_private_face_export (connection, &error) > 0 &&
      hypha_objects_export (self->objects, connection, &error)) {
    g_dbus_connection_start_message_processing (connection);
  } else {
    g_warning ("cannot serve a client on the socket: %s", error->message);
    g_ptr_array_remove_fast (self->members, member);
  }
}

/* ---- guests ---- */

static gboolean
allow_mechanism (GDBusAuthObserver *observer, const char *mechanism, gpointer user_data)
{
  return g_str_equal (mechanism, "EXTERNAL");
}

static gboolean
authorize (GDBusAuthObserver *observer, GIOStream *stream, GCredentials *credentials,
           gpointer user_data)
{
  return may_enter (credentials);
}

static void
guest_free (gpointer data)
{
  Guest *guest = data;

  g_clear_handle_id (&guest->deadline, g_source_remove);
  g_cancellable_cancel (guest->cancellable);
  g_thread_join (guest->thread);
  g_source_destroy (guest->done);
  g_source_unref (guest->done);
  g_clear_object (&guest->connection);
  g_clear_error (&guest->error);
  g_object_unref (guest->stream);
  g_object_unref (guest->cancellable);
  g_free (guest);
}

static gboolean
on_deadline (gpointer user_data)
{
  Guest *guest = user_data;

  guest->deadline = 0;
  g_cancellable_cancel (guest->cancellable);
  return G_SOURCE_REMOVE;
}

static gboolean
on_authenticated (gpointer user_data)
{
  Guest *guest = user_data;
  HyphaPrivateBus *self = guest->bus;
  g_autoptr (GDBusConnection) connection = g_steal_pointer (&guest->connection);

  if (connection == NULL) {
    g_debug ("a client on the socket did not get in: %s", guest->error->message);
    self->full = FALSE;
  }
  g_ptr_array_remove_fast (self->guests, guest);
  if (connection)
    join (self, connection);
  return G_SOURCE_REMOVE;
}

static gpointer
authenticate (gpointer user_data)
{
  Guest *guest = user_data;
  g_autoptr (GDBusAuthObserver) observer = g_dbus_auth_observer_new ();
  g_autofree char *guid = g_dbus_generate_guid ();

  g_signal_connect (observer, "allow-mechanism", G_CALLBACK (allow_mechanism), NULL);
  g_signal_connect (observer, "authorize-authenticated-peer", G_CALLBACK (authorize), NULL);
  guest->connection =
      g_dbus_connection_new_sync (G_IO_STREAM (guest->stream), guid,
                                  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                                      G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                  observer, guest->cancellable, &guest->error);
  g_source_attach (guest->done, NULL);
  return NULL;
}

static void
welcome (HyphaPrivateBus *self, GSocket *socket)
{
  Guest *guest = g_new0 (Guest, 1);

  g_socket_set_blocking (socket, TRUE);
  guest->bus = self;
  guest->stream = g_socket_connection_factory_create_connection (socket);
  guest->cancellable = g_cancellable_new ();
  guest->done = g_idle_source_new ();
  g_source_set_priority (guest->done, G_PRIORITY_DEFAULT);
  g_source_set_callback (guest->done, on_authenticated, guest, NULL);
  guest->thread = g_thread_try_new ("hypha-auth", authenticate, guest, NULL);
  if (guest->thread == NULL) {
    g_warning ("no thread for a client on the socket");
    g_source_unref (guest->done);
    g_object_unref (guest->stream);
    g_object_unref (guest->cancellable);
    g_free (guest);
    return;
  }
  guest->deadline = g_timeout_add (AUTHENTICATION_MS, on_deadline, guest);
  g_ptr_array_add (self->guests, guest);
}

/* ---- the socket ---- */

static void start_accepting (HyphaPrivateBus *self);

static gboolean
on_pause_over (gpointer user_data)
{
  HyphaPrivateBus *self = user_data;

  self->pause = 0;
  start_accepting (self);
  return G_SOURCE_REMOVE;
}

static void
receive (HyphaPrivateBus *self, GSocket *socket)
{
  g_autoptr (GCredentials) credentials = g_socket_get_credentials (socket, NULL);

  if (!may_enter (credentials)) {
    g_message ("somebody who is neither root nor user %u is kept out of the socket", geteuid ());
    return;
  }
  if (self->guests->len + self->members->len < MAX_CONNECTIONS) {
    welcome (self, socket);
    return;
  }
  if (!self->full)
    g_warning ("%d clients are connected to the socket: more are turned away", MAX_CONNECTIONS);
  self->full = TRUE;
}

static gboolean
on_incoming (GSocket *listening, GIOCondition condition, gpointer user_data)
{
  HyphaPrivateBus *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_accept (listening, NULL, &error);

  if (socket) {
    receive (self, socket);
    return G_SOURCE_CONTINUE;
  }
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) ||
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED))
    return G_SOURCE_CONTINUE;
  g_warning ("cannot take a client from the socket: %s", error->message);
  g_clear_pointer (&self->accepting, g_source_unref);
  self->pause = g_timeout_add (PAUSE_MS, on_pause_over, self);
  return G_SOURCE_REMOVE;
}

static void
start_accepting (HyphaPrivateBus *self)
{
  self->accepting = g_socket_create_source (hypha_private_socket_get (self->socket), G_IO_IN, NULL);
  g_source_set_callback (self->accepting, G_SOURCE_FUNC (on_incoming), self, NULL);
  g_source_attach (self->accepting, NULL);
}

/**
 * hypha_private_bus_new:
 * @path: (type filename): of the socket
 * @error: return location for an error: as of hypha_private_socket_new()
 *
 * Takes the socket, before anything else is begun. Nobody is let in yet.
 *
 * Returns: (transfer full) (nullable): the bus
 */
HyphaPrivateBus *
hypha_private_bus_new (const char *path, GError **error)
{
  HyphaPrivateSocket *socket = hypha_private_socket_new (path, error);
  HyphaPrivateBus *self;

  if (socket == NULL)
    return NULL;
  self = g_new0 (HyphaPrivateBus, 1);
  self->socket = socket;
  self->guests = g_ptr_array_new_with_free_func (guest_free);
  self->members = g_ptr_array_new_with_free_func (member_free);
  return self;
}

/**
 * hypha_private_bus_open:
 * @self: a bus
 * @objects: what is served; held
 *
 * Lets clients in from now on: root and this process's user, at most 64.
 */
void
hypha_private_bus_open (HyphaPrivateBus *self, HyphaObjects *objects)
{
  self->objects = g_object_ref (objects);
  start_accepting (self);
}

/**
 * hypha_private_bus_close:
 * @self: a bus
 *
 * Nobody can call any more. What is under way may still be answered.
 */
void
hypha_private_bus_close (HyphaPrivateBus *self)
{
  if (self->accepting) {
    g_source_destroy (self->accepting);
    g_clear_pointer (&self->accepting, g_source_unref);
  }
  g_clear_handle_id (&self->pause, g_source_remove);
  g_clear_handle_id (&self->look, g_source_remove);
  g_ptr_array_set_size (self->guests, 0);
  for (guint i = 0; self->objects && i < self->members->len; i++)
    hypha_objects_unexport (self->objects, ((Member *) self->members->pdata[i])->connection);
  g_clear_object (&self->objects);
}

static void
cut (gpointer data, gpointer user_data)
{
  hypha_gate_cut (((Member *) data)->connection);
}

static void
on_flushed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  guint *left = user_data;

  g_dbus_connection_flush_finish (G_DBUS_CONNECTION (source), result, NULL);
  --*left;
}

static gboolean
on_flush_deadline (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_CONTINUE;
}

/* How streams ended is the last thing to be told; not to those who do not read. */
static void
flush (HyphaPrivateBus *self)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  guint left = self->members->len;
  guint deadline = g_timeout_add (FLUSH_MS, on_flush_deadline, cancellable);

  for (guint i = 0; i < self->members->len; i++) {
    Member *member = self->members->pdata[i];

    g_signal_handlers_disconnect_by_data (member->connection, member);
    g_dbus_connection_flush (member->connection, cancellable, on_flushed, &left);
  }
  while (left > 0) {
    if (g_cancellable_is_cancelled (cancellable))
      g_ptr_array_foreach (self->members, cut, NULL);
    g_main_context_iteration (NULL, TRUE);
  }
  g_source_remove (deadline);
}

/**
 * hypha_private_bus_free:
 * @self: (transfer full): a bus
 *
 * Sends everybody away and takes the socket away.
 */
void
hypha_private_bus_free (HyphaPrivateBus *self)
{
  hypha_private_bus_close (self);
  flush (self);
  g_ptr_array_unref (self->guests);
  g_ptr_array_unref (self->members);
  hypha_private_socket_free (self->socket);
  g_free (self);
}
