/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/preamble.h"

#include <string.h>

static const char magic[] = "DIRECT/1";

#define MAGIC_BYTES (sizeof magic - 1)

G_STATIC_ASSERT (MAGIC_BYTES + HYPHA_TOKEN_BYTES == HYPHA_PREAMBLE_BYTES);

/**
 * hypha_preamble_write: (skip)
 * @token: the token
 * @preamble: (out caller-allocates): what the side that dials says, before anything else
 */
void
hypha_preamble_write (const guint8 token[HYPHA_TOKEN_BYTES], guint8 preamble[HYPHA_PREAMBLE_BYTES])
{
  memcpy (preamble, magic, MAGIC_BYTES);
  memcpy (preamble + MAGIC_BYTES, token, HYPHA_TOKEN_BYTES);
}

/**
 * hypha_preamble_check: (skip)
 * @bytes: the first bytes of a channel
 * @length: how many of them there are, at most %HYPHA_PREAMBLE_BYTES
 *
 * Returns: whether a preamble can begin like that
 */
gboolean
hypha_preamble_check (const guint8 *bytes, gsize length)
{
  return memcmp (bytes, magic, MIN (length, MAGIC_BYTES)) == 0;
}

/**
 * hypha_preamble_get_token: (skip)
 * @preamble: a whole one, that was checked
 *
 * Returns: (transfer none): its token
 */
const guint8 *
hypha_preamble_get_token (const guint8 preamble[HYPHA_PREAMBLE_BYTES])
{
  return preamble + MAGIC_BYTES;
}

/**
 * hypha_token_equal: (skip)
 * @a: a token
 * @b: another
 *
 * Returns: whether they are the same
 */
gboolean
hypha_token_equal (const guint8 a[HYPHA_TOKEN_BYTES], const guint8 b[HYPHA_TOKEN_BYTES])
{
  volatile guint8 different = 0;

  for (gsize i = 0; i < HYPHA_TOKEN_BYTES; i++)
    different = (guint8) (different | (a[i] ^ b[i]));
  return different == 0;
}
