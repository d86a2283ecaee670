/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-datagram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/* What may wait in the kernel for the thread that reads for all, and for the network. */
#define KERNEL_BYTES (4 * 1024 * 1024)

#define INFO_SPACE CMSG_SPACE (sizeof (struct in6_pktinfo))
#define SEGMENT_SPACE CMSG_SPACE (sizeof (int))

typedef union {
  struct cmsghdr alignment;
  guint8 bytes[INFO_SPACE + 2 * SEGMENT_SPACE];
} Control;

static _Atomic gboolean segments_forbidden;

void
quic_datagram_forbid_segments (gboolean forbidden)
{
  atomic_store (&segments_forbidden, forbidden);
}

/* As much of it as the kernel grants. */
static void
set_if_possible (int fd, int level, int option, int value)
{
  if (setsockopt (fd, level, option, &value, sizeof value) < 0)
    g_debug ("quic: option %d of level %d: %s", option, level, g_strerror (errno));
}

int
quic_datagram_prepare (int fd, int family)
{
  const int on = 1;

  if (family == AF_INET) {
    if (setsockopt (fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0)
      return errno;
  } else if (setsockopt (fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0)
    return errno;
  /* Packets are never cut on the way: how long they may be is probed. */
  set_if_possible (fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (family == AF_INET6)
    set_if_possible (fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  set_if_possible (fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BYTES);
  set_if_possible (fd, SOL_SOCKET, SO_SNDBUF, KERNEL_BYTES);
  if (!atomic_load (&segments_forbidden))
    set_if_possible (fd, SOL_UDP, UDP_GRO, 1);
  return 0;
}

gboolean
quic_datagram_can_segment (int fd)
{
  int value;
  socklen_t length = sizeof value;

  return !atomic_load (&segments_forbidden) &&
         getsockopt (fd, SOL_UDP, UDP_SEGMENT, &value, &length) == 0;
}

/* ---- receiving ---- */

static gboolean
is_for_many (const struct in6_addr *address)
{
  return IN6_IS_ADDR_MULTICAST (address) ||
         (IN6_IS_ADDR_V4MAPPED (address) && (address->s6_addr[12] & 0xf0) == 0xe0);
}

/* Which of this machine's addresses was asked: the answer has to come from there. FALSE: it was
 * asked with others. */
static gboolean
read_control (QuicBurst *burst, struct msghdr *message, gboolean connected)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL; c = CMSG_NXTHDR (message, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int segment;

      memcpy (&segment, CMSG_DATA (c), sizeof segment);
      if (segment > 0)
        burst->segment = (gsize) segment;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && !connected) {
      struct in_pktinfo info;

      memcpy (&info, CMSG_DATA (c), sizeof info);
      /* Of a broadcast, the kernel tells in the second what an answer would have. */
      if (IN_MULTICAST (g_ntohl (info.ipi_addr.s_addr)) ||
          (info.ipi_spec_dst.s_addr != INADDR_ANY &&
           info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr))
        return FALSE;
      burst->path.local.in.sin_addr = info.ipi_addr;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && !connected) {
      struct in6_pktinfo info;

      memcpy (&info, CMSG_DATA (c), sizeof info);
      if (is_for_many (&info.ipi6_addr))
        return FALSE;
      burst->path.local.in6.sin6_addr = info.ipi6_addr;
      burst->path.local.in6.sin6_scope_id =
          IN6_IS_ADDR_LINKLOCAL (&info.ipi6_addr) ? info.ipi6_ifindex : 0;
    }
  }
  return TRUE;
}

int
quic_datagram_receive (int fd, HyphaLoop *loop, const QuicAddress *local, gboolean connected,
                       QuicBurst *bursts)
{
  struct mmsghdr messages[QUIC_BATCH] = { 0 };
  struct iovec pieces[QUIC_BATCH];
  QuicAddress from[QUIC_BATCH];
  Control controls[QUIC_BATCH];
  int got, n = 0;

  for (guint i = 0; i < QUIC_BATCH; i++) {
    pieces[i] = (struct iovec){ quic_state_get (loop)->input[i], QUIC_DATAGRAM_BYTES };
    messages[i].msg_hdr = (struct msghdr){
      .msg_name = &from[i],
      .msg_namelen = sizeof from[i],
      .msg_iov = &pieces[i],
      .msg_iovlen = 1,
      .msg_control = &controls[i],
      .msg_controllen = sizeof controls[i],
    };
  }
  do
    got = recvmmsg (fd, messages, QUIC_BATCH, MSG_DONTWAIT, NULL);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return -1;
  for (int i = 0; i < got; i++) {
    QuicBurst *burst = &bursts[n];

    *burst = (QuicBurst){ .data = pieces[i].iov_base,
                          .size = messages[i].msg_len,
                          .segment = messages[i].msg_len };
    burst->path.local = *local;
    if (burst->size > 0 &&
        quic_address_set (&burst->path.remote, &from[i].generic, messages[i].msg_hdr.msg_namelen) &&
        read_control (burst, &messages[i].msg_hdr, connected))
      n++;
  }
  return n;
}

/* ---- sending ---- */

static struct cmsghdr *
begin_control (struct msghdr *message, Control *control, int level, int type, gsize size)
{
  struct cmsghdr *header = (struct cmsghdr *) (void *) (control->bytes + message->msg_controllen);

  message->msg_control = control;
  message->msg_controllen += CMSG_SPACE (size);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN (size);
  return header;
}

/* The address, and no interface but where it means nothing without one: which way to take is for
 * the kernel to know. */
static void
write_source (struct msghdr *message, Control *control, const QuicAddress *local)
{
  if (local->generic.sa_family == AF_INET) {
    const struct in_pktinfo info = { .ipi_spec_dst = local->in.sin_addr };

    memcpy (CMSG_DATA (begin_control (message, control, IPPROTO_IP, IP_PKTINFO, sizeof info)),
            &info, sizeof info);
  } else {
    const struct in6_pktinfo info = { .ipi6_addr = local->in6.sin6_addr,
                                      .ipi6_ifindex = local->in6.sin6_scope_id };

    memcpy (CMSG_DATA (begin_control (message, control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info)),
            &info, sizeof info);
  }
}

static int
send_once (int fd, const QuicPath *path, const guint8 *data, gsize size, guint16 segment)
{
  struct iovec piece = { .iov_base = (void *) data, .iov_len = size };
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
  Control control = { 0 };
  gssize put;

  if (path != NULL) {
    message.msg_name = (void *) &path->remote.generic;
    message.msg_namelen = quic_address_get_length (&path->remote);
    write_source (&message, &control, &path->local);
  }
  if (segment > 0)
    memcpy (CMSG_DATA (begin_control (&message, &control, SOL_UDP, UDP_SEGMENT, sizeof segment)),
            &segment, sizeof segment);
  do
    put = sendmsg (fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (put < 0 && errno == EINTR);
  return put < 0 ? errno : 0;
}

gsize
quic_datagram_send (int fd, const QuicPath *path, const guint8 *data, gsize size, gsize segment,
                    gboolean *segmented, int *reason)
{
  gsize done = 0;

  if (*segmented && size > segment) {
    *reason = send_once (fd, path, data, size, (guint16) segment);
    /* The kernel, or what drives the interface, cannot after all. */
    if (*reason == EIO || *reason == EINVAL || *reason == EOPNOTSUPP)
      *segmented = FALSE;
    else
      return *reason == 0 ? size : 0;
  }
  do {
    gsize n = MIN (segment, size - done);

    *reason = send_once (fd, path, data + done, n, 0);
    if (*reason == 0)
      done += n;
  } while (*reason == 0 && done < size);
  return done;
}
