/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What stands behind "tcp:": a numeric address or a name, and a port. */
typedef struct {
  char *host;            /* canonical, without brackets, with "%SCOPE" */
  GInetAddress *numeric; /* NULL: host is a name */
  char *scope;           /* the interface of a link-local address; NULL: none */
  guint16 port;
} TcpAddress;

/* An IPv4 or IPv6 socket address by value. */
typedef struct {
  struct sockaddr_storage storage;
  socklen_t length;
} TcpSockaddr;

TcpAddress *tcp_address_parse (HyphaEndpoint *endpoint, GError **error);
void tcp_address_free (TcpAddress *self);
HyphaEndpoint *tcp_address_to_endpoint (const TcpAddress *self, HyphaEndpoint *options_of);
gboolean tcp_address_is_any (const TcpAddress *self); /* [::] or 0.0.0.0 */

/* With NUMERIC in place of the host, which may be a name; fails where the scope names no interface
 * here. */
gboolean tcp_address_to_sockaddr (const TcpAddress *self, GInetAddress *numeric, TcpSockaddr *out,
                                  GError **error);

/* The numeric address of ADDRESS, as it stands in an endpoint but without brackets; a mapped IPv4
 * address as IPv4. NULL if ADDRESS is of another family. */
char *tcp_sockaddr_to_host (const struct sockaddr *address);
HyphaEndpoint *tcp_sockaddr_to_endpoint (const struct sockaddr *address);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TcpAddress, tcp_address_free)

G_END_DECLS
