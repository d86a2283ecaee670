/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* In the place of ssh, for the contract: the host's name is that of an abstract Unix socket, which
 * is what `hyphactl attach` would be joined to over there. As with ssh, the end of what the other
 * end says is seen when this process has ended. HOST.silent never says anything. */

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING "hypha attached\n"

typedef struct {
  int from, to;
  char bytes[64 * 1024];
  size_t begin, end;
  int done; /* nothing more comes */
} Way;

static const char *
find_host (int argc, char **argv)
{
  for (int i = 1; i + 2 < argc; i++)
    if (strcmp (argv[i], "--") == 0)
      return argv[i + 1];
  fprintf (stderr, "no host behind --\n");
  exit (255);
}

static int
reach (const char *name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  size_t length = strlen (name);
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  if (length + 1 > sizeof address.sun_path)
    exit (255);
  memcpy (address.sun_path + 1, name, length);
  if (connect (fd, (const struct sockaddr *) &address,
               (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + length)) != 0) {
    fprintf (stderr, "no node is there: %s\n", strerror (errno));
    exit (1);
  }
  return fd;
}

/* One step of what poll() said is possible. */
static void
step (Way *way, short from, short to)
{
  ssize_t n;

  if (way->begin == way->end && !way->done && from != 0) {
    n = read (way->from, way->bytes, sizeof way->bytes);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      perror ("read");
      exit (1);
    }
    way->begin = 0;
    way->end = n > 0 ? (size_t) n : 0;
    way->done = n == 0;
  } else if (way->begin < way->end && to != 0) {
    n = send (way->to, way->bytes + way->begin, way->end - way->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      perror ("write");
      exit (1);
    }
    way->begin += n > 0 ? (size_t) n : 0;
  }
}

static int
is_empty (const Way *way)
{
  return way->begin == way->end;
}

int
main (int argc, char **argv)
{
  static Way up, down;
  const char *host = find_host (argc, argv);
  size_t length = strlen (host);
  int hung_up = 0, told = 0;

  if (length > 7 && strcmp (host + length - 7, ".silent") == 0)
    for (;;)
      pause ();
  up.from = STDIN_FILENO;
  up.to = down.from = reach (host);
  down.to = STDOUT_FILENO;
  if (send (STDOUT_FILENO, GREETING, strlen (GREETING), MSG_NOSIGNAL) < 0)
    return 1;
  while (!(down.done && is_empty (&down) && (up.done || hung_up))) {
    struct pollfd fds[] = {
      { !up.done && is_empty (&up) ? up.from : -1, POLLIN, 0 },
      { !is_empty (&down) ? down.to : -1, POLLOUT, 0 },
      { hung_up && !is_empty (&down) ? -1 : down.from,
        (short) ((!down.done && is_empty (&down) ? POLLIN : 0) | (!is_empty (&up) ? POLLOUT : 0)),
        0 },
    };

    if (poll (fds, 3, -1) < 0)
      return 1;
    hung_up = hung_up || (fds[2].revents & POLLHUP) != 0;
    if (hung_up)
      up.begin = up.end; /* nobody takes it */
    step (&up, fds[0].revents, fds[2].revents & (POLLOUT | POLLHUP));
    step (&down, fds[2].revents & (POLLIN | POLLHUP), fds[1].revents);
    if (up.done && is_empty (&up) && !told) {
      shutdown (up.to, SHUT_WR);
      told = 1;
    }
  }
  return 0;
}
