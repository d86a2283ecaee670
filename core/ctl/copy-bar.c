/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/copy-bar.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/text.h"

#define REDRAW_US (G_USEC_PER_SEC / 5)
#define COLUMNS 80
#define FEWEST_OF_NAME 8
#define BYTES_COLUMNS 10
#define MOST_RATE 1e18
#define MOST_SECONDS (100 * 3600)

/**
 * hypha_copy_bar_open:
 * @self: (out caller-allocates): a line
 * @wanted: %FALSE: it is never shown
 *
 * Shows nothing yet.
 */
void
hypha_copy_bar_open (HyphaCopyBar *self, gboolean wanted)
{
  *self = (HyphaCopyBar){ .shown = wanted && isatty (STDERR_FILENO) };
}

static char *
format_left (guint64 seconds)
{
  if (seconds >= MOST_SECONDS)
    return g_strdup ("--:--");
  if (seconds >= 3600)
    return g_strdup_printf ("%u:%02u:%02u", (guint) (seconds / 3600), (guint) (seconds / 60 % 60),
                            (guint) (seconds % 60));
  return g_strdup_printf ("%02u:%02u", (guint) (seconds / 60), (guint) (seconds % 60));
}

/* To the right, in WIDTH columns. */
static char *
format_bytes (guint64 bytes, guint width)
{
  g_autofree char *text = hypha_ctl_format_bytes (bytes);
  guint taken = hypha_ctl_text_width (text);

  return g_strdup_printf ("%*s%s", (int) (width - MIN (width, taken)), "", text);
}

/**
 * hypha_copy_bar_format:
 * @self: a line
 * @now: monotonic time
 * @width: columns
 *
 * Returns: (transfer full): name, percent, bytes, rate and time left, as far as they fit
 */
char *
hypha_copy_bar_format (const HyphaCopyBar *self, gint64 now, guint width)
{
  double seconds = MAX (now - self->began, 1) / (double) G_USEC_PER_SEC;
  double rate = (double) (self->position - MIN (self->begin, self->position)) / seconds;
  guint64 rest = self->size - MIN (self->position, self->size);
  guint percent =
      self->size > 0 ? (guint) ((double) self->position / (double) self->size * 100) : 100;
  g_autofree char *bytes = format_bytes (self->position, BYTES_COLUMNS);
  g_autofree char *a_second = format_bytes ((guint64) MIN (rate, MOST_RATE), BYTES_COLUMNS);
  g_autofree char *left = format_left (rate > 0 ? (guint64) MIN ((double) rest / rate, MOST_SECONDS)
                                       : rest > 0 ? MOST_SECONDS
                                                  : 0);
  g_autofree char *figures =
      g_strdup_printf (" %3u%%  %s  %s/s  %s", MIN (percent, 100), bytes, a_second, left);
  guint taken = hypha_ctl_text_width (figures);
  guint room = width > taken + FEWEST_OF_NAME ? width - taken : MIN (FEWEST_OF_NAME, width);
  g_autofree char *name = hypha_ctl_text_cut (self->name, room);
  g_autofree char *line =
      g_strdup_printf ("%s%*s%s", name, (int) (room - hypha_ctl_text_width (name)), "", figures);

  return hypha_ctl_text_cut (line, width);
}

static guint
get_columns (void)
{
  struct winsize size;

  return ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : COLUMNS;
}

static void
draw (HyphaCopyBar *self)
{
  gint64 now = g_get_monotonic_time ();
  g_autofree char *line = NULL;
  guint before = self->width;

  if (!self->shown || self->name == NULL || (self->drawn && now - self->drawn < REDRAW_US))
    return;
  self->drawn = now;
  /* In the last column, some terminals begin a line. */
  line = hypha_copy_bar_format (self, now, get_columns () - 1);
  self->width = hypha_ctl_text_width (line);
  fprintf (stderr, "\r%s%*s", line, (int) (before - MIN (before, self->width)), "");
  fflush (stderr);
}

/**
 * hypha_copy_bar_begin:
 * @self: a line
 * @path: of a file, as whoever has it writes it
 * @size: of it
 *
 * Is about this file now.
 */
void
hypha_copy_bar_begin (HyphaCopyBar *self, const char *path, guint64 size)
{
  if (!self->shown)
    return;
  g_free (self->name);
  self->name = hypha_ctl_escape (path);
  self->size = size;
  self->begin = self->position = 0;
  self->began = g_get_monotonic_time ();
  draw (self);
}

/**
 * hypha_copy_bar_move:
 * @self: a line
 * @position: within the file
 *
 * What was there before is no rate.
 */
void
hypha_copy_bar_move (HyphaCopyBar *self, guint64 position)
{
  if (self->begin == 0 && self->position == 0 && position > 1024 * 1024)
    self->begin = position;
  self->position = position;
  draw (self);
}

/**
 * hypha_copy_bar_tick:
 * @self: a line
 *
 * Shows that nothing moves.
 */
void
hypha_copy_bar_tick (HyphaCopyBar *self)
{
  draw (self);
}

/**
 * hypha_copy_bar_erase:
 * @self: a line
 *
 * Makes the line empty, until it is drawn again.
 */
void
hypha_copy_bar_erase (HyphaCopyBar *self)
{
  if (self->width > 0)
    fprintf (stderr, "\r%*s\r", (int) self->width, "");
  fflush (stderr);
  self->width = 0;
  self->drawn = 0;
}

/**
 * hypha_copy_bar_clear:
 * @self: a line
 *
 * Takes it away.
 */
void
hypha_copy_bar_clear (HyphaCopyBar *self)
{
  hypha_copy_bar_erase (self);
  g_clear_pointer (&self->name, g_free);
}
