/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "many.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "end.h"
#include "pattern.h"

#define EVENTS 256
#define TURN (64 * 1024) /* that one of them moves before the next has its turn */

/* One connection: what is still to come, or to go, before the answer. At the far end HEADER, which
 * says how much, comes first. */
typedef struct {
  int fd;
  guint64 left, header;
  guint have; /* bytes of HEADER */
} Line;

static void
watch (int epoll, Line *line, guint32 events, int operation)
{
  struct epoll_event event = { .events = events, .data.ptr = line };

  if (epoll_ctl (epoll, operation, line->fd, &event) < 0)
    die ("epoll_ctl: %s", g_strerror (errno));
}

static int
wait_for_events (int epoll, struct epoll_event *events)
{
  int n;

  do
    n = epoll_wait (epoll, events, EVENTS, -1);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    die ("epoll_wait: %s", g_strerror (errno));
  return n;
}

static void
set_blocking (int fd, gboolean blocking)
{
  int flags = fcntl (fd, F_GETFL);

  fcntl (fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* ---- the far end ---- */

static void
answer (const Line *line)
{
  const guint8 byte = 1;

  if (write (line->fd, &byte, 1) != 1)
    die ("cannot answer: %s", g_strerror (errno));
}

static void
add (int epoll, int fd)
{
  Line *line = g_new0 (Line, 1);

  line->fd = fd;
  set_blocking (fd, FALSE);
  watch (epoll, line, EPOLLIN, EPOLL_CTL_ADD);
}

static void
take (Line *line)
{
  static guint8 block[TURN];
  gsize header = sizeof line->header;
  ssize_t n;

  if (line->left == 0)
    n = read (line->fd, (guint8 *) &line->header + line->have, header - line->have);
  else
    n = read (line->fd, block, MIN (line->left, sizeof block));
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n <= 0) {
    close (line->fd);
    g_free (line);
    return;
  }
  if (line->left > 0) {
    line->left -= (guint64) n;
    if (line->left == 0)
      answer (line);
    return;
  }
  line->have += (guint) n;
  if (line->have == header) {
    line->have = 0;
    line->left = line->header;
    answer (line);
  }
}

/**
 * many_serve:
 * @listener: a listening socket
 *
 * Takes from each connection how much it will send, and answers one byte; takes that, and answers
 * another; and so on until its end.
 */
void
many_serve (int listener)
{
  Line door = { .fd = listener };
  struct epoll_event events[EVENTS];
  int epoll = epoll_create1 (EPOLL_CLOEXEC);

  watch (epoll, &door, EPOLLIN, EPOLL_CTL_ADD);
  for (;;) {
    int n = wait_for_events (epoll, events);

    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr == &door)
        add (epoll, end_accept (listener));
      else
        take (events[i].data.ptr);
    }
  }
}

/* ---- the near end ---- */

/* Returns whether the answer has come. */
static gboolean
give (int epoll, Line *line, guint64 whole)
{
  guint8 done;
  ssize_t n;

  if (line->left == 0) {
    n = read (line->fd, &done, 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
      return FALSE;
    if (n != 1)
      die ("a connection ended before all had come");
    watch (epoll, line, 0, EPOLL_CTL_DEL);
    return TRUE;
  }
  n = write (line->fd, pattern_at (whole - line->left), MIN (line->left, TURN));
  if (n < 0 && errno != EINTR && errno != EAGAIN)
    die ("a connection ended before all was sent: %s", g_strerror (errno));
  if (n > 0)
    line->left -= (guint64) n;
  if (line->left == 0)
    watch (epoll, line, EPOLLIN, EPOLL_CTL_MOD);
  return FALSE;
}

/**
 * many_send:
 * @fds: connections to somebody who serves as many_serve() does
 * @n: how many
 * @bytes: how many to send over each
 *
 * Says that it is ready, and then sends.
 *
 * Returns: the seconds until all had answered
 */
double
many_send (const int *fds, guint n, guint64 bytes)
{
  g_autofree Line *lines = g_new0 (Line, n);
  struct epoll_event events[EVENTS];
  int epoll = epoll_create1 (EPOLL_CLOEXEC);
  gint64 start;
  guint8 here;

  for (guint i = 0; i < n; i++) {
    lines[i] = (Line){ .fd = fds[i], .left = bytes };
    set_blocking (fds[i], TRUE);
    if (!write_all (fds[i], &bytes, sizeof bytes) || !read_all (fds[i], &here, 1))
      die ("a connection ended before it began");
    set_blocking (fds[i], FALSE);
  }
  pattern_at (0);
  end_say ("ready");
  start = g_get_monotonic_time ();
  for (guint i = 0; i < n; i++)
    watch (epoll, &lines[i], EPOLLOUT, EPOLL_CTL_ADD);
  for (guint done = 0; done < n;) {
    int ready = wait_for_events (epoll, events);

    for (int i = 0; i < ready; i++)
      done += give (epoll, events[i].data.ptr, bytes) ? 1 : 0;
  }
  close (epoll);
  return (double) (g_get_monotonic_time () - start) / G_TIME_SPAN_SECOND;
}
