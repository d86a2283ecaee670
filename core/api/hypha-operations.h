/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports: what is under way and what listens, so that stop ends all of it. Only
 * hypha-plugin.h includes it. */

#include "hypha-listener.h"

G_BEGIN_DECLS

/* The operations and listeners of one transport. Main thread. */
typedef struct _HyphaOperations HyphaOperations;

HYPHA_EXTERN
HyphaOperations *hypha_operations_new (void);
HYPHA_EXTERN
void hypha_operations_free (HyphaOperations *self);
/* Begins what TASK is about. Returns what ends it early: the caller's cancellable, or stop.
 * NULL: TASK has returned an error. */
HYPHA_EXTERN
GCancellable *hypha_operations_begin (HyphaOperations *self, GTask *task, HyphaEndpoint *endpoint);
HYPHA_EXTERN
void hypha_operations_add_listener (HyphaOperations *self, HyphaListener *listener);
HYPHA_EXTERN
void hypha_operations_stop (HyphaOperations *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaOperations, hypha_operations_free)

G_END_DECLS
