/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-line.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* What follows the last line belongs to whoever reads next: so it is read byte by byte, from
 * memory, unless more lines follow. */
#define AHEAD 4096
/* A peer that leaves no room for a line does so for good. */
#define WRITE_TIMEOUT_MS 10000

struct _ViaLine {
  HyphaStream *stream;
  GString *text; /* what was read and not given yet */
  gsize max;
  gsize step;
  GSource *readable, *deadline;
  ViaLineFunc func;
  gpointer user_data;
};

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
stop (ViaLine *self)
{
  clear_source (&self->readable);
  clear_source (&self->deadline);
}

ViaLine *
via_line_new (HyphaStream *stream, gsize max, gboolean ahead, ViaLineFunc func, gpointer user_data)
{
  ViaLine *self = g_new0 (ViaLine, 1);

  self->stream = g_object_ref (stream);
  self->text = g_string_new (NULL);
  self->max = max;
  self->step = ahead ? AHEAD : 1;
  self->func = func;
  self->user_data = user_data;
  return self;
}

void
via_line_free (ViaLine *self)
{
  stop (self);
  g_string_free (self->text, TRUE);
  g_object_unref (self->stream);
  g_free (self);
}

static void
fail (ViaLine *self, GError *taken)
{
  g_autoptr (GError) error = taken;

  stop (self);
  self->func (self, NULL, error, self->user_data);
}

/* Whether there is a whole line, which was given: then SELF may be gone. */
static gboolean
give (ViaLine *self)
{
  const char *end = memchr (self->text->str, '\n', self->text->len);
  g_autofree char *line = NULL;

  if (end == NULL)
    return FALSE;
  line = g_strndup (self->text->str, (gsize) (end - self->text->str));
  g_string_erase (self->text, 0, end - self->text->str + 1);
  stop (self);
  self->func (self, line, NULL, self->user_data);
  return TRUE;
}

static gboolean
on_readable (GObject *input, gpointer user_data)
{
  ViaLine *self = user_data;
  char buffer[AHEAD];

  for (;;) {
    g_autoptr (GError) error = NULL;
    gssize n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), buffer,
                                                         self->step, NULL, &error);

    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
      return G_SOURCE_CONTINUE;
    if (n < 0) {
      fail (self, g_steal_pointer (&error));
      return G_SOURCE_REMOVE;
    }
    g_string_append_len (self->text, buffer, n);
    if (n > 0 && memchr (buffer, '\0', (gsize) n) == NULL && give (self))
      return G_SOURCE_REMOVE;
    if (n > 0 && memchr (buffer, '\0', (gsize) n) == NULL && self->text->len <= self->max)
      continue;
    fail (self, g_error_new_literal (HYPHA_ERROR, n == 0 ? HYPHA_ERROR_RESET : HYPHA_ERROR_PROTOCOL,
                                     n == 0 ? _ ("it ended without an answer")
                                            : _ ("what was said is no line")));
    return G_SOURCE_REMOVE;
  }
}

static gboolean
on_late (gpointer user_data)
{
  fail (user_data, g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                                        _ ("there was no answer in time")));
  return G_SOURCE_REMOVE;
}

static gboolean
on_held (gpointer user_data)
{
  give (user_data);
  return G_SOURCE_REMOVE;
}

void
via_line_next (ViaLine *self, guint timeout_ms)
{
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (self->stream));
  GMainContext *context = g_main_context_get_thread_default ();

  if (timeout_ms > 0) {
    self->deadline = g_timeout_source_new (timeout_ms);
    g_source_set_callback (self->deadline, on_late, self, NULL);
    g_source_attach (self->deadline, context);
  }
  if (memchr (self->text->str, '\n', self->text->len) != NULL) {
    self->readable = g_idle_source_new ();
    g_source_set_callback (self->readable, on_held, self, NULL);
  } else {
    self->readable = g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (input), NULL);
    g_source_set_callback (self->readable, G_SOURCE_FUNC (on_readable), self, NULL);
  }
  g_source_attach (self->readable, context);
}

/* ---- writing ---- */

typedef struct {
  HyphaStream *stream;
  char *line;
  ViaWrittenFunc func;
  gpointer user_data;
} Writing;

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Writing *self = user_data;
  g_autoptr (HyphaStream) stream = self->stream;
  G_GNUC_UNUSED g_autofree char *line = self->line;
  gboolean done = g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, NULL);

  hypha_stream_set_timeout (stream, 0);
  if (self->func != NULL)
    self->func (done, self->user_data);
  else
    g_io_stream_close (G_IO_STREAM (stream), NULL, NULL);
}

void
via_line_write (HyphaStream *stream, const char *line, ViaWrittenFunc func, gpointer user_data)
{
  Writing *self = g_new (Writing, 1);

  *self = (Writing){ g_object_ref (stream), g_strdup (line), func, user_data };
  hypha_stream_set_timeout (stream, WRITE_TIMEOUT_MS);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (stream)), self->line,
                                   strlen (self->line), G_PRIORITY_DEFAULT, NULL, on_written, self);
}
