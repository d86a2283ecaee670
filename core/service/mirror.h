/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "node/telling.h"

G_BEGIN_DECLS

/* The ports that a peer listens on, listened on here as well for as long as it does: one door for
 * each, whose connections go to the service of that port. What the peer listens on it tells by its
 * service `ports`. Main thread. */
typedef struct _HyphaMirror HyphaMirror;

/* More are told of only. */
#define HYPHA_MIRROR_MAX_PORTS 256

typedef void (*HyphaMirrorChanged) (gpointer user_data); /* something that is told below */

/* Whether TARGET, of a forward, makes it a mirror. */
gboolean hypha_mirror_is_target (const char *target);
/* LOCAL with a port in the place of '*'; of what is none of a mirror, LOCAL itself. */
char *hypha_mirror_dup_sample (const char *local, const char *target);

HyphaMirror *hypha_mirror_new (HyphaNode *node, const char *local, const char *peer,
                               const char *target, HyphaMirrorChanged changed, gpointer user_data,
                               GError **error);
/* As of a forward. */
void hypha_mirror_share_telling (HyphaMirror *self, HyphaTelling *telling);
/* Also: what could not be opened is tried again now. */
void hypha_mirror_open (HyphaMirror *self);
/* For good. As of a forward: what waits for the peer is reset, what is joined goes on. */
void hypha_mirror_close (HyphaMirror *self);
void hypha_mirror_free (HyphaMirror *self); /* it was closed */

const char *hypha_mirror_get_state (HyphaMirror *self);  /* as of a forward */
const char *hypha_mirror_get_reason (HyphaMirror *self); /* "": none */
GVariant *hypha_mirror_dup_ports (HyphaMirror *self);    /* aq: listened on now, rising */
void hypha_mirror_get_counters (HyphaMirror *self, guint64 *rx_bytes, guint64 *tx_bytes);

G_END_DECLS
