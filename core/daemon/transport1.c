/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/transport1.h"

struct _HyphaTransport1 {
  HyphaDBusTransport1Skeleton parent_instance;
  HyphaModule *module;
};

G_DEFINE_FINAL_TYPE (HyphaTransport1, hypha_transport1, HYPHA_DBUS_TYPE_TRANSPORT1_SKELETON)

static void
refresh (HyphaTransport1 *self)
{
  HyphaTransport *transport = hypha_module_get_transport (self->module);
  g_autoptr (GVariant) details = g_variant_take_ref (hypha_module_dup_details (self->module));
  g_autofree char *reason = g_utf8_make_valid (hypha_module_get_reason (self->module), -1);

  /* Whoever exports this takes it away then. */
  if (transport == NULL)
    return;
  g_object_set (self, "link-cost",
                hypha_transport_is_lossy (transport)
                    ? G_MAXUINT32
                    : hypha_transport_get_link_cost (transport, NULL),
                "available", hypha_module_get_state (self->module) == HYPHA_MODULE_READY, "reason",
                reason, "details", details, NULL);
}

/**
 * hypha_transport1_new:
 * @module: a module that has a transport
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaTransport1 *
hypha_transport1_new (HyphaModule *module)
{
  const char *const *schemes = hypha_transport_get_schemes (hypha_module_get_transport (module));
  HyphaTransport1 *self =
      g_object_new (HYPHA_TYPE_TRANSPORT1, "name", schemes[0], "schemes", schemes, NULL);

  self->module = g_object_ref (module);
  g_signal_connect_object (module, "notify", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
  return self;
}

static void
hypha_transport1_dispose (GObject *object)
{
  g_clear_object (&HYPHA_TRANSPORT1 (object)->module);
  G_OBJECT_CLASS (hypha_transport1_parent_class)->dispose (object);
}

static void
hypha_transport1_class_init (HyphaTransport1Class *klass)
{
  G_OBJECT_CLASS (klass)->dispose = hypha_transport1_dispose;
}

static void
hypha_transport1_init (HyphaTransport1 *self)
{
}
