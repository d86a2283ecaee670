/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

static GVariant *
describe (HyphaCtl *ctl, HyphaDBusLink1 *link)
{
  g_autofree char *name = hypha_ctl_dup_peer_name (ctl, hypha_dbus_link1_get_peer (link));

  return g_variant_new_parsed (
      "{'path': <%o>, 'peer': <%o>, 'peer-name': <%s>, 'transport': <%s>, 'local': <%s>, 'remote': "
      "<%s>,"
      " 'cost': <%u>, 'static-cost': <%u>, 'rtt-us': <%t>, 'state': <%s>, 'encrypted': <%b>, "
      "'active': <%b>,"
      " 'rx-bytes': <%t>, 'tx-bytes': <%t>}",
      g_dbus_proxy_get_object_path (G_DBUS_PROXY (link)), hypha_dbus_link1_get_peer (link), name,
      hypha_dbus_link1_get_transport (link), hypha_dbus_link1_get_local (link),
      hypha_dbus_link1_get_remote (link), hypha_dbus_link1_get_cost (link),
      hypha_dbus_link1_get_static_cost (link), hypha_dbus_link1_get_rtt_microseconds (link),
      hypha_dbus_link1_get_state (link), hypha_dbus_link1_get_encrypted (link),
      hypha_dbus_link1_get_active (link), hypha_dbus_link1_get_rx_bytes (link),
      hypha_dbus_link1_get_tx_bytes (link));
}

static void
add_row (HyphaTable *table, HyphaCtl *ctl, HyphaDBusLink1 *link)
{
  hypha_table_add (table, hypha_ctl_dup_peer_name (ctl, hypha_dbus_link1_get_peer (link)),
                   g_strdup (hypha_dbus_link1_get_transport (link)),
                   g_strdup (hypha_dbus_link1_get_state (link)),
                   hypha_ctl_format_yes (hypha_dbus_link1_get_active (link)),
                   hypha_ctl_format_cost (hypha_dbus_link1_get_cost (link)),
                   hypha_ctl_format_ms (hypha_dbus_link1_get_rtt_microseconds (link)),
                   hypha_ctl_format_yes (hypha_dbus_link1_get_encrypted (link)),
                   hypha_ctl_format_bytes (hypha_dbus_link1_get_rx_bytes (link)),
                   hypha_ctl_format_bytes (hypha_dbus_link1_get_tx_bytes (link)),
                   g_strdup (hypha_dbus_link1_get_local (link)),
                   g_strdup (hypha_dbus_link1_get_remote (link)));
}

gboolean
hypha_verb_links (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) objects = words ? hypha_ctl_list (ctl, HYPHA_DBUS_LINK, error) : NULL;
  g_autoptr (HyphaClientPeer) peer = NULL;
  const char *wanted = NULL;
  g_autoptr (HyphaTable) table = hypha_table_new (
      _ ("PEER"), _ ("TRANSPORT"), _ ("=STATE"), _ ("ACTIVE"), _ (">COST"), _ (">ROUND TRIP"),
      _ ("-ENCRYPTED"), _ (">-RECEIVED"), _ (">-SENT"), _ ("-LOCAL"), _ ("REMOTE"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  if (words[0]) {
    peer = hypha_ctl_find_peer (ctl, words[0], error);
    if (peer == NULL)
      return FALSE;
    wanted = g_dbus_proxy_get_object_path (G_DBUS_PROXY (hypha_client_peer_get_proxy (peer)));
  }
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusLink1 *link = hypha_dbus_object_peek_link1 (objects->pdata[i]);

    if (link == NULL || (wanted && !g_str_equal (hypha_dbus_link1_get_peer (link), wanted)))
      continue;
    add_row (table, ctl, link);
    g_variant_builder_add_value (all, describe (ctl, link));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
