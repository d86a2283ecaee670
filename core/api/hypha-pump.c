/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-pump.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <stdatomic.h>

#include "hypha-error.h"
#include "hypha-source.h"

#define BUFFER_BYTES (64 * 1024)
#define DRAIN_MS 2000

/* One direction: reads a piece, writes all of it, and so on until the end. */
typedef struct {
  HyphaPump *pump;
  GInputStream *source;
  GOutputStream *sink;
  GIOStream *sink_stream;
  GCancellable *cancellable;
  guint8 buffer[BUFFER_BYTES];
  gboolean done;
} Direction;

struct _HyphaPump {
  /* Not by GLib: ThreadSanitizer sees these two alone, as Debian builds GLib. */
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GError *error; /* under the mutex */

  /* The thread's alone. */
  GMainContext *context;
  GMainLoop *loop;
  GIOStream *inner; /* on the socketpair */
  GIOStream *outer; /* the transport's */
  Direction up;     /* inner to outer */
  Direction down;   /* outer to inner */
  GSource *hang_up;
  GSource *deadline;
};

static void read_piece (Direction *direction);

/* The end */

static void
keep_error (HyphaPump *self, const GError *error)
{
  pthread_mutex_lock (&self->mutex);
  if (self->error == NULL)
    self->error = g_error_copy (error);
  pthread_mutex_unlock (&self->mutex);
}

static gboolean
on_deadline (gpointer data)
{
  HyphaPump *self = data;
  g_autoptr (GError) error = g_error_new (
      HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
      _ ("the other end of the channel did not take the rest within %d ms of its end"), DRAIN_MS);

  if (!self->up.done)
    keep_error (self, error);
  g_cancellable_cancel (self->up.cancellable);
  g_cancellable_cancel (self->down.cancellable);
  return G_SOURCE_REMOVE;
}

/* From here on, what is left may take DRAIN_MS and no longer. */
static void
begin_end (HyphaPump *self)
{
  if (self->deadline != NULL)
    return;
  self->deadline = g_timeout_source_new (DRAIN_MS);
  g_source_set_callback (self->deadline, on_deadline, self, NULL);
  g_source_attach (self->deadline, self->context);
}

/* Nobody is left to read what comes down. */
static gboolean
on_hang_up (GSocket *socket, GIOCondition condition, gpointer data)
{
  HyphaPump *self = data;

  g_cancellable_cancel (self->down.cancellable);
  begin_end (self);
  return G_SOURCE_REMOVE;
}

/* The end of one direction. GIO does not half-close a socket when its output stream is closed. */
static void
half_close (GIOStream *stream)
{
  if (G_IS_TCP_WRAPPER_CONNECTION (stream))
    half_close (g_tcp_wrapper_connection_get_base_io_stream (G_TCP_WRAPPER_CONNECTION (stream)));
  else if (G_IS_SOCKET_CONNECTION (stream))
    g_socket_shutdown (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream)), FALSE, TRUE,
                       NULL);
}

static void
on_outer_closed (GObject *outer, GAsyncResult *result, gpointer data)
{
  HyphaPump *self = data;

  /* Both directions have ended already, each with its own error: there is none to add. */
  g_io_stream_close_finish (G_IO_STREAM (outer), result, NULL);
  g_main_loop_quit (self->loop);
}

static void
on_sink_closed (GObject *sink, GAsyncResult *result, gpointer data)
{
  Direction *direction = data;
  HyphaPump *self = direction->pump;
  g_autoptr (GError) error = NULL;

  if (!g_output_stream_close_finish (G_OUTPUT_STREAM (sink), result, &error) &&
      direction == &self->up && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    keep_error (self, error);
  direction->done = TRUE;
  if (!self->up.done || !self->down.done)
    return;
  g_io_stream_close (self->inner, NULL, NULL);
  begin_end (self);
  g_io_stream_close_async (self->outer, G_PRIORITY_DEFAULT, self->up.cancellable, on_outer_closed,
                           self);
}

static void
end_direction (Direction *direction)
{
  half_close (direction->sink_stream);
  g_output_stream_close_async (direction->sink, G_PRIORITY_DEFAULT, direction->cancellable,
                               on_sink_closed, direction);
}

/* ERROR came from reading, if READING, else from writing. */
static void
fail_direction (Direction *direction, gboolean reading, const GError *error)
{
  HyphaPump *self = direction->pump;
  gboolean of_outer = reading == (direction == &self->down);

  /* That the engine has gone is its own decision, and no failure of the channel. */
  if (of_outer && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    keep_error (self, error);
  /* Lets the engine know that what it writes goes nowhere. */
  if (direction == &self->up)
    g_socket_shutdown (g_socket_connection_get_socket (G_SOCKET_CONNECTION (self->inner)), TRUE,
                       FALSE, NULL);
  begin_end (self);
  end_direction (direction);
}

/* Copying */

static void
on_written (GObject *sink, GAsyncResult *result, gpointer data)
{
  Direction *direction = data;
  g_autoptr (GError) error = NULL;

  if (g_output_stream_write_all_finish (G_OUTPUT_STREAM (sink), result, NULL, &error))
    read_piece (direction);
  else
    fail_direction (direction, FALSE, error);
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  Direction *direction = data;
  g_autoptr (GError) error = NULL;
  gssize count = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);

  if (count > 0)
    g_output_stream_write_all_async (direction->sink, direction->buffer, (gsize) count,
                                     G_PRIORITY_DEFAULT, direction->cancellable, on_written,
                                     direction);
  else if (count == 0)
    end_direction (direction);
  else
    fail_direction (direction, TRUE, error);
}

static void
read_piece (Direction *direction)
{
  g_input_stream_read_async (direction->source, direction->buffer, BUFFER_BYTES, G_PRIORITY_DEFAULT,
                             direction->cancellable, on_read, direction);
}

static void
init_direction (HyphaPump *self, Direction *direction, GIOStream *from, GIOStream *to)
{
  direction->pump = self;
  direction->source = g_io_stream_get_input_stream (from);
  direction->sink = g_io_stream_get_output_stream (to);
  direction->sink_stream = to;
  direction->cancellable = g_cancellable_new ();
}

static void
watch_hang_up (HyphaPump *self)
{
  GSocket *socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (self->inner));

  self->hang_up = g_socket_create_source (socket, G_IO_HUP, NULL);
  g_source_set_callback (self->hang_up, G_SOURCE_FUNC (on_hang_up), self, NULL);
  g_source_attach (self->hang_up, self->context);
}

static gpointer
run (gpointer data)
{
  HyphaPump *self = data;

  g_main_context_push_thread_default (self->context);
  watch_hang_up (self);
  read_piece (&self->up);
  read_piece (&self->down);
  g_main_loop_run (self->loop);
  hypha_clear_source (&self->hang_up);
  hypha_clear_source (&self->deadline);
  g_main_context_pop_thread_default (self->context);
  hypha_pump_unref (self);
  return NULL;
}

/* Life */

static void
hypha_pump_free (HyphaPump *self)
{
  g_clear_object (&self->up.cancellable);
  g_clear_object (&self->down.cancellable);
  g_clear_object (&self->inner);
  g_clear_object (&self->outer);
  g_clear_pointer (&self->loop, g_main_loop_unref);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_clear_error (&self->error);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

HyphaPump *
hypha_pump_start (int fd, GIOStream *stream, GError **error)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, error);
  g_autoptr (HyphaPump) self = NULL;
  GThread *thread;

  if (socket == NULL) {
    g_close (fd, NULL);
    return NULL;
  }
  self = g_try_new0 (HyphaPump, 1);
  if (self == NULL) {
    g_set_error_literal (
        error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
        _ ("cannot make a channel of a stream: there is no memory for its buffers"));
    return NULL;
  }
  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->mutex, NULL);
  self->context = g_main_context_new ();
  self->loop = g_main_loop_new (self->context, FALSE);
  self->inner = G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
  self->outer = g_object_ref (stream);
  init_direction (self, &self->up, self->inner, self->outer);
  init_direction (self, &self->down, self->outer, self->inner);

  thread = g_thread_try_new ("hypha-pump", run, hypha_pump_ref (self), error);
  if (thread == NULL) {
    hypha_pump_unref (self);
    g_prefix_error (error, _ ("cannot make a channel of a stream: "));
    return NULL;
  }
  g_thread_unref (thread);
  return g_steal_pointer (&self);
}

HyphaPump *
hypha_pump_ref (HyphaPump *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

void
hypha_pump_unref (HyphaPump *self)
{
  if (atomic_fetch_sub (&self->ref_count, 1) == 1)
    hypha_pump_free (self);
}

GError *
hypha_pump_dup_error (HyphaPump *self)
{
  GError *copy;

  pthread_mutex_lock (&self->mutex);
  copy = self->error != NULL ? g_error_copy (self->error) : NULL;
  pthread_mutex_unlock (&self->mutex);
  return copy;
}
