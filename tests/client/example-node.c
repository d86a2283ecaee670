/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>

/* Takes a stream, and lets it go at once: the peer finds it reset. */
static gboolean
on_stream (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  g_autofree char *name = hypha_peer_dup_name (peer);

  g_print ("%s opens %s\n", name, hypha_stream_get_service (stream));
  g_main_loop_quit (user_data);
  return TRUE;
}

/* A node without a daemon: example-node KEY-FILE ENDPOINT ID-TO-TRUST */
int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  const char *listen[] = { argc > 3 ? argv[2] : NULL, NULL };
  g_autoptr (HyphaNode) node = argc > 3 ? hypha_node_new_for_file (argv[1], &error) : NULL;
  g_autofree char *id = node ? hypha_node_dup_id (node) : NULL;

  if (node == NULL || !hypha_node_trust (node, argv[3], "friend", &error) ||
      !hypha_node_set_listen (node, listen, &error))
    g_error ("%s", error ? error->message : "KEY-FILE ENDPOINT ID-TO-TRUST");
  g_signal_connect (node, "incoming-stream::ring", G_CALLBACK (on_stream), loop);
  g_print ("%s\n", id);
  g_main_loop_run (loop);
  hypha_node_stop (node);
  return 0;
}
