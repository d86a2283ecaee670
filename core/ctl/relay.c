/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/relay.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hypha-api.h>

#define BUFFER_BYTES (256 * 1024)

/* vsock wakes nobody who waits to write when the other end goes (Linux 6.1): only write() tells. */
#define TRY_AGAIN_MS 1000

typedef enum { RUNNING, ENDED, READ_FAILED, WRITE_FAILED } State;

typedef struct {
  int from, to;
  _Atomic State state;
  int error; /* errno, once it has failed */
} Direction;

struct _HyphaRelay {
  Direction up;   /* to the socket */
  Direction down; /* from the socket */
};

static void
wait_fd (int fd, short events, int timeout_ms)
{
  struct pollfd pfd = { .fd = fd, .events = events };

  while (poll (&pfd, 1, timeout_ms) < 0 && errno == EINTR)
    ;
}

static gboolean
write_whole (int fd, const guint8 *data, gsize length)
{
  while (length > 0) {
    gssize n = write (fd, data, length);

    if (n >= 0) {
      data += n;
      length -= (gsize) n;
    } else if (errno == EAGAIN) {
      wait_fd (fd, POLLOUT, TRY_AGAIN_MS);
    } else if (errno != EINTR) {
      return FALSE;
    }
  }
  return TRUE;
}

static State
copy (Direction *direction)
{
  g_autofree guint8 *buffer = g_malloc (BUFFER_BYTES);

  for (;;) {
    gssize n = read (direction->from, buffer, BUFFER_BYTES);

    if (n == 0)
      return ENDED;
    if (n < 0 && errno == EAGAIN) {
      wait_fd (direction->from, POLLIN, -1);
    } else if (n < 0 && errno != EINTR) {
      direction->error = errno;
      return READ_FAILED;
    } else if (n > 0 && !write_whole (direction->to, buffer, (gsize) n)) {
      direction->error = errno;
      return WRITE_FAILED;
    }
  }
}

static void
tell (Direction *direction, State state)
{
  atomic_store (&direction->state, state);
  g_main_context_wakeup (NULL);
}

/* A truncated input must not look like a finished one: end-of-file goes on only if there was one.
 */
static gpointer
run_up (gpointer data)
{
  Direction *direction = data;
  State state = copy (direction);

  if (state == ENDED)
    shutdown (direction->to, SHUT_WR);
  tell (direction, state);
  return NULL;
}

/* Whoever reads our output sees its end, while its own words may still go up. */
static gpointer
run_down (gpointer data)
{
  Direction *direction = data;
  State state = copy (direction);
  int null = open ("/dev/null", O_WRONLY | O_CLOEXEC);

  if (null >= 0) {
    dup2 (null, direction->to);
    close (null);
  }
  if (state == WRITE_FAILED)
    shutdown (direction->from, SHUT_RD);
  tell (direction, state);
  return NULL;
}

/**
 * hypha_relay_start:
 * @in: where bytes for @socket come from
 * @out: where bytes from @socket go; it is closed at their end
 * @socket: a non-blocking stream socket; borrowed
 *
 * Begins to move bytes. The main context is woken when a direction has ended. The relay lasts as
 * long as the process, for a thread that waits for a terminal cannot be stopped.
 *
 * Returns: (transfer none): the relay
 */
HyphaRelay *
hypha_relay_start (int in, int out, int socket)
{
  static HyphaRelay relay;

  relay.up = (Direction){ .from = in, .to = socket };
  relay.down = (Direction){ .from = socket, .to = out };
  g_thread_unref (g_thread_new ("up", run_up, &relay.up));
  g_thread_unref (g_thread_new ("down", run_down, &relay.down));
  return &relay;
}

/**
 * hypha_relay_is_drained:
 * @self: a relay
 * @error: return location for an error: the output could not be written
 *
 * Returns: %TRUE if everything that came from the socket is written, or never will be
 */
gboolean
hypha_relay_is_drained (HyphaRelay *self, GError **error)
{
  State state = atomic_load (&self->down.state);

  if (state == WRITE_FAILED)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot write to standard output: %s"),
                 g_strerror (self->down.error));
  return state != RUNNING;
}

/**
 * hypha_relay_has_failed:
 * @self: a relay
 * @error: return location for an error: the input could not be read
 *
 * Returns: %TRUE if the input broke off
 */
gboolean
hypha_relay_has_failed (HyphaRelay *self, GError **error)
{
  if (atomic_load (&self->up.state) != READ_FAILED)
    return FALSE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot read standard input: %s"),
               g_strerror (self->up.error));
  return TRUE;
}

/**
 * hypha_relay_has_ended:
 * @self: a relay
 *
 * Returns: %TRUE if nothing moves any more, either way
 */
gboolean
hypha_relay_has_ended (HyphaRelay *self)
{
  return atomic_load (&self->up.state) != RUNNING && atomic_load (&self->down.state) != RUNNING;
}

/**
 * hypha_relay_is_broken:
 * @self: a relay
 * @error: return location for an error: %HYPHA_ERROR_RESET
 *
 * An other end that takes nothing more may still have something to say, so a socket that cannot be
 * written to is not told before its own words have ended.
 *
 * Returns: %TRUE if the socket failed, rather than come to its end
 */
gboolean
hypha_relay_is_broken (HyphaRelay *self, GError **error)
{
  const Direction *broken = NULL;
  State down = atomic_load (&self->down.state);

  if (down == READ_FAILED)
    broken = &self->down;
  else if (down != RUNNING && atomic_load (&self->up.state) == WRITE_FAILED)
    broken = &self->up;
  if (broken == NULL)
    return FALSE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET, _ ("the other end broke off: %s"),
               g_strerror (broken->error));
  return TRUE;
}
