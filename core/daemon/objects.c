/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/objects.h"

#include "daemon/config1.h"
#include "daemon/forward1.h"
#include "daemon/link1.h"
#include "daemon/node1.h"
#include "daemon/object-manager.h"
#include "daemon/peer1.h"
#include "daemon/plugin1.h"
#include "daemon/transport1.h"
#include "dbus/paths.h"

/* What an item of a list becomes on the bus. */
typedef struct {
  GDBusObjectSkeleton *(*arrive) (HyphaObjects *self, gpointer item);
  void (*leave) (HyphaObjects *self, GDBusObjectSkeleton *object, gpointer item);
} Kind;

/* A list of the node's and its objects, in the same order. */
typedef struct {
  HyphaObjects *objects;
  const Kind *kind;
  GListModel *model;
  GPtrArray *items;
  GPtrArray *exported;
} Mirror;

struct _HyphaObjects {
  GObject parent_instance;
  HyphaNode1 *root;
  HyphaConfig1 *config; /* on the root, too */
  GPtrArray *connections;
  HyphaObjectManager *manager; /* at the root's path; what it manages is below */
  Mirror peers, links, modules, forwards;
  HyphaForwards *all_forwards;
  HyphaSettings *settings;
  GHashTable *transports; /* HyphaModule to GDBusObjectSkeleton */
};

G_DEFINE_FINAL_TYPE (HyphaObjects, hypha_objects, G_TYPE_OBJECT)

/* ---- single objects ---- */

static GDBusObjectSkeleton *
make_object (const char *path, GDBusInterfaceSkeleton *interface)
{
  GDBusObjectSkeleton *object = g_dbus_object_skeleton_new (path);

  g_dbus_object_skeleton_add_interface (object, interface);
  return object;
}

static GDBusObjectSkeleton *
peer_arrives (HyphaObjects *self, gpointer item)
{
  g_autoptr (HyphaPeer1) interface = hypha_peer1_new (item);
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_PEER, hypha_node_peer_get_id_text (item));
  GDBusObjectSkeleton *object = make_object (path, G_DBUS_INTERFACE_SKELETON (interface));

  hypha_object_manager_put (self->manager, object);
  return object;
}

static void
peer_leaves (HyphaObjects *self, GDBusObjectSkeleton *object, gpointer item)
{
  hypha_object_manager_take_away (self->manager, object);
}

static void
refresh_peer_of (HyphaObjects *self, HyphaNodeLink *link)
{
  g_autofree char *id = hypha_node_id_to_string (hypha_node_link_get_peer_id (link));
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  GDBusObject *object = hypha_object_manager_lookup (self->manager, path);
  g_autoptr (GDBusInterface) interface =
      object ? g_dbus_object_get_interface (object, "org.hypha.Peer1") : NULL;

  if (interface)
    hypha_peer1_refresh (HYPHA_PEER1 (interface));
}

static GDBusObjectSkeleton *
link_arrives (HyphaObjects *self, gpointer item)
{
  g_autoptr (HyphaLink1) interface = hypha_link1_new (item);
  g_autofree char *path = hypha_dbus_link_path (hypha_node_link_get_serial (item));
  GDBusObjectSkeleton *object = make_object (path, G_DBUS_INTERFACE_SKELETON (interface));

  hypha_object_manager_put (self->manager, object);
  refresh_peer_of (self, item);
  return object;
}

static void
link_leaves (HyphaObjects *self, GDBusObjectSkeleton *object, gpointer item)
{
  hypha_object_manager_take_away (self->manager, object);
  refresh_peer_of (self, item);
}

/* A transport is there for as long as its module has one. */
static void
on_module_changed (HyphaModule *module, GParamSpec *property, HyphaObjects *self)
{
  HyphaTransport *transport = hypha_module_get_transport (module);
  GDBusObjectSkeleton *object = g_hash_table_lookup (self->transports, module);

  if (transport && object == NULL) {
    g_autoptr (HyphaTransport1) interface = hypha_transport1_new (module);
    g_autofree char *path =
        hypha_dbus_path (HYPHA_DBUS_TRANSPORT, hypha_transport_get_schemes (transport)[0]);

    object = make_object (path, G_DBUS_INTERFACE_SKELETON (interface));
    hypha_object_manager_put (self->manager, object);
    g_hash_table_insert (self->transports, module, object);
  } else if (transport == NULL && object) {
    hypha_object_manager_take_away (self->manager, object);
    g_hash_table_remove (self->transports, module);
  }
}

/* Two directories may hold a plug-in of the same name. */
static GDBusObjectSkeleton *
module_arrives (HyphaObjects *self, gpointer item)
{
  g_autoptr (HyphaPlugin1) interface = hypha_plugin1_new (item);
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_PLUGIN, hypha_module_get_name (item));
  GDBusObjectSkeleton *object = make_object (path, G_DBUS_INTERFACE_SKELETON (interface));

  hypha_object_manager_put (self->manager, object);
  g_signal_connect (item, "notify", G_CALLBACK (on_module_changed), self);
  on_module_changed (item, NULL, self);
  return object;
}

static void
module_leaves (HyphaObjects *self, GDBusObjectSkeleton *object, gpointer item)
{
  GDBusObjectSkeleton *transport = g_hash_table_lookup (self->transports, item);

  g_signal_handlers_disconnect_by_data (item, self);
  if (transport) {
    hypha_object_manager_take_away (self->manager, transport);
    g_hash_table_remove (self->transports, item);
  }
  hypha_object_manager_take_away (self->manager, object);
}

static GDBusObjectSkeleton *
forward_arrives (HyphaObjects *self, gpointer item)
{
  g_autoptr (HyphaForward1) interface =
      hypha_forward1_new (item, self->all_forwards, self->settings);
  g_autofree char *path = hypha_forward1_dup_path (item);
  GDBusObjectSkeleton *object = make_object (path, G_DBUS_INTERFACE_SKELETON (interface));

  hypha_object_manager_put (self->manager, object);
  return object;
}

static void
forward_leaves (HyphaObjects *self, GDBusObjectSkeleton *object, gpointer item)
{
  hypha_object_manager_take_away (self->manager, object);
}

static const Kind peer_kind = { peer_arrives, peer_leaves };
static const Kind link_kind = { link_arrives, link_leaves };
static const Kind module_kind = { module_arrives, module_leaves };
static const Kind forward_kind = { forward_arrives, forward_leaves };

/* ---- lists ---- */

static void
on_items_changed (GListModel *model, guint position, guint removed, guint added, gpointer user_data)
{
  Mirror *mirror = user_data;

  for (guint i = 0; i < removed; i++) {
    g_autoptr (GObject) item = g_ptr_array_steal_index (mirror->items, position);
    g_autoptr (GDBusObjectSkeleton) object = g_ptr_array_steal_index (mirror->exported, position);

    mirror->kind->leave (mirror->objects, object, item);
  }
  for (guint i = 0; i < added; i++) {
    gpointer item = g_list_model_get_item (model, position + i);

    g_ptr_array_insert (mirror->items, (gint) (position + i), item);
    g_ptr_array_insert (mirror->exported, (gint) (position + i),
                        mirror->kind->arrive (mirror->objects, item));
  }
}

static void
mirror_start (Mirror *mirror, HyphaObjects *objects, const Kind *kind, GListModel *model)
{
  mirror->objects = objects;
  mirror->kind = kind;
  mirror->model = g_object_ref (model);
  mirror->items = g_ptr_array_new_with_free_func (g_object_unref);
  mirror->exported = g_ptr_array_new_with_free_func (g_object_unref);
  g_signal_connect (model, "items-changed", G_CALLBACK (on_items_changed), mirror);
  on_items_changed (model, 0, 0, g_list_model_get_n_items (model), mirror);
}

static void
mirror_stop (Mirror *mirror)
{
  if (mirror->model == NULL)
    return;
  g_signal_handlers_disconnect_by_data (mirror->model, mirror);
  on_items_changed (mirror->model, 0, mirror->items->len, 0, mirror);
  g_clear_pointer (&mirror->items, g_ptr_array_unref);
  g_clear_pointer (&mirror->exported, g_ptr_array_unref);
  g_clear_object (&mirror->model);
}

/**
 * hypha_objects_new:
 * @node: a node
 * @settings: where what is to last is kept
 * @services: of @node
 * @forwards: of @node
 *
 * Makes the objects for everything that @node has, and follows what comes and goes.
 *
 * Returns: (transfer full): the objects; nobody sees them before hypha_objects_export()
 */
HyphaObjects *
hypha_objects_new (HyphaNode *node, HyphaSettings *settings, HyphaServices *services,
                   HyphaForwards *forwards)
{
  HyphaObjects *self = g_object_new (HYPHA_TYPE_OBJECTS, NULL);

  self->all_forwards = g_object_ref (forwards);
  self->settings = g_object_ref (settings);
  self->root = hypha_node1_new (node, settings, services, forwards);
  self->config = hypha_config1_new (settings);
  mirror_start (&self->modules, self, &module_kind, G_LIST_MODEL (hypha_node_get_loader (node)));
  mirror_start (&self->peers, self, &peer_kind, hypha_node_get_peers (node));
  mirror_start (&self->links, self, &link_kind, hypha_node_get_links (node));
  mirror_start (&self->forwards, self, &forward_kind, hypha_forwards_get_list (forwards));
  return self;
}

static gboolean
export_on_root (gpointer interface, GDBusConnection *connection, GError **error)
{
  return g_dbus_interface_skeleton_export (interface, connection, HYPHA_DBUS_ROOT, error);
}

static void
unexport_from_root (gpointer interface, GDBusConnection *connection)
{
  if (g_dbus_interface_skeleton_has_connection (interface, connection))
    g_dbus_interface_skeleton_unexport_from_connection (interface, connection);
}

/**
 * hypha_objects_export:
 * @self: the objects
 * @connection: a bus, or a private connection
 * @error: return location for an error: of the bus
 *
 * Puts them on @connection, too.
 *
 * Returns: %TRUE if they are there
 */
gboolean
hypha_objects_export (HyphaObjects *self, GDBusConnection *connection, GError **error)
{
  g_ptr_array_add (self->connections, g_object_ref (connection));
  if (export_on_root (self->root, connection, error) &&
      export_on_root (self->config, connection, error) &&
      hypha_object_manager_add_connection (self->manager, connection, error))
    return TRUE;
  hypha_objects_unexport (self, connection);
  return FALSE;
}

/**
 * hypha_objects_unexport:
 * @self: the objects
 * @connection: one they are on, or not
 *
 * Takes them off @connection.
 */
void
hypha_objects_unexport (HyphaObjects *self, GDBusConnection *connection)
{
  hypha_object_manager_remove_connection (self->manager, connection);
  unexport_from_root (self->root, connection);
  unexport_from_root (self->config, connection);
  g_ptr_array_remove_fast (self->connections, connection);
}

static void
hypha_objects_dispose (GObject *object)
{
  HyphaObjects *self = HYPHA_OBJECTS (object);

  mirror_stop (&self->forwards);
  mirror_stop (&self->links);
  mirror_stop (&self->peers);
  mirror_stop (&self->modules);
  while (self->connections->len > 0)
    hypha_objects_unexport (self, self->connections->pdata[0]);
  g_clear_object (&self->config);
  g_clear_object (&self->root);
  g_clear_object (&self->all_forwards);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (hypha_objects_parent_class)->dispose (object);
}

static void
hypha_objects_finalize (GObject *object)
{
  HyphaObjects *self = HYPHA_OBJECTS (object);

  g_ptr_array_unref (self->connections);
  g_hash_table_unref (self->transports);
  hypha_object_manager_free (self->manager);
  G_OBJECT_CLASS (hypha_objects_parent_class)->finalize (object);
}

static void
hypha_objects_class_init (HyphaObjectsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = hypha_objects_dispose;
  G_OBJECT_CLASS (klass)->finalize = hypha_objects_finalize;
}

static void
hypha_objects_init (HyphaObjects *self)
{
  self->connections = g_ptr_array_new_with_free_func (g_object_unref);
  self->manager = hypha_object_manager_new (HYPHA_DBUS_ROOT);
  self->transports = g_hash_table_new_full (NULL, NULL, NULL, g_object_unref);
}
