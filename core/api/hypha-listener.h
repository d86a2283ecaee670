/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-channel.h"

G_BEGIN_DECLS

#define HYPHA_TYPE_LISTENER (hypha_listener_get_type ())
HYPHA_EXTERN
G_DECLARE_DERIVABLE_TYPE (HyphaListener, hypha_listener, HYPHA, LISTENER, GObject)

/**
 * HyphaListenerClass:
 * @parent_class: the parent class
 * @close: stops accepting, at once; called once. Optional
 *
 * What a transport that derives from [class@Hypha.Listener] implements.
 */
struct _HyphaListenerClass {
  GObjectClass parent_class;

  void (*close) (HyphaListener *self);

  /* <private> */
  gpointer padding[8];
};

HYPHA_EXTERN
HyphaEndpoint *hypha_listener_get_bound (HyphaListener *self); /* canonical, with the real port */
HYPHA_EXTERN
void hypha_listener_close (HyphaListener *self);
HYPHA_EXTERN
gboolean hypha_listener_is_closed (HyphaListener *self);

HYPHA_EXTERN
gboolean hypha_listener_is_heard (HyphaListener *self);

/* For transports, which give the property "bound" (a HyphaEndpoint) when they construct theirs.
 * Neither takes what it is given; a channel that breaks the contract ends the listener with
 * HYPHA_ERROR_PLUGIN. */
HYPHA_EXTERN
void hypha_listener_accepted (HyphaListener *self, HyphaChannel *channel);
HYPHA_EXTERN
void hypha_listener_failed (HyphaListener *self, const GError *error);

G_END_DECLS
