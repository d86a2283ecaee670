/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* RESUME: what each side knows of the streams. It judges whether somebody's state went backwards,
 * it acknowledges everything at once, and it carries the sending over to another link. */

/* --- Out --- */

static void
fill_entry (HyphaSessionStream *stream, HyphaResumeEntry *entry)
{
  *entry = (HyphaResumeEntry){ .stream = stream->id, .next = stream->next };
  if (stream->mine || stream->answered) {
    entry->flags |= HYPHA_RESUME_ACCEPTED;
    entry->limit = stream->promised;
  }
  if (stream->receive_end == HYPHA_END_FIN)
    entry->flags |= HYPHA_RESUME_FIN;
  else if (stream->receive_end == HYPHA_END_RESET)
    entry->flags |= HYPHA_RESUME_RESET;
  if (stream->receive_end != HYPHA_END_NONE)
    entry->final_size = stream->final;
}

void
hypha_session_write_resume (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);

  g_array_set_size (self->scratch, all->len);
  for (guint i = 0; i < all->len; i++)
    fill_entry (g_ptr_array_index (all, i), &g_array_index (self->scratch, HyphaResumeEntry, i));
  hypha_resume_write (self->opened, self->seen, (HyphaResumeEntry *) self->scratch->data, all->len,
                      out);

  /* Only what goes over the chosen link counts as told. */
  for (guint i = 0; link == self->chosen && i < all->len; i++) {
    HyphaSessionStream *stream = g_ptr_array_index (all, i);

    stream->acknowledged = stream->next;
    stream->owes &= ~(HYPHA_OWES_ACK | HYPHA_OWES_WINDOW);
    hypha_place_leave (&self->acks, &stream->in_acks);
    if (stream->owes == 0)
      hypha_place_leave (&self->control, &stream->in_control);
    hypha_session_settle (self, stream);
  }
}

/* --- In --- */

static gboolean
check_ids (HyphaSession *self, const HyphaResume *resume)
{
  if ((resume->opened >= 0 && hypha_session_id_is_mine (self, (guint32) resume->opened)) ||
      (resume->seen >= 0 && !hypha_session_id_is_mine (self, (guint32) resume->seen)))
    return hypha_session_broken (self,
                                 _ ("the peer's RESUME takes one side's ids for the other's"));
  if (resume->seen > self->opened)
    return hypha_session_rolled_back (self, _ ("the peer has seen a stream that was never opened: "
                                               "this node's state went backwards"));
  return TRUE;
}

/* Is this below what the peer had acknowledged when our nonce of this link went out? Later ones say
 * nothing: they may have overtaken each other on different links. */
static gboolean
check_backwards (HyphaSession *self, HyphaSessionLink *link, const HyphaResume *resume)
{
  guint64 opened, known;
  gboolean backwards;

  hypha_watermark_at (&self->ids, link->tick, &opened, &known);
  backwards = (guint64) (resume->opened + 1) < opened || (guint64) (resume->seen + 1) < known;
  for (guint i = 0; i < resume->n_entries && !backwards; i++) {
    HyphaResumeEntry entry;
    HyphaSessionStream *stream;
    guint64 acked, stage;

    hypha_resume_get (resume, i, &entry);
    stream = hypha_session_find (self, entry.stream);
    if (stream == NULL)
      continue;
    hypha_watermark_at (&stream->mark, link->tick, &acked, &stage);
    backwards = entry.next < acked || (stage == 1 && !(entry.flags & HYPHA_RESUME_ACCEPTED)) ||
                (stage == 2 && !(entry.flags & (HYPHA_RESUME_FIN | HYPHA_RESUME_RESET)));
  }
  if (backwards)
    return hypha_session_rolled_back (self,
                                      _ ("the peer knows less than it had acknowledged before: "
                                         "its state went backwards"));
  return TRUE;
}

static gboolean
take_entry (HyphaSession *self, const HyphaResume *resume, const HyphaResumeEntry *entry)
{
  HyphaSessionStream *stream = hypha_session_find (self, entry->stream);
  gboolean mine = hypha_session_id_is_mine (self, entry->stream);

  if ((gint64) entry->stream > (mine ? resume->seen : resume->opened))
    return hypha_session_broken (self, _ ("the peer's RESUME lists a stream above its highest id"));
  if (stream == NULL)
    return TRUE;
  if (mine && !stream->open_sent)
    return hypha_session_rolled_back (self,
                                      _ ("the peer lists a stream that was not opened yet: this "
                                         "node's state went backwards"));
  stream->listed = TRUE;
  if (entry->flags & HYPHA_RESUME_ACCEPTED) {
    hypha_session_stream_answered (self, stream);
    hypha_sending_limit (self, stream, entry->limit);
  }
  return hypha_sending_acked (self, stream, entry->next, (entry->flags & HYPHA_RESUME_FIN) != 0,
                              (entry->flags & HYPHA_RESUME_RESET) != 0);
}

/* At or below the peer's highest ids and not listed: ended, and wholly acknowledged. */
static gboolean
take_absent (HyphaSession *self, HyphaSessionLink *link, const HyphaResume *resume)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);

  for (guint i = 0; i < all->len; i++) {
    HyphaSessionStream *stream = g_ptr_array_index (all, i);
    gboolean listed = stream->listed;

    stream->listed = FALSE;
    if (listed || (gint64) stream->id > (stream->mine ? resume->seen : resume->opened))
      continue;
    if (stream->send_end == HYPHA_END_NONE && (stream->answered || !stream->mine) &&
        !hypha_session_has_taken_end (link, stream))
      return hypha_session_rolled_back (
          self,
          _ ("the peer has ended a stream without an end of ours: it lives twice, or its state "
             "went backwards"));
    if (!hypha_session_stream_gone (self, stream, HYPHA_CODE_GONE))
      return FALSE;
  }
  return TRUE;
}

gboolean
hypha_session_read_resume (HyphaSession *self, HyphaSessionLink *link, const HyphaFrame *frame)
{
  g_autoptr (GError) error = NULL;
  gboolean first = !link->up;
  HyphaResume resume;

  if (!hypha_resume_parse (frame, &resume, &error))
    return hypha_session_broken (self, hypha_session_keep_text (self, error->message));
  if (!check_ids (self, &resume) || (first && !check_backwards (self, link, &resume)))
    return FALSE;
  for (guint i = 0; i < resume.n_entries; i++) {
    HyphaResumeEntry entry;

    hypha_resume_get (&resume, i, &entry);
    if (!take_entry (self, &resume, &entry))
      return FALSE;
  }
  if (!take_absent (self, link, &resume))
    return FALSE;
  hypha_session_seen_by_peer (self, resume.seen);
  hypha_watermark_raise (&self->ids, (guint64) (resume.opened + 1), 0, hypha_session_ticks (self));

  link->up = link->fresh = TRUE;
  if (first) {
    guint index = hypha_session_link_index (self, link);

    g_array_index (self->candidates, HyphaCandidate, index).usable = TRUE;
    hypha_session_event_link (self, HYPHA_SESSION_LINK_UP, link, 0);
  }
  hypha_session_choose (self, NULL);
  return TRUE;
}

/* --- The change of link --- */

/* What carries a link would have that link carried by another: a relayed one is for all else. */
static void
cut (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->ended)
    return;
  hypha_session_event_stream (self, HYPHA_SESSION_CUT, stream, -1, NULL);
  hypha_session_stream_reset (self, stream, HYPHA_CODE_APPLICATION);
  /* What came whole may still be read. */
  if (stream->receive_end == HYPHA_END_NONE)
    hypha_session_stream_stop (self, stream, HYPHA_CODE_APPLICATION);
}

static void
cut_what_carries (HyphaSession *self)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);

  for (guint i = 0; i < all->len; i++) {
    HyphaSessionStream *stream = g_ptr_array_index (all, i);

    if (stream->carries)
      cut (self, stream);
  }
}

/**
 * hypha_session_stream_carry: (skip)
 * @self: a session
 * @stream: one of its streams
 *
 * What goes over @stream is a link between other nodes, or of this one with another than the peer.
 * It must not go over a link that is itself carried by streams: two nodes, each a middle of the
 * other, would carry their bytes in a circle. So @stream is reset as soon as the sending goes over
 * such a link, and before anything of it does.
 *
 * Returns: %FALSE if it was reset at once
 */
gboolean
hypha_session_stream_carry (HyphaSession *self, HyphaSessionStream *stream)
{
  stream->carries = TRUE;
  if (self->chosen == NULL || !self->chosen->relayed)
    return TRUE;
  cut (self, stream);
  return FALSE;
}

/* An epoch: EPOCH, RESUME, the OPENs in rising order, then the rest from what is acknowledged. */
static void
switch_to (HyphaSession *self, HyphaSessionLink *link)
{
  g_autoptr (GPtrArray) all = NULL;

  if (link->relayed)
    cut_what_carries (self);
  all = hypha_session_list_streams (self);
  /* A number is said over one link only. */
  if (self->chosen != NULL)
    self->chosen->owes_epoch = FALSE;
  self->chosen = link;
  self->wanted = NULL;
  self->epoch++;
  link->owes_epoch = link->owes_resume = TRUE;
  for (guint i = 0; i < all->len; i++) {
    HyphaSessionStream *stream = g_ptr_array_index (all, i);

    hypha_place_leave (&self->opens, &stream->in_opens);
    if (stream->mine && !stream->answered)
      hypha_session_owe_open (self, stream);
    hypha_sending_rewind (self, stream);
    if (stream->stopping && stream->receive_end == HYPHA_END_NONE)
      hypha_session_owe (self, stream, HYPHA_OWES_STOP);
  }
}

/* Which link carries our sending? One that failed is left at once. Before a planned change a fresh
 * RESUME is asked for over the new link, so that less is sent twice. */
void
hypha_session_choose (HyphaSession *self, HyphaSessionLink *lost)
{
  HyphaSessionLink *from = lost != NULL ? lost : self->chosen, *link;
  HyphaChoiceReason reason;
  guint best;

  best = hypha_choice_make (&self->choice, (HyphaCandidate *) self->candidates->data,
                            self->links->len, hypha_session_link_index (self, self->chosen),
                            self->now, &self->choose_at, &reason);
  link = best != HYPHA_CHOICE_NONE ? g_ptr_array_index (self->links, best) : NULL;
  if (lost != NULL)
    reason = HYPHA_CHOICE_LOST;
  if (link == self->chosen) {
    self->wanted = NULL;
    if (lost != NULL)
      hypha_session_event_switched (self, NULL, lost, hypha_choice_reason_to_string (reason));
    return;
  }
  if (reason == HYPHA_CHOICE_CHEAPER) {
    if (self->wanted != link) {
      self->wanted = link;
      link->fresh = FALSE;
      link->owes_ask = TRUE;
    }
    if (!link->fresh)
      return;
  }
  switch_to (self, link);
  hypha_session_event_switched (self, link, from, hypha_choice_reason_to_string (reason));
}
