/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-compat.h"
#include <hypha-plugin.h>
#include <netinet/in.h>

G_BEGIN_DECLS

typedef union {
  struct sockaddr generic;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} QuicAddress;

/* Which way packets take: two addresses of one family. Of IPv4 upon a socket of IPv6, both are
 * mapped. */
typedef struct {
  QuicAddress local, remote;
} QuicPath;

socklen_t quic_address_get_length (const QuicAddress *self);
/* From what the kernel, or a HyphaInetSockaddr, has; FALSE: it is neither IPv4 nor IPv6. */
gboolean quic_address_set (QuicAddress *self, const struct sockaddr *address, socklen_t length);
gboolean quic_address_same_host (const QuicAddress *a, const QuicAddress *b);
/* The network that has one bound: an IPv4 address, or an IPv6 /64. */
guint64 quic_address_get_source (const QuicAddress *self);
HyphaEndpoint *quic_address_to_endpoint (const QuicAddress *self);
char *quic_address_to_host (const QuicAddress *self);

/* Good as long as SELF. */
ngtcp2_path quic_path_get (const QuicPath *self);
gboolean quic_path_set (QuicPath *self, const ngtcp2_path *path);
gboolean quic_path_equal (const QuicPath *a, const QuicPath *b);

G_END_DECLS
