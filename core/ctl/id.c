/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

gboolean
hypha_verb_id (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  HyphaDBusNode1 *node = words ? hypha_ctl_get_node (ctl, error) : NULL;
  g_autofree char *safe = node ? hypha_ctl_escape (hypha_dbus_node1_get_id (node)) : NULL;

  if (node == NULL)
    return FALSE;
  if (ctl->json)
    hypha_ctl_print_json (g_variant_new_parsed ("{'id': <%s>}", hypha_dbus_node1_get_id (node)));
  else
    puts (safe);
  return TRUE;
}
