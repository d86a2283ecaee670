/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

typedef struct {
  char *target, *owner; /* OWNER is nullable */
  char **peers;         /* NULL: every trusted peer */
} Service;

static void
service_clear (Service *self)
{
  g_free (self->target);
  g_free (self->owner);
  g_strfreev (self->peers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Service, service_clear)

static void
service_read (Service *self, GVariant *value)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (value);

  if (!g_variant_dict_lookup (&dict, "target", "s", &self->target))
    self->target = g_strdup ("");
  g_variant_dict_lookup (&dict, "owner", "s", &self->owner);
  g_variant_dict_lookup (&dict, "peers", "^as", &self->peers);
}

/* What is not there is null. */
static GVariant *
describe (const char *name, const Service *service)
{
  GVariant *peers =
      service->peers ? g_variant_new_strv ((const char *const *) service->peers, -1) : NULL;

  return g_variant_new_parsed (
      "{'name': <%s>, 'target': <%s>, 'peers': <%@mas>, 'owner': <%@ms>}", name, service->target,
      g_variant_new_maybe (G_VARIANT_TYPE_STRING_ARRAY, peers),
      g_variant_new_maybe (G_VARIANT_TYPE_STRING,
                           service->owner ? g_variant_new_string (service->owner) : NULL));
}

static void
add_row (HyphaTable *table, const char *name, const Service *service)
{
  hypha_table_add (table, g_strdup (name), g_strdup (service->target),
                   service->peers ? g_strjoinv (" ", service->peers) : g_strdup (_ ("all trusted")),
                   g_strdup (service->owner ? service->owner : "-"));
}

gboolean
hypha_verb_services (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  HyphaDBusNode1 *node = words ? hypha_ctl_get_node (ctl, error) : NULL;
  g_autoptr (HyphaTable) table =
      hypha_table_new (_ ("NAME"), _ ("TARGET"), _ ("PEERS"), _ ("OWNER"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));
  GVariantIter iter;
  const char *name;
  GVariant *services, *value;

  if (node == NULL)
    return FALSE;
  services = hypha_dbus_node1_get_services (node);
  if (services == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                         _ ("the node does not tell its services: it is of another version"));
    return FALSE;
  }
  g_variant_iter_init (&iter, services);
  while (g_variant_iter_loop (&iter, "{&s@a{sv}}", &name, &value)) {
    g_auto (Service) service = { 0 };

    service_read (&service, value);
    add_row (table, name, &service);
    g_variant_builder_add_value (all, describe (name, &service));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
