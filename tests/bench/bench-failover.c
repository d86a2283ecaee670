/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream between two nodes with two links, the cheaper of which goes through a relay of ours and
 * fails in the middle: how long does the receiver wait? */

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench-nodes.h"

#define BLOCK (64 * 1024)
#define MEGA 1000000

typedef enum { CLOSES, SWALLOWS } Fault;

/* The link's two sockets, and what becomes of them. */
typedef struct {
  struct sockaddr_un near, far;
  int listener;
  Fault fault;
  _Atomic gboolean now;     /* the receiver has had half */
  _Atomic gint64 failed_at; /* us; 0: not yet */
  gboolean carried;         /* something: it was the chosen one */
} Relay;

static guint64 bytes;

static void
set_address (struct sockaddr_un *address, const char *folder, const char *name)
{
  *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
  g_snprintf (address->sun_path, sizeof address->sun_path, "%s/%s", folder, name);
}

static void
send_all (int fd, const void *data, gsize length)
{
  for (gsize done = 0; done < length;) {
    struct pollfd one = { .fd = fd, .events = POLLOUT };
    ssize_t n = send (fd, (const guint8 *) data + done, length - done, MSG_NOSIGNAL);

    if (n < 0 && errno == EAGAIN)
      poll (&one, 1, -1);
    else if (n < 0 && errno != EINTR)
      die ("writing: %s", g_strerror (errno));
    else if (n > 0)
      done += (gsize) n;
  }
}

/* From one socket of the link to the other; FALSE at the end. */
static gboolean
carry (Relay *relay, int from, int to)
{
  static guint8 buffer[BLOCK];
  ssize_t n = recv (from, buffer, sizeof buffer, MSG_DONTWAIT);

  if (n < 0)
    return errno == EAGAIN || errno == EINTR;
  if (n == 0)
    return FALSE;
  if (n == sizeof buffer)
    relay->carried = TRUE;
  if (atomic_load (&relay->failed_at) == 0)
    send_all (to, buffer, (gsize) n);
  return TRUE;
}

static gpointer
relay_run (gpointer data)
{
  Relay *relay = data;
  int near = accept4 (relay->listener, NULL, NULL, SOCK_CLOEXEC);
  int far = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  gboolean open = TRUE;

  if (near < 0 || far < 0 || connect (far, (struct sockaddr *) &relay->far, sizeof relay->far) < 0)
    die ("the relay: %s", g_strerror (errno));
  while (open) {
    struct pollfd both[] = { { .fd = near, .events = POLLIN }, { .fd = far, .events = POLLIN } };

    poll (both, 2, 10);
    if (atomic_load (&relay->now) && atomic_load (&relay->failed_at) == 0) {
      if (!relay->carried)
        die ("the link through the relay was not in use");
      atomic_store (&relay->failed_at, g_get_monotonic_time ());
      if (relay->fault == CLOSES)
        break;
    }
    open = (both[0].revents == 0 || carry (relay, near, far)) &&
           (both[1].revents == 0 || carry (relay, far, near));
  }
  close (near);
  close (far);
  return NULL;
}

/* Byte by byte what comes has to be what was sent. */
static inline guint64
word_at (guint64 index)
{
  return index * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) + 1;
}

static gpointer
send_run (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  guint64 block[BLOCK / 8], index = 0;

  while (index * 8 < bytes) {
    for (guint i = 0; i < G_N_ELEMENTS (block); i++)
      block[i] = word_at (index++);
    send_all (fd, block, sizeof block);
  }
  shutdown (fd, SHUT_WR);
  return NULL;
}

/* The longest time without a byte since shortly before the fault, in us. */
static gint64
receive (int fd, Relay *relay)
{
  static guint64 block[BLOCK / 8];
  gint64 last = g_get_monotonic_time (), worst = 0;
  guint64 got = 0;
  gsize held = 0;

  for (;;) {
    struct pollfd one = { .fd = fd, .events = POLLIN };
    ssize_t n = read (fd, (guint8 *) block + held, sizeof block - held);
    gint64 now, failed_at = atomic_load (&relay->failed_at);

    if (n < 0 && errno == EAGAIN && poll (&one, 1, -1) >= 0)
      continue;
    if (n <= 0)
      break;
    now = g_get_monotonic_time ();
    if (failed_at != 0 && now >= failed_at)
      worst = MAX (worst, now - last);
    last = now;
    held += (gsize) n;
    for (gsize i = 0; i < held / 8; i++)
      if (block[i] != word_at (got / 8 + i))
        die ("byte %" PRIu64 " is not what was sent", got + i * 8);
    got += held - held % 8;
    memmove (block, (guint8 *) block + held - held % 8, held % 8);
    held %= 8;
    if (got > bytes / 2)
      atomic_store (&relay->now, TRUE);
  }
  if (got != bytes)
    die ("%" PRIu64 " bytes came of %" PRIu64, got, bytes);
  return worst;
}

static int incoming_fd;
static gboolean incoming;

static gboolean
on_stream (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  incoming_fd = hypha_stream_steal_fd (stream);
  incoming = TRUE;
  return TRUE;
}

typedef struct {
  Relay *relay;
  int fd;
  gint64 worst;
  _Atomic gboolean done;
} Receiver;

static gpointer
receive_run (gpointer data)
{
  Receiver *self = data;

  self->worst = receive (self->fd, self->relay);
  atomic_store (&self->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
measure (HyphaPeer *peer, Relay *relay)
{
  Receiver receiver = { .relay = relay };
  GThread *sending, *receiving;
  int fd = bench_open (peer, "sink", NULL);

  bench_wait (&incoming);
  receiver.fd = incoming_fd;
  end_say ("ready");
  receiving = g_thread_new ("receive", receive_run, &receiver);
  sending = g_thread_new ("send", send_run, GINT_TO_POINTER (fd));
  while (!atomic_load (&receiver.done))
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (sending);
  g_thread_join (receiving);
  if (atomic_load (&relay->failed_at) == 0)
    die ("it was over before the link failed");
  end_report ((double) receiver.worst / G_USEC_PER_SEC);
}

/* bench-failover closes|swallows FOLDER SECOND-ENDPOINT MEGABYTES */
int
main (int argc, char **argv)
{
  Relay relay = { 0 };
  HyphaNode *near, *far;
  g_autofree char *second = NULL, *first = NULL, *through = NULL, *near_id = NULL, *far_id = NULL;
  g_autoptr (HyphaPeer) peer = NULL, same = NULL;

  g_set_prgname ("bench-failover");
  if (argc != 5)
    die ("closes|swallows FOLDER SECOND-ENDPOINT MEGABYTES");
  relay.fault = g_str_equal (argv[1], "closes") ? CLOSES : SWALLOWS;
  bytes = end_number (argv[4]) * MEGA / BLOCK * BLOCK;
  set_address (&relay.near, argv[2], "relay");
  set_address (&relay.far, argv[2], "far");
  relay.listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind (relay.listener, (struct sockaddr *) &relay.near, sizeof relay.near) < 0 ||
      listen (relay.listener, 1) < 0)
    die ("%s: %s", relay.near.sun_path, g_strerror (errno));

  near = bench_node_new ("near", 1);
  far = bench_node_new ("far", 1);
  near_id = hypha_node_dup_id (near);
  far_id = hypha_node_dup_id (far);
  bench_node_trust (near, far_id, "far");
  bench_node_trust (far, near_id, "near");
  g_signal_connect (far, "incoming-stream::sink", G_CALLBACK (on_stream), NULL);
  through = g_strdup_printf ("unix://%s", relay.far.sun_path);
  first = bench_node_listen (far, through);
  second = bench_node_listen (far, argv[3]);
  g_thread_unref (g_thread_new ("relay", relay_run, &relay));
  g_free (through);
  through = g_strdup_printf ("unix://%s", relay.near.sun_path);
  peer = bench_node_connect (near, through);
  same = bench_node_connect (near, second);
  measure (peer, &relay);
  hypha_node_stop (near);
  hypha_node_stop (far);
  g_object_unref (near);
  g_object_unref (far);
  return EXIT_SUCCESS;
}
