/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Before everything that reaches this process over a connection: it bounds what callers have under
 * way, whatever they call, so that none of them can fill the memory. */
typedef struct _HyphaGate HyphaGate;

HyphaGate *hypha_gate_new (GDBusConnection *connection);
void hypha_gate_free (HyphaGate *self);
/* Messages of the main thread's that are not written yet. */
guint hypha_gate_get_backlog (HyphaGate *self);
/* Closes the connection at once, whatever waits to be written. */
void hypha_gate_cut (GDBusConnection *connection);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaGate, hypha_gate_free)

G_END_DECLS
