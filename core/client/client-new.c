/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-private.h"

#include <glib/gi18n-lib.h>

#include "dbus/errors.h"

/* What there is of a node on a connection. */
typedef struct {
  GDBusObjectManager *objects;
  HyphaDBusNode1 *node;
} Found;

static void
found_clear (Found *self)
{
  g_clear_object (&self->objects);
  g_clear_object (&self->node);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Found, found_clear)

/* ---- the bus, or the socket ---- */

static const char *
how_to_start (const HyphaBus *bus)
{
  if (bus->address)
    return "hyphad --address ADDRESS";
  return hypha_bus_is_system (bus) ? "hyphad --system" : "hyphad --user";
}

/* Where nobody stands in between, nobody has a name. */
static const char *
name_on (GDBusConnection *connection)
{
  return hypha_bus_is_private (connection) ? NULL : HYPHA_DBUS_NAME;
}

static gboolean
find_objects (Found *found, const HyphaBus *bus, GDBusConnection *connection,
              GCancellable *cancellable, GError **error)
{
  g_autofree char *owner = NULL;

  found->objects = hypha_dbus_object_manager_client_new_sync (
      connection, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, name_on (connection), HYPHA_DBUS_ROOT,
      cancellable, error);
  if (found->objects == NULL) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  if (hypha_bus_is_private (connection))
    return TRUE;
  owner =
      g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (found->objects));
  if (owner == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("there is no node on %s: start one with %s, or look elsewhere with --system, "
                    "--user or --address ADDRESS"),
                 hypha_bus_describe (bus), how_to_start (bus));
  return owner != NULL;
}

static gboolean
find_node (Found *found, const HyphaBus *bus, GDBusConnection *connection,
           GCancellable *cancellable, GError **error)
{
  found->node =
      hypha_dbus_node1_proxy_new_sync (connection, G_DBUS_PROXY_FLAGS_NONE, name_on (connection),
                                       HYPHA_DBUS_ROOT, cancellable, error);
  if (found->node == NULL) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  if (hypha_dbus_node1_get_id (found->node) == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("whoever holds the name org.hypha.Node1 on %s does not answer like a node"),
                 hypha_bus_describe (bus));
    return FALSE;
  }
  return TRUE;
}

static gboolean
look_there (Found *found, const HyphaBus *bus, GDBusConnection *connection,
            GCancellable *cancellable, GError **error)
{
  g_clear_object (&found->objects);
  return find_objects (found, bus, connection, cancellable, error) &&
         find_node (found, bus, connection, cancellable, error);
}

/* Neither bus nor socket: which of the two is told depends on what the user can do about it. */
static void
tell_both (const HyphaBus *bus, GError *on_bus, GError *on_socket, GError **error)
{
  g_autofree char *socket = hypha_bus_dup_socket (bus);
  g_autoptr (GError) first = on_bus;
  g_autoptr (GError) second = on_socket;

  if (!g_error_matches (second, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE))
    g_propagate_error (error, g_steal_pointer (&second));
  else if (socket)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("%s; nor does a hyphad serve on the socket %s"), first->message, socket);
  else
    g_propagate_error (error, g_steal_pointer (&first));
}

/* The bus first, for everybody is there who can be; then the socket that hyphad has where there is
 * no bus. An address may be either. */
static gboolean
look (Found *found, const HyphaBus *bus, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) on_bus = NULL;
  g_autoptr (GError) on_socket = NULL;
  g_autoptr (GDBusConnection) connection = hypha_bus_connect (bus, cancellable, &on_bus);
  g_autoptr (GDBusConnection) private = NULL;

  if (connection && look_there (found, bus, connection, cancellable, &on_bus))
    return TRUE;
  if (!g_error_matches (on_bus, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE) ||
      (connection && bus->address)) {
    g_propagate_error (error, g_steal_pointer (&on_bus));
    return FALSE;
  }
  private = hypha_bus_connect_private (bus, cancellable, &on_socket);
  if (private)
    return look_there (found, bus, private, cancellable, error);
  tell_both (bus, g_steal_pointer (&on_bus), g_steal_pointer (&on_socket), error);
  return FALSE;
}

static HyphaClient *
find (const HyphaBus *bus, GCancellable *cancellable, GError **error)
{
  g_auto (Found) found = { 0 };

  hypha_dbus_errors_register ();
  if (!look (&found, bus, cancellable, error))
    return NULL;
  return hypha_client_new_for_node (g_steal_pointer (&found.objects),
                                    g_steal_pointer (&found.node));
}

/* ---- for programs ---- */

/**
 * hypha_client_new_on_bus:
 * @bus: where to look
 * @cancellable: (nullable): to give up early
 * @error: return location for an error, as of hypha_client_new()
 *
 * Finds the node: on the bus, or else on the socket that hyphad has where there is none. Blocks.
 *
 * Returns: (transfer full): the node, seen from here
 */
HyphaClient *
hypha_client_new_on_bus (const HyphaBus *bus, GCancellable *cancellable, GError **error)
{
  HyphaClient *self = find (bus, cancellable, error);

  if (self != NULL)
    hypha_client_follow (self);
  return self;
}

/* No address is one of these words: each has a colon. ADDRESS stays the caller's. */
static HyphaBus
choose (const char *bus)
{
  HyphaBus choice = { 0 };

  choice.system = g_strcmp0 (bus, "system") == 0;
  choice.user = g_strcmp0 (bus, "user") == 0;
  if (bus != NULL && !choice.system && !choice.user)
    choice.address = (char *) bus;
  return choice;
}

/**
 * hypha_client_new:
 * @bus: (nullable): `system`, `user` or the address of a bus; %NULL: where hyphactl looks without
 *   options
 * @cancellable: (nullable): to give up early
 * @error: return location for an error
 *
 * Finds the node on a bus. Blocks; programs with a main loop use hypha_client_new_async().
 *
 * Returns: (transfer full): the node, seen from here, or %NULL with `HYPHA_ERROR_UNAVAILABLE` where
 * there is no bus or no node on it, or with another @error
 */
HyphaClient *
hypha_client_new (const char *bus, GCancellable *cancellable, GError **error)
{
  HyphaBus choice = choose (bus);

  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  return hypha_client_new_on_bus (&choice, cancellable, error);
}

static void
free_bus (gpointer data)
{
  hypha_bus_clear (data);
  g_free (data);
}

static void
make_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  HyphaClient *client = find (data, cancellable, &error);

  if (client)
    g_task_return_pointer (task, client, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/**
 * hypha_client_new_async:
 * @bus: (nullable): as for hypha_client_new()
 * @cancellable: (nullable): to give up early
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Finds the node on a bus, as hypha_client_new() does. What the client tells, it tells on the
 * default main context.
 */
void
hypha_client_new_async (const char *bus, GCancellable *cancellable, GAsyncReadyCallback callback,
                        gpointer user_data)
{
  HyphaBus choice = choose (bus);

  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  hypha_client_new_on_bus_async (&choice, cancellable, callback, user_data);
}

/**
 * hypha_client_new_on_bus_async:
 * @bus: where to look; copied
 * @cancellable: (nullable): to give up early
 * @callback: (nullable): called when it is done; hypha_client_new_finish()
 * @user_data: for @callback
 *
 * Finds the node on a bus, as hypha_client_new_on_bus() does.
 */
void
hypha_client_new_on_bus_async (const HyphaBus *bus, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  HyphaBus *copy = g_memdup2 (bus, sizeof *bus);

  copy->address = g_strdup (bus->address);
  g_task_set_source_tag (task, hypha_client_new_on_bus_async);
  g_task_set_task_data (task, copy, free_bus);
  g_task_run_in_thread (task, make_in_thread);
}

/**
 * hypha_client_new_finish:
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_new_async() began.
 *
 * Returns: (transfer full): the node, seen from here, or %NULL with an error as of
 * hypha_client_new(), or `G_IO_ERROR_CANCELLED`
 */
HyphaClient *
hypha_client_new_finish (GAsyncResult *result, GError **error)
{
  HyphaClient *self;

  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  self = g_task_propagate_pointer (G_TASK (result), error);
  if (self != NULL)
    hypha_client_follow (self);
  return self;
}
