/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_US (10 * G_TIME_SPAN_SECOND) /* until what is measured listens */
#define RETRY_US (5 * G_TIME_SPAN_MILLISECOND)
#define BACKLOG 1024

/**
 * die:
 * @format: what happened, for printf
 * @...: its arguments
 *
 * Says so, and ends the process.
 */
void
die (const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  fprintf (stderr, "%s: ", g_get_prgname ());
  vfprintf (stderr, format, arguments);
  fputc ('\n', stderr);
  va_end (arguments);
  exit (EXIT_FAILURE);
}

/**
 * write_all:
 * @fd: a blocking descriptor
 * @data: the bytes
 * @length: how many
 *
 * Returns: whether all were written
 */
gboolean
write_all (int fd, const void *data, gsize length)
{
  const guint8 *at = data;

  while (length > 0) {
    ssize_t n = write (fd, at, length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    at += n;
    length -= (gsize) n;
  }
  return TRUE;
}

/**
 * read_all:
 * @fd: a blocking descriptor
 * @data: where to
 * @length: how many bytes
 *
 * Returns: whether all came before the end of the file
 */
gboolean
read_all (int fd, void *data, gsize length)
{
  guint8 *at = data;

  while (length > 0) {
    ssize_t n = read (fd, at, length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    at += n;
    length -= (gsize) n;
  }
  return TRUE;
}

/* ---- sockets ---- */

typedef union {
  struct sockaddr any;
  struct sockaddr_un un;
  struct sockaddr_in in;
} Address;

static socklen_t
parse_address (const char *where, Address *address)
{
  *address = (Address){ 0 };
  if (g_str_has_prefix (where, "unix:")) {
    address->un.sun_family = AF_UNIX;
    if (g_strlcpy (address->un.sun_path, where + 5, sizeof address->un.sun_path) >=
        sizeof address->un.sun_path)
      die ("%s: the path is too long for a socket", where);
    return sizeof address->un;
  }
  if (g_str_has_prefix (where, "tcp:")) {
    const char *rest = where + 4, *colon = strchr (rest, ':');
    g_autofree char *host =
        colon != NULL ? g_strndup (rest, (gsize) (colon - rest)) : g_strdup ("127.0.0.1");

    address->in.sin_family = AF_INET;
    address->in.sin_port = htons ((guint16) strtoul (colon != NULL ? colon + 1 : rest, NULL, 10));
    if (inet_pton (AF_INET, host, &address->in.sin_addr) != 1)
      die ("%s: %s is no IPv4 address", where, host);
    return sizeof address->in;
  }
  die ("%s: neither unix:PATH nor tcp:[ADDRESS:]PORT", where);
}

static int
socket_for (const Address *address)
{
  int fd = socket (address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd < 0)
    die ("socket: %s", g_strerror (errno));
  return fd;
}

/* A round trip is to wait for nobody's next byte. */
static void
set_no_delay (int fd)
{
  int one = 1;

  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* no matter on a Unix socket */
}

/**
 * end_listen:
 * @where: "unix:PATH", or "tcp:[ADDRESS:]PORT", of which 0 means any
 *
 * Listens, and prints where.
 *
 * Returns: the listening socket
 */
int
end_listen (const char *where)
{
  Address address;
  socklen_t length = parse_address (where, &address);
  int fd = socket_for (&address);

  if (bind (fd, &address.any, length) < 0 || listen (fd, BACKLOG) < 0 ||
      getsockname (fd, &address.any, &length) < 0)
    die ("cannot listen on %s: %s", where, g_strerror (errno));
  if (address.any.sa_family == AF_INET) {
    char host[INET_ADDRSTRLEN];

    inet_ntop (AF_INET, &address.in.sin_addr, host, sizeof host);
    printf ("tcp:%s:%u\n", host, ntohs (address.in.sin_port));
  } else
    printf ("%s\n", where);
  fflush (stdout);
  return fd;
}

/**
 * end_accept:
 * @listener: what end_listen() gave
 *
 * Returns: a connected socket, without Nagle's delay
 */
int
end_accept (int listener)
{
  int fd = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);

  if (fd < 0)
    die ("accept: %s", g_strerror (errno));
  set_no_delay (fd);
  return fd;
}

static int
open_socket (const char *where)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  Address address;
  socklen_t length = parse_address (where, &address);

  for (;;) {
    int fd = socket_for (&address);

    if (connect (fd, &address.any, length) == 0) {
      set_no_delay (fd);
      return fd;
    }
    if ((errno != ENOENT && errno != ECONNREFUSED) || g_get_monotonic_time () > end)
      die ("cannot connect to %s: %s", where, g_strerror (errno));
    close (fd);
    g_usleep (RETRY_US);
  }
}

/* machine:PATH:PORT, the socket that a VMM has for a machine: nothing but its line may be read. */
static int
open_machine (const char *rest)
{
  const char *port = strrchr (rest, ':');
  g_autofree char *where =
      port != NULL ? g_strdup_printf ("unix:%.*s", (int) (port - rest), rest) : NULL;
  g_autofree char *hello = NULL;
  char byte;
  int fd;

  if (where == NULL)
    die ("machine:%s: not machine:PATH:PORT", rest);
  fd = open_socket (where);
  hello = g_strdup_printf ("CONNECT %s\n", port + 1);
  if (!write_all (fd, hello, strlen (hello)))
    die ("%s: cannot say %s", where, hello);
  do
    if (!read_all (fd, &byte, 1))
      die ("%s: the machine has nobody on port %s", where, port + 1);
  while (byte != '\n');
  return fd;
}

/* ---- streams, by a daemon ---- */

static int
open_stream (GDBusConnection *bus, const char *peer, const char *service)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) answer = g_dbus_connection_call_with_unix_fd_list_sync (
      bus, "org.hypha.Node1", peer, "org.hypha.Peer1", "OpenStream",
      g_variant_new ("(s@a{sv})", service, g_variant_new ("a{sv}", NULL)), G_VARIANT_TYPE ("(ht)"),
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, &fds, NULL, &error);
  gint32 handle;
  guint64 id;
  int fd;

  if (answer == NULL)
    die ("cannot open a stream: %s", error->message);
  g_variant_get (answer, "(ht)", &handle, &id);
  fd = g_unix_fd_list_get (fds, handle, &error);
  if (fd < 0)
    die ("cannot take the stream: %s", error->message);
  if (!g_unix_set_fd_nonblocking (fd, FALSE, &error)) /* whatever the daemon's taste is */
    die ("%s", error->message);
  return fd;
}

static void
open_streams (const char *where, int *fds, guint n)
{
  g_auto (GStrv) parts = g_strsplit (where, ";", 3);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = NULL;

  if (g_strv_length (parts) != 3)
    die ("hypha:%s: not hypha:BUS-ADDRESS;PEER-PATH;SERVICE", where);
  bus = g_dbus_connection_new_for_address_sync (parts[0],
                                                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                NULL, NULL, &error);
  if (bus == NULL)
    die ("%s: %s", parts[0], error->message);
  for (guint i = 0; i < n; i++)
    fds[i] = open_stream (bus, parts[1], parts[2]);
  g_dbus_connection_close_sync (bus, NULL, NULL); /* a stream is its descriptor's affair */
}

/**
 * end_open_many:
 * @where: "unix:PATH", "tcp:[ADDRESS:]PORT", "machine:PATH:PORT", or
 *   "hypha:BUS-ADDRESS;PEER-PATH;SERVICE"
 * @fds: (out caller-allocates): room for @n descriptors
 * @n: how many
 *
 * Connects @n times: for a stream, as any client of a daemon does, over D-Bus.
 */
void
end_open_many (const char *where, int *fds, guint n)
{
  if (g_str_has_prefix (where, "hypha:"))
    open_streams (where + strlen ("hypha:"), fds, n);
  else
    for (guint i = 0; i < n; i++)
      fds[i] = g_str_has_prefix (where, "machine:") ? open_machine (where + strlen ("machine:"))
                                                    : open_socket (where);
}

/**
 * end_open:
 * @where: as for end_open_many()
 *
 * Returns: a connected descriptor, blocking
 */
int
end_open (const char *where)
{
  int fd;

  end_open_many (where, &fd, 1);
  return fd;
}

/* ---- whoever started this ---- */

/**
 * end_say:
 * @line: what to print
 *
 * Prints it and waits for a line: whoever started this looks at the processes meanwhile. Ends the
 * process when there is nobody any more.
 */
void
end_say (const char *line)
{
  char answer[16];

  puts (line);
  fflush (stdout);
  if (fgets (answer, sizeof answer, stdin) == NULL)
    exit (EXIT_FAILURE);
}

/**
 * end_report:
 * @result: what was measured
 *
 * Says so, as a number in JSON.
 */
void
end_report (double result)
{
  g_autofree char *line = g_strdup_printf ("%.9f", result);

  end_say (line);
}

/**
 * end_number:
 * @text: an argument
 *
 * Returns: the number above 0 that it is
 */
guint64
end_number (const char *text)
{
  guint64 value;

  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &value, NULL))
    die ("%s: not a number above 0", text);
  return value;
}
