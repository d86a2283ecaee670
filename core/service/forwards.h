/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service/forward.h"

G_BEGIN_DECLS

/* The forwards of a node: those of the settings, those that were asked for at run time, and those
 * that peers have asked for. Signal: removed (HyphaForward), after it was. Main thread. */
#define HYPHA_TYPE_FORWARDS (hypha_forwards_get_type ())
G_DECLARE_FINAL_TYPE (HyphaForwards, hypha_forwards, HYPHA, FORWARDS, GObject)

#define HYPHA_FORWARDS_MAX 256

HyphaForwards *hypha_forwards_new (HyphaNode *node);
/* Before the node is drained or stopped: nobody is let in any more, and what waits for a peer is
 * reset, for an end would look finished. Whatever is asked for later is passed over or refused. */
void hypha_forwards_stop (HyphaForwards *self);

GListModel *hypha_forwards_get_list (HyphaForwards *self); /* of HyphaForward */
/* aa{sv}: local s, peer s, target s, reverse b (absent: no). Checked whole: INVALID_SETTING names
 * the entry and the reason, and nothing changes. A forward that stays as it was keeps its
 * connections. */
gboolean hypha_forwards_configure (HyphaForwards *self, GVariant *forwards, GError **error);
GVariant *hypha_forwards_dup (
    HyphaForwards *self); /* the permanent ones, as configure takes them */

/* Completes once it listens. One that is there already is given again. */
void hypha_forwards_add_async (HyphaForwards *self, const HyphaForwardPlan *plan,
                               GAsyncReadyCallback callback, gpointer user_data);
HyphaForward *hypha_forwards_add_finish (HyphaForwards *self, GAsyncResult *result,
                                         GError **error); /* transfer full */
/* For a peer (its ID and NAME), who has asked for it; not opened yet. */
HyphaForward *hypha_forwards_add_for_peer (HyphaForwards *self, const char *local, const char *id,
                                           const char *name, const char *target,
                                           GError **error); /* transfer full */
void hypha_forwards_remove (HyphaForwards *self, HyphaForward *forward);

G_END_DECLS
