/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

static GVariant *
describe (HyphaDBusTransport1 *transport)
{
  return g_variant_new_parsed (
      "{'name': <%s>, 'schemes': <%^as>, 'link-cost': <%u>, 'available': <%b>, 'reason': <%s>, "
      "'details': <%@a{sv}>}",
      hypha_dbus_transport1_get_name (transport), hypha_dbus_transport1_get_schemes (transport),
      hypha_dbus_transport1_get_link_cost (transport),
      hypha_dbus_transport1_get_available (transport), hypha_dbus_transport1_get_reason (transport),
      hypha_dbus_transport1_get_details (transport));
}

static void
add_row (HyphaTable *table, HyphaDBusTransport1 *transport)
{
  const char *const *schemes = hypha_dbus_transport1_get_schemes (transport);

  hypha_table_add (table, g_strdup (hypha_dbus_transport1_get_name (transport)),
                   hypha_ctl_format_yes (hypha_dbus_transport1_get_available (transport)),
                   hypha_ctl_format_cost (hypha_dbus_transport1_get_link_cost (transport)),
                   g_strjoinv (" ", (char **) schemes),
                   g_strdup (hypha_dbus_transport1_get_reason (transport)));
}

gboolean
hypha_verb_transports (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) objects = words ? hypha_ctl_list (ctl, HYPHA_DBUS_TRANSPORT, error) : NULL;
  g_autoptr (HyphaTable) table = hypha_table_new (_ ("NAME"), _ ("AVAILABLE"), _ (">COST"),
                                                  _ ("-SPELLINGS"), _ ("+REASON"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusTransport1 *transport = hypha_dbus_object_peek_transport1 (objects->pdata[i]);

    if (transport == NULL)
      continue;
    add_row (table, transport);
    g_variant_builder_add_value (all, describe (transport));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
