/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A node with thousands of streams, or links, on which nothing happens: what memory each takes, and
 * how long 64 bytes take there and back on one stream more. Three processes: the near one is
 * measured; the far one has the other ends; a holder for each has the programs' ends of streams, as
 * a daemon's clients have. */

#include <errno.h>
#include <glib-unix.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench-nodes.h"
#include "link/farewell.h"
#include "link/link.h"

#define PEERS 10
#define PING 64
#define AT_ONCE 32 /* that are opened, or dialled */

static char *folder;
static guint spin; /* us */
static int holder; /* takes descriptors */

/* ---- processes ---- */

static void
hold (int from)
{
  for (;;) {
    char byte, control[CMSG_SPACE (sizeof (int))];
    struct iovec piece = { &byte, 1 };
    struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };

    if (recvmsg (from, &message, 0) <= 0)
      exit (EXIT_SUCCESS);
  }
}

static void
give_away (int fd)
{
  char control[CMSG_SPACE (sizeof (int))] = { 0 };
  struct iovec piece = { control, 1 };
  struct msghdr message = {
    .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
  };
  struct cmsghdr *head = CMSG_FIRSTHDR (&message);

  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN (sizeof fd);
  memcpy (CMSG_DATA (head), &fd, sizeof fd);
  if (sendmsg (holder, &message, 0) < 0)
    die ("the holder takes no more: %s", g_strerror (errno));
  close (fd);
}

/* In the child, returns a descriptor to its parent in *TO; in the parent, one to the child. */
static gboolean
fork_child (int *to)
{
  int fds[2];
  pid_t child;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || (child = fork ()) < 0)
    die ("a process: %s", g_strerror (errno));
  *to = fds[child == 0];
  close (fds[child != 0]);
  if (child == 0)
    prctl (PR_SET_PDEATHSIG, SIGKILL);
  return child == 0;
}

static void
start_holder (void)
{
  if (fork_child (&holder))
    hold (holder);
}

/* ---- streams ---- */

static guint n_held; /* streams that others have opened */

static gboolean
on_idle (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  give_away (hypha_stream_steal_fd (stream));
  n_held++;
  return TRUE;
}

static void
wait_for (int fd, short events)
{
  struct pollfd one = { .fd = fd, .events = events };

  poll (&one, 1, -1);
}

/* Likewise for writing, with a buffer that stays as it is. */
static void
exchange (int fd, char *buffer, gboolean reading)
{
  for (gsize done = 0; done < PING;) {
    ssize_t n =
        reading ? read (fd, buffer + done, PING - done) : write (fd, buffer + done, PING - done);

    if (n < 0 && errno == EAGAIN)
      wait_for (fd, reading ? POLLIN : POLLOUT);
    else if (n <= 0)
      die ("the stream has ended");
    else
      done += (gsize) n;
  }
}

static gpointer
echo_run (gpointer data)
{
  char buffer[PING];

  for (;;) {
    exchange (GPOINTER_TO_INT (data), buffer, TRUE);
    exchange (GPOINTER_TO_INT (data), buffer, FALSE);
  }
  return NULL;
}

static gboolean
on_echo (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  g_thread_unref (
      g_thread_new ("echo", echo_run, GINT_TO_POINTER (hypha_stream_steal_fd (stream))));
  return TRUE;
}

typedef struct {
  guint left, under_way;
} Opening;

static void
opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Opening *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream =
      hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);
  const char once[PING] = { 0 };
  int fd;

  if (stream == NULL)
    die ("a stream: %s", error->message);
  fd = hypha_stream_steal_fd (stream);
  /* It was not always idle: what it once needed has to be given back. */
  if (write (fd, once, sizeof once) != sizeof once)
    die ("a stream: %s", g_strerror (errno));
  give_away (fd);
  self->under_way--;
}

static void
open_idle (HyphaPeer *peer, guint n)
{
  Opening opening = { .left = n };

  while (opening.left + opening.under_way > 0) {
    for (; opening.left > 0 && opening.under_way < AT_ONCE; opening.left--, opening.under_way++)
      hypha_peer_open_stream_async (peer, "idle", 60000, NULL, opened, &opening);
    g_main_context_iteration (NULL, TRUE);
  }
}

/* ---- links without streams: each to a node of its own, whose end is a link and nothing more ----
 */

typedef struct {
  HyphaIdentity *identity;
  HyphaLink *link;
  gboolean up;
} Idle;

static Idle *idle;
static guint n_idle, next_idle;
static _Atomic guint n_up;
static HyphaWorker *worker;
static HyphaNonceClock nonce_clock;

static void dial_next (gpointer data);

static void
idle_proceed (gpointer data)
{
  const HyphaHandshakeNumbers numbers = {
    .session_number = 1, .link_number = 1, .static_cost = 3, .name = "idle"
  };

  hypha_link_proceed (((Idle *) data)->link, worker, &numbers);
}

static void
idle_decide (HyphaLink *link, gpointer user_data)
{
  hypha_worker_post (worker, idle_proceed, user_data);
}

static void
idle_established (HyphaLink *link, gpointer user_data)
{
  HyphaFrameOut out;

  hypha_resume_write (-1, -1, NULL, 0, &out);
  hypha_link_send (link, &out);
  hypha_link_flush (link);
}

static void
idle_frame (HyphaLink *link, const HyphaFrame *frame, gpointer user_data)
{
  Idle *self = user_data;

  if (frame->type != HYPHA_FRAME_RESUME || self->up)
    return;
  self->up = TRUE;
  atomic_fetch_add (&n_up, 1);
  hypha_worker_post (worker, dial_next, NULL);
  g_main_context_wakeup (NULL);
}

static void
idle_closed (HyphaLink *link, const GError *error, gpointer user_data)
{
  die ("an idle link: %s", error->message);
}

static int
connect_unix (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    die ("%s: %s", path, g_strerror (errno));
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  return fd;
}

/* On the worker: the next link, if there are more. */
static void
dial_next (gpointer data)
{
  static const HyphaLinkEvents events = {
    .decide = idle_decide,
    .established = idle_established,
    .frame = idle_frame,
    .closed = idle_closed,
  };
  g_autofree char *path = g_build_filename (folder, "near", NULL);
  g_autofree char *text = g_strdup_printf ("unix://%s", path);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) remote = hypha_endpoint_parse (text, &error);
  g_autoptr (HyphaChannel) channel = NULL;
  HyphaLinkParameters parameters = {
    .initiator = TRUE,
    .accept_plain = TRUE,
    .clock = &nonce_clock,
    .static_cost = 3,
    .limits = { .ping_interval = G_USEC_PER_SEC,
                .link_timeout = 60 * G_USEC_PER_SEC,
                .handshake_timeout = 60 * G_USEC_PER_SEC },
  };
  Idle *self;

  if (next_idle == n_idle)
    return;
  self = &idle[next_idle++];
  channel = hypha_channel_new (connect_unix (path), NULL, remote, HYPHA_CHANNEL_KERNEL);
  parameters.identity = self->identity;
  memcpy (parameters.instance.bytes, &next_idle, sizeof next_idle);
  self->link = hypha_link_new (channel, &parameters, &error);
  if (self->link == NULL)
    die ("a link: %s", error->message);
  hypha_link_set_events (self->link, &events, self);
  hypha_link_start (self->link, worker);
}

/* ---- the far process ---- */

static char *
read_word (FILE *from)
{
  char line[128];

  if (fgets (line, sizeof line, from) == NULL)
    exit (EXIT_SUCCESS); /* nobody needs us any more */
  return g_strdup (g_strchomp (line));
}

static void
make_identities (FILE *control)
{
  idle = g_new0 (Idle, n_idle);
  for (guint i = 0; i < n_idle; i++) {
    g_autofree char *id = NULL;

    idle[i].identity = hypha_identity_generate (NULL);
    id = hypha_node_id_to_string (hypha_identity_get_id (idle[i].identity));
    fprintf (control, "%s\n", id);
  }
}

static void
dial_all (void)
{
  worker = hypha_worker_new ("far", NULL);
  for (guint i = 0; i < AT_ONCE; i++)
    hypha_worker_post (worker, dial_next, NULL);
  while (atomic_load (&n_up) < n_idle)
    g_usleep (1000);
}

static gboolean
is_our_turn (int fd, GIOCondition condition, gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
far_process (int fd, guint n_streams, guint n_links)
{
  FILE *in = fdopen (fd, "r"), *out = fdopen (dup (fd), "w");
  g_autofree char *near_id = NULL;
  HyphaNode *nodes[PEERS];
  gboolean go = FALSE;

  n_idle = n_links;
  start_holder ();
  near_id = read_word (in);
  for (guint i = 0; i < PEERS; i++) {
    g_autofree char *endpoint = g_strdup_printf ("unix://%s/far%u", folder, i);
    g_autofree char *id = NULL, *bound = NULL;

    nodes[i] = bench_node_new ("far", 1);
    hypha_node_set_spin (nodes[i], spin);
    id = hypha_node_dup_id (nodes[i]);
    bench_node_trust (nodes[i], near_id, "near");
    g_signal_connect (nodes[i], "incoming-stream::idle", G_CALLBACK (on_idle), NULL);
    g_signal_connect (nodes[i], "incoming-stream::echo", G_CALLBACK (on_echo), NULL);
    bound = bench_node_listen (nodes[i], endpoint);
    fprintf (out, "%s\n", id);
  }
  make_identities (out);
  fflush (out);
  /* The near end is set up while our main loop turns; then it is our turn. */
  g_unix_fd_add (fd, G_IO_IN, is_our_turn, &go);
  bench_wait (&go);
  g_free (read_word (in));
  for (guint i = 0; i < PEERS; i++) {
    g_autoptr (HyphaPeer) peer = hypha_node_lookup_peer (nodes[i], "near", NULL);

    open_idle (peer, n_streams / PEERS / 2);
  }
  dial_all ();
  fprintf (out, "done\n");
  fflush (out);
  g_main_loop_run (g_main_loop_new (NULL, FALSE));
}

/* ---- the near process ---- */

typedef struct {
  gsize heap, resident;
} Memory;

static Memory
memory_now (void)
{
  struct mallinfo2 info = mallinfo2 ();
  g_autofree char *text = NULL;
  guint64 pages = 0;

  malloc_trim (0);
  if (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL))
    sscanf (text, "%*u %" G_GUINT64_FORMAT, &pages);
  return (Memory){ info.uordblks + info.hblkhd, pages * (gsize) sysconf (_SC_PAGESIZE) };
}

static void
trust_all (HyphaNode *near, FILE *control, guint n_links, HyphaPeer **peers)
{
  g_auto (GVariantBuilder) all = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sa{sv}}"));
  g_autoptr (GVariant) trusted = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < PEERS + n_links; i++) {
    g_autofree char *id = read_word (control), *name = g_strdup_printf ("peer%u", i);

    g_variant_builder_add (&all, "{s@a{sv}}", id, g_variant_new_parsed ("{'name': <%s>}", name));
  }
  trusted = g_variant_ref_sink (g_variant_builder_end (&all));
  if (!hypha_node_set_trusted (near, trusted, &error))
    die ("trust: %s", error->message);
  for (guint i = 0; i < PEERS; i++) {
    g_autofree char *endpoint = g_strdup_printf ("unix://%s/far%u", folder, i);

    peers[i] = bench_node_connect (near, endpoint);
  }
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  const gint64 *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

static double
measure_trip (int fd, guint n)
{
  g_autofree gint64 *trips = g_new (gint64, n);
  char buffer[PING] = { 0 };

  for (guint i = 0; i < n; i++) {
    struct timespec a, b;

    clock_gettime (CLOCK_MONOTONIC, &a);
    exchange (fd, buffer, FALSE);
    exchange (fd, buffer, TRUE);
    clock_gettime (CLOCK_MONOTONIC, &b);
    trips[i] = (b.tv_sec - a.tv_sec) * G_GINT64_CONSTANT (1000000000) + b.tv_nsec - a.tv_nsec;
  }
  qsort (trips, n, sizeof *trips, by_value);
  return (double) trips[n / 2] / 1e9;
}

static void
near_process (int fd, guint n_streams, guint n_links)
{
  FILE *in = fdopen (fd, "r"), *out = fdopen (dup (fd), "w");
  HyphaNode *near;
  g_autofree char *id = NULL, *bound = NULL;
  g_autofree char *endpoint = g_strdup_printf ("unix://%s/near", folder);
  HyphaPeer *peers[PEERS];
  HyphaNodeLimits limits;
  Memory before, after;
  char line[32];
  int echo;

  start_holder ();
  near = bench_node_new ("near", 1);
  hypha_node_limits_init (&limits);
  limits.max_handshakes = limits.max_handshakes_per_source = 2 * AT_ONCE;
  limits.spin = spin;
  hypha_node_set_limits (near, &limits);
  g_signal_connect (near, "incoming-stream::idle", G_CALLBACK (on_idle), NULL);
  id = hypha_node_dup_id (near);
  bound = bench_node_listen (near, endpoint);
  fprintf (out, "%s\n", id);
  fflush (out);
  before = memory_now ();
  trust_all (near, in, n_links, peers);
  echo = bench_open (peers[0], "echo", NULL);
  if (n_streams > 0)
    before = memory_now ();

  for (guint i = 0; i < PEERS; i++)
    open_idle (peers[i], n_streams / PEERS / 2);
  fprintf (out, "go\n");
  fflush (out);
  while (n_held < n_streams / PEERS / 2 * PEERS ||
         g_list_model_get_n_items (hypha_node_get_links (near)) < PEERS + n_links)
    g_main_context_iteration (NULL, TRUE);
  g_free (read_word (in));
  while (g_main_context_iteration (NULL, FALSE))
    ;
  after = memory_now ();
  printf ("{\"heap\": %zu, \"resident\": %zu}\n", after.heap - before.heap,
          after.resident - before.resident);
  fflush (stdout);
  while (fgets (line, sizeof line, stdin) != NULL) {
    while (g_main_context_iteration (NULL, FALSE))
      ;
    printf ("%.9f\n", measure_trip (echo, (guint) atoi (line)));
    fflush (stdout);
  }
  exit (EXIT_SUCCESS);
}

/* bench-idle FOLDER STREAMS LINKS SPIN: prints what memory they take, in bytes; then, for every
 * line with a number, makes that many round trips and prints their median in seconds. */
int
main (int argc, char **argv)
{
  struct rlimit files;
  guint n_streams, n_links;
  int control;

  g_set_prgname ("bench-idle");
  if (argc != 5)
    die ("FOLDER STREAMS LINKS SPIN");
  folder = argv[1];
  n_streams = (guint) atoi (argv[2]);
  n_links = (guint) atoi (argv[3]);
  spin = (guint) atoi (argv[4]);
  getrlimit (RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit (RLIMIT_NOFILE, &files);
  if (fork_child (&control))
    far_process (control, n_streams, n_links);
  else
    near_process (control, n_streams, n_links);
  return EXIT_SUCCESS;
}
