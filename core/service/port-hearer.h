/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/port-set.h"

G_BEGIN_DECLS

/* Hears from a peer which ports it listens on, by its service `ports`, for as long as it can be
 * reached; looks for it again when who is meant by its name has changed. Main thread. */
typedef struct _HyphaPortHearer HyphaPortHearer;

/* PORTS: what the peer tells now; NULL: it does not, and the trouble says why. */
typedef void (*HyphaPortHearerFunc) (const HyphaPortSet *ports, gpointer user_data);

/* WHAT: whom the log is to name. */
HyphaPortHearer *hypha_port_hearer_new (HyphaNode *node, const char *peer, const char *what,
                                        HyphaPortHearerFunc func, gpointer user_data);
void hypha_port_hearer_open (HyphaPortHearer *self);  /* once */
void hypha_port_hearer_close (HyphaPortHearer *self); /* for good; FUNC is not called any more */
void hypha_port_hearer_unref (HyphaPortHearer *self); /* it was closed, or never open */

gboolean hypha_port_hearer_hears (HyphaPortHearer *self);
const char *hypha_port_hearer_get_trouble (HyphaPortHearer *self); /* NULL: none */
/* The trouble is one that somebody has to mend. */
gboolean hypha_port_hearer_has_failed (HyphaPortHearer *self);

G_END_DECLS
