/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/link.h"

G_BEGIN_DECLS

/* Channels that have shown a token before the OPEN that makes it expected: held for a moment, for
 * it goes with them. Main thread. */
typedef struct _HyphaEarlyTokens HyphaEarlyTokens;

/* A channel was closed again: its token was none of ours, or shown by somebody else. */
typedef void (*HyphaTokenRefusedFunc) (const GError *error, gpointer user_data);

HyphaEarlyTokens *hypha_early_tokens_new (HyphaTokenRefusedFunc refused, gpointer user_data);
void hypha_early_tokens_free (HyphaEarlyTokens *self); /* without a word of those that are left */
void hypha_early_tokens_add (HyphaEarlyTokens *self, HyphaLink *link); /* takes LINK, parked */
/* The one that has shown TOKEN is the caller's now; NULL: nobody has. */
HyphaLink *hypha_early_tokens_take (HyphaEarlyTokens *self, const guint8 *token);
guint hypha_early_tokens_get_n (HyphaEarlyTokens *self);

G_END_DECLS
