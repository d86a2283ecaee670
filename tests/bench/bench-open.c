/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How long it takes to open a stream, beside one round trip over the same bus; see README.md. */

#include "end.h"

#include <gio/gunixfdlist.h>
#include <hypha.h>
#include <stdlib.h>
#include <unistd.h>

#define NODE "org.hypha.Node1"
#define PEER_PATH "/org/hypha/Node1/peer/"
#define PATIENCE_MS 10000
#define SERVICE "echo"

typedef enum { PING, GET, RAW, RAW_DIRECT, LIBRARY, LIBRARY_DIRECT, N_WAYS } Way;

static const char *const names[N_WAYS] = { "ping",       "get",     "raw",
                                           "raw-direct", "library", "library-direct" };

typedef struct {
  GDBusConnection *bus;
  char *path; /* of the peer, there */
  HyphaClient *client;
  HyphaPeer *peer;
  GArray *fds;        /* of what was opened, until it has been measured */
  GPtrArray *streams; /* likewise */
  guint pause_ms;
} Bench;

static void
check (const char *what, const GError *error)
{
  if (error != NULL)
    die ("%s: %s", what, error->message);
}

/* ---- the ways ---- */

static void
call (Bench *self, const char *path, const char *interface, const char *method, GVariant *arguments)
{
  g_autoptr (GError) error = NULL;
  G_GNUC_UNUSED g_autoptr (GVariant) reply =
      g_dbus_connection_call_sync (self->bus, NODE, path, interface, method, arguments, NULL,
                                   G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, NULL, &error);

  check (method, error);
}

static void
open_raw (Bench *self, gboolean direct)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  int fd;

  if (direct)
    g_variant_dict_insert (&options, "direct", "b", TRUE);
  reply = g_dbus_connection_call_with_unix_fd_list_sync (
      self->bus, NODE, self->path, "org.hypha.Peer1", "OpenStream",
      g_variant_new ("(s@a{sv})", SERVICE, g_variant_dict_end (&options)), G_VARIANT_TYPE ("(ht)"),
      G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, NULL, &fds, NULL, &error);
  check ("OpenStream", error);
  fd = g_unix_fd_list_get (fds, 0, &error);
  check ("OpenStream", error);
  g_array_append_val (self->fds, fd);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  HyphaStream **opened = user_data;

  *opened = hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);
  check ("open_stream", error);
}

static void
open_by_library (Bench *self, gboolean direct)
{
  HyphaStream *stream = NULL;

  if (direct)
    hypha_peer_open_direct_async (self->peer, SERVICE, PATIENCE_MS, NULL, on_opened, &stream);
  else
    hypha_peer_open_stream_async (self->peer, SERVICE, PATIENCE_MS, NULL, on_opened, &stream);
  while (stream == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_ptr_array_add (self->streams, stream);
}

static void
go (Bench *self, Way way)
{
  switch (way) {
  case PING:
    call (self, "/", "org.freedesktop.DBus.Peer", "Ping", NULL);
    break;
  case GET:
    call (self, self->path, "org.freedesktop.DBus.Properties", "Get",
          g_variant_new ("(ss)", "org.hypha.Peer1", "RxBytes"));
    break;
  case RAW:
  case RAW_DIRECT:
    open_raw (self, way == RAW_DIRECT);
    break;
  case LIBRARY:
  case LIBRARY_DIRECT:
    open_by_library (self, way == LIBRARY_DIRECT);
    break;
  default:
    g_assert_not_reached ();
  }
}

/* ---- measuring ---- */

static gboolean
wake (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* What the last opening has left to do, here and there, is not to be measured with the next. */
static void
settle (guint ms)
{
  gboolean over = FALSE;

  g_timeout_add (ms, wake, &over);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

static void
close_all (Bench *self)
{
  for (guint i = 0; i < self->fds->len; i++)
    close (g_array_index (self->fds, int, i));
  g_array_set_size (self->fds, 0);
  g_ptr_array_set_size (self->streams, 0);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
measure (Bench *self, Way way)
{
  gint64 begun = g_get_monotonic_time ();

  go (self, way);
  return (double) (g_get_monotonic_time () - begun);
}

/* The median of N, in microseconds. */
static double
median (Bench *self, Way way, guint n)
{
  g_autofree double *taken = g_new (double, n);

  for (guint i = 0; i < n; i++) {
    taken[i] = measure (self, way);
    close_all (self);
    settle (self->pause_ms);
  }
  qsort (taken, n, sizeof *taken, compare);
  return taken[n / 2];
}

static void
connect_to (Bench *self, const char *address, const char *peer)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;

  self->bus =
      g_dbus_connection_new_for_address_sync (address,
                                              G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                              NULL, NULL, &error);
  check (address, error);
  self->client = hypha_client_new (address, NULL, &error);
  check (address, error);
  self->peer = hypha_client_lookup_peer (self->client, peer, &error);
  check (peer, error);
  id = hypha_peer_dup_id (self->peer);
  self->path = g_strconcat (PEER_PATH, id, NULL);
}

static Way
parse_way (const char *name)
{
  for (Way way = 0; way < N_WAYS; way++)
    if (g_str_equal (names[way], name))
      return way;
  die ("there is no way %s", name);
}

int
main (int argc, char **argv)
{
  Bench self = { .fds = g_array_new (FALSE, FALSE, sizeof (int)),
                 .streams = g_ptr_array_new_with_free_func (g_object_unref) };
  guint n;
  Way way;

  g_set_prgname ("bench-open");
  if (argc != 6)
    die ("BUS-ADDRESS PEER WAY N PAUSE-MS");
  way = parse_way (argv[3]);
  n = (guint) MIN (end_number (argv[4]), G_MAXUINT / 2);
  self.pause_ms = (guint) strtoul (argv[5], NULL, 10);
  connect_to (&self, argv[1], argv[2]);
  median (&self, way, 2 + n / 10); /* who is asked for the first time looks around first */
  end_say ("ready");
  end_report (median (&self, way, n));
  g_array_unref (self.fds);
  g_ptr_array_unref (self.streams);
  g_object_unref (self.peer);
  g_object_unref (self.client);
  g_object_unref (self.bus);
  g_free (self.path);
  return 0;
}
