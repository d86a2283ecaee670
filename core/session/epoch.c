/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* Over which link the streams are heard, and whether whoever speaks there has also said what was
 * heard before. One life of the peer has; another one of the same instance has not, and is found
 * out before a frame of it is taken. */

/* Nothing was said or heard: the numbers of this pair have just changed. */
void
hypha_session_forget_epochs (HyphaSession *self)
{
  g_array_set_size (self->said, 0);
  self->said_first = self->peer_epoch = self->heard = self->heard_frames = 0;
}

/* --- Out --- */

void
hypha_session_say_epoch (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out)
{
  const HyphaEpochEntry now = { .number = self->epoch, .link = link->fingerprint };

  if (self->said_first == 0)
    self->said_first = self->epoch;
  /* It goes by the first one, as it said before its RESUME. What went over the next one, so many
   * links ago, was lost with it. */
  if (self->said->len == HYPHA_EPOCH_MAX_ENTRIES)
    g_array_remove_index (self->said, 1);
  hypha_epoch_write (self->epoch, (HyphaEpochEntry *) self->said->data, self->said->len, out);
  g_array_append_val (self->said, now);
}

void
hypha_session_say_taken (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out)
{
  link->owes_taken = FALSE;
  link->told = self->heard_frames;
  hypha_epoch_write_taken (&(HyphaEpochEntry){ .number = self->peer_epoch,
                                               .link = self->heard,
                                               .frames = self->heard_frames },
                           out);
}

/* What goes over another link than the one that is heard may be an answer to another life: whoever
 * gets it is told first how much was taken. Over the same link both are of one life. */
gboolean
hypha_session_owes_taken (HyphaSession *self, HyphaSessionLink *link)
{
  return link->owes_taken || (link->fingerprint != self->heard && link->told != self->heard_frames);
}

/* STREAM's FIN or RESET is about to go out. */
void
hypha_session_say_end (HyphaSession *self, HyphaSessionStream *stream)
{
  const HyphaEpochEntry *now = &g_array_index (self->said, HyphaEpochEntry, self->said->len - 1);

  if (stream->end_at.epoch == 0)
    stream->end_at = (HyphaSaidAt){ now->number, now->frames + 1 };
}

/* --- In --- */

/* Nobody forgets a stream that is open here before taking its end: whoever has taken less speaks of
 * a stream of another life. */
gboolean
hypha_session_has_taken_end (HyphaSessionLink *link, HyphaSessionStream *stream)
{
  const HyphaSaidAt *taken = &link->taken, *end = &stream->end_at;

  return taken->epoch > end->epoch || (taken->epoch == end->epoch && taken->frames >= end->frames);
}

/* The peer goes by this EPOCH of ours. Told over every link: so a life that did not say it learns
 * of the other one. */
static gboolean
read_taken (HyphaSession *self, HyphaSessionLink *link, const HyphaFrame *frame)
{
  HyphaEpochEntry taken;

  link->taken = (HyphaSaidAt){ 0 };
  if (frame->value == 0)
    return TRUE; /* nothing yet */
  hypha_epoch_get_taken (frame, &taken);
  link->taken = (HyphaSaidAt){ taken.number, taken.frames };
  for (guint i = 0; i < self->said->len; i++) {
    const HyphaEpochEntry *said = &g_array_index (self->said, HyphaEpochEntry, i);

    if (said->number == taken.number && said->link == taken.link && said->frames >= taken.frames) {
      g_array_remove_range (self->said, 0, i);
      return TRUE;
    }
  }
  /* Overtaken by word of a later one. */
  if (self->said->len > 0 && frame->value >= self->said_first &&
      frame->value < g_array_index (self->said, HyphaEpochEntry, 0).number)
    return TRUE;
  return hypha_session_rolled_back (
      self, _ ("the peer hears another life of this node: its state went backwards, or it was "
               "copied"));
}

/* Has whoever says this EPOCH also said the last one, and sent all that came after it? */
static gboolean
has_said_the_last (HyphaSession *self, const HyphaFrame *frame)
{
  for (guint i = 0; i < hypha_epoch_n_entries (frame); i++) {
    HyphaEpochEntry entry;

    hypha_epoch_get (frame, i, &entry);
    if (entry.number == self->peer_epoch && entry.link == self->heard)
      return entry.frames >= self->heard_frames;
  }
  return FALSE;
}

gboolean
hypha_session_read_epoch (HyphaSession *self, HyphaSessionLink *link, const HyphaFrame *frame)
{
  if (frame->flags & HYPHA_FRAME_TAKEN)
    return read_taken (self, link, frame);
  /* It never says a number twice; two lives of one instance do, sooner or later. */
  if (self->peer_epoch != 0 && frame->value == self->peer_epoch && link->fingerprint != self->heard)
    return hypha_session_rolled_back (self, _ ("the peer lives twice, as after a clone"));
  if (frame->value <= self->peer_epoch)
    return TRUE;
  if (self->peer_epoch != 0 && !has_said_the_last (self, frame))
    return hypha_session_rolled_back (
        self, _ ("the peer has not said what was heard of it last: one side's state went "
                 "backwards, or the peer lives twice"));

  self->peer_epoch = frame->value;
  self->heard = link->fingerprint;
  self->heard_frames = 0;
  for (guint i = 0; i < self->links->len; i++) {
    HyphaSessionLink *other = g_ptr_array_index (self->links, i);

    other->owes_taken = TRUE;
  }
  return TRUE;
}
