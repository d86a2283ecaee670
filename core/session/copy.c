/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

static void
copy_watermark (HyphaWatermark *to, const HyphaWatermark *from)
{
  *to = *from;
  if (from->past != NULL)
    to->past = g_array_copy (from->past);
}

static void
copy_queue (HyphaQueue *to, HyphaQueue *from)
{
  struct iovec pieces[64];
  guint n;

  hypha_queue_init (to);
  to->start = to->end = from->start;
  while (to->end < from->end) {
    const guint8 *data;
    gsize length = hypha_queue_peek (from, to->end, (gsize) (from->end - to->end), &data, NULL);

    hypha_queue_append (to, data, length);
  }
  n = hypha_queue_pieces (to, pieces, G_N_ELEMENTS (pieces));
  g_assert (n > 0 || from->start == from->end);
}

static void
copy_stream (HyphaSession *to, HyphaSessionStream *from)
{
  HyphaSessionStream *stream = g_memdup2 (from, sizeof (*from));

  stream->service = g_strdup (from->service);
  copy_queue (&stream->out, &from->out);
  copy_queue (&stream->in, &from->in);
  copy_watermark (&stream->mark, &from->mark);
  stream->readable_told = stream->writable_told = FALSE;
  stream->in_all = stream->in_opens = stream->in_control = (HyphaPlace){ 0 };
  stream->in_active = stream->in_acks = stream->in_starved = (HyphaPlace){ 0 };
  g_hash_table_insert (to->streams, GUINT_TO_POINTER (stream->id), stream);
  hypha_place_take (stream->mine ? &to->mine : &to->theirs, &stream->in_all, stream);
  if (from->in_opens.taken)
    hypha_place_take (&to->opens, &stream->in_opens, stream);
  if (from->in_control.taken)
    hypha_place_take (&to->control, &stream->in_control, stream);
  if (from->in_active.taken)
    hypha_place_take (&to->active, &stream->in_active, stream);
  if (from->in_acks.taken)
    hypha_place_take (&to->acks, &stream->in_acks, stream);
  if (from->in_starved.taken)
    hypha_place_take (&to->starved, &stream->in_starved, stream);
}

HyphaSession *
hypha_session_copy_for_test (HyphaSession *self)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);
  HyphaSession *copy = g_new0 (HyphaSession, 1);

  *copy = *self;
  copy_watermark (&copy->peer, &self->peer);
  copy_watermark (&copy->ids, &self->ids);
  copy->streams = g_hash_table_new (NULL, NULL);
  copy->mine = copy->theirs = (GQueue) G_QUEUE_INIT;
  copy->opens = copy->control = copy->active = (GQueue) G_QUEUE_INIT;
  copy->acks = copy->starved = copy->refusals = (GQueue) G_QUEUE_INIT;
  copy->refused = g_hash_table_new (NULL, NULL);
  copy->links = g_ptr_array_new_with_free_func (g_free);
  copy->leaving = g_ptr_array_new_with_free_func (g_free);
  copy->candidates = g_array_new (FALSE, FALSE, sizeof (HyphaCandidate));
  copy->chosen = copy->wanted = copy->left = NULL;
  copy->choose_at = G_MAXINT64;
  copy->offline_since = G_MININT64;
  copy->said = g_array_copy (self->said);
  copy->scratch = g_array_new (FALSE, FALSE, sizeof (HyphaResumeEntry));
  copy->events = g_array_new (FALSE, FALSE, sizeof (HyphaSessionEvent));
  copy->next_event = 0;
  copy->texts = g_string_chunk_new (64);
  copy->graves = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_session_stream_free);
  copy->buried = NULL;
  for (guint i = 0; i < all->len; i++)
    copy_stream (copy, g_ptr_array_index (all, i));
  hypha_session_check (copy);
  return copy;
}
