/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections that never become anything: half-open SOURCE HOST PORT COUNT keeps COUNT TCP
 * connections from the address SOURCE to HOST:PORT. Most never say a byte; every tenth begins as
 * TLS does and drips a byte each 100 ms. One that the other end gives up is made anew at once.
 * For each line that it reads it tells how many were made and how many of these given up; it ends
 * with its input. */

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRIP_MS 100
#define DRIPS_IN 10 /* one in so many */

typedef struct {
  int fd;
  int connected;
  size_t dripped;
} Caller;

static struct sockaddr_in from, to;
static Caller *callers;
static unsigned long made, given_up;
static unsigned count;
static int epoll;

/* A record of a handshake, with room for a ClientHello that takes its time. */
static const unsigned char hello[] = { 0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0xfc };

static long
now_ms (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
fail (const char *what)
{
  fprintf (stderr, "half-open: %s: %s\n", what, strerror (errno));
  exit (1);
}

static void
call (Caller *self)
{
  const int on = 1;
  struct epoll_event event = { .events = EPOLLOUT | EPOLLIN | EPOLLRDHUP, .data.ptr = self };

  self->connected = 0;
  self->dripped = 0;
  self->fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (self->fd < 0)
    fail ("socket");
  /* The port is chosen when it is known where to: else there are too few. */
  setsockopt (self->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind (self->fd, (struct sockaddr *) &from, sizeof from) < 0)
    fail ("bind");
  if (connect (self->fd, (struct sockaddr *) &to, sizeof to) < 0 && errno != EINPROGRESS)
    fail ("connect");
  if (epoll_ctl (epoll, EPOLL_CTL_ADD, self->fd, &event) < 0)
    fail ("epoll_ctl");
}

static void
call_anew (Caller *self)
{
  const struct linger hard = { .l_onoff = 1 };

  given_up += (unsigned) self->connected;
  /* Nothing is to wait for its end: there would be no ports left. */
  setsockopt (self->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close (self->fd);
  call (self);
}

static void
drip (Caller *self)
{
  unsigned char byte = self->dripped < sizeof hello ? hello[self->dripped] : 0;

  if (self->connected && send (self->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
    self->dripped++;
}

static void
on_event (Caller *self, unsigned events)
{
  struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = self };

  if (!self->connected && !(events & EPOLLERR)) {
    made++;
    self->connected = 1;
    if ((self - callers) % DRIPS_IN == 0)
      drip (self);
  }
  if (events & ~(unsigned) EPOLLOUT)
    call_anew (self);
  else
    epoll_ctl (epoll, EPOLL_CTL_MOD, self->fd, &event);
}

int
main (int argc, char **argv)
{
  struct epoll_event events[256], input = { .events = EPOLLIN };
  struct rlimit limit;
  long next_drip;

  if (argc != 5 || inet_pton (AF_INET, argv[1], &from.sin_addr) != 1 ||
      inet_pton (AF_INET, argv[2], &to.sin_addr) != 1) {
    fprintf (stderr, "usage: half-open SOURCE HOST PORT COUNT\n");
    return 2;
  }
  from.sin_family = to.sin_family = AF_INET;
  to.sin_port = htons ((unsigned short) atoi (argv[3]));
  count = (unsigned) atoi (argv[4]);
  getrlimit (RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);
  epoll = epoll_create1 (EPOLL_CLOEXEC);
  callers = calloc (count, sizeof *callers);
  if (epoll < 0 || callers == NULL || epoll_ctl (epoll, EPOLL_CTL_ADD, 0, &input) < 0)
    fail ("epoll");
  for (unsigned i = 0; i < count; i++)
    call (&callers[i]);
  next_drip = now_ms () + DRIP_MS;
  for (;;) {
    long wait = next_drip - now_ms ();
    int n = epoll_wait (epoll, events, 256, wait > 0 ? (int) wait : 0);

    for (int i = 0; i < n; i++) {
      char line[64];

      if (events[i].data.ptr != NULL) {
        on_event (events[i].data.ptr, events[i].events);
      } else if (read (0, line, sizeof line) <= 0) {
        return 0;
      } else {
        printf ("%lu %lu\n", made, given_up);
        fflush (stdout);
      }
    }
    if (now_ms () >= next_drip) {
      for (unsigned i = 0; i < count; i += DRIPS_IN)
        drip (&callers[i]);
      next_drip = now_ms () + DRIP_MS;
    }
  }
}
