/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/plugin1.h"

struct _HyphaPlugin1 {
  HyphaDBusPlugin1Skeleton parent_instance;
  HyphaModule *module;
};

G_DEFINE_FINAL_TYPE (HyphaPlugin1, hypha_plugin1, HYPHA_DBUS_TYPE_PLUGIN1_SKELETON)

/* A module's own words may be anything; D-Bus takes UTF-8 alone. */
static void
refresh (HyphaPlugin1 *self)
{
  g_autofree char *name = g_utf8_make_valid (hypha_module_get_name (self->module), -1);
  g_autofree char *version = g_utf8_make_valid (hypha_module_get_version (self->module), -1);
  g_autofree char *reason = g_utf8_make_valid (hypha_module_get_reason (self->module), -1);

  g_object_set (self, "name", name, "version", version, "state",
                hypha_module_state_to_string (hypha_module_get_state (self->module)), "reason",
                reason, NULL);
}

/**
 * hypha_plugin1_new:
 * @module: a file that the loader found
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaPlugin1 *
hypha_plugin1_new (HyphaModule *module)
{
  g_autofree char *path = g_utf8_make_valid (hypha_module_get_path (module), -1);
  HyphaPlugin1 *self = g_object_new (HYPHA_TYPE_PLUGIN1, "path", path, NULL);

  self->module = g_object_ref (module);
  g_signal_connect_object (module, "notify", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
  return self;
}

static void
hypha_plugin1_dispose (GObject *object)
{
  g_clear_object (&HYPHA_PLUGIN1 (object)->module);
  G_OBJECT_CLASS (hypha_plugin1_parent_class)->dispose (object);
}

static void
hypha_plugin1_class_init (HyphaPlugin1Class *klass)
{
  G_OBJECT_CLASS (klass)->dispose = hypha_plugin1_dispose;
}

static void
hypha_plugin1_init (HyphaPlugin1 *self)
{
}
