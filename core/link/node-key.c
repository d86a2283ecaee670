/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/identity.h"

#include <gnutls/abstract.h>
#include <string.h>

/* An Ed25519 key is a point: the coordinate y, 255 bits little-endian, and above it the sign of x.
 * Whoever holds a key of low order needs no secret: one signature of his fits every message, or
 * every few. */
static const guint8 low_order_y[]
                               [HYPHA_NODE_ID_BYTES] = {
                                 /* 0: two points of order 4 */
                                 { 0 },
                                 /* 1: the neutral point */
                                 { 1 },
                                 /* p - 1: the point of order 2 */
                                 { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
                                 /* two points of order 8 */
                                 { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
                                   0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
                                   0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
                                 /* and the other two */
                                 { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                                   0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                                   0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
                               };

/* p = 2^255 - 19 and what is above it: a second spelling of a small y. */
static gboolean
is_reduced (const guint8 y[HYPHA_NODE_ID_BYTES])
{
  if (y[0] < 0xed || y[HYPHA_NODE_ID_BYTES - 1] != 0x7f)
    return TRUE;
  for (guint i = 1; i < HYPHA_NODE_ID_BYTES - 1; i++)
    if (y[i] != 0xff)
      return TRUE;
  return FALSE;
}

/**
 * hypha_node_id_is_usable:
 * @id: a node id
 *
 * Tells whether a key may stand for a node: none of low order, and none that is not spelt as it
 * should be. GnuTLS takes all of these. A key that is no point at all passes here, and verifies
 * nothing.
 *
 * Returns: %FALSE if @id must be refused
 */
gboolean
hypha_node_id_is_usable (const HyphaNodeId *id)
{
  guint8 y[HYPHA_NODE_ID_BYTES];

  memcpy (y, id->bytes, sizeof y);
  y[sizeof y - 1] &=
      0x7f; /* the sign of x: both points of a pair are refused, and the x = 0 with a sign, too */
  if (!is_reduced (y))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (low_order_y); i++)
    if (memcmp (y, low_order_y[i], sizeof y) == 0)
      return FALSE;
  return TRUE;
}

/**
 * hypha_node_id_verify:
 * @id: who is said to have signed
 * @data: (array length=length): what
 * @length: bytes of @data
 * @signature: the signature
 *
 * Checks a signature. A key that hypha_node_id_is_usable() refuses verifies nothing.
 *
 * Returns: whether the holder of @id's secret key signed @data
 */
gboolean
hypha_node_id_verify (const HyphaNodeId *id, const guint8 *data, gsize length,
                      const guint8 signature[HYPHA_SIGNATURE_BYTES])
{
  const gnutls_datum_t x = { (guint8 *) id->bytes, HYPHA_NODE_ID_BYTES };
  const gnutls_datum_t message = { (guint8 *) data, (guint) length };
  const gnutls_datum_t proof = { (guint8 *) signature, HYPHA_SIGNATURE_BYTES };
  gnutls_pubkey_t key;
  gboolean good;

  if (!hypha_node_id_is_usable (id) || length > G_MAXUINT || gnutls_pubkey_init (&key) < 0)
    return FALSE;
  good = gnutls_pubkey_import_ecc_raw (key, GNUTLS_ECC_CURVE_ED25519, &x, NULL) >= 0 &&
         gnutls_pubkey_verify_data2 (key, GNUTLS_SIGN_EDDSA_ED25519, 0, &message, &proof) >= 0;
  gnutls_pubkey_deinit (key);
  return good;
}
