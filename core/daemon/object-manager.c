/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/object-manager.h"

#define INTERFACE "org.freedesktop.DBus.ObjectManager"

static const char xml[] = "<node><interface name='" INTERFACE "'>"
                          "<method name='GetManagedObjects'>"
                          "<arg name='objects' type='a{oa{sa{sv}}}' direction='out'/></method>"
                          "<signal name='InterfacesAdded'><arg name='object' type='o'/>"
                          "<arg name='interfaces' type='a{sa{sv}}'/></signal>"
                          "<signal name='InterfacesRemoved'><arg name='object' type='o'/>"
                          "<arg name='interfaces' type='as'/></signal>"
                          "</interface></node>";

typedef struct {
  GDBusConnection *connection;
  guint registration;
} Face;

struct _HyphaObjectManager {
  char *path;
  GDBusNodeInfo *info;
  GHashTable *objects; /* path to GDBusObjectSkeleton */
  GPtrArray *faces;    /* Face */
};

static const char *
path_of (GDBusObjectSkeleton *object)
{
  return g_dbus_object_get_object_path (G_DBUS_OBJECT (object));
}

static GVariant *
describe (GDBusObjectSkeleton *object)
{
  g_autolist (GDBusInterfaceSkeleton) interfaces =
      g_dbus_object_get_interfaces (G_DBUS_OBJECT (object));
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sa{sv}}"));

  for (GList *i = interfaces; i; i = i->next) {
    g_autoptr (GVariant) properties =
        g_variant_take_ref (g_dbus_interface_skeleton_get_properties (i->data));

    g_variant_builder_add (&builder, "{s@a{sv}}",
                           g_dbus_interface_skeleton_get_info (i->data)->name, properties);
  }
  return g_variant_builder_end (&builder);
}

static GVariant *
list_interfaces (GDBusObjectSkeleton *object)
{
  g_autolist (GDBusInterfaceSkeleton) interfaces =
      g_dbus_object_get_interfaces (G_DBUS_OBJECT (object));
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);

  for (GList *i = interfaces; i; i = i->next)
    g_variant_builder_add (&builder, "s", g_dbus_interface_skeleton_get_info (i->data)->name);
  return g_variant_builder_end (&builder);
}

/* GetManagedObjects is all there is. */
static void
on_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface,
         const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
         gpointer user_data)
{
  HyphaObjectManager *self = user_data;
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{oa{sa{sv}}}"));
  GHashTableIter iter;
  gpointer object;

  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &object))
    g_variant_builder_add (&builder, "{o@a{sa{sv}}}", path_of (object), describe (object));
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(a{oa{sa{sv}}})", &builder));
}

static void export(GDBusObjectSkeleton *object, GDBusConnection *connection)
{
  g_autolist (GDBusInterfaceSkeleton) interfaces =
      g_dbus_object_get_interfaces (G_DBUS_OBJECT (object));

  for (GList *i = interfaces; i; i = i->next) {
    g_autoptr (GError) error = NULL;

    if (!g_dbus_interface_skeleton_export (i->data, connection, path_of (object), &error))
      g_warning ("cannot put %s on a connection: %s", path_of (object), error->message);
  }
}

static void
unexport (GDBusObjectSkeleton *object, GDBusConnection *connection)
{
  g_autolist (GDBusInterfaceSkeleton) interfaces =
      g_dbus_object_get_interfaces (G_DBUS_OBJECT (object));

  for (GList *i = interfaces; i; i = i->next) {
    if (g_dbus_interface_skeleton_has_connection (i->data, connection))
      g_dbus_interface_skeleton_unexport_from_connection (i->data, connection);
  }
}

static void
tell (HyphaObjectManager *self, GDBusConnection *connection, const char *signal, GVariant *what)
{
  g_dbus_connection_emit_signal (connection, NULL, self->path, INTERFACE, signal, what, NULL);
}

static void
face_free (gpointer data)
{
  Face *face = data;

  g_dbus_connection_unregister_object (face->connection, face->registration);
  g_object_unref (face->connection);
  g_free (face);
}

/**
 * hypha_object_manager_new:
 * @path: of the object that has the interface; what it manages is below
 *
 * Returns: (transfer full): a manager of nothing, on no connection
 */
HyphaObjectManager *
hypha_object_manager_new (const char *path)
{
  HyphaObjectManager *self = g_new0 (HyphaObjectManager, 1);

  self->path = g_strdup (path);
  self->info = g_dbus_node_info_new_for_xml (xml, NULL);
  self->objects = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  self->faces = g_ptr_array_new_with_free_func (face_free);
  return self;
}

/**
 * hypha_object_manager_put:
 * @self: a manager
 * @object: an object with its interfaces
 *
 * Puts @object on every connection. If its path is taken, it gets one of its own: a number is
 * added.
 */
void
hypha_object_manager_put (HyphaObjectManager *self, GDBusObjectSkeleton *object)
{
  g_autofree char *base = g_strdup (path_of (object));

  for (guint i = 1; g_hash_table_contains (self->objects, path_of (object)); i++) {
    g_autofree char *path = g_strdup_printf ("%s_%u", base, i);

    g_dbus_object_skeleton_set_object_path (object, path);
  }
  g_hash_table_insert (self->objects, g_strdup (path_of (object)), g_object_ref (object));
  for (guint i = 0; i < self->faces->len; i++) {
    GDBusConnection *connection = ((Face *) self->faces->pdata[i])->connection;

    export(object, connection);
    tell (self, connection, "InterfacesAdded",
          g_variant_new ("(o@a{sa{sv}})", path_of (object), describe (object)));
  }
}

/**
 * hypha_object_manager_take_away:
 * @self: a manager
 * @object: one of its objects
 *
 * Takes @object off every connection.
 */
void
hypha_object_manager_take_away (HyphaObjectManager *self, GDBusObjectSkeleton *object)
{
  for (guint i = 0; i < self->faces->len; i++) {
    GDBusConnection *connection = ((Face *) self->faces->pdata[i])->connection;

    tell (self, connection, "InterfacesRemoved",
          g_variant_new ("(o@as)", path_of (object), list_interfaces (object)));
    unexport (object, connection);
  }
  g_hash_table_remove (self->objects, path_of (object));
}

/**
 * hypha_object_manager_lookup:
 * @self: a manager
 * @path: of an object
 *
 * Returns: (transfer none) (nullable): the object
 */
GDBusObject *
hypha_object_manager_lookup (HyphaObjectManager *self, const char *path)
{
  return g_hash_table_lookup (self->objects, path);
}

/**
 * hypha_object_manager_add_connection:
 * @self: a manager
 * @connection: a bus, or a private connection
 * @error: return location for an error: somebody manages that path there already
 *
 * Puts all objects on @connection, too.
 *
 * Returns: %TRUE if they are there
 */
gboolean
hypha_object_manager_add_connection (HyphaObjectManager *self, GDBusConnection *connection,
                                     GError **error)
{
  static const GDBusInterfaceVTable vtable = { .method_call = on_call };
  guint registration = g_dbus_connection_register_object (
      connection, self->path, self->info->interfaces[0], &vtable, self, NULL, error);
  GHashTableIter iter;
  gpointer object;
  Face *face;

  if (registration == 0)
    return FALSE;
  face = g_new0 (Face, 1);
  face->connection = g_object_ref (connection);
  face->registration = registration;
  g_ptr_array_add (self->faces, face);
  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &object))
    export(object, connection);
  return TRUE;
}

/**
 * hypha_object_manager_remove_connection:
 * @self: a manager
 * @connection: one that the objects are on, or not
 *
 * Takes all objects off @connection.
 */
void
hypha_object_manager_remove_connection (HyphaObjectManager *self, GDBusConnection *connection)
{
  GHashTableIter iter;
  gpointer object;

  for (guint i = 0; i < self->faces->len; i++) {
    if (((Face *) self->faces->pdata[i])->connection != connection)
      continue;
    g_hash_table_iter_init (&iter, self->objects);
    while (g_hash_table_iter_next (&iter, NULL, &object))
      unexport (object, connection);
    g_ptr_array_remove_index_fast (self->faces, i);
    return;
  }
}

/**
 * hypha_object_manager_free:
 * @self: (transfer full): a manager that is on no connection any more
 *
 * Forgets its objects.
 */
void
hypha_object_manager_free (HyphaObjectManager *self)
{
  g_ptr_array_unref (self->faces);
  g_hash_table_unref (self->objects);
  g_dbus_node_info_unref (self->info);
  g_free (self->path);
  g_free (self);
}
