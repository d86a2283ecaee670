/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-ending.h"

#include <glib/gi18n-lib.h>

#include "hypha-error.h"

struct _HyphaEnding {
  gatomicrefcount ref_count;
  GWeakRef stream; /* which holds this */
  HyphaChannel *channel;

  GMutex mutex; /* of all below */
  gboolean read_done, write_done, told;
  guint64 received, sent;
};

/**
 * hypha_ending_new:
 * @stream: a stream
 * @channel: whose descriptor the stream has
 *
 * Returns: (transfer full): what is to be told of everything that @stream does
 */
HyphaEnding *
hypha_ending_new (HyphaStream *stream, HyphaChannel *channel)
{
  HyphaEnding *self = g_new0 (HyphaEnding, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_weak_ref_init (&self->stream, stream);
  self->channel = g_object_ref (channel);
  g_mutex_init (&self->mutex);
  return self;
}

/**
 * hypha_ending_ref:
 * @self: an ending
 *
 * Returns: (transfer full): the same
 */
HyphaEnding *
hypha_ending_ref (HyphaEnding *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/**
 * hypha_ending_unref:
 * @self: (transfer full): an ending
 */
void
hypha_ending_unref (HyphaEnding *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  g_weak_ref_clear (&self->stream);
  g_object_unref (self->channel);
  g_mutex_clear (&self->mutex);
  g_free (self);
}

/* Tells the stream, if this is the end: both directions are done, or ERROR. */
static void
tell_end (HyphaEnding *self, const GError *error)
{
  g_autoptr (HyphaStream) stream = NULL;
  guint64 received, sent;
  gboolean tell;

  g_mutex_lock (&self->mutex);
  tell = !self->told && (error != NULL || (self->read_done && self->write_done));
  if (tell)
    self->told = TRUE;
  received = self->received;
  sent = self->sent;
  g_mutex_unlock (&self->mutex);
  stream = tell ? g_weak_ref_get (&self->stream) : NULL;
  if (stream != NULL)
    hypha_stream_ended (stream, received, sent, error);
}

/* The reason why a pumped channel ended is not to be seen on its descriptor. */
static void
tell_broken (HyphaEnding *self, const char *seen)
{
  g_autoptr (GError) reason = hypha_channel_dup_error (self->channel);
  g_autoptr (GError) error = NULL;

  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET, _ ("the other end broke off: %s"),
                       reason != NULL ? reason->message : seen);
  tell_end (self, error);
}

/**
 * hypha_ending_moved:
 * @self: an ending
 * @reading: a read, or else a write
 * @wanted: how many bytes it was to move
 * @count: how many it has moved, or -1
 * @error: (nullable): why, if @count is -1
 *
 * Notes what a read or a write met. That nothing can be moved now, or that somebody gave up, is no
 * end.
 */
void
hypha_ending_moved (HyphaEnding *self, gboolean reading, gsize wanted, gssize count,
                    const GError *error)
{
  g_autoptr (GError) reason = NULL;

  if (count < 0) {
    if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) &&
        !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) &&
        !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
      tell_broken (self, error->message);
    return;
  }
  g_mutex_lock (&self->mutex);
  if (!reading)
    self->sent += (guint64) count;
  else if (count > 0)
    self->received += (guint64) count;
  else if (wanted > 0)
    self->read_done = TRUE;
  g_mutex_unlock (&self->mutex);
  if (!reading || count > 0 || wanted == 0)
    return;
  reason = hypha_channel_dup_error (self->channel);
  if (reason != NULL)
    tell_broken (self, reason->message);
  else
    tell_end (self, NULL);
}

/**
 * hypha_ending_closed:
 * @self: an ending
 * @reading: the direction from the other end, or else the one to it
 *
 * Notes that this end has closed a direction. Whoever does not read until the end does not know
 * whether it was one.
 */
void
hypha_ending_closed (HyphaEnding *self, gboolean reading)
{
  g_autoptr (GError) error = NULL;
  gboolean early;

  g_mutex_lock (&self->mutex);
  early = reading && !self->read_done;
  if (!reading)
    self->write_done = TRUE;
  g_mutex_unlock (&self->mutex);
  if (early)
    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET,
                         _ ("this end was closed before the other one had finished"));
  tell_end (self, error);
}

/**
 * hypha_ending_left:
 * @self: an ending
 *
 * Notes that the descriptor was handed on.
 */
void
hypha_ending_left (HyphaEnding *self)
{
  g_autoptr (GError) error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_GONE,
                   _ ("the channel was handed on: how it ends is not known here"));

  tell_end (self, error);
}
