/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "quic-datagram.h"
#include "quic-reply.h"
#include "quic-tls.h"

/* Of one wake-up: sockets are served by turns. */
#define BATCHES_AT_ONCE 4
/* Handshakes that have not ended: in all; half of that from one IPv4 address or IPv6 /64. */
#define MAX_UNFINISHED 256
/* Packets of connections that are not known here are answered so often, each second. */
#define RESETS_A_SECOND 100

struct _QuicServer {
  HyphaLoop *loop;
  QuicAddress local;

  /* Under the mutex of all servers. */
  int fd;          /* -1: closed */
  gboolean closed; /* nobody is taken in */
  guint places;    /* connections: as long as there are some, the socket stays */
  guint max;
  QuicServerKnocked knocked;
  gpointer user_data;

  /* The loop's alone. */
  gboolean over;
  gboolean segmented;
  guint8 secret[QUIC_SECRET_BYTES]; /* for resets */
  HyphaLoopWatch watch;
  GHashTable *by_id;      /* Id to QuicConnection */
  GPtrArray *connections; /* of QuicConnection */
  guint unfinished;
  guint64 resets_since;
  guint resets;
};

typedef struct {
  guint8 size;
  guint8 data[NGTCP2_MAX_CIDLEN];
} Id;

/* Not by GLib: ThreadSanitizer sees these alone, as Debian builds GLib. Nobody holds it for long.
 */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static GPtrArray *lingering; /* of QuicServer: those that are closed, and have connections */

static _Atomic guint max_unfinished = MAX_UNFINISHED;

void
quic_server_set_max_unfinished (guint max)
{
  atomic_store (&max_unfinished, max != 0 ? max : MAX_UNFINISHED);
}

/* ---- ids ---- */

static Id
make_id (const guint8 *data, gsize size)
{
  Id id = { .size = (guint8) MIN (size, NGTCP2_MAX_CIDLEN) };

  memcpy (id.data, data, id.size);
  return id;
}

static guint
hash_id (gconstpointer key)
{
  const Id *id = key;
  guint hash = 5381;

  for (guint i = 0; i < id->size; i++)
    hash = hash * 33 + id->data[i];
  return hash;
}

static gboolean
equal_ids (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (Id)) == 0;
}

/* ---- its end ---- */

static void
server_free (gpointer server)
{
  QuicServer *self = server;

  g_hash_table_unref (self->by_id);
  g_ptr_array_unref (self->connections);
  g_free (self);
}

static void
free_at_once (QuicServer *self)
{
  close (self->fd);
  server_free (self);
}

/* Under the mutex. */
static void
stop_lingering (QuicServer *self)
{
  if (lingering == NULL || !g_ptr_array_remove_fast (lingering, self) || lingering->len > 0)
    return;
  g_clear_pointer (&lingering, g_ptr_array_unref);
}

static void
end_if_unused (gpointer server)
{
  QuicServer *self = server;
  gboolean over;

  pthread_mutex_lock (&all_mutex);
  over = self->closed && self->places == 0 && !self->over;
  if (over) {
    stop_lingering (self);
    /* One that was closed already has taken its watch with it. Who finds none that lingers finds
     * the address free, too. */
    if (self->fd >= 0) {
      hypha_loop_unwatch (self->loop, &self->watch);
      close (self->fd);
    }
    self->fd = -1;
    self->over = TRUE;
  }
  pthread_mutex_unlock (&all_mutex);
  if (!over)
    return;
  self->watch.on = FALSE;
  hypha_loop_call (self->loop, server_free, self);
  hypha_loop_release (self->loop);
}

/* Who has not come in yet stays outside. */
static void
turn_out (gpointer server)
{
  QuicServer *self = server;
  g_autoptr (GPtrArray) connections = g_ptr_array_copy (self->connections, NULL, NULL);
  gboolean closed;

  pthread_mutex_lock (&all_mutex);
  closed = self->closed;
  pthread_mutex_unlock (&all_mutex);
  for (guint i = 0; closed && i < connections->len; i++)
    if (quic_connection_is_beginning (connections->pdata[i]))
      quic_connection_abort (connections->pdata[i], NGTCP2_CONNECTION_REFUSED);
  end_if_unused (self);
}

void
quic_server_close (QuicServer *self)
{
  pthread_mutex_lock (&all_mutex);
  self->closed = TRUE;
  if (self->places == 0) {
    hypha_loop_forget (self->loop, self->fd);
    close (self->fd);
    self->fd = -1;
  } else {
    if (lingering == NULL)
      lingering = g_ptr_array_new ();
    g_ptr_array_add (lingering, self);
  }
  pthread_mutex_unlock (&all_mutex);
  hypha_loop_call (self->loop, turn_out, self);
}

/* ---- what a connection wants ---- */

static gsize
send_to (QuicServer *self, const QuicPath *path, const guint8 *data, gsize size, gsize segment,
         int *reason)
{
  gsize done = 0;

  *reason = EBADF;
  pthread_mutex_lock (&all_mutex);
  if (self->fd >= 0)
    done = quic_datagram_send (self->fd, path, data, size, segment, &self->segmented, reason);
  pthread_mutex_unlock (&all_mutex);
  return done;
}

static gsize
on_send (gpointer server, const QuicPath *path, const guint8 *data, gsize size, gsize segment,
         int *reason)
{
  QuicServer *self = server;
  gsize done = send_to (self, path, data, size, segment, reason);

  if (*reason == EAGAIN)
    hypha_loop_watch (self->loop, &self->watch, EPOLLIN | EPOLLOUT);
  else if (*reason != 0)
    g_debug ("quic: sending: %s", g_strerror (*reason));
  return done;
}

static void
on_new_id (gpointer server, QuicConnection *connection, const ngtcp2_cid *cid)
{
  QuicServer *self = server;
  Id id = make_id (cid->data, cid->datalen);
  Id *key;

  if (g_hash_table_contains (self->by_id, &id))
    return;
  key = g_memdup2 (&id, sizeof id);
  g_hash_table_insert (self->by_id, key, connection);
  g_ptr_array_add (quic_connection_get_ids (connection), key);
}

static void
on_old_id (gpointer server, QuicConnection *connection, const ngtcp2_cid *cid)
{
  QuicServer *self = server;
  Id id = make_id (cid->data, cid->datalen);
  gpointer key, value;

  if (!g_hash_table_lookup_extended (self->by_id, &id, &key, &value) || value != connection)
    return;
  g_ptr_array_remove_fast (quic_connection_get_ids (connection), key);
  g_hash_table_remove (self->by_id, key);
}

static void
on_opened (gpointer server, QuicConnection *connection, HyphaChannel *channel)
{
  QuicServer *self = server;
  gboolean closed;

  self->unfinished--;
  pthread_mutex_lock (&all_mutex);
  closed = self->closed;
  if (!closed)
    self->knocked (channel, self->user_data);
  pthread_mutex_unlock (&all_mutex);
  if (closed)
    g_object_unref (channel);
}

static void
on_failed (gpointer server, QuicConnection *connection, const GError *error)
{
  QuicServer *self = server;

  self->unfinished--;
  g_debug ("quic: a handshake failed: %s", error->message);
}

static void
on_ended (gpointer server, QuicConnection *connection)
{
  QuicServer *self = server;
  GPtrArray *ids = quic_connection_get_ids (connection);

  for (guint i = 0; i < ids->len; i++)
    g_hash_table_remove (self->by_id, ids->pdata[i]);
  g_ptr_array_set_size (ids, 0);
  g_ptr_array_remove_fast (self->connections, connection);
  hypha_loop_call (self->loop, quic_connection_free, connection);
  pthread_mutex_lock (&all_mutex);
  self->places--;
  pthread_mutex_unlock (&all_mutex);
  end_if_unused (self);
}

static const QuicConnectionEvents events = {
  .send = on_send,
  .add_id = on_new_id,
  .remove_id = on_old_id,
  .opened = on_opened,
  .failed = on_failed,
  .ended = on_ended,
};

/* ---- who comes ---- */

typedef enum { WELCOME, LATER, NEVER } Verdict;

static guint64
get_source (QuicConnection *connection)
{
  return quic_address_get_source (&quic_connection_get_path (connection)->remote);
}

static guint
count_beginning (GPtrArray *beginning, guint64 source)
{
  guint n = 0;

  for (guint i = 0; i < beginning->len; i++)
    n += get_source (beginning->pdata[i]) == source;
  return n;
}

/* For a source that has MINE under way: of the one that has the most, and more than that still, one
 * has to go, at random. So a few who begin again and again, and never finish, keep nobody out. */
static gboolean
make_room (QuicServer *self, guint mine)
{
  g_autoptr (GPtrArray) beginning = g_ptr_array_new ();
  QuicConnection *victim = NULL;
  guint most = mine + 2;
  gint32 n = 0;

  for (guint i = 0; i < self->connections->len; i++)
    if (quic_connection_is_beginning (self->connections->pdata[i]))
      g_ptr_array_add (beginning, self->connections->pdata[i]);
  for (guint i = 0; i < beginning->len; i++) {
    guint crowd = count_beginning (beginning, get_source (beginning->pdata[i]));

    if (crowd < most)
      continue;
    if (crowd > most)
      n = 0;
    most = crowd;
    n++;
    if (g_random_int_range (0, n) == 0)
      victim = beginning->pdata[i];
  }
  if (victim != NULL)
    quic_connection_abort (victim, NGTCP2_CONNECTION_REFUSED);
  return victim != NULL;
}

static Verdict
judge (QuicServer *self, const QuicAddress *remote)
{
  guint64 source = quic_address_get_source (remote);
  guint most_unfinished = atomic_load (&max_unfinished);
  guint of_one = 0, unfinished_of_one = 0, max;
  gboolean closed;

  pthread_mutex_lock (&all_mutex);
  closed = self->closed;
  max = self->max;
  pthread_mutex_unlock (&all_mutex);
  if (closed || self->connections->len >= max)
    return NEVER;
  for (guint i = 0; i < self->connections->len; i++) {
    QuicConnection *connection = self->connections->pdata[i];

    if (get_source (connection) != source)
      continue;
    of_one++;
    if (quic_connection_is_beginning (connection))
      unfinished_of_one++;
  }
  if (of_one >= MAX (max / 2, 1))
    return NEVER;
  if (unfinished_of_one >= most_unfinished / 2)
    return LATER;
  return self->unfinished < most_unfinished || make_room (self, unfinished_of_one) ? WELCOME
                                                                                   : LATER;
}

static void
reply (QuicServer *self, const QuicPath *path, const guint8 *packet, gsize size)
{
  int reason;

  if (size > 0)
    send_to (self, path, packet, size, size, &reason);
}

/* NULL: it does not get in (now). */
static QuicConnection *
let_in (QuicServer *self, const QuicPath *path, const ngtcp2_pkt_hd *header,
        const ngtcp2_cid *original)
{
  g_autoptr (GError) error = NULL;
  QuicConnection *connection;

  pthread_mutex_lock (&all_mutex);
  self->places++;
  pthread_mutex_unlock (&all_mutex);
  connection = quic_connection_accept (self->loop, path, header, original, self->secret, &events,
                                       self, &error);
  if (connection == NULL) {
    g_debug ("quic: %s", error->message);
    pthread_mutex_lock (&all_mutex);
    self->places--;
    pthread_mutex_unlock (&all_mutex);
    end_if_unused (self);
    return NULL;
  }
  g_ptr_array_add (self->connections, connection);
  self->unfinished++;
  /* Until it has heard which id it should use, it uses its own. */
  on_new_id (self, connection, &header->dcid);
  return connection;
}

/* A packet of an unknown connection. NULL: there is none now either. */
static QuicConnection *
greet (QuicServer *self, const QuicPath *path, const guint8 *data, gsize size, guint64 now)
{
  guint8 packet[QUIC_REPLY_BYTES];
  ngtcp2_cid original;
  ngtcp2_pkt_hd header;
  QuicToken token;
  Verdict verdict;
  int result = ngtcp2_accept (&header, data, size);

  if (result != 0)
    return NULL;
  token = quic_reply_check_token (&header, &path->remote, now, &original);
  if (token == QUIC_TOKEN_BAD) {
    reply (self, path, packet, quic_reply_close (packet, &header, NGTCP2_INVALID_TOKEN));
    return NULL;
  }
  if (token == QUIC_TOKEN_NONE && self->unfinished >= QUIC_RETRY_ABOVE) {
    reply (self, path, packet, quic_reply_retry (packet, &header, &path->remote, now));
    return NULL;
  }
  verdict = judge (self, &path->remote);
  if (verdict == NEVER)
    reply (self, path, packet, quic_reply_close (packet, &header, NGTCP2_CONNECTION_REFUSED));
  if (verdict != WELCOME)
    return NULL;
  return let_in (self, path, &header, token == QUIC_TOKEN_GOOD ? &original : NULL);
}

static void
reset (QuicServer *self, const QuicPath *path, const ngtcp2_version_cid *asked, gsize size,
       guint64 now)
{
  guint8 packet[QUIC_REPLY_BYTES];

  if (now >= self->resets_since + NGTCP2_SECONDS) {
    self->resets_since = now;
    self->resets = 0;
  }
  if (self->resets++ < RESETS_A_SECOND)
    reply (self, path, packet, quic_reply_reset (packet, asked, size, self->secret));
}

/* RFC 8999, 5.1. */
static gboolean
is_long (const guint8 *data)
{
  return (data[0] & 0x80) != 0;
}

static void
take (QuicServer *self, const QuicPath *path, const guint8 *data, gsize size, guint64 now)
{
  guint8 packet[QUIC_REPLY_BYTES];
  QuicConnection *connection;
  ngtcp2_version_cid asked;
  int result = ngtcp2_pkt_decode_version_cid (&asked, data, size, QUIC_ID_BYTES);
  Id id;

  if (result == NGTCP2_ERR_VERSION_NEGOTIATION) {
    reply (self, path, packet, quic_reply_versions (packet, &asked, size));
    return;
  }
  if (result != 0)
    return;
  id = make_id (asked.dcid, asked.dcidlen);
  connection = g_hash_table_lookup (self->by_id, &id);
  if (connection == NULL && !is_long (data))
    reset (self, path, &asked, size, now);
  else if (connection == NULL)
    connection = greet (self, path, data, size, now);
  if (connection != NULL)
    quic_connection_receive (connection, path, data, size, now);
}

/* Whether there may be more. */
static gboolean
receive (QuicServer *self)
{
  QuicBurst bursts[QUIC_BATCH];
  guint64 now;
  int n = -1;

  pthread_mutex_lock (&all_mutex);
  if (self->fd >= 0)
    n = quic_datagram_receive (self->fd, self->loop, &self->local, FALSE, bursts);
  pthread_mutex_unlock (&all_mutex);
  now = hypha_loop_now ();
  for (int i = 0; i < n; i++)
    for (gsize at = 0; at < bursts[i].size; at += bursts[i].segment)
      take (self, &bursts[i].path, bursts[i].data + at,
            MIN (bursts[i].segment, bursts[i].size - at), now);
  return n == QUIC_BATCH;
}

static void
ready (gpointer server, guint32 events_now)
{
  QuicServer *self = server;

  if ((events_now & EPOLLOUT) != 0) {
    hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
    for (guint i = 0; i < self->connections->len; i++)
      quic_connection_unblock (self->connections->pdata[i]);
  }
  for (guint i = 0; i < BATCHES_AT_ONCE && !self->over; i++)
    if (!receive (self))
      return;
}

/* ---- its beginning ---- */

static void
begin (gpointer server)
{
  QuicServer *self = server;

  pthread_mutex_lock (&all_mutex);
  if (self->fd >= 0 && !hypha_loop_watch (self->loop, &self->watch, EPOLLIN))
    g_warning ("the kernel does not watch a socket of QUIC");
  pthread_mutex_unlock (&all_mutex);
}

static QuicServer *
find_lingering (const QuicAddress *local, guint max, QuicServerKnocked knocked, gpointer user_data)
{
  QuicServer *found = NULL;

  pthread_mutex_lock (&all_mutex);
  for (guint i = 0; lingering != NULL && i < lingering->len && found == NULL; i++) {
    QuicServer *server = lingering->pdata[i];

    if (memcmp (&server->local, local, sizeof *local) == 0)
      found = server;
  }
  if (found != NULL) {
    found->closed = FALSE;
    found->max = max;
    found->knocked = knocked;
    found->user_data = user_data;
    stop_lingering (found);
  }
  pthread_mutex_unlock (&all_mutex);
  return found;
}

QuicServer *
quic_server_listen (int fd, const QuicAddress *local, guint max, QuicServerKnocked knocked,
                    gpointer user_data, GError **error)
{
  QuicServer *self;

  if (fd < 0)
    return find_lingering (local, max, knocked, user_data);
  self = g_new0 (QuicServer, 1);
  self->fd = fd;
  self->local = *local;
  self->max = max;
  self->knocked = knocked;
  self->user_data = user_data;
  self->segmented = quic_datagram_can_segment (fd);
  self->watch = (HyphaLoopWatch){ .fd = fd, .ready = ready, .owner = self };
  self->by_id = g_hash_table_new_full (hash_id, equal_ids, g_free, NULL);
  self->connections = g_ptr_array_new ();
  quic_tls_make_reset_secret (local, sizeof *local, self->secret);
  self->loop = quic_state_acquire_loop (error);
  if (self->loop == NULL) {
    free_at_once (self);
    return NULL;
  }
  hypha_loop_call (self->loop, begin, self);
  return self;
}
