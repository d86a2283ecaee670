/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

/* The invariants of a session, as far as one side can see them. */

static guint64
above (guint64 amount, guint64 reserve)
{
  return amount > reserve ? amount - reserve : 0;
}

/* 1 and 4: offsets only rise and keep their order; nothing unacknowledged is dropped. */
static void
check_sending (const HyphaSessionStream *s)
{
  gboolean over = s->resetting || s->send_end != HYPHA_END_NONE;

  g_assert_cmpuint (s->acked, <=, s->sent);
  g_assert_cmpuint (s->sent, <=, s->limit);
  g_assert_cmpuint (s->sent, <=, s->written);
  g_assert_cmpuint (s->acked, <=, s->position);
  g_assert_cmpuint (s->position, <=, MAX (s->sent, s->acked));
  g_assert (!s->fin_sent || s->finishing);
  g_assert (!s->reset_sent || s->resetting);
  g_assert (s->send_end != HYPHA_END_FIN || (s->fin_sent && s->acked == s->written));
  g_assert (s->send_end != HYPHA_END_RESET || s->resetting);
  g_assert_cmpuint (s->mark.a, ==, s->acked);
  if (over) {
    g_assert_cmpuint (hypha_queue_length (&s->out), ==, 0);
  } else {
    g_assert_cmpuint (s->out.start, ==, s->acked);
    g_assert_cmpuint (s->out.end, ==, s->written);
  }
  /* Nothing is sent before the answer. */
  g_assert (s->answered || s->written == 0);
}

/* 2 to 4: what is held is what was read less what was taken; never beyond the promise, which is
 * never larger than one stream's window may be. */
static void
check_receiving (HyphaSession *self, const HyphaSessionStream *s)
{
  g_assert_cmpuint (s->read, <=, s->next);
  g_assert_cmpuint (s->next, <=, s->promised);
  g_assert_cmpuint (s->promised - s->read, <=, s->granted);
  g_assert_cmpuint (s->granted, <=, MAX (self->window_bound, s->reserve));
  g_assert_cmpuint (s->next - s->read, ==, s->held);
  g_assert_cmpuint (s->acknowledged, <=, s->next);
  g_assert (s->receive_end != HYPHA_END_FIN || s->final == s->next);
  g_assert (s->receive_end != HYPHA_END_RESET || (s->final >= s->next && s->held == 0));
  g_assert (!s->stopping || s->held == 0);
  g_assert (s->mine || s->answered || s->promised == 0);
}

/* 6: whoever owes something is where it will be sent from. */
static void
check_places (const HyphaSessionStream *s)
{
  gboolean data = s->answered && !s->resetting && s->send_end == HYPHA_END_NONE &&
                  (s->position < MIN (s->written, s->limit) ||
                   (s->finishing && !s->fin_in_epoch && s->position == s->written));

  g_assert (s->in_control.taken == (s->owes != 0));
  g_assert (!data || s->in_active.taken);
  g_assert (!s->in_opens.taken || (s->mine && !s->answered));
  g_assert (s->open_sent || !s->mine || s->in_opens.taken);
  /* 5: one that has ended is only here while something is owed or unread. */
  g_assert (s->send_end == HYPHA_END_NONE || s->receive_end == HYPHA_END_NONE || s->owes != 0 ||
            s->held > 0);
}

/* 5: whose ids they are, in which order, and how many. */
static void
check_ids (HyphaSession *self, GQueue *queue, gboolean mine, gint64 highest)
{
  gint64 last = -1;

  for (GList *l = queue->head; l != NULL; l = l->next) {
    HyphaSessionStream *s = l->data;

    g_assert (hypha_session_id_is_mine (self, s->id) == mine && s->mine == (guint) mine);
    g_assert_cmpint (s->id, >, last);
    g_assert_true (hypha_session_find (self, s->id) == s);
    g_assert (!s->ended);
    last = s->id;
  }
  g_assert_cmpint (last, <=, highest);
  g_assert_cmpuint (g_queue_get_length (queue), <=, self->streams_bound);
}

/* What carries a link has nothing to say over one that is carried. */
static void
check_grounded (HyphaSession *self)
{
  GHashTableIter iter;
  HyphaSessionStream *s;

  g_hash_table_iter_init (&iter, self->streams);
  while (self->chosen->relayed && g_hash_table_iter_next (&iter, NULL, (gpointer *) &s))
    g_assert (!s->carries || s->ended || s->resetting || s->send_end != HYPHA_END_NONE);
}

static void
check_links (HyphaSession *self)
{
  g_assert_cmpuint (self->links->len, ==, self->candidates->len);
  for (guint i = 0; i < self->links->len; i++) {
    HyphaSessionLink *link = g_ptr_array_index (self->links, i);

    g_assert (!link->done && !link->owes_close);
    g_assert (g_array_index (self->candidates, HyphaCandidate, i).usable == link->up);
    g_assert (link->resume_sent || link->owes_resume);
  }
  if (self->chosen != NULL) {
    g_assert (g_ptr_array_find (self->links, self->chosen, NULL));
    g_assert (self->chosen->up);
    check_grounded (self);
  }
  g_assert (self->wanted == NULL ||
            (self->wanted != self->chosen && g_ptr_array_find (self->links, self->wanted, NULL)));
}

/* What was said is told in order, and ends with what is being said now. */
static void
check_epochs (HyphaSession *self)
{
  guint64 last = 0;

  for (guint i = 0; i < self->said->len; i++) {
    const HyphaEpochEntry *said = &g_array_index (self->said, HyphaEpochEntry, i);

    g_assert_cmpuint (said->number, >, last);
    last = said->number;
  }
  g_assert_cmpuint (last, <=, self->epoch);
  g_assert_cmpuint (self->said->len, <=, HYPHA_EPOCH_MAX_ENTRIES);
  if (self->chosen != NULL && !self->chosen->owes_epoch) {
    g_assert_cmpuint (last, ==, self->epoch);
    g_assert_cmpuint (g_array_index (self->said, HyphaEpochEntry, self->said->len - 1).link, ==,
                      self->chosen->fingerprint);
  }
}

/**
 * hypha_session_check: (skip)
 * @self: a session
 *
 * Asserts the invariants of the design, for tests.
 */
void
hypha_session_check (HyphaSession *self)
{
  guint64 promised = 0, lent = 0, out_lent = 0;
  gsize held = 0, unacknowledged = 0;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    HyphaSessionStream *s = value;
    guint64 promise = s->receive_end != HYPHA_END_NONE ? s->held : s->promised - s->read;

    check_sending (s);
    check_receiving (self, s);
    check_places (s);
    g_assert_cmpuint (s->lent, ==, above (promise, s->reserve));
    g_assert_cmpuint (s->outside ? 0 : s->held, ==, hypha_queue_length (&s->in));
    g_assert_cmpuint (s->unacknowledged, ==, hypha_queue_length (&s->out));
    promised += promise;
    lent += s->lent;
    out_lent += s->out_lent;
    held += s->held;
    unacknowledged += s->unacknowledged;
  }
  g_assert_cmpuint (lent, ==, self->lent);
  g_assert_cmpuint (out_lent, ==, self->out_lent);
  g_assert_cmpuint (held, ==, self->held);
  g_assert_cmpuint (unacknowledged, ==, self->unacknowledged);
  g_assert_cmpuint (promised, <=, self->promise_bound);
  g_assert_cmpuint (unacknowledged, <=, self->promise_bound);

  check_ids (self, &self->mine, TRUE, self->opened);
  check_ids (self, &self->theirs, FALSE, self->seen);
  g_assert_cmpuint (g_queue_get_length (&self->mine) + g_queue_get_length (&self->theirs), ==,
                    g_hash_table_size (self->streams));
  g_assert_cmpuint (g_hash_table_size (self->streams), <=, HYPHA_RESUME_MAX_ENTRIES);
  g_assert_cmpuint (g_queue_get_length (&self->refusals), <=, HYPHA_SESSION_REFUSALS_MAX);
  g_assert_cmpuint (g_queue_get_length (&self->refusals), ==, g_hash_table_size (self->refused));
  g_assert_cmpint (self->known, <=, self->opened);
  check_links (self);
  check_epochs (self);
}

/* Every call with up to 64 streams, then ever more rarely: what it costs a call stays the same. */
void
hypha_session_check_in_turn (HyphaSession *self)
{
  if (++self->unchecked * 64 < g_hash_table_size (self->streams))
    return;
  self->unchecked = 0;
  hypha_session_check (self);
}
