/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>

/* Who is there: the peers of the node on a bus. */
int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaClient) client = hypha_client_new (argc > 1 ? argv[1] : NULL, NULL, &error);
  GListModel *peers = client != NULL ? hypha_client_get_peers (client) : NULL;

  if (client == NULL)
    g_error ("%s", error->message);
  for (guint i = 0; i < g_list_model_get_n_items (peers); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (peers, i);
    g_autofree char *name = hypha_peer_dup_name (peer);

    g_print ("%s %s\n", name, hypha_peer_state_to_string (hypha_peer_get_state (peer)));
  }
  return 0;
}
