/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-listener.h"

G_BEGIN_DECLS

/* Turns endpoints into channels. Lives on the main thread (the default main context). */
#define HYPHA_TYPE_TRANSPORT (hypha_transport_get_type ())
HYPHA_EXTERN
G_DECLARE_INTERFACE (HyphaTransport, hypha_transport, HYPHA, TRANSPORT, GObject)

struct _HyphaTransportInterface {
  GTypeInterface parent;

  /* NULL-terminated, static: the canonical scheme first, then other spellings of it
   * ("VSOCK-CONNECT"). */
  const char *const *(*get_schemes) (HyphaTransport *self);
  /* Strict; gives the canonical form, with the options of ENDPOINT. Parsing that again must be the
   * identity. */
  HyphaEndpoint *(*parse) (HyphaTransport *self, HyphaEndpoint *endpoint, GError **error);
  /* All options at once (a{sv}); those left out go back to their default. A wrong one changes
   * nothing. Optional. */
  gboolean (*configure) (HyphaTransport *self, GVariant *options, GError **error);
  /* Usable here? If not: why, and what to do. DETAILS is filled for people and tools. No lasting
   * effect. Optional. */
  gboolean (*probe) (HyphaTransport *self, GVariantDict *details, GError **error);
  /* Static link cost; ENDPOINT (canonical) may be NULL: the dearest typical one. */
  guint (*get_link_cost) (HyphaTransport *self, HyphaEndpoint *endpoint);
  /* ENDPOINT is canonical. TIMEOUT_MS > 0. */
  void (*connect_async) (HyphaTransport *self, HyphaEndpoint *endpoint, guint timeout_ms,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data);
  HyphaChannel *(*connect_finish) (HyphaTransport *self, GAsyncResult *result, GError **error);
  void (*listen_async) (HyphaTransport *self, HyphaEndpoint *endpoint, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data);
  HyphaListener *(*listen_finish) (HyphaTransport *self, GAsyncResult *result, GError **error);
  /* Ends what still goes on; the transport is not used again. Optional. */
  void (*stop) (HyphaTransport *self);

  gpointer padding[16];
};

/* The core calls these, never the table: they check what a plug-in answers (an error where it
 * failed, none where it did not, a live descriptor, a canonical form) and turn a breach into
 * HYPHA_ERROR_PLUGIN naming the plug-in's scheme. */
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
void hypha_transport_stop (HyphaTransport *self);

G_END_DECLS
