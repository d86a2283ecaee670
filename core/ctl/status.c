/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

typedef struct {
  guint online, pending, others;
  guint links;
} Counts;

static gboolean
count (HyphaCtl *ctl, Counts *counts, GError **error)
{
  GListModel *peers = hypha_client_get_peers (ctl->client);
  g_autoptr (GPtrArray) links = hypha_ctl_list (ctl, HYPHA_DBUS_LINK, error);

  if (links == NULL)
    return FALSE;
  counts->links = links->len;
  for (guint i = 0; i < g_list_model_get_n_items (peers); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (peers, i);

    switch (hypha_peer_get_state (peer)) {
    case HYPHA_PEER_ONLINE:
      counts->online++;
      break;
    case HYPHA_PEER_PENDING:
      counts->pending++;
      break;
    default:
      counts->others++;
    }
  }
  return TRUE;
}

static void
print_json (HyphaDBusNode1 *node, const Counts *counts)
{
  hypha_ctl_print_json (g_variant_new_parsed (
      "{'id': <%s>, 'name': <%s>, 'version': <%s>, 'features': <%^as>, 'listening': <%^as>,"
      " 'troubles': <%@a{ss}>, 'peers-online': <%u>, 'peers-pending': <%u>, 'peers-other': <%u>, "
      "'links': <%u>}",
      hypha_dbus_node1_get_id (node), hypha_dbus_node1_get_name (node),
      hypha_dbus_node1_get_version (node), hypha_dbus_node1_get_features (node),
      hypha_dbus_node1_get_listening (node), hypha_dbus_node1_get_troubles (node), counts->online,
      counts->pending, counts->others, counts->links));
}

static void
print_line (const char *title, const char *text)
{
  g_autofree char *safe = hypha_ctl_escape (text);

  printf ("%-11s%s\n", title, safe);
}

static void
print_troubles (GVariant *troubles)
{
  const char *title = "Trouble";
  GVariantIter iter;
  const char *endpoint, *reason;

  g_variant_iter_init (&iter, troubles);
  while (g_variant_iter_next (&iter, "{&s&s}", &endpoint, &reason)) {
    g_autofree char *text = g_strdup_printf ("%s: %s", endpoint, reason);

    print_line (title, text);
    title = "";
  }
}

static void
print_people (HyphaDBusNode1 *node, const Counts *counts)
{
  const char *const *listening = hypha_dbus_node1_get_listening (node);

  print_line (_ ("Name"), hypha_dbus_node1_get_name (node));
  print_line (_ ("Id"), hypha_dbus_node1_get_id (node));
  print_line (_ ("Version"), hypha_dbus_node1_get_version (node));
  if (*listening == NULL)
    print_line (_ ("Listening"), "nowhere");
  for (guint i = 0; listening[i]; i++)
    print_line (i == 0 ? _ ("Listening") : "", listening[i]);
  print_troubles (hypha_dbus_node1_get_troubles (node));
  printf (_ ("%-11s%u online, %u not online, %u pending\n"), "Peers", counts->online,
          counts->others, counts->pending);
  printf ("%-11s%u\n", "Links", counts->links);
}

gboolean
hypha_verb_status (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  HyphaDBusNode1 *node = words ? hypha_ctl_get_node (ctl, error) : NULL;
  Counts counts = { 0 };

  if (node == NULL || !count (ctl, &counts, error))
    return FALSE;
  if (ctl->json)
    print_json (node, &counts);
  else
    print_people (node, &counts);
  return TRUE;
}
