/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/un.h>
#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A path ends with a NUL. */
#define HVSOCK_PATH_MAX (sizeof (((struct sockaddr_un *) NULL)->sun_path) - 1)
/* "_" and a port, which the VMM puts behind the path of its socket. */
#define HVSOCK_SUFFIX_MAX 11

/* What stands behind "hvsock:": the VMM's own socket, and a port of its guest's vsock. To listen,
 * the path may be a pattern: '*' stands for any part of a name but ':', and for none at its
 * beginning that is a '.'. */
typedef struct {
  char path[HVSOCK_PATH_MAX + 1];
  guint32 port;
} HvsockAddress;

gboolean hvsock_address_parse (HyphaEndpoint *endpoint, HvsockAddress *self, GError **error);
gboolean hvsock_address_is_pattern (const HvsockAddress *self);
HyphaEndpoint *hvsock_address_to_endpoint (const HvsockAddress *self,
                                           HyphaEndpoint *options_of); /* nullable */
/* The VMM listens on it. */
GSocketAddress *hvsock_address_get_socket (const HvsockAddress *self);
/* Whoever the guest is to reach at the port listens on it. */
GSocketAddress *hvsock_address_get_port_socket (const HvsockAddress *self);

G_END_DECLS
