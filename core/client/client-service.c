/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-service.h"

#include <glib/gi18n-lib.h>

#include "dbus/errors.h"

#define FOLDER "/org/hypha/handler/"

struct _HyphaClientService {
  HyphaClient *client;
  char *name;
  HyphaDBusServiceHandler1 *handler;
  HyphaClientAccept accept;
  gpointer user_data;
};

/* Whoever can call this process could else say that he speaks for a peer. */
static gboolean
is_from_node (HyphaClientService *self, GDBusMethodInvocation *invocation)
{
  GDBusObjectManager *objects = hypha_client_get_objects (self->client);
  g_autofree char *owner =
      g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (objects));

  return hypha_bus_is_private (g_dbus_method_invocation_get_connection (invocation)) ||
         (owner && g_strcmp0 (owner, g_dbus_method_invocation_get_sender (invocation)) == 0);
}

static HyphaStream *
take (HyphaClientService *self, GUnixFDList *fds, const char *path, GVariant *handle, guint64 id,
      HyphaClientPeer **peer, GError **error)
{
  *peer = hypha_client_find_peer_at (self->client, path);
  if (*peer == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER, _ ("there is no peer at %s"), path);
    return NULL;
  }
  return hypha_client_peer_take_stream (*peer, fds, handle, id, self->name, error);
}

static gboolean
on_accept (HyphaDBusServiceHandler1 *handler, GDBusMethodInvocation *invocation, GUnixFDList *fds,
           const char *path, GVariant *handle, guint64 id, GVariant *info, gpointer user_data)
{
  HyphaClientService *self = user_data;
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  if (!is_from_node (self, invocation))
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("only the node hands over streams"));
  else
    stream = take (self, fds, path, handle, id, &peer, &error);
  if (stream && self->accept (HYPHA_PEER (peer), stream, self->user_data, &error))
    hypha_dbus_service_handler1_complete_accept (handler, invocation, NULL);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/**
 * hypha_client_service_new:
 * @client: a node
 * @name: of the service, letters and digits
 * @accept: takes a stream of a peer, or refuses it
 * @user_data: for @accept
 * @error: return location for an error, of D-Bus
 *
 * Makes this process ready to serve; hypha_client_service_register_async() lets peers in.
 *
 * Returns: (transfer full) (nullable): the service
 */
HyphaClientService *
hypha_client_service_new (HyphaClient *client, const char *name, HyphaClientAccept accept,
                          gpointer user_data, GError **error)
{
  g_autoptr (HyphaClientService) self = g_new0 (HyphaClientService, 1);
  g_autofree char *path = g_strconcat (FOLDER, name, NULL);
  GDBusProxy *node = G_DBUS_PROXY (hypha_client_get_node (client));

  self->client = g_object_ref (client);
  self->name = g_strdup (name);
  self->accept = accept;
  self->user_data = user_data;
  self->handler = hypha_dbus_service_handler1_skeleton_new ();
  g_signal_connect (self->handler, "handle-accept", G_CALLBACK (on_accept), self);
  if (!g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (self->handler),
                                         g_dbus_proxy_get_connection (node), path, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * hypha_client_service_free:
 * @self: (transfer full): a service
 *
 * Serves no more. The node is not told: hypha_client_service_unregister(), or the end of the
 * connection does that.
 */
void
hypha_client_service_free (HyphaClientService *self)
{
  g_signal_handlers_disconnect_by_data (self->handler, self);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->handler));
  g_object_unref (self->handler);
  g_object_unref (self->client);
  g_free (self->name);
  g_free (self);
}

static void
on_registered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;

  if (hypha_dbus_node1_call_register_service_finish (HYPHA_DBUS_NODE1 (source), result, &error)) {
    g_task_return_boolean (task, TRUE);
  } else {
    hypha_client_clean_error (&error);
    g_task_return_error (task, g_steal_pointer (&error));
  }
}

/**
 * hypha_client_service_register_async:
 * @self: a service
 * @cancellable: (nullable): waits no longer; the node may have registered it
 * @callback: called when it is done; hypha_client_service_register_finish()
 * @user_data: for @callback
 *
 * Tells the node that streams to the service come here. To be told again once the node was away.
 */
void
hypha_client_service_register_async (HyphaClientService *self, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self->client, cancellable, callback, user_data);

  g_task_set_source_tag (task, hypha_client_service_register_async);
  hypha_dbus_node1_call_register_service (
      hypha_client_get_node (self->client), self->name,
      g_dbus_interface_skeleton_get_object_path (G_DBUS_INTERFACE_SKELETON (self->handler)),
      G_DBUS_CALL_FLAGS_NONE, -1, cancellable, on_registered, task);
}

/**
 * hypha_client_service_register_finish:
 * @result: what the callback was given
 * @error: return location for an error: who has the name already, and the like
 *
 * Returns: %TRUE if peers get in
 */
gboolean
hypha_client_service_register_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * hypha_client_service_unregister:
 * @self: a service that is registered
 *
 * Lets no more streams in. Those that are open go on.
 */
void
hypha_client_service_unregister (HyphaClientService *self)
{
  hypha_dbus_node1_call_unregister_service (hypha_client_get_node (self->client), self->name,
                                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}
