/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-nodes.h"

#include "loader/dial.h"

static void
must (const char *what, GError *error)
{
  if (error != NULL)
    die ("%s: %s", what, error->message);
}

HyphaNode *
bench_node_new (const char *name, guint workers)
{
  g_autoptr (GError) error = NULL;
  HyphaIdentity *identity = hypha_identity_generate (&error);
  HyphaNode *node = NULL;

  if (identity != NULL)
    node = hypha_node_new (identity, hypha_loader_get_default (), workers, &error);
  must ("a node", error);
  hypha_node_set_name (node, name, &error);
  must ("a name", error);
  return node;
}

void
bench_node_trust (HyphaNode *node, const char *id, const char *name)
{
  g_autoptr (GError) error = NULL;

  hypha_node_trust (node, id, name, &error);
  must ("trust", error);
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

char *
bench_node_listen (HyphaNode *node, const char *endpoint)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char *bound;

  hypha_node_listen_async (node, endpoint, NULL, NULL, keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  bound = hypha_node_listen_finish (node, result, &error);
  must (endpoint, error);
  return bound;
}

HyphaPeer *
bench_node_connect (HyphaNode *node, const char *endpoint)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  HyphaPeer *peer;

  hypha_node_connect_async (node, endpoint, NULL, NULL, keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  peer = hypha_node_connect_finish (node, result, &error);
  must (endpoint, error);
  return peer;
}

int
bench_open (HyphaPeer *peer, const char *service, HyphaStream **kept)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  hypha_peer_open_stream_async (peer, service, 20000, NULL, keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  stream = hypha_peer_open_stream_finish (peer, result, &error);
  must (service, error);
  fd = hypha_stream_steal_fd (stream);
  if (kept != NULL)
    *kept = g_steal_pointer (&stream);
  return fd;
}

void
bench_wait (const gboolean *flag)
{
  while (!*flag)
    g_main_context_iteration (NULL, TRUE);
}
