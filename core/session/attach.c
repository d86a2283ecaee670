/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* How far above our own counter an accusation may lift it at once: no peer can use it up. */
#define LEAP_MAX (G_GUINT64_CONSTANT (1) << 32)

/* The next number of this node's sessions: never the same twice, from whatever thread. */
guint64
hypha_session_draw_number (HyphaSession *self)
{
  return atomic_fetch_add (&self->numbers->last, 1) + 1;
}

static gboolean
lift_numbers (HyphaSession *self, guint64 above)
{
  guint64 last = atomic_load (&self->numbers->last);

  while (last < above) {
    if (above - last > LEAP_MAX)
      return FALSE;
    if (atomic_compare_exchange_weak (&self->numbers->last, &last, above))
      break;
  }
  return TRUE;
}

guint
hypha_session_link_index (HyphaSession *self, HyphaSessionLink *link)
{
  guint index = HYPHA_CHOICE_NONE;

  if (link == NULL || !g_ptr_array_find (self->links, link, &index))
    return HYPHA_CHOICE_NONE;
  return index;
}

static void
take_out (HyphaSession *self, HyphaSessionLink *link)
{
  guint index = hypha_session_link_index (self, link);

  g_assert (index != HYPHA_CHOICE_NONE);
  g_array_remove_index (self->candidates, index);
  g_ptr_array_steal_index (self->links, index);
  if (self->chosen == link)
    self->chosen = NULL;
  if (self->wanted == link)
    self->wanted = NULL;
  if (self->links->len == 0)
    self->offline_since = self->now;
}

/* The session leaves LINK: its owner is told by LINK_DONE, at once or when the CLOSE has gone. */
void
hypha_session_retire_link (HyphaSession *self, HyphaSessionLink *link, gboolean say_close,
                           HyphaAway away)
{
  take_out (self, link);
  link->done = TRUE;
  link->away = away;
  link->owes_resume = link->owes_ask = link->owes_epoch = link->owes_taken = FALSE;
  link->owes_close = say_close;
  g_ptr_array_add (self->leaving, link);
  if (!say_close)
    hypha_session_event_link (self, HYPHA_SESSION_LINK_DONE, link, away);
}

/**
 * hypha_session_offer: (skip)
 * @self: a session
 * @nonce_tick: the tick of the nonce clock to which our nonce of this handshake belongs
 * @offer: (out caller-allocates): our numbers, to be sent and then given to hypha_session_attach()
 */
void
hypha_session_offer (HyphaSession *self, guint64 nonce_tick, HyphaSessionOffer *offer)
{
  *offer = (HyphaSessionOffer){
    .nonce_tick = nonce_tick,
    .session_number = self->number,
    .link_number = ++self->link_number,
  };
}

/* The peer draws a number for one link only, and two lives of one instance may draw the same. */
static gboolean
number_is_taken (HyphaSession *self, guint64 number)
{
  for (guint i = 0; i < self->links->len; i++)
    if (((HyphaSessionLink *) g_ptr_array_index (self->links, i))->number == number)
      return TRUE;
  return FALSE;
}

static HyphaSessionLink *
add_link (HyphaSession *self, const HyphaSessionOffer *offer, guint64 number, guint64 fingerprint,
          guint32 cost, gpointer data)
{
  HyphaSessionLink *link = g_new0 (HyphaSessionLink, 1);
  HyphaCandidate candidate = { .cost = cost };

  link->data = data;
  link->tick = offer->nonce_tick;
  link->number = number;
  link->fingerprint = fingerprint;
  link->owes_taken = link->owes_resume = TRUE;
  link->last_data = -1;
  g_ptr_array_add (self->links, link);
  g_array_append_val (self->candidates, candidate);
  return link;
}

/**
 * hypha_session_attach: (skip)
 * @self: a session
 * @offer: what hypha_session_offer() gave for this handshake
 * @peer_session: the peer's session number, of AUTH or ACCEPT
 * @peer_link: the peer's link number
 * @fingerprint: of the handshake: the same at both ends, and no other link has it
 * @cost: the link's cost now
 * @now: the time, in microseconds
 * @link_data: the owner's name for the link
 * @link: (out) (transfer none): the link, if it was taken
 * @highest: (out): what to name in REJECT, if the peer was found rolled back
 *
 * Judges the numbers of an authenticated channel and, if they are good, makes it a link of this
 * session. It carries TAKEN and RESUME alone until the peer's was checked.
 *
 * Returns: what to do
 */
HyphaAttach
hypha_session_attach (HyphaSession *self, const HyphaSessionOffer *offer, guint64 peer_session,
                      guint64 peer_link, guint64 fingerprint, guint32 cost, gint64 now,
                      gpointer link_data, HyphaSessionLink **link, guint64 *highest)
{
  guint64 session_then, link_then;

  self->now = now;
  *link = NULL;
  *highest = self->peer_number;
  if (peer_session == 0)
    return HYPHA_ATTACH_STALE;
  hypha_watermark_at (&self->peer, offer->nonce_tick, &session_then, &link_then);
  if (peer_session < session_then || (peer_session == session_then && peer_link <= link_then) ||
      (peer_session == self->peer_number && number_is_taken (self, peer_link)))
    return HYPHA_ATTACH_ROLLED_BACK;
  if (peer_session < self->peer_number || offer->session_number != self->number)
    return HYPHA_ATTACH_STALE;

  if (peer_session > self->peer_number) {
    /* What was opened since our last number was drawn is unknown to any peer: it may stay. */
    if (self->paired)
      hypha_session_empty (self, HYPHA_ERROR_RESTARTED,
                           _ ("the peer lost the session: it started anew, or had ended it"), FALSE,
                           HYPHA_AWAY_DISCONNECTED);
    self->peer_number = peer_session;
    /* The link numbers of another session say nothing about those of this one. */
    hypha_watermark_clear (&self->peer);
    hypha_session_forget_epochs (self);
  }
  hypha_watermark_raise (&self->peer, peer_session, peer_link, hypha_session_ticks (self));
  self->paired = TRUE;
  *link = add_link (self, offer, peer_link, fingerprint, cost, link_data);
  HYPHA_SESSION_CHECK (self);
  return HYPHA_ATTACH_DONE;
}

/**
 * hypha_session_accused: (skip)
 * @self: a session
 * @highest: the number in the peer's REJECT rolled-back
 * @now: the time, in microseconds
 *
 * The peer knows a higher number of ours than the one we offered: this node's memory is older than
 * the peer's. The session goes on above that number, empty if it was concerned.
 */
void
hypha_session_accused (HyphaSession *self, guint64 highest, gint64 now)
{
  gboolean lifted;

  self->now = now;
  lifted = lift_numbers (self, highest);
  if (!lifted)
    hypha_session_over (self, HYPHA_ERROR_PROTOCOL,
                        _ ("the peer claims a session number that this node cannot have drawn"),
                        TRUE, HYPHA_AWAY_PROTOCOL);
  else if (self->number <= highest)
    hypha_session_over (
        self, HYPHA_ERROR_ROLLED_BACK,
        _ ("the peer knows a later session of this node, whose state went backwards"), TRUE,
        HYPHA_AWAY_ROLLED_BACK);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_peer_rolled_back: (skip)
 * @self: a session
 * @now: the time, in microseconds
 *
 * To be called by the initiator of a handshake when hypha_session_attach() found the responder
 * rolled back. ACCEPT was the last message, so the responder cannot be told by REJECT, and where
 * only one side dials it would never learn of it. Our own number changes instead: with it, whatever
 * number the peer has makes a new pair, and the peer finds a higher one and starts empty.
 */
void
hypha_session_peer_rolled_back (HyphaSession *self, gint64 now)
{
  self->now = now;
  hypha_session_over (
      self, HYPHA_ERROR_ROLLED_BACK,
      _ ("the peer offers numbers below those it had before: its state went backwards"), FALSE,
      HYPHA_AWAY_ROLLED_BACK);
  self->peer_number = 0;
  hypha_watermark_clear (&self->peer);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_detach: (skip)
 * @self: a session
 * @link: (transfer full): one of its links
 * @now: the time, in microseconds
 *
 * The link is gone. No event speaks of it any more, but SWITCHED may name its data as where the
 * sending came from.
 */
void
hypha_session_detach (HyphaSession *self, HyphaSessionLink *link, gint64 now)
{
  gboolean lost = self->chosen == link;

  self->now = now;
  if (link->done) {
    hypha_session_forget_link_events (self, link);
    if (self->left == link)
      self->left = NULL;
    g_ptr_array_remove_fast (self->leaving, link);
    return;
  }
  if (lost)
    hypha_choice_failed (&self->choice, now);
  take_out (self, link);
  hypha_session_choose (self, lost ? link : NULL);
  hypha_session_forget_link_events (self, link);
  g_free (link);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_link_update: (skip)
 * @self: a session
 * @link: one of its links
 * @cost: what it costs now
 * @suspect: whether it does not answer in time
 * @now: the time, in microseconds
 */
void
hypha_session_link_update (HyphaSession *self, HyphaSessionLink *link, guint32 cost,
                           gboolean suspect, gint64 now)
{
  HyphaCandidate *candidate;

  self->now = now;
  if (link->done)
    return;
  candidate =
      &g_array_index (self->candidates, HyphaCandidate, hypha_session_link_index (self, link));
  if (link == self->chosen && suspect && !candidate->suspect)
    hypha_choice_failed (&self->choice, now);
  candidate->cost = cost;
  candidate->suspect = suspect;
  hypha_session_choose (self, NULL);
  HYPHA_SESSION_CHECK (self);
}

gpointer
hypha_session_link_get_data (HyphaSessionLink *link)
{
  return link->data;
}

void
hypha_session_link_set_relayed (HyphaSessionLink *link)
{
  g_return_if_fail (!link->up);

  link->relayed = TRUE;
}

gboolean
hypha_session_link_is_up (HyphaSessionLink *link)
{
  return link->up && !link->done;
}
