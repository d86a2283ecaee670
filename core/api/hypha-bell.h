/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports: what comes to a listener on another thread than the listener's. Only
 * hypha-plugin.h includes it. */

#include "hypha-listener.h"

G_BEGIN_DECLS

typedef struct _HyphaBell HyphaBell;

/**
 * HyphaBellFunc:
 * @listener: the listener
 * @knock: what was given to [method@Hypha.Bell.ring]
 *
 * Makes a channel of what has come, on the thread of the listener.
 *
 * Returns: (transfer full): the channel
 *
 * Since: ABI 1.2
 */
typedef HyphaChannel *(*HyphaBellFunc) (HyphaListener *listener, gpointer knock);

/* On the listener's thread. Since ABI 1.2 */
HYPHA_EXTERN
HyphaBell *hypha_bell_new (HyphaListener *listener, HyphaBellFunc answer,
                           GDestroyNotify knock_free);
HYPHA_EXTERN
void hypha_bell_close (HyphaBell *self);

/* On any. Since ABI 1.2 */
HYPHA_EXTERN
HyphaBell *hypha_bell_ref (HyphaBell *self);
HYPHA_EXTERN
void hypha_bell_unref (HyphaBell *self);
HYPHA_EXTERN
void hypha_bell_ring (HyphaBell *self, gpointer knock);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaBell, hypha_bell_unref)

G_END_DECLS
