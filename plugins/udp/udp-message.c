/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-message.h"

#include <errno.h>
#include <string.h>

G_STATIC_ASSERT (sizeof (UdpWay) == 40); /* nothing between its fields that nobody sets */

typedef union {
  struct sockaddr generic;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} Address;

#define IN_SPACE CMSG_SPACE (sizeof (struct in_pktinfo))
#define IN6_SPACE CMSG_SPACE (sizeof (struct in6_pktinfo))

typedef union {
  struct cmsghdr alignment;
  guint8 in[IN_SPACE];
  guint8 in6[IN6_SPACE];
  guint8 both[IN_SPACE + IN6_SPACE]; /* of IPv4, on a socket of IPv6 */
} Control;

static void
map (struct in6_addr *mapped, struct in_addr plain)
{
  memset (mapped, 0, 10);
  memset (mapped->s6_addr + 10, 0xff, 2);
  memcpy (mapped->s6_addr + 12, &plain, 4);
}

static struct in_addr
unmap (const struct in6_addr *mapped)
{
  struct in_addr plain;

  memcpy (&plain, mapped->s6_addr + 12, 4);
  return plain;
}

int
udp_message_prepare (int fd, int family)
{
  const int on = 1;

  /* On a socket of IPv6, for what comes by IPv4. */
  if (setsockopt (fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 && family == AF_INET)
    return errno;
  if (family == AF_INET)
    return 0;
  return setsockopt (fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0 ? errno : 0;
}

/* ---- receiving ---- */

static void
read_address (UdpWay *way, const Address *from)
{
  way->family = from->generic.sa_family;
  if (from->generic.sa_family == AF_INET) {
    map (&way->peer, from->in.sin_addr);
    way->port = from->in.sin_port;
  } else {
    way->peer = from->in6.sin6_addr;
    way->port = from->in6.sin6_port;
    way->scope = from->in6.sin6_scope_id;
  }
}

static gboolean
is_for_many (const struct in_pktinfo *info)
{
  /* Of a broadcast, the kernel tells here the address that an answer would have. */
  return IN_MULTICAST (g_ntohl (info->ipi_addr.s_addr)) ||
         (info->ipi_spec_dst.s_addr != INADDR_ANY &&
          info->ipi_spec_dst.s_addr != info->ipi_addr.s_addr);
}

/* Which of this machine's addresses was asked: the answer has to come from there. FALSE: it was
 * asked with others. */
static gboolean
read_control (UdpWay *way, struct msghdr *message)
{
  gboolean one = TRUE;

  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL; c = CMSG_NXTHDR (message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;

      memcpy (&info, CMSG_DATA (c), sizeof info);
      map (&way->local, info.ipi_spec_dst);
      one = one && !is_for_many (&info);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;

      memcpy (&info, CMSG_DATA (c), sizeof info);
      way->local = info.ipi6_addr;
      /* Of this machine's own, somebody may ask a link-local address from another one. */
      if (way->scope == 0 && IN6_IS_ADDR_LINKLOCAL (&info.ipi6_addr))
        way->scope = info.ipi6_ifindex;
      one = one && !IN6_IS_ADDR_MULTICAST (&info.ipi6_addr);
    }
  }
  return one;
}

gssize
udp_message_receive (int fd, guint8 *buffer, gsize size, UdpWay *way)
{
  struct iovec piece = { .iov_base = buffer, .iov_len = size };
  Address from = { .generic.sa_family = AF_UNSPEC };
  Control control;
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
  gssize got;

  if (way != NULL) {
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
  }
  do
    got = recvmsg (fd, &message, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0 || way == NULL)
    return got;
  memset (way, 0, sizeof *way);
  read_address (way, &from);
  if (read_control (way, &message))
    return got;
  errno = EDESTADDRREQ;
  return -1;
}

/* ---- sending ---- */

static socklen_t
write_address (const UdpWay *way, Address *to)
{
  memset (to, 0, sizeof *to);
  to->generic.sa_family = way->family;
  if (way->family == AF_INET) {
    to->in.sin_addr = unmap (&way->peer);
    to->in.sin_port = way->port;
    return sizeof to->in;
  }
  to->in6.sin6_addr = way->peer;
  to->in6.sin6_port = way->port;
  to->in6.sin6_scope_id = way->scope;
  return sizeof to->in6;
}

static void
write_control (const UdpWay *way, struct msghdr *message, Control *control)
{
  struct cmsghdr *header;

  if (IN6_IS_ADDR_UNSPECIFIED (&way->local))
    return;
  memset (control, 0, sizeof *control);
  message->msg_control = control;
  message->msg_controllen = way->family == AF_INET ? sizeof control->in : sizeof control->in6;
  header = CMSG_FIRSTHDR (message);
  /* The address, and no interface but where it means nothing without one: which way to take is for
   * the kernel to know. */
  if (way->family == AF_INET) {
    const struct in_pktinfo info = { .ipi_spec_dst = unmap (&way->local) };

    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN (sizeof info);
    memcpy (CMSG_DATA (header), &info, sizeof info);
  } else {
    const struct in6_pktinfo info = { .ipi6_addr = way->local,
                                      .ipi6_ifindex =
                                          IN6_IS_ADDR_LINKLOCAL (&way->local) ? way->scope : 0 };

    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN (sizeof info);
    memcpy (CMSG_DATA (header), &info, sizeof info);
  }
}

static int
send_once (int fd, struct msghdr *message)
{
  gssize put;

  do
    put = sendmsg (fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);
  return put < 0 ? errno : 0;
}

int
udp_message_send (int fd, const UdpWay *way, const guint8 *data, gsize size)
{
  struct iovec piece = { .iov_base = (void *) data, .iov_len = size };
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
  Control control;
  Address to;
  int reason;

  if (way != NULL) {
    message.msg_name = &to;
    message.msg_namelen = write_address (way, &to);
    write_control (way, &message, &control);
  }
  reason = send_once (fd, &message);
  /* That is about an earlier one, and this one has not been sent. */
  if (reason == ECONNREFUSED)
    reason = send_once (fd, &message);
  /* The address that was asked is gone, or one for many. */
  if (reason == EINVAL && message.msg_control != NULL) {
    message.msg_control = NULL;
    message.msg_controllen = 0;
    reason = send_once (fd, &message);
  }
  return reason;
}

/* ---- names ---- */

static struct sockaddr_in6
make_name (const UdpWay *self, const struct in6_addr *address, in_port_t port)
{
  return (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                .sin6_addr = *address,
                                .sin6_port = port,
                                .sin6_scope_id =
                                    IN6_IS_ADDR_LINKLOCAL (address) ? self->scope : 0 };
}

HyphaEndpoint *
udp_way_get_remote (const UdpWay *self)
{
  const struct sockaddr_in6 name = make_name (self, &self->peer, self->port);

  return hypha_inet_sockaddr_to_endpoint ("udp", (const struct sockaddr *) &name);
}

char *
udp_way_get_host (const UdpWay *self)
{
  const struct sockaddr_in6 name = make_name (self, &self->peer, 0);

  return hypha_inet_sockaddr_to_host ((const struct sockaddr *) &name);
}

HyphaEndpoint *
udp_way_get_local (const UdpWay *self, HyphaEndpoint *bound)
{
  g_autofree char *host = NULL;
  struct sockaddr_in6 name;
  guint32 port;

  if (IN6_IS_ADDR_UNSPECIFIED (&self->local) ||
      !hypha_endpoint_split_host_port (bound, G_MAXUINT16, &host, &port, NULL))
    return hypha_endpoint_ref (bound);
  name = make_name (self, &self->local, g_htons ((guint16) port));
  return hypha_inet_sockaddr_to_endpoint ("udp", (const struct sockaddr *) &name);
}

guint
udp_way_hash (gconstpointer way)
{
  const guint8 *bytes = way;
  guint hash = 5381;

  for (gsize i = 0; i < sizeof (UdpWay); i++)
    hash = hash * 33 + bytes[i];
  return hash;
}

gboolean
udp_way_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (UdpWay)) == 0;
}
