/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-path.h"

#include <string.h>

socklen_t
quic_address_get_length (const QuicAddress *self)
{
  return self->generic.sa_family == AF_INET ? sizeof self->in : sizeof self->in6;
}

gboolean
quic_address_set (QuicAddress *self, const struct sockaddr *address, socklen_t length)
{
  memset (self, 0, sizeof *self);
  if (address->sa_family == AF_INET && length >= sizeof self->in) {
    memcpy (&self->in, address, sizeof self->in);
    return TRUE;
  }
  if (address->sa_family == AF_INET6 && length >= sizeof self->in6) {
    memcpy (&self->in6, address, sizeof self->in6);
    /* That belongs to a packet, not to an address. */
    self->in6.sin6_flowinfo = 0;
    return TRUE;
  }
  return FALSE;
}

gboolean
quic_address_same_host (const QuicAddress *a, const QuicAddress *b)
{
  if (a->generic.sa_family != b->generic.sa_family)
    return FALSE;
  if (a->generic.sa_family == AF_INET)
    return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
  return IN6_ARE_ADDR_EQUAL (&a->in6.sin6_addr, &b->in6.sin6_addr);
}

guint64
quic_address_get_source (const QuicAddress *self)
{
  guint64 prefix;
  guint32 plain;

  if (self->generic.sa_family == AF_INET)
    return self->in.sin_addr.s_addr;
  memcpy (&prefix, self->in6.sin6_addr.s6_addr, sizeof prefix);
  memcpy (&plain, self->in6.sin6_addr.s6_addr + 12, sizeof plain);
  return IN6_IS_ADDR_V4MAPPED (&self->in6.sin6_addr) ? plain : prefix;
}

HyphaEndpoint *
quic_address_to_endpoint (const QuicAddress *self)
{
  return hypha_inet_sockaddr_to_endpoint ("quic", &self->generic);
}

char *
quic_address_to_host (const QuicAddress *self)
{
  return hypha_inet_sockaddr_to_host (&self->generic);
}

ngtcp2_path
quic_path_get (const QuicPath *self)
{
  return (ngtcp2_path){
    .local = { (struct sockaddr *) &self->local.generic, quic_address_get_length (&self->local) },
    .remote = { (struct sockaddr *) &self->remote.generic,
                quic_address_get_length (&self->remote) },
  };
}

gboolean
quic_path_set (QuicPath *self, const ngtcp2_path *path)
{
  return quic_address_set (&self->local, path->local.addr, path->local.addrlen) &&
         quic_address_set (&self->remote, path->remote.addr, path->remote.addrlen);
}

gboolean
quic_path_equal (const QuicPath *a, const QuicPath *b)
{
  return memcmp (a, b, sizeof *a) == 0;
}
