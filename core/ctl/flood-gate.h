/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Bounds what lies between a connection's thread and the main thread: GDBus queues without end
 * whatever comes faster than it is taken. Signals that are mere news are dropped there, and
 * counted; objects that come and go never are. */
typedef struct _HyphaFloodGate HyphaFloodGate;

HyphaFloodGate *hypha_flood_gate_new (GDBusConnection *connection);
void hypha_flood_gate_free (HyphaFloodGate *self);
/* How many were dropped since the last call. */
guint64 hypha_flood_gate_take_dropped (HyphaFloodGate *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaFloodGate, hypha_flood_gate_free)

G_END_DECLS
