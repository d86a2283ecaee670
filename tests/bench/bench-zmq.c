/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ZeroMQ as its guide shows it, REQ to REP: bench-zmq serve ENDPOINT | ping ENDPOINT SIZE TIMES. */

#include "conversation.h"
#include "end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

typedef struct {
  void *socket;
  guint8 *bytes, *back;
  gsize size;
} Ping;

static void
one_ping (gpointer data)
{
  Ping *ping = data;

  ping->bytes[0]++;
  if (zmq_send (ping->socket, ping->bytes, ping->size, 0) < 0 ||
      zmq_recv (ping->socket, ping->back, ping->size, 0) != (int) ping->size)
    die ("it ended between two round trips: %s", zmq_strerror (zmq_errno ()));
  if (memcmp (ping->bytes, ping->back, ping->size) != 0)
    die ("something else came back");
}

static void
serve (void *context, const char *endpoint)
{
  void *socket = zmq_socket (context, ZMQ_REP);
  guint8 bytes[65536];

  if (zmq_bind (socket, endpoint) < 0)
    die ("%s: %s", endpoint, zmq_strerror (zmq_errno ()));
  puts ("serving");
  fflush (stdout);
  for (;;) {
    int n = zmq_recv (socket, bytes, sizeof bytes, 0);

    if (n < 0 || zmq_send (socket, bytes, (size_t) n, 0) < 0)
      die ("%s", zmq_strerror (zmq_errno ()));
  }
}

static void
ping (void *context, const char *endpoint, gsize size, guint64 times)
{
  g_autofree guint8 *bytes = g_malloc0 (size), *back = g_malloc (size);
  Ping data = { zmq_socket (context, ZMQ_REQ), bytes, back, size };

  if (zmq_connect (data.socket, endpoint) < 0)
    die ("%s: %s", endpoint, zmq_strerror (zmq_errno ()));
  conversation_time_trips (one_ping, &data, times);
}

int
main (int argc, char **argv)
{
  void *context = zmq_ctx_new ();

  g_set_prgname ("bench-zmq");
  if (argc == 3 && strcmp (argv[1], "serve") == 0)
    serve (context, argv[2]);
  else if (argc == 5 && strcmp (argv[1], "ping") == 0)
    ping (context, argv[2], MIN (end_number (argv[3]), 65536), end_number (argv[4]));
  else
    die ("usage: bench-zmq serve ENDPOINT | ping ENDPOINT SIZE TIMES");
  return EXIT_SUCCESS;
}
