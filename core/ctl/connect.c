/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

static void
print (HyphaCtl *ctl, const char *path)
{
  g_autofree char *name = hypha_ctl_dup_peer_name (ctl, path);
  g_autofree char *safe = hypha_ctl_escape (name);
  const char *id = path + strlen (HYPHA_DBUS_ROOT "/" HYPHA_DBUS_PEER "/");

  if (ctl->json)
    hypha_ctl_print_json (
        g_variant_new_parsed ("{'id': <%s>, 'name': <%s>, 'path': <%s>}", id, name, path));
  else
    printf (_ ("connected to %s (%s)\n"), safe, id);
}

/* The answer is a path; the peer's object may be told a moment later. */
static void
wait_for_object (HyphaCtl *ctl, const char *path)
{
  GDBusObjectManager *objects = hypha_client_get_objects (ctl->client);

  while (g_main_context_iteration (NULL, FALSE)) {
    g_autoptr (GDBusObject) object = g_dbus_object_manager_get_object (objects, path);

    if (object)
      return;
  }
}

gboolean
hypha_verb_connect (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_autofree char *expect_id = NULL;
  g_autofree char *path = NULL;
  int timeout = 0;
  gboolean persist = FALSE;
  const GOptionEntry options[] = {
    { "expect-id", 0, 0, G_OPTION_ARG_STRING, &expect_id,
      N_ ("Fail unless the node with this id answers"), "ID" },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &timeout, N_ ("Milliseconds it may take"), "MS" },
    { "persist", 0, 0, G_OPTION_ARG_NONE, &persist, N_ ("Dial it after restarts, too"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  HyphaDBusNode1 *node;

  if (words == NULL || !hypha_verb_check_range ("--timeout", timeout, 0, G_MAXINT, error))
    return FALSE;
  node = hypha_ctl_get_node (ctl, error);
  if (node == NULL)
    return FALSE;
  if (expect_id)
    g_variant_dict_insert (&dict, "expect-id", "s", expect_id);
  if (timeout > 0)
    g_variant_dict_insert (&dict, "timeout", "u", (guint) timeout);
  if (persist)
    g_variant_dict_insert (&dict, "persist", "b", TRUE);
  if (!hypha_dbus_node1_call_connect_sync (node, words[0], g_variant_dict_end (&dict),
                                           G_DBUS_CALL_FLAGS_NONE, G_MAXINT, &path, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  wait_for_object (ctl, path);
  print (ctl, path);
  return TRUE;
}
