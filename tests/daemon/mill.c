/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Load upon two daemons, of which nothing can get lost unseen: mill BUS PEER LONG SHORT is both
 * ends of all its streams. It opens streams to the service `mill` of PEER, LONG that last and SHORT
 * at a time that are soon over and opened anew, and serves that service: it prints the port where
 * its target is to be. Both ends of a stream write what can be told from the stream's seed and the
 * offset, and compare every byte that they read with that, so that one which is lost, repeated or
 * of another stream is found at its place. For each end of a stream it prints how that ended, as a
 * line of JSON; whether this is as it should be is for others to judge. For a line that it reads it
 * prints how many bytes have come so far; with the end of its input the streams are finished. */

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <inttypes.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536
#define SHORT_MAX (512 * 1024)
#define OPEN_TIMEOUT_MS 60000
#define TICK_MS 50 /* in which a stream notices that it is to be finished */

/* One end of a stream. */
typedef struct {
  guint64 seed; /* of what it writes; what it reads has another */
  guint64 other_seed;
  guint64 limit; /* bytes to write */
  gboolean
      until_stopped; /* it writes on until the mill stops, or else until the other end has ended */
  guint64 written, read;
  gboolean eof, finished; /* the other end has ended; and this one */
  int code;               /* errno that ended it */
  gint64 wrong;           /* offset of the first byte that is another; -1: none */
} End;

static GDBusConnection *bus;
static char *peer; /* its path */
static atomic_bool stopped;
static atomic_ullong moved;
static atomic_int serving;
static GMutex printing;

/* splitmix64 */
static guint64
word_at (guint64 seed, guint64 index)
{
  guint64 z = seed + (index + 1) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Fills BLOCK + 8 bytes; gives where in it the byte at OFFSET is. */
static const guint8 *
fill (guint64 *words, guint64 seed, guint64 offset)
{
  for (guint i = 0; i <= BLOCK / 8; i++)
    words[i] = word_at (seed, offset / 8 + i);
  return (const guint8 *) words + offset % 8;
}

static void
write_some (End *self, int fd)
{
  guint64 words[BLOCK / 8 + 1];
  gsize n = (gsize) MIN (self->limit - self->written, BLOCK);
  gssize done;

  if ((self->until_stopped && stopped) || (!self->until_stopped && self->eof) || n == 0) {
    shutdown (fd, SHUT_WR);
    self->finished = TRUE;
    return;
  }
  done = send (fd, fill (words, self->seed, self->written), n, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (done > 0)
    self->written += (guint64) done;
  else if (errno != EAGAIN && errno != EINTR)
    self->code = errno;
}

static void
read_some (End *self, int fd)
{
  guint64 words[BLOCK / 8 + 1];
  guint8 block[BLOCK];
  gssize n = recv (fd, block, BLOCK, MSG_DONTWAIT);
  const guint8 *wanted;

  if (n == 0)
    self->eof = TRUE;
  else if (n < 0 && errno != EAGAIN && errno != EINTR)
    self->code = errno;
  if (n <= 0)
    return;
  wanted = fill (words, self->other_seed, self->read);
  for (gssize i = 0; i < n && self->wrong < 0; i++)
    if (block[i] != wanted[i])
      self->wrong = (gint64) self->read + i;
  self->read += (guint64) n;
  moved += (unsigned long long) n;
}

/* Until both directions have ended, or one failed. */
static void
grind (End *self, int fd)
{
  while (self->code == 0 && self->wrong < 0 && !(self->eof && self->finished)) {
    /* Where nothing can be written, it looks by and by whether it is to finish. */
    struct pollfd poller = { .fd = fd };

    poller.events = (short) ((self->eof ? 0 : POLLIN) | (self->finished ? 0 : POLLOUT));
    if (poll (&poller, 1, TICK_MS) > 0 && !self->eof && (poller.revents & ~POLLOUT))
      read_some (self, fd);
    if (self->code == 0 && !self->finished &&
        ((poller.revents & ~POLLIN) || (self->until_stopped && stopped)))
      write_some (self, fd);
  }
}

static void
print_end (const End *self, guint64 seed, const char *more)
{
  g_mutex_lock (&printing);
  printf ("{\"seed\": %" PRIu64 ", \"written\": %" PRIu64 ", \"read\": %" PRIu64
          ", \"finished\": %s, \"eof\": %s, \"errno\": \"%s\", \"wrong\": %" PRIi64 "%s}\n",
          seed, self->written, self->read, self->finished ? "true" : "false",
          self->eof ? "true" : "false", self->code != 0 ? g_strerror (self->code) : "", self->wrong,
          more);
  fflush (stdout);
  g_mutex_unlock (&printing);
}

/* ---- the end that serves ---- */

static gpointer
serve (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  guint64 seed;

  /* Whoever opened it says the seed first. */
  if (recv (fd, &seed, sizeof seed, MSG_WAITALL) == sizeof seed) {
    End end = { .seed = ~seed, .other_seed = seed, .limit = G_MAXUINT64, .wrong = -1 };

    grind (&end, fd);
    print_end (&end, seed, ", \"end\": \"server\"");
  }
  close (fd);
  serving--;
  return NULL;
}

static gpointer
accept_all (gpointer data)
{
  int listening = GPOINTER_TO_INT (data), fd;

  while ((fd = accept (listening, NULL, NULL)) >= 0) {
    serving++;
    g_thread_unref (g_thread_new ("server", serve, GINT_TO_POINTER (fd)));
  }
  return NULL;
}

static int
listen_somewhere (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd < 0 || bind (fd, (struct sockaddr *) &address, length) < 0 || listen (fd, 1024) < 0 ||
      getsockname (fd, (struct sockaddr *) &address, &length) < 0)
    g_error ("mill: cannot listen: %s", g_strerror (errno));
  printf ("%u\n", ntohs (address.sin_port));
  fflush (stdout);
  return fd;
}

/* ---- the end that opens ---- */

/* By the well-known name: after a restart, the node is another one on the bus. */
static GVariant *
call (const char *method, GVariant *arguments, const char *type, int timeout, GUnixFDList **fds,
      GError **error)
{
  return g_dbus_connection_call_with_unix_fd_list_sync (
      bus, "org.hypha.Node1", peer, "org.hypha.Peer1", method, arguments, G_VARIANT_TYPE (type),
      G_DBUS_CALL_FLAGS_NONE, timeout, NULL, fds, NULL, error);
}

static int
open_stream (guint64 *id, GError **error)
{
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) answer =
      call ("OpenStream", g_variant_new_parsed ("('mill', {'timeout': <%u>})", OPEN_TIMEOUT_MS),
            "(ht)", 2 * OPEN_TIMEOUT_MS, &fds, error);
  int handle;

  if (answer == NULL)
    return -1;
  g_variant_get (answer, "(ht)", &handle, id);
  return g_unix_fd_list_get (fds, handle, error);
}

/* In words of its own, so that they can stand in JSON. */
static char *
describe (GError **error)
{
  g_autofree char *name = NULL;

  if (*error == NULL)
    return g_strdup ("");
  name = g_dbus_error_get_remote_error (*error);
  g_dbus_error_strip_remote_error (*error);
  return g_strdup_printf ("%s: %s", name != NULL ? name : g_quark_to_string ((*error)->domain),
                          (*error)->message);
}

static void
print_result (const End *end, guint64 seed, guint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = NULL;
  g_autofree char *text = NULL, *asked = NULL, *escaped = NULL, *escaped_asked = NULL, *more = NULL;
  guint64 received = 0, sent = 0;

  answer = call ("StreamResult", g_variant_new ("(t)", id), "(stt)", G_MAXINT, NULL, &error);
  if (answer != NULL)
    g_variant_get (answer, "(stt)", &text, &received, &sent);
  asked = describe (&error);
  escaped = g_strescape (text != NULL ? text : "", "");
  escaped_asked = g_strescape (asked, "");
  more = g_strdup_printf (", \"end\": \"opener\", \"id\": %" PRIu64
                          ", \"error\": \"%s\", \"unanswered\": \"%s\", \"received\": %" PRIu64
                          ", \"sent\": %" PRIu64,
                          id, escaped, escaped_asked, received, sent);
  print_end (end, seed, more);
}

static void
one_stream (gboolean lasts)
{
  g_autoptr (GError) error = NULL;
  guint64 seed = (guint64) g_random_int () << 32 | g_random_int (), id = 0;
  int fd = open_stream (&id, &error);
  End end = { .seed = seed, .other_seed = ~seed, .limit = G_MAXUINT64, .wrong = -1 };

  end.until_stopped = lasts;
  if (!lasts)
    end.limit = (guint64) g_random_int_range (0, SHORT_MAX);
  if (fd < 0) {
    g_autofree char *text = describe (&error);
    g_autofree char *escaped = g_strescape (text, "");

    g_mutex_lock (&printing);
    printf ("{\"end\": \"none\", \"error\": \"%s\"}\n", escaped);
    fflush (stdout);
    g_mutex_unlock (&printing);
    g_usleep (TICK_MS * 1000);
    return;
  }
  if (send (fd, &seed, sizeof seed, MSG_NOSIGNAL) == sizeof seed)
    grind (&end, fd);
  else
    end.code = errno;
  close (fd);
  print_result (&end, seed, id);
}

/* One after the other. Those that last have only others after them if they fail. */
static gpointer
open_all (gpointer data)
{
  do
    one_stream (GPOINTER_TO_INT (data));
  while (!stopped);
  return NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  char line[64];

  if (argc != 5) {
    g_printerr ("usage: mill BUS ID LONG SHORT\n");
    return 2;
  }
  bus = g_dbus_connection_new_for_address_sync (argv[1],
                                                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                NULL, NULL, &error);
  if (bus == NULL) {
    g_printerr ("mill: %s\n", error->message);
    return 1;
  }
  peer = g_strdup_printf ("/org/hypha/Node1/peer/%s", argv[2]);
  g_thread_unref (g_thread_new ("accept", accept_all, GINT_TO_POINTER (listen_somewhere ())));
  /* Not before the target is known. */
  if (fgets (line, sizeof line, stdin) == NULL)
    return 0;
  for (int i = 0; i < atoi (argv[3]) + atoi (argv[4]); i++)
    g_ptr_array_add (threads,
                     g_thread_new ("opener", open_all, GINT_TO_POINTER (i < atoi (argv[3]))));
  while (fgets (line, sizeof line, stdin) != NULL) {
    g_mutex_lock (&printing);
    printf ("{\"end\": \"now\", \"moved\": %llu}\n", moved);
    fflush (stdout);
    g_mutex_unlock (&printing);
  }
  stopped = TRUE;
  for (guint i = 0; i < threads->len; i++)
    g_thread_join (threads->pdata[i]);
  while (serving > 0)
    g_usleep (1000);
  return 0;
}
