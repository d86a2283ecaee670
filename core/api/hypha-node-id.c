/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-node-id.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "hypha-error.h"
#include "hypha-text.h"

/* 52 characters hold 260 bits: the last four of them are not used. */
#define UNUSED_BITS (HYPHA_NODE_ID_CHARS * 5 - HYPHA_NODE_ID_BYTES * 8)

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/**
 * hypha_node_id_get_type:
 *
 * The boxed type of [struct@Hypha.NodeId].
 *
 * Returns: the type
 */
G_DEFINE_BOXED_TYPE (HyphaNodeId, hypha_node_id, hypha_node_id_copy, hypha_node_id_free)

static gboolean
fail (const char *text, const char *why, GError **error)
{
  g_autofree char *quoted = hypha_text_quote (text);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
               _ ("%s is not a node id: %s; `hyphactl id` on the other node prints its id"), quoted,
               why);
  return FALSE;
}

/**
 * hypha_node_id_parse:
 * @text: what is said to be a node id
 * @id: (out caller-allocates): where to store the id
 * @error: return location for an error
 *
 * Parses the textual form of a node id: exactly 52 characters of lower-case base32 (RFC 4648,
 * without padding), whose four unused bits are zero. So every id has one spelling only. Whether the
 * bytes are a usable Ed25519 key is not judged.
 *
 * On failure @id is left as it was, and the error is `HYPHA_ERROR_INVALID_ID`.
 *
 * Returns: whether @text is a node id
 */
gboolean
hypha_node_id_parse (const char *text, HyphaNodeId *id, GError **error)
{
  HyphaNodeId parsed = { { 0 } };
  gsize length, filled = 0;
  guint32 bits = 0;
  guint bit_count = 0;

  g_return_val_if_fail (text != NULL, FALSE);
  g_return_val_if_fail (id != NULL, FALSE);

  length = strlen (text);
  if (length != HYPHA_NODE_ID_CHARS) {
    g_autofree char *why =
        g_strdup_printf (_ ("it has %zu characters instead of %d"), length, HYPHA_NODE_ID_CHARS);
    return fail (text, why, error);
  }
  for (gsize i = 0; i < length; i++) {
    const char *digit = strchr (alphabet, text[i]);

    if (digit == NULL) {
      g_autofree char *why =
          g_strdup_printf (_ ("character %zu is not one of a to z and 2 to 7"), i + 1);
      return fail (text, why, error);
    }
    bits = (bits << 5) | (guint32) (digit - alphabet);
    bit_count += 5;
    if (bit_count >= 8) {
      bit_count -= 8;
      parsed.bytes[filled++] = (guint8) (bits >> bit_count);
      bits &= (1u << bit_count) - 1;
    }
  }
  g_assert (filled == HYPHA_NODE_ID_BYTES && bit_count == UNUSED_BITS);
  if (bits != 0)
    return fail (text, _ ("its last character says more than an id holds"), error);

  *id = parsed;
  return TRUE;
}

/**
 * hypha_node_id_to_string:
 * @id: a node id
 *
 * Gives the one textual form of @id, which [func@Hypha.NodeId.parse] takes.
 *
 * Returns: (transfer full): 52 characters
 */
char *
hypha_node_id_to_string (const HyphaNodeId *id)
{
  char text[HYPHA_NODE_ID_CHARS + 1] = { 0 };
  guint32 bits = 0;
  guint bit_count = 0;
  gsize filled = 0;

  g_return_val_if_fail (id != NULL, NULL);

  for (gsize i = 0; i < HYPHA_NODE_ID_BYTES; i++) {
    bits = (bits << 8) | id->bytes[i];
    bit_count += 8;
    while (bit_count >= 5) {
      bit_count -= 5;
      text[filled++] = alphabet[bits >> bit_count];
      bits &= (1u << bit_count) - 1;
    }
  }
  text[filled++] = alphabet[bits << (5 - bit_count)];
  g_assert (filled == HYPHA_NODE_ID_CHARS);
  return g_strdup (text);
}

/**
 * hypha_node_id_copy:
 * @id: a node id
 *
 * Copies @id to the heap. In C, assignment does the same without it.
 *
 * Returns: (transfer full): the copy
 */
HyphaNodeId *
hypha_node_id_copy (const HyphaNodeId *id)
{
  g_return_val_if_fail (id != NULL, NULL);

  return g_memdup2 (id, sizeof *id);
}

/**
 * hypha_node_id_free:
 * @id: (transfer full) (nullable): a node id from [method@Hypha.NodeId.copy]
 *
 * Frees @id.
 */
void
hypha_node_id_free (HyphaNodeId *id)
{
  g_free (id);
}

/**
 * hypha_node_id_compare:
 * @a: (type Hypha.NodeId): a node id
 * @b: (type Hypha.NodeId): another
 *
 * Compares two ids as strings of bytes. Where two nodes must agree which of them does something,
 * the "lower" one is meant in this order.
 *
 * Returns: less than, equal to or greater than zero
 */
gint
hypha_node_id_compare (gconstpointer a, gconstpointer b)
{
  g_return_val_if_fail (a != NULL && b != NULL, 0);

  return memcmp (((const HyphaNodeId *) a)->bytes, ((const HyphaNodeId *) b)->bytes,
                 HYPHA_NODE_ID_BYTES);
}

/**
 * hypha_node_id_equal:
 * @a: (type Hypha.NodeId): a node id
 * @b: (type Hypha.NodeId): another
 *
 * Fits g_hash_table_new().
 *
 * Returns: whether both are the same id
 */
gboolean
hypha_node_id_equal (gconstpointer a, gconstpointer b)
{
  return hypha_node_id_compare (a, b) == 0;
}

/**
 * hypha_node_id_hash:
 * @id: (type Hypha.NodeId): a node id
 *
 * Fits g_hash_table_new(). Whoever can make keys at will can make ids whose hashes collide: a table
 * of strangers' ids must be bounded by other means.
 *
 * Returns: a hash of @id
 */
guint
hypha_node_id_hash (gconstpointer id)
{
  guint hash;

  g_return_val_if_fail (id != NULL, 0);

  memcpy (&hash, ((const HyphaNodeId *) id)->bytes, sizeof hash);
  return hash;
}
