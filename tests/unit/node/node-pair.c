/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node-pair.h"

#include <glib/gstdio.h>

void
side_up (Side *side, HyphaIdentity *identity, const char *name)
{
  static const char *const directories[] = { HYPHA_TEST_TCP_DIR, HYPHA_TEST_UNIX_DIR, NULL };
  g_autoptr (GError) error = NULL;

  side->identity = identity;
  side->loader = hypha_loader_new (directories);
  hypha_loader_start (side->loader);
  side->node = hypha_node_new (identity, side->loader, 1, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_node_set_name (side->node, name, &error));
  g_assert_no_error (error);
  side->services = hypha_services_new (side->node);
}

void
side_down (Side *side)
{
  if (side->node != NULL)
    hypha_node_stop (side->node);
  g_clear_object (&side->services);
  g_assert_finalize_object (g_steal_pointer (&side->node));
  g_clear_object (&side->loader);
}

static void
set_up_with (NodePair *self, HyphaIdentity *alpha, HyphaIdentity *beta)
{
  g_autoptr (GError) error = NULL;

  self->dir = g_dir_make_tmp ("hypha-node-XXXXXX", &error);
  g_assert_no_error (error);
  side_up (&self->a, alpha, "alpha");
  side_up (&self->b, beta, "beta");
}

void
node_pair_set_up (NodePair *self, gconstpointer data)
{
  set_up_with (self, hypha_identity_generate (NULL), hypha_identity_generate (NULL));
}

void
node_pair_set_up_alpha_lower (NodePair *self, gconstpointer data)
{
  HyphaIdentity *one = hypha_identity_generate (NULL), *other = hypha_identity_generate (NULL);

  if (hypha_node_id_compare (hypha_identity_get_id (one), hypha_identity_get_id (other)) < 0)
    set_up_with (self, one, other);
  else
    set_up_with (self, other, one);
}

void
node_pair_tear_down (NodePair *self, gconstpointer data)
{
  static const char *const left[] = { "b.sock", "b.sock.lock", "target" };

  side_down (&self->a);
  side_down (&self->b);
  hypha_identity_unref (self->a.identity);
  hypha_identity_unref (self->b.identity);
  for (guint i = 0; i < G_N_ELEMENTS (left); i++) {
    g_autofree char *path = g_build_filename (self->dir, left[i], NULL);

    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (self->dir), ==, 0);
  g_free (self->dir);
}

/* ---- waiting for what has to come ---- */

gboolean
wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **place = user_data;

  *place = g_object_ref (result);
}

/* ---- what a test tells a node to do, waited for ---- */

char *
listen_on (Side *side, const char *endpoint)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char *bound;

  hypha_node_listen_async (side->node, endpoint, NULL, NULL, keep_result, &result);
  wait_until (result != NULL);
  bound = hypha_node_listen_finish (side->node, result, &error);
  g_assert_no_error (error);
  return bound;
}

HyphaNodePeer *
dial (Side *side, const char *endpoint, GVariant *options, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) owned = options != NULL ? g_variant_ref_sink (options) : NULL;

  hypha_node_connect_async (side->node, endpoint, owned, NULL, keep_result, &result);
  wait_until (result != NULL);
  return (HyphaNodePeer *) hypha_node_connect_finish (side->node, result, error);
}

HyphaStream *
open_stream (HyphaNodePeer *peer, const char *service, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_peer_open_stream_async (HYPHA_PEER (peer), service, 10000, NULL, keep_result, &result);
  wait_until (result != NULL);
  return hypha_peer_open_stream_finish (HYPHA_PEER (peer), result, error);
}

void
trust (Side *side, Side *other, const char *name)
{
  g_autofree char *id = id_of (other);
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_trust (side->node, id, name, &error));
  g_assert_no_error (error);
}

void
trust_each_other (NodePair *self)
{
  trust (&self->a, &self->b, "beta");
  trust (&self->b, &self->a, "alpha");
}

HyphaNodePeer *
join (NodePair *self, const char *endpoint)
{
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer;

  trust_each_other (self);
  peer = dial (&self->a, endpoint, NULL, &error);
  g_assert_no_error (error);
  return peer;
}

HyphaStream *
must_open (HyphaNodePeer *peer, const char *service)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = open_stream (peer, service, &error);

  g_assert_no_error (error);
  return stream;
}

/* ---- a program behind a service of beta ---- */

char *
target_path (NodePair *self)
{
  return g_build_filename (self->dir, "target", NULL);
}

void
offer (NodePair *self, const char *service, const char *target)
{
  g_autoptr (GVariant) services =
      g_variant_ref_sink (g_variant_new_parsed ("{%s: {'target': <%s>}}", service, target));
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_services_configure (self->b.services, services, &error));
}

void
offer_path (NodePair *self, const char *service, const char *path)
{
  g_autofree char *target = g_strdup_printf ("unix://%s", path);

  offer (self, service, target);
}

GSocketListener *
program_new (NodePair *self, const char *service, GAsyncResult **result)
{
  g_autofree char *path = target_path (self);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;
  GSocketListener *program = g_socket_listener_new ();

  g_socket_listener_add_address (program, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                                 NULL, NULL, &error);
  g_assert_no_error (error);
  g_socket_listener_accept_async (program, NULL, keep_result, result);
  offer_path (self, service, path);
  return program;
}

GSocketConnection *
program_accepted (GSocketListener *program, GAsyncResult **result)
{
  g_autoptr (GError) error = NULL;
  GSocketConnection *accepted;

  wait_until (*result != NULL);
  accepted = g_socket_listener_accept_finish (program, *result, NULL, &error);
  g_assert_no_error (error);
  return accepted;
}

/* ---- what is there ---- */

char *
unix_endpoint (NodePair *self)
{
  return g_strdup_printf ("unix://%s/b.sock", self->dir);
}

char *
id_of (Side *side)
{
  return hypha_node_id_to_string (hypha_node_get_id (side->node));
}

HyphaNodePeer *
peer_of (Side *side, const char *name)
{
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer = hypha_node_lookup (side->node, name, &error);

  g_assert_no_error (error);
  return peer;
}

guint
n_links (Side *side)
{
  return g_list_model_get_n_items (hypha_node_get_links (side->node));
}

gsize
n_streams (HyphaNodePeer *peer)
{
  g_autoptr (GVariant) streams = hypha_node_peer_dup_streams (peer);

  return g_variant_n_children (streams);
}
