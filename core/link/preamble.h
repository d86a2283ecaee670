/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a fresh channel begins with if it is to become a direct stream: a magic, and the token that
 * was given over the session. Nothing answers it, and the program's bytes follow. Its first byte is
 * neither that of a HELLO nor that of TLS. */
#define HYPHA_TOKEN_BYTES 32
#define HYPHA_PREAMBLE_BYTES (8 + HYPHA_TOKEN_BYTES)
#define HYPHA_PREAMBLE_FIRST_BYTE 'D'

void hypha_preamble_write (const guint8 token[HYPHA_TOKEN_BYTES],
                           guint8 preamble[HYPHA_PREAMBLE_BYTES]);
/* FALSE: no preamble begins with these bytes, of which there may be fewer than it has. */
gboolean hypha_preamble_check (const guint8 *bytes, gsize length);
const guint8 *hypha_preamble_get_token (const guint8 preamble[HYPHA_PREAMBLE_BYTES]);
/* In a time that does not tell how much of them is equal. */
gboolean hypha_token_equal (const guint8 a[HYPHA_TOKEN_BYTES], const guint8 b[HYPHA_TOKEN_BYTES]);

G_END_DECLS
