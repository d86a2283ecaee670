/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/log.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>
#include "hypha-text.h"

#define MAX_LINE 1024
#define PERIOD_MS 1000
#define MAX_LINES 20           /* of a period are told, */
#define MAX_BYTES (128 * 1024) /* and so much is read: then the program has to wait */
#define READS 4                /* until others have their turn */

struct _HyphaProgramLog {
  int fd;
  char *name;
  GString *line; /* so far */
  guint source;
  guint timer; /* the end of the period */
  guint lines; /* in it */
  guint left_out;
  gsize bytes;
};

static gboolean on_readable (int fd, GIOCondition condition, gpointer user_data);

static void
watch (HyphaProgramLog *self)
{
  if (self->source == 0 && self->fd >= 0)
    self->source = g_unix_fd_add (self->fd, G_IO_IN | G_IO_HUP, on_readable, self);
}

static void
tell_left_out (HyphaProgramLog *self)
{
  if (self->left_out > 0)
    g_message ("Plug-in %s said %u lines more", self->name, self->left_out);
  self->left_out = 0;
}

static gboolean
on_period_over (gpointer user_data)
{
  HyphaProgramLog *self = user_data;

  self->timer = 0;
  self->lines = 0;
  self->bytes = 0;
  tell_left_out (self);
  watch (self);
  return G_SOURCE_REMOVE;
}

static void
tell (HyphaProgramLog *self)
{
  if (self->line->len > 0 && self->lines++ < MAX_LINES) {
    g_autofree char *escaped = hypha_text_escape (self->line->str);

    g_message ("Plug-in %s says: %s", self->name, escaped);
  } else if (self->line->len > 0) {
    self->left_out++;
  }
  g_string_truncate (self->line, 0);
}

/* What is beyond MAX_LINE of a line is not kept. */
static void
take (HyphaProgramLog *self, const char *data, gsize length)
{
  while (length > 0) {
    const char *end = memchr (data, '\n', length);
    gsize part = end != NULL ? (gsize) (end - data) : length;

    g_string_append_len (self->line, data,
                         (gssize) MIN (part, MAX_LINE - MIN (self->line->len, MAX_LINE)));
    if (end == NULL)
      return;
    tell (self);
    data = end + 1;
    length -= part + 1;
  }
}

/* FALSE: there is nothing more, now or for ever. */
static gboolean
read_some (HyphaProgramLog *self)
{
  char buffer[4096];
  ssize_t got = TEMP_FAILURE_RETRY (read (self->fd, buffer, sizeof buffer));

  if (got > 0) {
    self->bytes += (gsize) got;
    take (self, buffer, (gsize) got);
    return TRUE;
  }
  if (got == 0 || errno != EAGAIN) {
    close (self->fd);
    self->fd = -1;
  }
  return FALSE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaProgramLog *self = user_data;

  for (guint i = 0; i < READS && read_some (self); i++)
    ;
  if (self->timer == 0)
    self->timer = g_timeout_add (PERIOD_MS, on_period_over, self);
  if (self->fd >= 0 && self->bytes < MAX_BYTES)
    return G_SOURCE_CONTINUE;
  self->source = 0;
  return G_SOURCE_REMOVE;
}

/* hypha_program_log_new:
 * @fd: (transfer full): what the program writes to, non-blocking
 * @name: of the plug-in */
HyphaProgramLog *
hypha_program_log_new (int fd, const char *name)
{
  HyphaProgramLog *self = g_new0 (HyphaProgramLog, 1);

  self->fd = fd;
  self->name = g_strdup (name);
  self->line = g_string_new (NULL);
  watch (self);
  return self;
}

/* hypha_program_log_free:
 * Its last words, mostly why it ended, are told. */
void
hypha_program_log_free (HyphaProgramLog *self)
{
  for (guint i = 0; i < READS && self->fd >= 0 && read_some (self); i++)
    ;
  tell (self);
  tell_left_out (self);
  g_clear_handle_id (&self->source, g_source_remove);
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->fd >= 0)
    close (self->fd);
  g_string_free (self->line, TRUE);
  g_free (self->name);
  g_free (self);
}
