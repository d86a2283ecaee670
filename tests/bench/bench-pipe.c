/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program at both ends of whatever is measured; see README.md. */

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
#define PATIENCE_US (10 * G_TIME_SPAN_SECOND) /* until what is measured listens */
#define RETRY_US (5 * G_TIME_SPAN_MILLISECOND)

/* What the near end wants, sent first: then it writes BYTES and gets ANSWER back once; or, if BYTES
 * is 0, every PING comes back. */
typedef struct {
  guint64 bytes, ping;
} Wish;

#define ANSWER 1

G_GNUC_NORETURN G_GNUC_PRINTF (1, 2) static void die (const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  fputs ("bench-pipe: ", stderr);
  vfprintf (stderr, format, arguments);
  fputc ('\n', stderr);
  va_end (arguments);
  exit (EXIT_FAILURE);
}

static gboolean
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

static gboolean
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

/* ---- where to: unix:PATH, tcp:PORT (of 127.0.0.1), hypha:BUS-ADDRESS;PEER-PATH;SERVICE ---- */

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
    address->in.sin_family = AF_INET;
    address->in.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    address->in.sin_port = htons ((guint16) strtoul (where + 4, NULL, 10));
    return sizeof address->in;
  }
  die ("%s: neither unix:PATH nor tcp:PORT", where);
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

static int
open_stream (const char *where)
{
  g_auto (GStrv) parts = g_strsplit (where + strlen ("hypha:"), ";", 3);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) answer = NULL;
  gint32 handle;
  guint64 id;
  int fd;

  if (g_strv_length (parts) != 3)
    die ("%s: not hypha:BUS-ADDRESS;PEER-PATH;SERVICE", where);
  bus = g_dbus_connection_new_for_address_sync (parts[0],
                                                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                NULL, NULL, &error);
  if (bus != NULL)
    answer = g_dbus_connection_call_with_unix_fd_list_sync (
        bus, "org.hypha.Node1", parts[1], "org.hypha.Peer1", "OpenStream",
        g_variant_new ("(s@a{sv})", parts[2], g_variant_new ("a{sv}", NULL)),
        G_VARIANT_TYPE ("(ht)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, &fds, NULL, &error);
  if (answer == NULL)
    die ("cannot open a stream: %s", error->message);
  g_variant_get (answer, "(ht)", &handle, &id);
  fd = g_unix_fd_list_get (fds, handle, &error);
  if (fd < 0)
    die ("cannot take the stream: %s", error->message);
  if (!g_unix_set_fd_nonblocking (fd, FALSE, &error)) /* whatever the daemon's taste is */
    die ("%s", error->message);
  g_dbus_connection_close_sync (bus, NULL, NULL); /* the stream is its descriptor's affair */
  return fd;
}

/* ---- the far end ---- */

static void
take_bytes (int fd, guint64 left)
{
  g_autofree guint8 *block = g_malloc (BLOCK);
  const guint8 answer[ANSWER] = { 1 };

  while (left > 0) {
    ssize_t n = read (fd, block, MIN (left, BLOCK));

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return;
    left -= (guint64) n;
  }
  write_all (fd, answer, sizeof answer);
}

static void *
serve_one (void *data)
{
  int fd = GPOINTER_TO_INT (data);
  const guint8 answer[ANSWER] = { 0 };
  guint8 ping[BLOCK];
  Wish wish;

  if (read_all (fd, &wish, sizeof wish) && wish.ping <= sizeof ping &&
      write_all (fd, answer, sizeof answer)) {
    if (wish.bytes > 0)
      take_bytes (fd, wish.bytes);
    else
      while (read_all (fd, ping, wish.ping) && write_all (fd, ping, wish.ping))
        continue;
  }
  /* The near end closes first, so that no port of ours waits for packets that wander. */
  while (read (fd, ping, sizeof ping) > 0)
    continue;
  close (fd);
  return NULL;
}

static void
serve (const char *where)
{
  Address address;
  socklen_t length = parse_address (where, &address);
  int fd = socket_for (&address);

  if (bind (fd, &address.any, length) < 0 || listen (fd, 16) < 0 ||
      getsockname (fd, &address.any, &length) < 0)
    die ("cannot listen on %s: %s", where, g_strerror (errno));
  if (address.any.sa_family == AF_INET)
    printf ("tcp:%u\n", ntohs (address.in.sin_port));
  else
    printf ("%s\n", where);
  fflush (stdout);
  for (;;) {
    pthread_t thread;
    int one = accept4 (fd, NULL, NULL, SOCK_CLOEXEC);

    if (one < 0)
      die ("accept: %s", g_strerror (errno));
    set_no_delay (one);
    if (pthread_create (&thread, NULL, serve_one, GINT_TO_POINTER (one)) != 0)
      die ("cannot start a thread");
    pthread_detach (thread);
  }
}

/* ---- the near end ---- */

static int
begin (const char *where, const Wish *wish)
{
  int fd = g_str_has_prefix (where, "hypha:") ? open_stream (where) : open_socket (where);
  guint8 answer[ANSWER];

  if (!write_all (fd, wish, sizeof *wish) || !read_all (fd, answer, sizeof answer))
    die ("%s: it ended before it began", where);
  return fd;
}

/* Whoever started this looks at the processes meanwhile. */
static void
wait_for_line (const char *say)
{
  char line[16];

  puts (say);
  fflush (stdout);
  if (fgets (line, sizeof line, stdin) == NULL)
    exit (EXIT_FAILURE);
}

static void
report (double result)
{
  g_autofree char *line = g_strdup_printf ("%.9f", result);

  wait_for_line (line);
}

static void
send_bytes (const char *where, guint64 bytes)
{
  const Wish wish = { .bytes = bytes };
  g_autofree guint8 *block = g_malloc (BLOCK);
  guint8 answer[ANSWER];
  gint64 start;
  int fd = begin (where, &wish);

  memset (block, 'h', BLOCK);
  wait_for_line ("ready");
  start = g_get_monotonic_time ();
  for (guint64 left = bytes; left > 0; left -= MIN (left, BLOCK))
    if (!write_all (fd, block, MIN (left, BLOCK)))
      die ("%s: it ended before all was sent: %s", where, g_strerror (errno));
  if (!read_all (fd, answer, sizeof answer))
    die ("%s: it ended before all had come", where);
  report ((double) (g_get_monotonic_time () - start) / G_TIME_SPAN_SECOND);
  close (fd);
}

static int
compare (const void *a, const void *b)
{
  const double *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

static double
one_ping (const char *where, int fd, guint8 *ping, gsize size)
{
  struct timespec a, b;

  clock_gettime (CLOCK_MONOTONIC, &a);
  if (!write_all (fd, ping, size) || !read_all (fd, ping, size))
    die ("%s: it ended between two round trips", where);
  clock_gettime (CLOCK_MONOTONIC, &b);
  return (double) (b.tv_sec - a.tv_sec) + (double) (b.tv_nsec - a.tv_nsec) / 1e9;
}

/* The median, in seconds. */
static void
ping_pong (const char *where, guint64 size, guint64 times)
{
  const Wish wish = { .ping = size };
  g_autofree guint8 *ping = g_malloc0 (size);
  g_autofree double *trips = g_new (double, times);
  int fd = begin (where, &wish);

  wait_for_line ("ready");
  for (guint64 i = 0; i < times; i++)
    trips[i] = one_ping (where, fd, ping, size);
  qsort (trips, times, sizeof *trips, compare);
  report (trips[times / 2]);
  close (fd);
}

static guint64
number (const char *text)
{
  guint64 value;

  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &value, NULL))
    die ("%s: not a number above 0", text);
  return value;
}

int
main (int argc, char **argv)
{
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "serve") == 0)
    serve (argv[2]);
  else if (argc == 4 && strcmp (argv[1], "send") == 0)
    send_bytes (argv[2], number (argv[3]));
  else if (argc == 5 && strcmp (argv[1], "ping") == 0)
    ping_pong (argv[2], MIN (number (argv[3]), BLOCK), number (argv[4]));
  else
    die ("usage: bench-pipe serve WHERE | send WHERE BYTES | ping WHERE SIZE TIMES");
  return EXIT_SUCCESS;
}
