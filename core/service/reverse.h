/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* A forward that a peer listens for: it is asked by its service `forward`, whenever it can be
 * reached, and tells how it goes. Main thread. */
typedef struct _HyphaReverse HyphaReverse;

typedef void (*HyphaReverseChanged) (gpointer user_data); /* something that is told below */

HyphaReverse *hypha_reverse_new (HyphaNode *node, const char *local, const char *peer,
                                 const char *target, HyphaReverseChanged changed,
                                 gpointer user_data, GError **error);
void hypha_reverse_open (HyphaReverse *self);
/* Completes with a string: it listens, or there is no link to the peer now; or with why it does
 * not. */
void hypha_reverse_await (HyphaReverse *self, GTask *task);
void hypha_reverse_close (HyphaReverse *self); /* for good */
void hypha_reverse_free (HyphaReverse *self);  /* it was closed */

const char *hypha_reverse_get_bound (HyphaReverse *self);  /* there; NULL: it does not listen */
const char *hypha_reverse_get_state (HyphaReverse *self);  /* as of a forward */
const char *hypha_reverse_get_reason (HyphaReverse *self); /* "": none */
GVariant *hypha_reverse_dup_ports (HyphaReverse *self);    /* aq: of a mirror, those there */
void hypha_reverse_get_counters (HyphaReverse *self, guint64 *rx_bytes, guint64 *tx_bytes);

G_END_DECLS
