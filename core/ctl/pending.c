/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/pending.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/verb.h"

/**
 * hypha_ctl_list_pending:
 * @ctl: what the run was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the #HyphaDBusPeer1 of those who knocked and are not trusted
 */
GPtrArray *
hypha_ctl_list_pending (HyphaCtl *ctl, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (ctl, HYPHA_DBUS_PEER, error);
  GPtrArray *pending;

  if (objects == NULL)
    return NULL;
  pending = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusPeer1 *peer = hypha_dbus_object_peek_peer1 (objects->pdata[i]);

    if (peer && g_strcmp0 (hypha_dbus_peer1_get_state (peer), "pending") == 0)
      g_ptr_array_add (pending, g_object_ref (peer));
  }
  return pending;
}

/* A node of an older version does not tell where a peer knocked. */
static const char *
get_from (HyphaDBusPeer1 *peer)
{
  const char *from = hypha_dbus_peer1_get_from (peer);

  return from ? from : "";
}

/**
 * hypha_ctl_describe_pending:
 * @pending: of hypha_ctl_list_pending()
 *
 * Returns: (transfer floating): the same for JSON
 */
GVariant *
hypha_ctl_describe_pending (GPtrArray *pending)
{
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < pending->len; i++) {
    HyphaDBusPeer1 *peer = pending->pdata[i];

    g_variant_builder_add_parsed (all, "{'id': <%s>, 'name': <%s>, 'from': <%s>}",
                                  hypha_dbus_peer1_get_id (peer), hypha_dbus_peer1_get_name (peer),
                                  get_from (peer));
  }
  return g_variant_builder_end (all);
}

gboolean
hypha_verb_pending (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) pending = words ? hypha_ctl_list_pending (ctl, error) : NULL;
  g_autoptr (HyphaTable) table = hypha_table_new (_ ("ID"), _ ("CALLS ITSELF"), _ ("FROM"), NULL);

  if (pending == NULL)
    return FALSE;
  if (ctl->json) {
    hypha_ctl_print_json (hypha_ctl_describe_pending (pending));
    return TRUE;
  }
  for (guint i = 0; i < pending->len; i++) {
    HyphaDBusPeer1 *peer = pending->pdata[i];

    hypha_table_add (table, g_strdup (hypha_dbus_peer1_get_id (peer)),
                     g_strdup (hypha_dbus_peer1_get_name (peer)), g_strdup (get_from (peer)));
  }
  hypha_table_print (table);
  if (pending->len > 0)
    hypha_ctl_print_wrapped (
        _ ("hyphactl trust ID NAME lets one in, under a name of your choice; a beginning of the id "
           "will do."),
        0);
  return TRUE;
}
