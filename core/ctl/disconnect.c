/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verb.h"

gboolean
hypha_verb_disconnect (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (HyphaClientPeer) peer = words ? hypha_ctl_find_peer (ctl, words[0], error) : NULL;

  if (peer == NULL)
    return FALSE;
  if (!hypha_dbus_peer1_call_disconnect_sync (hypha_client_peer_get_proxy (peer),
                                              G_DBUS_CALL_FLAGS_NONE, -1, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  return TRUE;
}
