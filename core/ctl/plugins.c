/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

static GVariant *
describe (HyphaDBusPlugin1 *plugin)
{
  return g_variant_new_parsed (
      "{'name': <%s>, 'version': <%s>, 'path': <%s>, 'state': <%s>, 'reason': <%s>}",
      hypha_dbus_plugin1_get_name (plugin), hypha_dbus_plugin1_get_version (plugin),
      hypha_dbus_plugin1_get_path (plugin), hypha_dbus_plugin1_get_state (plugin),
      hypha_dbus_plugin1_get_reason (plugin));
}

static void
add_row (HyphaTable *table, HyphaDBusPlugin1 *plugin)
{
  hypha_table_add (table, g_strdup (hypha_dbus_plugin1_get_name (plugin)),
                   g_strdup (hypha_dbus_plugin1_get_version (plugin)),
                   g_strdup (hypha_dbus_plugin1_get_state (plugin)),
                   g_strdup (hypha_dbus_plugin1_get_path (plugin)),
                   g_strdup (hypha_dbus_plugin1_get_reason (plugin)));
}

gboolean
hypha_verb_plugins (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) objects = words ? hypha_ctl_list (ctl, HYPHA_DBUS_PLUGIN, error) : NULL;
  g_autoptr (HyphaTable) table =
      hypha_table_new (_ ("NAME"), _ ("VERSION"), _ ("=STATE"), _ ("PATH"), _ ("+REASON"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusPlugin1 *plugin = hypha_dbus_object_peek_plugin1 (objects->pdata[i]);

    if (plugin == NULL)
      continue;
    add_row (table, plugin);
    g_variant_builder_add_value (all, describe (plugin));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
