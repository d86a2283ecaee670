/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/bare.h"

#include <glib/gi18n-lib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/relay.h"

/* TRUE: all was moved, both ways. */
static gboolean
run (HyphaRelay *relay, const gboolean *interrupted, GError **error)
{
  for (;;) {
    g_autoptr (GError) output_error = NULL;

    if (*interrupted) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("interrupted"));
      return FALSE;
    }
    hypha_relay_is_drained (relay, &output_error);
    if (output_error) {
      g_propagate_error (error, g_steal_pointer (&output_error));
      return FALSE;
    }
    if (hypha_relay_has_failed (relay, error) || hypha_relay_is_broken (relay, error))
      return FALSE;
    if (hypha_relay_has_ended (relay))
      return !hypha_relay_is_broken (relay, error);
    g_main_context_iteration (NULL, TRUE);
  }
}

/* The relay has seen both ends, but a pumped channel alone knows what its descriptor cannot show:
 * the stream asks it when it meets them, too. */
static gboolean
ask_end (HyphaStream *stream, GError **error)
{
  guint8 nothing;

  g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (stream)), &nothing, 1, NULL,
                       NULL);
  hypha_stream_close_write (stream, NULL);
  return hypha_ctl_wait_end (stream, error);
}

/**
 * hypha_bare_join:
 * @stream: upon a bare channel
 * @interrupted: set when somebody wants the process to end
 * @error: return location for an error: %HYPHA_ERROR_RESET if the other end broke off
 *
 * Moves everything, both ways. Once a process, and the last thing it does with @stream: after a
 * failure the socket is left to the end of the process, which resets it: one that is closed by hand
 * could still be shut down by a thread of the relay first.
 *
 * Returns: %TRUE if both directions came to their end
 */
gboolean
hypha_bare_join (HyphaStream *stream, const gboolean *interrupted, GError **error)
{
  const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
  int fd = hypha_stream_get_fd (stream);
  HyphaRelay *relay = hypha_relay_start (STDIN_FILENO, STDOUT_FILENO, fd);

  if (run (relay, interrupted, error))
    return ask_end (stream, error);
  /* Closing, and a stream shuts down before that, would look as if everything had been sent. */
  fd = hypha_stream_steal_fd (stream);
  if (fd >= 0)
    setsockopt (fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  return FALSE;
}
