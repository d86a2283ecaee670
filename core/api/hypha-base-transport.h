/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports: what is under way and what listens, and the end of all of it. Only hypha-plugin.h
 * includes it. */

#include <sys/socket.h>
#include "hypha-transport.h"

G_BEGIN_DECLS

#define HYPHA_TYPE_BASE_TRANSPORT (hypha_base_transport_get_type ())
HYPHA_EXTERN
G_DECLARE_DERIVABLE_TYPE (HyphaBaseTransport, hypha_base_transport, HYPHA, BASE_TRANSPORT, GObject)

/**
 * HyphaBaseTransportClass:
 * @parent_class: the parent class
 * @connect: makes a channel to an endpoint, given without its options, within a deadline of at
 *   least 1 ms. The task is taken; it returns the channel (transfer full) or the error. The
 *   cancellable is cancelled by the caller or when the transport stops, and lives, as the endpoint
 *   does, as long as the task
 * @listen: listens on an endpoint; the task returns the listener, the rest is as for @connect
 * @adopt: makes a listener upon a stream socket that listens already, at an address of whatever
 *   family; the descriptor is taken with the listener only. `G_IO_ERROR_NOT_SUPPORTED` says that it
 *   is not of this transport's kind. Optional
 *
 * What a transport that derives from [class@Hypha.BaseTransport] implements, beside the rest of
 * [struct@Hypha.TransportInterface], of which it leaves alone what is here, and the stop.
 */
struct _HyphaBaseTransportClass {
  GObjectClass parent_class;

  void (*connect) (HyphaBaseTransport *self, GTask *task, HyphaEndpoint *endpoint, guint timeout_ms,
                   GCancellable *cancellable);
  void (*listen) (HyphaBaseTransport *self, GTask *task, HyphaEndpoint *endpoint,
                  GCancellable *cancellable);
  HyphaListener *(*adopt) (HyphaBaseTransport *self, int fd, const struct sockaddr *address,
                           socklen_t length, GError **error);

  /* <private> */
  gpointer padding[8];
};

/* What TASK is about, without options. Since ABI 1.2 */
HYPHA_EXTERN
HyphaEndpoint *hypha_base_transport_get_endpoint (GTask *task);
/* One of its options, if it was given. */
HYPHA_EXTERN
const char *hypha_base_transport_get_option (GTask *task, const char *name);

G_END_DECLS
