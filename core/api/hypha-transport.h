/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-listener.h"
#include "hypha-peers.h"

G_BEGIN_DECLS

/**
 * HyphaVouching:
 * @HYPHA_VOUCHING_NONE: nothing: whoever is on the way may have any address
 * @HYPHA_VOUCHING_UID: the uid of the program at the other end
 * @HYPHA_VOUCHING_ADDRESS: the remote endpoint, of channels that say so by
 *   %HYPHA_CHANNEL_VOUCHED_ADDRESS
 *
 * What kernel or hypervisor vouches for, of the other end of a transport's channels.
 */
typedef enum {
  HYPHA_VOUCHING_NONE,
  HYPHA_VOUCHING_UID,
  HYPHA_VOUCHING_ADDRESS,
} HyphaVouching;

#define HYPHA_TYPE_VOUCHING (hypha_vouching_get_type ())
HYPHA_EXTERN
GType hypha_vouching_get_type (void);

#define HYPHA_TYPE_TRANSPORT (hypha_transport_get_type ())
HYPHA_EXTERN
G_DECLARE_INTERFACE (HyphaTransport, hypha_transport, HYPHA, TRANSPORT, GObject)

/**
 * HyphaTransportInterface:
 * @parent: the parent interface
 * @get_schemes: gives a static, %NULL-terminated list: the canonical scheme first, by which the
 *   transport is called, then other spellings of it (`VSOCK-CONNECT`), or further schemes in lower
 *   case that @parse keeps, so that they are canonical, too (`wss` beside `ws`): the channels of an
 *   endpoint have its scheme
 * @parse: parses, strictly, and gives the canonical form with the options of the endpoint; parsing
 *   that again must be the identity
 * @configure: takes all options at once (`a{sv}`); those left out go back to their default, and a
 *   wrong one changes nothing. Optional
 * @probe: tells whether the transport is usable here, and if not, why and what to do; fills the
 *   details for people and tools; has no lasting effect. Optional
 * @get_link_cost: gives the static link cost; the endpoint is canonical, or %NULL for the dearest
 *   typical one
 * @connect_async: makes a channel to a canonical endpoint within a deadline above 0
 * @connect_finish: gives the channel that @connect_async made, or its error
 * @listen_async: listens on a canonical endpoint
 * @listen_finish: gives the listener that @listen_async made, or its error
 * @stop: ends what still goes on; the transport is not used again. Optional
 * @adopt: makes a listener upon a listening socket that somebody else has made, and takes it, also
 *   on failure; `G_IO_ERROR_NOT_SUPPORTED` says that it is not of this transport's kind. What the
 *   socket is bound to stays there when the listener closes. Optional
 * @get_vouching: tells what a trust rule for this transport may go by. Optional: nothing
 * @is_lossy: tells whether part of what is written to its channels may be lost on the way, as
 *   datagrams are. Such a transport does for services and forwards, and never carries a link.
 *   Optional: nothing is lost. Since ABI 1.1
 * @serve: tells what the node that it serves has for it, for a transport whose channels go through
 *   other nodes; %NULL: it serves none any more. A transport that nobody tells, in a program
 * without a node, has to say so when it is asked for a channel. Optional. Since ABI 1.2
 *
 * What a plug-in fills in. The core calls the functions of [iface@Hypha.Transport], never this
 * table: they check what a plug-in answers (an error where it failed, none where it did not, a live
 * descriptor, a canonical form).
 */
struct _HyphaTransportInterface {
  GTypeInterface parent;

  const char *const *(*get_schemes) (HyphaTransport *self);
  HyphaEndpoint *(*parse) (HyphaTransport *self, HyphaEndpoint *endpoint, GError **error);
  gboolean (*configure) (HyphaTransport *self, GVariant *options, GError **error);
  gboolean (*probe) (HyphaTransport *self, GVariantDict *details, GError **error);
  guint (*get_link_cost) (HyphaTransport *self, HyphaEndpoint *endpoint);
  void (*connect_async) (HyphaTransport *self, HyphaEndpoint *endpoint, guint timeout_ms,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data);
  HyphaChannel *(*connect_finish) (HyphaTransport *self, GAsyncResult *result, GError **error);
  void (*listen_async) (HyphaTransport *self, HyphaEndpoint *endpoint, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data);
  HyphaListener *(*listen_finish) (HyphaTransport *self, GAsyncResult *result, GError **error);
  void (*stop) (HyphaTransport *self);
  HyphaListener *(*adopt) (HyphaTransport *self, int fd, GError **error);
  HyphaVouching (*get_vouching) (HyphaTransport *self);
  gboolean (*is_lossy) (HyphaTransport *self);
  void (*serve) (HyphaTransport *self, HyphaPeers *peers);

  /* <private> */
  gpointer padding[12];
};

HYPHA_EXTERN
const char *const *hypha_transport_get_schemes (HyphaTransport *self);
HYPHA_EXTERN
HyphaEndpoint *hypha_transport_parse (HyphaTransport *self, HyphaEndpoint *endpoint,
                                      GError **error);
HYPHA_EXTERN
gboolean hypha_transport_configure (HyphaTransport *self, GVariant *options, GError **error);
HYPHA_EXTERN
gboolean hypha_transport_probe (HyphaTransport *self, GVariantDict *details, GError **error);
HYPHA_EXTERN
guint hypha_transport_get_link_cost (HyphaTransport *self, HyphaEndpoint *endpoint);
HYPHA_EXTERN
void hypha_transport_connect_async (HyphaTransport *self, HyphaEndpoint *endpoint, guint timeout_ms,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
HYPHA_EXTERN
HyphaChannel *hypha_transport_connect_finish (HyphaTransport *self, GAsyncResult *result,
                                              GError **error);
HYPHA_EXTERN
void hypha_transport_listen_async (HyphaTransport *self, HyphaEndpoint *endpoint,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
HYPHA_EXTERN
HyphaListener *hypha_transport_listen_finish (HyphaTransport *self, GAsyncResult *result,
                                              GError **error);
HYPHA_EXTERN
HyphaListener *hypha_transport_adopt (HyphaTransport *self, int fd, GError **error);
HYPHA_EXTERN
HyphaVouching hypha_transport_get_vouching (HyphaTransport *self);
HYPHA_EXTERN
gboolean hypha_transport_is_lossy (HyphaTransport *self);
/* FALSE: it has no use for it, or serves another node already. */
HYPHA_EXTERN
gboolean hypha_transport_serve (HyphaTransport *self, HyphaPeers *peers);
HYPHA_EXTERN
void hypha_transport_stop (HyphaTransport *self);

G_END_DECLS
