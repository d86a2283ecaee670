/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Handshakes of links, one after the other, both ends in this process: what CPU time does one take,
 * of all threads together, from the connected socket until both ends may send frames? */

#include <glib-unix.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench-nodes.h"
#include "link/farewell.h"
#include "link/link.h"

#define PATIENCE (20 * G_USEC_PER_SEC)

typedef struct {
  HyphaLinkParameters parameters;
  HyphaWorker *worker;
  HyphaLink *link;
} End;

static End ends[2];
static _Atomic guint left;    /* ends that are not there yet */
static _Atomic gboolean over; /* links may close */
static HyphaNonceClock nonce_clock;

static void
proceed (gpointer data)
{
  const HyphaHandshakeNumbers numbers = {
    .session_number = 1, .link_number = 1, .static_cost = 3, .name = "bench"
  };

  hypha_link_proceed (((End *) data)->link, ((End *) data)->worker, &numbers);
}

static void
decide (HyphaLink *link, gpointer user_data)
{
  hypha_worker_post (((End *) user_data)->worker, proceed, user_data);
}

static void
one_done (void)
{
  if (atomic_fetch_sub (&left, 1) == 1)
    g_main_context_wakeup (NULL);
}

static void
established (HyphaLink *link, gpointer user_data)
{
  one_done ();
}

static void
closed (HyphaLink *link, const GError *error, gpointer user_data)
{
  if (!atomic_load (&over))
    die ("%s", error->message);
}

static void
start (gpointer data)
{
  hypha_link_start (((End *) data)->link, ((End *) data)->worker);
}

static void
let_go (gpointer data)
{
  g_clear_pointer (&((End *) data)->link, hypha_link_free);
  one_done ();
}

static void
both (HyphaWorkFunc func)
{
  atomic_store (&left, 2);
  for (guint i = 0; i < 2; i++)
    hypha_worker_post (ends[i].worker, func, &ends[i]);
  while (atomic_load (&left) > 0)
    g_main_context_iteration (NULL, TRUE);
}

static double
cpu_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/* Returns the CPU time of it; closing is not in it. */
static double
shake_hands (void)
{
  static const HyphaLinkEvents events = { .decide = decide,
                                          .established = established,
                                          .closed = closed };
  double before = cpu_time (), taken;
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
    die ("no socket");
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) remote = hypha_endpoint_parse ("unix:@bench", &error);
    g_autoptr (HyphaChannel) channel =
        hypha_channel_new (fds[i], NULL, remote, HYPHA_CHANNEL_KERNEL);

    ends[i].link = hypha_link_new (channel, &ends[i].parameters, &error);
    if (ends[i].link == NULL)
      die ("%s", error->message);
    hypha_link_set_events (ends[i].link, &events, &ends[i]);
  }
  atomic_store (&over, FALSE);
  both (start);
  taken = cpu_time () - before;
  atomic_store (&over, TRUE);
  both (let_go);
  return taken;
}

/* bench-handshake plain|tls NUMBER: prints the CPU seconds of one, the mean of NUMBER. */
int
main (int argc, char **argv)
{
  double sum = 0;
  guint n;

  g_set_prgname ("bench-handshake");
  if (argc != 3)
    die ("plain|tls NUMBER");
  n = (guint) MIN (end_number (argv[2]), G_MAXUINT);
  for (guint i = 0; i < 2; i++) {
    gboolean tls = g_str_equal (argv[1], "tls");

    ends[i].worker = hypha_worker_new ("bench", NULL);
    ends[i].parameters = (HyphaLinkParameters){
      .initiator = i == 0,
      .identity = hypha_identity_generate (NULL),
      .instance = { .bytes = { (guint8) i } },
      .start_tls = tls,
      .accept_plain = !tls,
      .clock = &nonce_clock,
      .static_cost = 3,
      .limits = { PATIENCE, PATIENCE, PATIENCE, PATIENCE },
    };
  }
  shake_hands (); /* the first one makes what lasts: the certificate of TLS */
  end_say ("ready");
  for (guint i = 0; i < n; i++)
    sum += shake_hands ();
  end_report (sum / n);
  for (guint i = 0; i < 2; i++) {
    hypha_farewell_finish (ends[i].worker);
    hypha_worker_free (ends[i].worker);
    hypha_identity_unref (ends[i].parameters.identity);
  }
  return EXIT_SUCCESS;
}
