/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Many nodes in one process, each with a link and a stream of its own to one and the same node; see
 * README.md. */

#include <hypha.h>
#include <signal.h>
#include <stdlib.h>

#include "end.h"
#include "many.h"

#define AT_ONCE 4 /* that dial; a node takes eight handshakes from one user */

typedef struct {
  const char *endpoint, *id, *service;
  HyphaNode **nodes;
  HyphaStream **streams;
  guint n, next, open;
} Peers;

static void join_next (Peers *peers);

static void
opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Peers *peers = user_data;
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);

  if (stream == NULL)
    die ("cannot open a stream: %s", error->message);
  peers->streams[peers->open++] = stream;
  join_next (peers);
}

static void
connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Peers *peers = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaPeer) peer = hypha_node_connect_finish (HYPHA_NODE (source), result, &error);

  if (peer == NULL)
    die ("cannot connect: %s", error->message);
  hypha_peer_open_stream_async (peer, peers->service, 0, NULL, opened, peers);
}

static void
join_next (Peers *peers)
{
  if (peers->next < peers->n)
    hypha_node_connect_async (peers->nodes[peers->next++], peers->endpoint, NULL, NULL, connected,
                              peers);
}

static void
make_nodes (Peers *peers)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) ids = g_string_new ("[");

  for (guint i = 0; i < peers->n; i++) {
    g_autofree char *id = NULL;

    peers->nodes[i] = hypha_node_new_ephemeral (&error);
    if (peers->nodes[i] == NULL || !hypha_node_trust (peers->nodes[i], peers->id, "hub", &error))
      die ("cannot make a node: %s", error->message);
    id = hypha_node_dup_id (peers->nodes[i]);
    g_string_append_printf (ids, "%s\"%s\"", i > 0 ? ", " : "", id);
  }
  g_string_append_c (ids, ']');
  end_say (ids->str); /* until they are trusted */
}

int
main (int argc, char **argv)
{
  Peers peers = { 0 };
  g_autofree int *fds = NULL;
  guint64 bytes;

  g_set_prgname ("bench-peers");
  signal (SIGPIPE, SIG_IGN);
  if (argc != 6)
    die ("usage: bench-peers ENDPOINT ID SERVICE N BYTES");
  peers.endpoint = argv[1];
  peers.id = argv[2];
  peers.service = argv[3];
  peers.n = (guint) MIN (end_number (argv[4]), 10000);
  bytes = MAX (end_number (argv[5]) / peers.n, 1);
  peers.nodes = g_new0 (HyphaNode *, peers.n);
  peers.streams = g_new0 (HyphaStream *, peers.n);
  fds = g_new (int, peers.n);
  make_nodes (&peers);
  for (guint i = 0; i < AT_ONCE; i++)
    join_next (&peers);
  while (peers.open < peers.n)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < peers.n; i++)
    fds[i] = hypha_stream_steal_fd (peers.streams[i]);
  for (;;)
    end_report (many_send (fds, peers.n, bytes));
}
