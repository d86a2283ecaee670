/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

static GVariant *
describe (HyphaDBusPeer1 *peer)
{
  return g_variant_new_parsed (
      "{'id': <%s>, 'name': <%s>, 'trusted': <%b>, 'state': <%s>, 'link-cost': <%@mu>,"
      " 'best-link': <%o>, 'links': <%^ao>, 'rx-bytes': <%t>, 'tx-bytes': <%t>}",
      hypha_dbus_peer1_get_id (peer), hypha_dbus_peer1_get_name (peer),
      hypha_dbus_peer1_get_trusted (peer), hypha_dbus_peer1_get_state (peer),
      hypha_ctl_json_cost (hypha_dbus_peer1_get_link_cost (peer)),
      hypha_dbus_peer1_get_best_link (peer), hypha_dbus_peer1_get_links (peer),
      hypha_dbus_peer1_get_rx_bytes (peer), hypha_dbus_peer1_get_tx_bytes (peer));
}

static void
add_row (HyphaTable *table, HyphaDBusPeer1 *peer)
{
  hypha_table_add (
      table, g_strdup (hypha_dbus_peer1_get_name (peer)),
      g_strdup (hypha_dbus_peer1_get_state (peer)),
      hypha_ctl_format_cost (hypha_dbus_peer1_get_link_cost (peer)),
      g_strdup_printf ("%u", g_strv_length ((char **) hypha_dbus_peer1_get_links (peer))),
      hypha_ctl_format_bytes (hypha_dbus_peer1_get_rx_bytes (peer)),
      hypha_ctl_format_bytes (hypha_dbus_peer1_get_tx_bytes (peer)),
      g_strdup (hypha_dbus_peer1_get_id (peer)));
}

gboolean
hypha_verb_peers (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) objects = words ? hypha_ctl_list (ctl, HYPHA_DBUS_PEER, error) : NULL;
  g_autoptr (HyphaTable) table =
      hypha_table_new (_ ("NAME"), _ ("=STATE"), _ (">COST"), _ (">LINKS"), _ (">-RECEIVED"),
                       _ (">-SENT"), _ ("ID"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusPeer1 *peer = hypha_dbus_object_peek_peer1 (objects->pdata[i]);

    if (peer == NULL)
      continue;
    add_row (table, peer);
    g_variant_builder_add_value (all, describe (peer));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
