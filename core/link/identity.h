/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

#define HYPHA_SIGNATURE_BYTES 64

/* The node's Ed25519 key pair, and the lock that keeps a second daemon from using the same key
 * file. Immutable after loading: may be used from any thread. */
typedef struct _HyphaIdentity HyphaIdentity;

/* Reads the PKCS#8 PEM file PATH, or makes it (temporary file, fsync, rename; folders 0700). A file
 * looser than 0600, a folder looser than 0700, somebody else's, a symbolic link, not an Ed25519
 * key: HYPHA_ERROR_IDENTITY with the mending command. Holds a lock beside it until freed; the error
 * names the process that holds it already. */
HyphaIdentity *hypha_identity_open (const char *path, GError **error);
HyphaIdentity *hypha_identity_generate (GError **error); /* in memory: tests, embedded nodes */
HyphaIdentity *hypha_identity_ref (HyphaIdentity *self); /* atomic */
void hypha_identity_unref (HyphaIdentity *self);
const HyphaNodeId *hypha_identity_get_id (HyphaIdentity *self);
gboolean hypha_identity_sign (HyphaIdentity *self, const guint8 *data, gsize length,
                              guint8 signature[HYPHA_SIGNATURE_BYTES], GError **error);

/* Refuses keys of low order in every encoding and y >= p (GnuTLS takes them). */
gboolean hypha_node_id_is_usable (const HyphaNodeId *id);
gboolean hypha_node_id_verify (const HyphaNodeId *id, const guint8 *data, gsize length,
                               const guint8 signature[HYPHA_SIGNATURE_BYTES]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaIdentity, hypha_identity_unref)

G_END_DECLS
