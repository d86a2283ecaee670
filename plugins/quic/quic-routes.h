/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-state.h"

G_BEGIN_DECLS

/* Tells when this machine's addresses or routes have changed, as long as somebody wants to know. On
 * the loop. */
typedef struct {
  void (*changed) (gpointer owner);
  gpointer owner;
} QuicRoutesClient;

/* FALSE: the kernel does not tell, here. */
gboolean quic_routes_join (HyphaLoop *loop, QuicRoutesClient *client);
void quic_routes_leave (HyphaLoop *loop, QuicRoutesClient *client);

G_END_DECLS
