/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verb.h"

#include <glib/gi18n-lib.h>

/* Whoever meant a whole id has lost a part of it. */
static void
tell_length (GError **error)
{
  g_autoptr (GError) unknown = NULL;

  if (!g_error_matches (*error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER))
    return;
  unknown = g_steal_pointer (error);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER, _ ("%s; a whole id has %d characters"),
               unknown->message, HYPHA_NODE_ID_CHARS);
}

/* The id of a peer that knocked may be given by its beginning; never by the name it gives itself.
 */
static char *
complete_id (HyphaCtl *ctl, const char *text, GError **error)
{
  HyphaClient *client = hypha_ctl_get_client (ctl, error);
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autofree char *id = NULL;
  HyphaNodeId parsed;

  if (client == NULL)
    return NULL;
  if (hypha_node_id_parse (text, &parsed, NULL))
    return g_strdup (text);
  peer = hypha_client_find_peer (client, text, error);
  if (peer == NULL) {
    tell_length (error);
    return NULL;
  }
  id = hypha_peer_dup_id (HYPHA_PEER (peer));
  if (g_str_has_prefix (id, text))
    return g_steal_pointer (&id);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
               _ ("'%s' is a name: trust goes to an id, or to the beginning of one that hyphactl "
                  "peers shows"),
               text);
  return NULL;
}

gboolean
hypha_verb_trust (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autofree char *id = words ? complete_id (ctl, words[0], error) : NULL;

  if (id == NULL)
    return FALSE;
  if (!hypha_dbus_node1_call_trust_sync (hypha_client_get_node (ctl->client), id, words[1],
                                         G_DBUS_CALL_FLAGS_NONE, -1, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  return TRUE;
}
