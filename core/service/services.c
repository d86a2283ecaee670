/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/services.h"

#include <glib/gi18n-lib.h>

#include "service/builtin.h"
#include "service/service.h"

struct _HyphaServices {
  GObject parent_instance;
  HyphaNode *node;
  HyphaBuiltins *builtins;
  GHashTable *by_name; /* of HyphaService */
};

G_DEFINE_FINAL_TYPE (HyphaServices, hypha_services, G_TYPE_OBJECT)

static void
answer (HyphaNode *node, HyphaIncoming *incoming, gpointer user_data)
{
  HyphaServices *self = user_data;
  HyphaService *service =
      g_hash_table_lookup (self->by_name, hypha_incoming_get_service (incoming));

  if (service == NULL || g_str_equal (service->target, "off"))
    hypha_incoming_refuse (incoming, HYPHA_ERROR_NO_SUCH_SERVICE);
  else if (!hypha_service_admits (service, hypha_incoming_get_peer (incoming)))
    hypha_incoming_refuse (incoming, HYPHA_ERROR_PERMISSION_DENIED);
  else if (g_str_equal (service->target, "echo"))
    hypha_builtins_echo (self->builtins, incoming);
  else if (g_str_equal (service->target, "discard"))
    hypha_builtins_discard (self->builtins, incoming);
  else
    hypha_service_connect (incoming, hypha_node_get_loader (node), service->target);
}

static GHashTable *
defaults (void)
{
  static const char *const builtin[] = { "echo", "discard" };
  GHashTable *table =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) hypha_service_free);

  for (guint i = 0; i < G_N_ELEMENTS (builtin); i++) {
    HyphaService *service = g_new0 (HyphaService, 1);

    service->name = g_strdup (builtin[i]);
    service->target = g_strdup (builtin[i]);
    g_hash_table_insert (table, service->name, service);
  }
  return table;
}

HyphaServices *
hypha_services_new (HyphaNode *node)
{
  HyphaServices *self = g_object_new (HYPHA_TYPE_SERVICES, NULL);

  self->node = g_object_ref (node);
  self->builtins = hypha_builtins_new ();
  hypha_node_set_accept_func (node, answer, self);
  return self;
}

gboolean
hypha_services_configure (HyphaServices *self, GVariant *services, GError **error)
{
  g_autoptr (GHashTable) table = defaults ();
  GVariantIter iter;
  const char *name;
  GVariant *items;

  if (!g_variant_is_of_type (services, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("services has to be of type a{sa{sv}}, not %s"),
                 g_variant_get_type_string (services));
    return FALSE;
  }
  g_variant_iter_init (&iter, services);
  while (g_variant_iter_next (&iter, "{&s@a{sv}}", &name, &items)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = items;
    g_autoptr (GError) reason = NULL;
    HyphaService *service =
        hypha_service_new (hypha_node_get_loader (self->node), name, items, &reason);

    if (service == NULL) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("services, entry '%s': %s"),
                   name, reason->message);
      return FALSE;
    }
    g_hash_table_replace (table, service->name, service);
  }
  g_hash_table_unref (self->by_name);
  self->by_name = g_steal_pointer (&table);
  return TRUE;
}

static void
hypha_services_finalize (GObject *object)
{
  HyphaServices *self = HYPHA_SERVICES (object);

  hypha_node_set_accept_func (self->node, NULL, NULL);
  g_object_unref (self->node);
  hypha_builtins_free (self->builtins);
  g_hash_table_unref (self->by_name);
  G_OBJECT_CLASS (hypha_services_parent_class)->finalize (object);
}

static void
hypha_services_class_init (HyphaServicesClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_services_finalize;
}

static void
hypha_services_init (HyphaServices *self)
{
  self->by_name = defaults ();
}
