/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/ports.h"

#include <hypha-api.h>

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_LISTEN 10 /* TCP_LISTEN; <netinet/tcp.h> and <linux/tcp.h> do not go together */
#define LOOPBACK_INDEX 1
#define BUFFER_SIZE 32768
/* Each port of each family, twice. */
#define MAX_SOCKETS (4 * (HYPHA_PORT_MAX + 1))

struct _HyphaPorts {
  GHashTable *judged; /* inode to whether this process has it, of the sockets seen last */
};

/* ---- what the kernel says ---- */

static gboolean
is_reached (const struct inet_diag_msg *socket)
{
  guint32 first = g_ntohl (socket->id.idiag_src[0]);
  struct in6_addr address;

  if (socket->id.idiag_if != 0 && socket->id.idiag_if != LOOPBACK_INDEX)
    return FALSE;
  if (socket->idiag_family == AF_INET)
    return first == INADDR_ANY || first == INADDR_LOOPBACK;
  if (socket->idiag_family != AF_INET6)
    return FALSE;
  memcpy (&address, socket->id.idiag_src, sizeof address);
  if (IN6_IS_ADDR_V4MAPPED (&address)) {
    guint32 last = g_ntohl (socket->id.idiag_src[3]);

    return last == INADDR_ANY || last == INADDR_LOOPBACK;
  }
  return IN6_IS_ADDR_UNSPECIFIED (&address) || IN6_IS_ADDR_LOOPBACK (&address);
}

static gboolean
set_broken (GError **error)
{
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                       _ ("the kernel's list of listening sockets is not of the form that is known "
                          "here"));
  return FALSE;
}

static gboolean
set_errno (int number, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
               _ ("the kernel does not tell which ports are listened on: %s; it has to have "
                  "CONFIG_INET_DIAG, and the service's unit to allow AF_NETLINK"),
               g_strerror (number));
  return FALSE;
}

/* One message's payload. */
static gboolean
take_message (guint type, const guint8 *payload, gsize length, GArray *sockets, gboolean *done,
              GError **error)
{
  struct inet_diag_msg socket;
  gint32 number = 0;

  if (type == NLMSG_ERROR && length < sizeof number)
    return set_broken (error);
  if (type == NLMSG_ERROR || type == NLMSG_DONE) {
    if (length >= sizeof number)
      memcpy (&number, payload, sizeof number);
    *done = TRUE;
    return number < 0 && number > -4096 ? set_errno (-number, error) : TRUE;
  }
  if (type != SOCK_DIAG_BY_FAMILY)
    return TRUE;
  if (length < sizeof socket || sockets->len >= MAX_SOCKETS)
    return set_broken (error);
  memcpy (&socket, payload, sizeof socket);
  if (socket.idiag_state == STATE_LISTEN && is_reached (&socket)) {
    HyphaPortsSocket found = { g_ntohs (socket.id.idiag_sport), socket.idiag_inode };

    g_array_append_val (sockets, found);
  }
  return TRUE;
}

/**
 * hypha_ports_parse: (skip)
 * @bytes: what one read of the socket gave
 * @length: of @bytes
 * @sockets: array of #HyphaPortsSocket: what is found goes there
 * @done: (out): set to %TRUE if nothing more follows
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL or %HYPHA_ERROR_UNAVAILABLE
 *
 * Returns: %TRUE if @bytes are whole messages
 */
gboolean
hypha_ports_parse (const void *bytes, gsize length, GArray *sockets, gboolean *done, GError **error)
{
  const guint8 *at = bytes;

  *done = FALSE;
  while (length > 0 && !*done) {
    struct nlmsghdr header;

    if (length < sizeof header)
      return set_broken (error);
    memcpy (&header, at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > length)
      return set_broken (error);
    if (!take_message (header.nlmsg_type, at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN,
                       sockets, done, error))
      return FALSE;
    at += MIN (NLMSG_ALIGN (header.nlmsg_len), length);
    length -= MIN (NLMSG_ALIGN (header.nlmsg_len), length);
  }
  return TRUE;
}

/* ---- asking it ---- */

static gboolean
ask (int fd, guint8 family, GError **error)
{
  const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
  } message = {
    .header = { .nlmsg_len = sizeof message,
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
    .request = { .sdiag_family = family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1u << STATE_LISTEN },
  };

  if (sendto (fd, &message, sizeof message, 0, (const struct sockaddr *) &kernel, sizeof kernel) ==
      sizeof message)
    return TRUE;
  return set_errno (errno, error);
}

/* The kernel makes its answer as it is read, so it is there. */
static gboolean
hear (int fd, void *buffer, GArray *sockets, GError **error)
{
  gboolean done = FALSE;

  while (!done) {
    struct sockaddr_nl from = { 0 };
    socklen_t length = sizeof from;
    gssize n = recvfrom (fd, buffer, BUFFER_SIZE, MSG_TRUNC, (struct sockaddr *) &from, &length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return set_errno (errno, error);
    if (n == 0 || n > BUFFER_SIZE)
      return set_broken (error);
    /* Anybody may write to a netlink socket who has the right to. */
    if (from.nl_pid != 0)
      continue;
    if (!hypha_ports_parse (buffer, (gsize) n, sockets, &done, error))
      return FALSE;
  }
  return TRUE;
}

static GArray *
list_sockets (GError **error)
{
  static const guint8 families[] = { AF_INET, AF_INET6 };
  g_autoptr (GArray) sockets = g_array_new (FALSE, FALSE, sizeof (HyphaPortsSocket));
  guint64 buffer[BUFFER_SIZE / sizeof (guint64)];
  int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
  gboolean good = fd >= 0 || set_errno (errno, error);

  for (gsize i = 0; good && i < G_N_ELEMENTS (families); i++)
    good = ask (fd, families[i], error) && hear (fd, buffer, sockets, error);
  if (fd >= 0)
    close (fd);
  return good ? g_steal_pointer (&sockets) : NULL;
}

/* ---- whose they are ---- */

static void
add_own (GHashTable *own, int fd)
{
  int listens = 0;
  socklen_t length = sizeof listens;
  struct stat status;

  if (getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0 &&
      fstat (fd, &status) == 0)
    g_hash_table_add (own, GUINT_TO_POINTER ((guint32) status.st_ino));
}

/* The inodes of the sockets on which this process listens. */
static GHashTable *
list_own (GError **error)
{
  g_autoptr (GHashTable) own = g_hash_table_new (NULL, NULL);
  g_autoptr (GError) reason = NULL;
  g_autoptr (GDir) fds = g_dir_open ("/proc/self/fd", 0, &reason);
  const char *name;

  if (fds == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("which ports are listened on by others cannot be told without /proc: %s"),
                 reason->message);
    return NULL;
  }
  while ((name = g_dir_read_name (fds)) != NULL)
    add_own (own, atoi (name));
  return g_steal_pointer (&own);
}

/* What is new since the last look is judged; that takes a look at every descriptor. */
static gboolean
judge (HyphaPorts *self, GArray *sockets, GError **error)
{
  g_autoptr (GHashTable) judged = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) own = NULL;

  for (guint i = 0; i < sockets->len; i++) {
    gpointer inode = GUINT_TO_POINTER (g_array_index (sockets, HyphaPortsSocket, i).inode);
    gpointer is_own = NULL;

    if (!g_hash_table_lookup_extended (self->judged, inode, NULL, &is_own)) {
      if (own == NULL)
        own = list_own (error);
      if (own == NULL)
        return FALSE;
      is_own = GINT_TO_POINTER (g_hash_table_contains (own, inode));
    }
    g_hash_table_insert (judged, inode, is_own);
  }
  g_hash_table_unref (self->judged);
  self->judged = g_steal_pointer (&judged);
  return TRUE;
}

/**
 * hypha_ports_look: (skip)
 * @self: what looks
 * @ports: (out): what is listened on, by either family, by others than this process
 * @error: return location for an error: %HYPHA_ERROR_UNAVAILABLE or %HYPHA_ERROR_PROTOCOL
 *
 * A port on which this process listens itself is left out, also where another listens on it, too:
 * whoever connects could reach either.
 *
 * Returns: %TRUE if the kernel has told
 */
gboolean
hypha_ports_look (HyphaPorts *self, HyphaPortSet *ports, GError **error)
{
  g_autoptr (GArray) sockets = list_sockets (error);
  HyphaPortSet own = { 0 };

  memset (ports, 0, sizeof *ports);
  if (sockets == NULL || !judge (self, sockets, error))
    return FALSE;
  for (guint i = 0; i < sockets->len; i++) {
    const HyphaPortsSocket *socket = &g_array_index (sockets, HyphaPortsSocket, i);

    if (GPOINTER_TO_INT (g_hash_table_lookup (self->judged, GUINT_TO_POINTER (socket->inode))))
      hypha_port_set_add (&own, socket->port);
    else
      hypha_port_set_add (ports, socket->port);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (own.bits); i++)
    ports->bits[i] &= ~own.bits[i];
  return TRUE;
}

/**
 * hypha_ports_new: (skip)
 *
 * Returns: (transfer full): what has not looked yet
 */
HyphaPorts *
hypha_ports_new (void)
{
  HyphaPorts *self = g_new0 (HyphaPorts, 1);

  self->judged = g_hash_table_new (NULL, NULL);
  return self;
}

/**
 * hypha_ports_free: (skip)
 * @self: (transfer full): what is no longer needed
 */
void
hypha_ports_free (HyphaPorts *self)
{
  g_hash_table_unref (self->judged);
  g_free (self);
}
