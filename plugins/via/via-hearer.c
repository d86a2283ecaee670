/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-hearer.h"

#include <string.h>

/* What changes more often is told together. */
#define PACE_MS 500

struct _ViaHearer {
  grefcount ref_count;
  HyphaPeers *peers;
  HyphaPeer *peer;
  HyphaStream *stream;
  gboolean listening;
  ViaHearerFunc func; /* NULL: stopped */
  gpointer user_data;
  char *wanted, *told; /* TOLD may still be on its way */
  gboolean writing;
  GSource *pace;
};

static void
hearer_unref (ViaHearer *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_free (self->wanted);
  g_free (self->told);
  g_object_unref (self->stream);
  g_object_unref (self->peer);
  g_object_unref (self->peers);
  g_free (self);
}

static void tell (ViaHearer *self);

static gboolean
on_pace (gpointer user_data)
{
  ViaHearer *self = user_data;

  g_clear_pointer (&self->pace, g_source_unref);
  tell (self);
  return G_SOURCE_REMOVE;
}

/* If it has ended, that is told by itself. */
static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ViaHearer *self = user_data;

  g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, NULL);
  self->writing = FALSE;
  if (self->func != NULL)
    tell (self);
  hearer_unref (self);
}

static void
tell (ViaHearer *self)
{
  if (self->writing || self->pace != NULL || g_strcmp0 (self->wanted, self->told) == 0)
    return;
  g_free (self->told);
  self->told = g_strdup (self->wanted);
  self->writing = TRUE;
  g_ref_count_inc (&self->ref_count);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (self->stream)),
                                   self->told, strlen (self->told), G_PRIORITY_DEFAULT, NULL,
                                   on_written, self);
  self->pace = g_timeout_source_new (PACE_MS);
  g_source_set_callback (self->pace, on_pace, self, NULL);
  g_source_attach (self->pace, g_main_context_get_thread_default ());
}

void
via_hearer_tell (ViaHearer *self, const char *line)
{
  g_free (self->wanted);
  self->wanted = g_strdup (line);
  tell (self);
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ViaHearer *self = user_data;

  hypha_stream_wait_end_finish (HYPHA_STREAM (source), result, NULL, NULL, NULL);
  if (self->func != NULL)
    self->func (self, self->user_data);
  hearer_unref (self);
}

ViaHearer *
via_hearer_new (HyphaPeers *peers, HyphaPeer *peer, HyphaStream *stream, gboolean listening,
                ViaHearerFunc func, gpointer user_data)
{
  ViaHearer *self = g_new0 (ViaHearer, 1);

  g_ref_count_init (&self->ref_count);
  self->peers = g_object_ref (peers);
  self->peer = g_object_ref (peer);
  self->stream = g_object_ref (stream);
  self->listening = listening;
  self->func = func;
  self->user_data = user_data;
  g_ref_count_inc (&self->ref_count);
  hypha_stream_wait_end_async (stream, NULL, on_ended, self);
  return self;
}

void
via_hearer_stop (ViaHearer *self)
{
  self->func = NULL;
  if (self->pace != NULL)
    g_source_destroy (self->pace);
  g_clear_pointer (&self->pace, g_source_unref);
  hypha_peers_reset (self->peers, self->stream);
  hearer_unref (self);
}

HyphaPeer *
via_hearer_get_peer (ViaHearer *self)
{
  return self->peer;
}

gboolean
via_hearer_is_listening (ViaHearer *self)
{
  return self->listening;
}
