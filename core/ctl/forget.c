/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verb.h"

gboolean
hypha_verb_forget (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (HyphaClientPeer) peer = words ? hypha_ctl_find_peer (ctl, words[0], error) : NULL;
  g_autofree char *id = NULL;

  if (peer == NULL)
    return FALSE;
  id = hypha_peer_dup_id (HYPHA_PEER (peer));
  if (!hypha_dbus_node1_call_forget_sync (hypha_client_get_node (ctl->client), id,
                                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  return TRUE;
}
