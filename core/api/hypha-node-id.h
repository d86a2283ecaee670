/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>
#include "hypha-macros.h"

G_BEGIN_DECLS

/**
 * HYPHA_NODE_ID_BYTES:
 *
 * The length of a node id.
 */
#define HYPHA_NODE_ID_BYTES 32

/**
 * HYPHA_NODE_ID_CHARS:
 *
 * The length of a node id as text (lower-case base32, no padding), without the NUL.
 */
#define HYPHA_NODE_ID_CHARS 52

/**
 * HyphaNodeId:
 * @bytes: the key
 *
 * A node's Ed25519 public key. A plain value: in C, copy it by assignment.
 */
typedef struct {
  guint8 bytes[HYPHA_NODE_ID_BYTES];
} HyphaNodeId;

#define HYPHA_TYPE_NODE_ID (hypha_node_id_get_type ())
HYPHA_EXTERN
GType hypha_node_id_get_type (void);

/* Strict: 52 characters, unused bits zero. HYPHA_ERROR_INVALID_ID. Does not judge the key. */
HYPHA_EXTERN
gboolean hypha_node_id_parse (const char *text, HyphaNodeId *id, GError **error);
HYPHA_EXTERN
char *hypha_node_id_to_string (const HyphaNodeId *id);
HYPHA_EXTERN
HyphaNodeId *hypha_node_id_copy (const HyphaNodeId *id);
HYPHA_EXTERN
void hypha_node_id_free (HyphaNodeId *id);
HYPHA_EXTERN
gint hypha_node_id_compare (gconstpointer a, gconstpointer b); /* as bytes; who is "lower" */
HYPHA_EXTERN
gboolean hypha_node_id_equal (gconstpointer a, gconstpointer b);
HYPHA_EXTERN
guint hypha_node_id_hash (gconstpointer id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaNodeId, hypha_node_id_free)

G_END_DECLS
