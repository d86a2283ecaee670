/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A bad line between two networks of their own, where the kernel has no netem; see README.md. */

#include "lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "wire"
#define PACKET_MAX 65536
#define AT_A_TIME 64      /* packets that are read before others are let out */
#define WAITING_MAX 10000 /* packets in the kernel: nothing is to be lost there */
#define PREFIX_V4 "255.255.255.0"
#define PREFIX_V6 64
#define PATIENCE_MS 5000
#define SKIP 77
#define NS_PER_S G_GINT64_CONSTANT (1000000000)

typedef struct {
  int tun;
  int namespace;
  Lane *lane; /* from here to the other side */
} Side;

/* Of <linux/ipv6.h>, which does not go together with <netinet/in.h>. */
struct in6_ifreq {
  struct in6_addr ifr6_addr;
  guint32 ifr6_prefixlen;
  int ifr6_ifindex;
};

G_NORETURN static void
fail (int status, const char *what)
{
  fprintf (stderr, "wire: %s: %s\n", what, g_strerror (errno));
  exit (status);
}

/* ---- two networks ---- */

static void
set_flags (int control, const char *device)
{
  struct ifreq request = { .ifr_flags = IFF_UP };

  g_strlcpy (request.ifr_name, device, sizeof request.ifr_name);
  if (ioctl (control, SIOCSIFFLAGS, &request) < 0)
    fail (EXIT_FAILURE, "cannot bring a device up");
}

static void
set_address (int control, struct ifreq *request, unsigned long what, const char *text)
{
  struct sockaddr_in address = { .sin_family = AF_INET };

  inet_pton (AF_INET, text, &address.sin_addr);
  memcpy (&request->ifr_addr, &address, sizeof address);
  if (ioctl (control, what, request) < 0)
    fail (EXIT_FAILURE, "cannot set an address");
}

/* The kernel looks at an address for a moment before anybody may use it, though nobody else could
 * have it here. */
static gboolean
is_usable (int control, const struct in6_addr *address)
{
  const struct sockaddr_in6 mine = { .sin6_family = AF_INET6, .sin6_addr = *address };

  for (int i = 0; i < PATIENCE_MS; i++) {
    if (bind (control, (const struct sockaddr *) &mine, sizeof mine) == 0)
      return TRUE;
    g_usleep (1000);
  }
  return FALSE;
}

/* A kernel without IPv6 has none here either. */
static void
set_address_v6 (struct ifreq *request, const char *text)
{
  struct in6_ifreq address = { .ifr6_prefixlen = PREFIX_V6 };
  int control = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (control < 0)
    return;
  inet_pton (AF_INET6, text, &address.ifr6_addr);
  if (ioctl (control, SIOCGIFINDEX, request) == 0) {
    address.ifr6_ifindex = request->ifr_ifindex;
    if (ioctl (control, SIOCSIFADDR, &address) < 0 || !is_usable (control, &address.ifr6_addr))
      fprintf (stderr, "wire: no IPv6: %s\n", g_strerror (errno));
  }
  close (control);
}

/* A network of its own with a device of which this program is the other end. The thread stays
 * there. */
static void
make_side (Side *side, const char *v4, const char *v6)
{
  struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
  int control;

  if (unshare (CLONE_NEWNET) < 0)
    fail (SKIP, "cannot make a network namespace");
  side->namespace = open ("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  side->tun = open ("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  g_strlcpy (request.ifr_name, DEVICE, sizeof request.ifr_name);
  if (side->tun < 0 || ioctl (side->tun, TUNSETIFF, &request) < 0)
    fail (SKIP, "cannot make a TUN device");
  control = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (side->namespace < 0 || control < 0)
    fail (EXIT_FAILURE, "cannot set a device up");
  set_address (control, &request, SIOCSIFADDR, v4);
  set_address (control, &request, SIOCSIFNETMASK, PREFIX_V4);
  request.ifr_qlen = WAITING_MAX;
  if (ioctl (control, SIOCSIFTXQLEN, &request) < 0)
    fail (EXIT_FAILURE, "cannot set the length of a queue");
  set_flags (control, DEVICE);
  set_flags (control, "lo");
  set_address_v6 (&request, v6);
  close (control);
}

/* ---- packets ---- */

static gint64
now (void)
{
  struct timespec at;

  clock_gettime (CLOCK_MONOTONIC, &at);
  return at.tv_sec * NS_PER_S + at.tv_nsec;
}

/* Routers and groups that the kernel asks for by itself: they would take the place of packets that
 * somebody sends. */
static gboolean
is_chatter (const guint8 *packet, gsize length)
{
  return length >= 40 && packet[0] >> 4 == 6 && packet[24] == 0xff;
}

static void
take_in (Side *side)
{
  guint8 packet[PACKET_MAX];

  for (int i = 0; i < AT_A_TIME; i++) {
    ssize_t n = read (side->tun, packet, sizeof packet);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
      fail (EXIT_FAILURE, "cannot read a packet");
    if (n <= 0)
      return;
    if (!is_chatter (packet, (gsize) n))
      lane_put (side->lane, packet, (gsize) n, now ());
  }
}

static void
let_out (Lane *lane, int tun)
{
  for (;;) {
    g_autofree LanePacket *packet = lane_take (lane, now ());

    if (!packet)
      return;
    if (write (tun, packet->bytes, packet->length) < 0)
      fail (EXIT_FAILURE, "cannot write a packet");
  }
}

/* Until the next packet is due on either. */
static const struct timespec *
time_left (const Side *sides, struct timespec *left)
{
  gint64 first = -1, wait;

  for (int i = 0; i < 2; i++) {
    gint64 due = lane_due (sides[i].lane);

    if (due >= 0 && (first < 0 || due < first))
      first = due;
  }
  if (first < 0)
    return NULL;
  wait = first - now ();
  wait = MAX (wait, 0);
  *left = (struct timespec){ .tv_sec = wait / NS_PER_S, .tv_nsec = wait % NS_PER_S };
  return left;
}

/* ---- whoever has started it ---- */

static void
tell_lane (const char *name, const Lane *lane, const char *after)
{
  const LaneCounts *counts = lane_counts (lane);

  printf ("\"%s\": {\"packets\": %" G_GUINT64_FORMAT ", \"bytes\": %" G_GUINT64_FORMAT
          ", \"lost\": %" G_GUINT64_FORMAT ", \"overflowed\": %" G_GUINT64_FORMAT
          ", \"delivered\": %" G_GUINT64_FORMAT ", \"latest_us\": %" G_GUINT64_FORMAT "}%s",
          name, counts->packets, counts->bytes, counts->lost, counts->overflowed, counts->delivered,
          counts->latest / 1000, after);
}

/* Every line is answered with what has become of all packets; FALSE at the end. */
static gboolean
answer (const Side *sides)
{
  char asked[64];
  ssize_t n = read (STDIN_FILENO, asked, sizeof asked);

  for (ssize_t i = 0; i < n; i++)
    if (asked[i] == '\n') {
      printf ("{");
      tell_lane ("there", sides[0].lane, ", ");
      tell_lane ("back", sides[1].lane, "}\n");
      fflush (stdout);
    }
  return n > 0;
}

static void
run (Side *sides)
{
  struct pollfd watched[] = { { .fd = sides[0].tun, .events = POLLIN },
                              { .fd = sides[1].tun, .events = POLLIN },
                              { .fd = STDIN_FILENO, .events = POLLIN } };

  for (;;) {
    struct timespec left;

    if (ppoll (watched, G_N_ELEMENTS (watched), time_left (sides, &left), NULL) < 0 &&
        errno != EINTR)
      fail (EXIT_FAILURE, "cannot wait");
    for (int i = 0; i < 2; i++)
      if (watched[i].revents)
        take_in (&sides[i]);
    for (int i = 0; i < 2; i++)
      let_out (sides[i].lane, sides[!i].tun);
    if (watched[2].revents && !answer (sides))
      return;
  }
}

static void
parse (int argc, char **argv, LaneKind *kind)
{
  double delay = 0, loss = 0, rate = 0;
  gint64 queue = 1000, seed = 1;
  const GOptionEntry entries[] = {
    { "delay", 0, 0, G_OPTION_ARG_DOUBLE, &delay, "of every packet, each way", "MS" },
    { "loss", 0, 0, G_OPTION_ARG_DOUBLE, &loss, "of all packets, each way", "PERCENT" },
    { "rate", 0, 0, G_OPTION_ARG_DOUBLE, &rate, "each way; without it, there is no limit", "MBIT" },
    { "queue", 0, 0, G_OPTION_ARG_INT64, &queue, "what may wait where there is a rate: 1000",
      "KB" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the losses: 1", "N" },
    G_OPTION_ENTRY_NULL
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- a bad line between two networks");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc > 1 || delay < 0 ||
      loss < 0 || loss > 100 || rate < 0 || queue < 0) {
    fprintf (stderr, "wire: %s\n", error ? error->message : "wrong arguments; see --help");
    exit (EXIT_FAILURE);
  }
  *kind = (LaneKind){ .delay = (guint64) (delay * 1e6),
                      .loss = loss / 100,
                      .rate = (guint64) (rate * 1e6),
                      .queue = (gsize) queue * 1000,
                      .seed = (guint64) seed };
}

int
main (int argc, char **argv)
{
  Side sides[2] = { 0 };
  LaneKind kind;

  parse (argc, argv, &kind);
  make_side (&sides[0], "10.49.74.1", "fd00:4974::1");
  make_side (&sides[1], "10.49.74.2", "fd00:4974::2");
  sides[0].lane = lane_new (&kind);
  kind.seed = ~kind.seed;
  sides[1].lane = lane_new (&kind);
  prctl (PR_SET_TIMERSLACK, 1UL);
  printf ("/proc/%d/fd/%d /proc/%d/fd/%d\n", getpid (), sides[0].namespace, getpid (),
          sides[1].namespace);
  fflush (stdout);
  run (sides);
  for (int i = 0; i < 2; i++)
    lane_free (sides[i].lane);
  return EXIT_SUCCESS;
}
