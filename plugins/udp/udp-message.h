/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What a datagram may hold: as much as its 16 bits of length can say, less its own header. What the
 * network takes may be less. */
#define UDP_MAX_PAYLOAD 65527

/* Between whom a datagram goes: two are the same flow if all of it is equal, byte by byte. IPv4
 * addresses are mapped. */
typedef struct {
  struct in6_addr peer;
  struct in6_addr local; /* unspecified: not known */
  guint32 scope;         /* of whichever of them is link-local */
  in_port_t port;        /* the peer's; network byte order */
  sa_family_t family;    /* of the socket */
} UdpWay;

/* Lets the kernel tell which address a datagram was sent to. 0, or errno. */
int udp_message_prepare (int fd, int family);
/* WAY may be NULL, for a connected socket. Its length, or -1 with errno; EDESTADDRREQ: it was sent
 * to many, who would all answer to a source that may be forged. */
gssize udp_message_receive (int fd, guint8 *buffer, gsize size, UdpWay *way);
/* Along the same way back. 0, or errno. */
int udp_message_send (int fd, const UdpWay *way, const guint8 *data, gsize size);

HyphaEndpoint *udp_way_get_remote (const UdpWay *self);
char *udp_way_get_host (const UdpWay *self);
/* With the port of BOUND, and its address where the way does not know. */
HyphaEndpoint *udp_way_get_local (const UdpWay *self, HyphaEndpoint *bound);
guint udp_way_hash (gconstpointer way);
gboolean udp_way_equal (gconstpointer a, gconstpointer b);

G_END_DECLS
