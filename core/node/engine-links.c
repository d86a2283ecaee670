/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/engine-private.h"

#include <glib/gi18n-lib.h>

static void
note_relayed (EngineLink *el)
{
  if (el->slink != NULL &&
      hypha_channel_get_flags (hypha_link_get_channel (el->link)) & HYPHA_CHANNEL_RELAYED)
    hypha_session_link_set_relayed (el->slink);
}

static void
link_established (HyphaLink *link, gpointer user_data)
{
  EngineLink *el = user_data;
  const HyphaHandshakeNumbers *theirs = hypha_link_get_peer_numbers (link);
  guint64 highest = 0;
  HyphaAttach verdict = HYPHA_ATTACH_DONE;

  if (hypha_link_is_initiator (link))
    verdict = hypha_session_attach (el->es->session, &el->offer, theirs->session_number,
                                    theirs->link_number, hypha_link_get_fingerprint (link),
                                    atomic_load (&hypha_link_get_status (link)->cost),
                                    hypha_engine_now (el->engine), el, &el->slink, &highest);
  if (verdict == HYPHA_ATTACH_STALE) {
    hypha_link_close (link, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_FAILED,
                      _ ("the session was renewed while the link came up"));
    return;
  }
  if (verdict == HYPHA_ATTACH_ROLLED_BACK) {
    /* The responder is not asked any more: without a new number of ours the two would never meet
     * again. */
    hypha_session_peer_rolled_back (el->es->session, hypha_engine_now (el->engine));
    hypha_link_close (
        link, HYPHA_AWAY_ROLLED_BACK, HYPHA_ERROR_ROLLED_BACK,
        _ ("the peer's state has gone backwards, as after the restoring of a snapshot"));
    return;
  }
  if (hypha_link_is_initiator (link))
    note_relayed (el);
  el->established = TRUE;
  hypha_engine_work (el->engine);
}

static void
link_frame (HyphaLink *link, const HyphaFrame *frame, gpointer user_data)
{
  EngineLink *el = user_data;

  if (el->slink != NULL)
    hypha_session_receive (el->es->session, el->slink, frame, hypha_engine_now (el->engine));
}

static void
link_batch (HyphaLink *link, gpointer user_data)
{
  hypha_engine_work (((EngineLink *) user_data)->engine);
}

static void
link_changed (HyphaLink *link, gpointer user_data)
{
  EngineLink *el = user_data;
  const HyphaLinkStatus *status = hypha_link_get_status (link);
  HyphaNews news = { .type = HYPHA_NEWS_LINK_CHANGED };

  if (el->slink != NULL)
    hypha_session_link_update (el->es->session, el->slink, atomic_load (&status->cost),
                               atomic_load (&status->suspect), hypha_engine_now (el->engine));
  news.link = g_object_ref (el->mirror);
  hypha_engine_tell (el->engine, &news);
  hypha_engine_work (el->engine);
}

void
hypha_engine_link_free (gpointer data)
{
  EngineLink *el = data;

  g_object_unref (el->mirror); /* and with it the link, once the main thread has done with it */
  g_free (el);
}

static void
link_closed (HyphaLink *link, const GError *error, gpointer user_data)
{
  EngineLink *el = user_data;
  HyphaEngine *self = el->engine;
  HyphaNews news = { .type = HYPHA_NEWS_LINK_CLOSED, .error = g_error_copy (error) };
  guint64 highest = 0;
  gint64 now = hypha_engine_now (self);

  g_ptr_array_remove (self->links, el);
  if (el->slink != NULL)
    hypha_session_detach (el->es->session, el->slink, now);
  el->slink = NULL;
  if (el->es != NULL && hypha_link_get_rejected (link, &highest) == HYPHA_REJECT_ROLLED_BACK)
    hypha_session_accused (el->es->session, highest, now);
  news.link = g_object_ref (el->mirror);
  hypha_engine_tell_at_last (self, &news); /* LINK is still on this thread's stack */
  g_ptr_array_add (self->buried, el);
  hypha_engine_work (self);
}

static const HyphaLinkEvents link_events = {
  .established = link_established,
  .frame = link_frame,
  .batch = link_batch,
  .writable = link_batch,
  .changed = link_changed,
  .closed = link_closed,
};

static void
introduce (EngineLink *el, const char *name)
{
  HyphaEngine *self = el->engine;
  HyphaWorker *worker = self->parameters.worker;
  const HyphaHandshakeNumbers *theirs = hypha_link_get_peer_numbers (el->link);
  HyphaHandshakeNumbers mine = { .static_cost = hypha_link_get_static_cost (el->link) };
  HyphaAttach verdict = HYPHA_ATTACH_DONE;
  guint64 highest = 0;

  if (el->es == NULL) {
    hypha_link_reject (el->link, worker, HYPHA_REJECT_BUSY, 0);
    return;
  }
  hypha_session_offer (el->es->session, hypha_link_get_nonce_tick (el->link), &el->offer);
  if (!hypha_link_is_initiator (el->link))
    verdict = hypha_session_attach (el->es->session, &el->offer, theirs->session_number,
                                    theirs->link_number, hypha_link_get_fingerprint (el->link),
                                    atomic_load (&hypha_link_get_status (el->link)->cost),
                                    hypha_engine_now (self), el, &el->slink, &highest);
  if (verdict != HYPHA_ATTACH_DONE) {
    if (verdict == HYPHA_ATTACH_STALE)
      hypha_link_reject (el->link, worker, HYPHA_REJECT_STALE, 0);
    else
      hypha_link_reject (el->link, worker, HYPHA_REJECT_ROLLED_BACK, highest);
    return;
  }
  note_relayed (el);
  mine.session_number = el->offer.session_number;
  mine.link_number = el->offer.link_number;
  g_strlcpy (mine.name, name, sizeof mine.name);
  hypha_link_proceed (el->link, worker, &mine);
}

void
hypha_engine_link_begin (HyphaEngine *self, HyphaNodeLink *mirror, const char *name)
{
  EngineLink *el = g_new0 (EngineLink, 1);

  el->engine = self;
  el->mirror = mirror;
  el->link = hypha_node_link_get_link (el->mirror);
  el->es = hypha_engine_session_for (self, hypha_link_get_peer_instance (el->link));
  g_ptr_array_add (self->links, el);
  hypha_link_set_events (el->link, &link_events, el);
  introduce (el, name);
  hypha_engine_work (self);
}
