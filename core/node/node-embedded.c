/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a node has for a program that holds one, and hyphad does otherwise. */

#include "node/node-private.h"

#include "loader/dial.h"

static HyphaNode *
embed (HyphaIdentity *identity, GError **error)
{
  HyphaNode *self =
      identity != NULL ? hypha_node_new (identity, hypha_loader_get_default (), 0, error) : NULL;

  /* What does not fit as a name is none. */
  if (self != NULL)
    hypha_node_set_name (self, g_get_host_name (), NULL);
  return self;
}

/**
 * hypha_node_new_for_file:
 * @path: (type filename): the key file of its identity, which is made if it is not there, in a
 *   directory that nobody else may enter
 * @error: return location for an error
 *
 * Makes a node with a lasting identity. One process at a time has a key file. The plug-ins are
 * those that this process finds: `HYPHA_PLUGIN_PATH`, or the directories of the system and of the
 * user.
 *
 * Returns: (transfer full): the node, or %NULL with @error set: `HYPHA_ERROR_IDENTITY` says what is
 * wrong with the file and which command mends it
 */
HyphaNode *
hypha_node_new_for_file (const char *path, GError **error)
{
  g_autoptr (HyphaIdentity) identity = NULL;

  g_return_val_if_fail (path != NULL, NULL);

  identity = hypha_identity_open (path, error);
  return embed (identity, error);
}

/**
 * hypha_node_new_ephemeral:
 * @error: return location for an error
 *
 * Makes a node with an identity that nobody had before and nobody will have again.
 *
 * Returns: (transfer full): the node, or %NULL with @error set
 */
HyphaNode *
hypha_node_new_ephemeral (GError **error)
{
  g_autoptr (HyphaIdentity) identity = hypha_identity_generate (error);

  return embed (identity, error);
}

/**
 * hypha_node_lookup_peer:
 * @self: a node
 * @text: a trusted peer's name, an id, or a unique beginning of an id
 * @error: return location for an error
 *
 * Finds a peer. A name goes before a beginning; what a peer that is not trusted calls itself finds
 * nobody.
 *
 * Returns: (transfer full): the peer, or %NULL with `HYPHA_ERROR_NO_SUCH_PEER` or
 * `HYPHA_ERROR_AMBIGUOUS_PEER`
 */
HyphaPeer *
hypha_node_lookup_peer (HyphaNode *self, const char *text, GError **error)
{
  HyphaNodePeer *peer;

  g_return_val_if_fail (HYPHA_IS_NODE (self), NULL);
  g_return_val_if_fail (text != NULL, NULL);

  peer = hypha_node_lookup (self, text, error);
  return peer != NULL ? HYPHA_PEER (g_object_ref (peer)) : NULL;
}

/* ---- incoming streams ---- */

/* The name comes from outside: it must not become a quark, which stays for ever. */
static GQuark
detail_of (const char *service)
{
  return g_quark_try_string (service);
}

void
hypha_node_offer (HyphaNode *self, HyphaIncoming *incoming)
{
  guint signal = g_signal_lookup ("incoming-stream", HYPHA_TYPE_NODE);
  GQuark detail = detail_of (hypha_incoming_get_service (incoming));
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  gboolean taken = FALSE;

  /* One that does not offer it now leaves it to the program. */
  if (hypha_node_offer_to_transports (self, incoming))
    return;
  if (!g_signal_has_handler_pending (self, signal, detail, TRUE)) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_NO_SUCH_SERVICE);
    return;
  }
  stream = hypha_incoming_make_stream (incoming, &error);
  if (stream == NULL) {
    g_warning ("a stream to '%s': %s", hypha_incoming_get_service (incoming), error->message);
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
    return;
  }
  g_signal_emit (self, signal, detail, hypha_incoming_get_peer (incoming), stream, &taken);
  if (taken)
    hypha_incoming_accept_made (incoming);
  else
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
}
