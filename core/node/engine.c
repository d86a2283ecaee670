/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/engine-private.h"

#include <glib/gi18n-lib.h>

/* ---- what both threads share ---- */

HyphaStreamInfo *
hypha_stream_info_new (guint64 key, gboolean mine, const char *service, const guint8 *ticket)
{
  HyphaStreamInfo *self = g_new0 (HyphaStreamInfo, 1);

  atomic_init (&self->ref_count, 1);
  self->key = key;
  self->mine = mine;
  self->service = g_strdup (service);
  self->direct = ticket != NULL;
  if (ticket != NULL)
    memcpy (self->ticket, ticket, HYPHA_TICKET_BYTES);
  return self;
}

HyphaStreamInfo *
hypha_stream_info_ref (HyphaStreamInfo *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

void
hypha_stream_info_unref (HyphaStreamInfo *self)
{
  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_free (self->service);
  g_free (self->greeting);
  g_free (self);
}

/* ---- news, to the main thread ---- */

typedef struct {
  HyphaNews news;
  HyphaMailbox *mailbox;
  HyphaNewsFunc func;
  gpointer user_data;
} Letter;

static void
read_letter (gpointer data)
{
  Letter *letter = data;

  letter->func (&letter->news, letter->user_data);
  g_clear_object (&letter->news.link);
  g_clear_object (&letter->news.from);
  g_clear_pointer (&letter->news.stream, hypha_stream_info_unref);
  g_clear_error (&letter->news.error);
  g_free (letter->news.text);
  g_free (letter);
}

static void
send_letter (gpointer data)
{
  Letter *letter = data;

  hypha_mailbox_post (letter->mailbox, read_letter, letter);
}

static Letter *
letter_new (HyphaEngine *self, const HyphaNews *news)
{
  Letter *letter = g_new0 (Letter, 1);

  letter->news = *news;
  letter->mailbox = self->parameters.mailbox;
  letter->func = self->parameters.func;
  letter->user_data = self->parameters.user_data;
  return letter;
}

void
hypha_engine_tell (HyphaEngine *self, const HyphaNews *news)
{
  send_letter (letter_new (self, news));
}

void
hypha_engine_tell_at_last (HyphaEngine *self, const HyphaNews *news)
{
  hypha_worker_post (self->parameters.worker, send_letter, letter_new (self, news));
}

gint64
hypha_engine_now (HyphaEngine *self)
{
  return hypha_worker_now (self->parameters.worker);
}

/* ---- sessions ---- */

static EngineSession *
find_session (HyphaEngine *self, const HyphaInstance *instance)
{
  for (guint i = 0; i < self->sessions->len; i++) {
    EngineSession *es = self->sessions->pdata[i];

    if (memcmp (es->instance.bytes, instance->bytes, HYPHA_INSTANCE_BYTES) == 0)
      return es;
  }
  return NULL;
}

EngineSession *
hypha_engine_session_for (HyphaEngine *self, const HyphaInstance *instance)
{
  const HyphaEngineParameters *p = &self->parameters;
  EngineSession *es = find_session (self, instance);

  if (es != NULL || self->sessions->len >= HYPHA_ENGINE_MAX_SESSIONS)
    return es;

  es = g_new0 (EngineSession, 1);
  es->engine = self;
  es->instance = *instance;
  es->session = hypha_session_new (p->lower_id, p->numbers, p->clock, &p->limits,
                                   hypha_engine_now (self), hypha_engine_stream_deliver, es);
  g_ptr_array_add (self->sessions, es);
  return es;
}

static void
session_free (gpointer data)
{
  EngineSession *es = data;

  hypha_session_free (es->session);
  g_clear_error (&es->over);
  g_free (es);
}

static gboolean
answers (HyphaEngine *self, EngineSession *es)
{
  for (guint i = 0; i < self->links->len; i++) {
    EngineLink *el = self->links->pdata[i];

    if (el->es == es && el->established &&
        !atomic_load (&hypha_link_get_status (el->link)->suspect))
      return TRUE;
  }
  return FALSE;
}

static gboolean
has_links (HyphaEngine *self, EngineSession *es)
{
  for (guint i = 0; i < self->links->len; i++)
    if (((EngineLink *) self->links->pdata[i])->es == es)
      return TRUE;
  return FALSE;
}

/* The life of the peer that streams are opened to: the one that came up last, unless it is gone and
 * another one (of a clone, or of what was cloned) is still there. */
EngineSession *
hypha_engine_current_session (HyphaEngine *self)
{
  EngineSession *last = NULL, *other = NULL;

  for (guint i = 0; i < self->sessions->len; i++) {
    EngineSession *es = self->sessions->pdata[i];

    if (es->lived && !es->superseded)
      last = es;
    else if (es->lived && answers (self, es))
      other = es;
  }
  return other != NULL && (last == NULL || !has_links (self, last)) ? other : last;
}

/* Whichever life of the peer has shown last that it holds the session's state is the living one, as
 * far as can be told. What is only on its way (an AUTH of a life that has ended, say) shows
 * nothing. */
static void
came_up (EngineSession *es)
{
  HyphaEngine *self = es->engine;

  es->lived = TRUE;
  for (guint i = 0; i < self->sessions->len; i++) {
    EngineSession *other = self->sessions->pdata[i];

    other->superseded = other != es;
  }
}

/* An earlier life of the peer whose links have fallen silent is over: it has restarted. */
static void
end_superseded (HyphaEngine *self)
{
  for (guint i = 0; i < self->sessions->len; i++) {
    EngineSession *es = self->sessions->pdata[i];

    if (es->superseded && !answers (self, es) && hypha_session_n_streams (es->session) > 0) {
      hypha_session_drop (es->session, HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_RESTARTED,
                          _ ("the peer has started anew"), hypha_engine_now (self));
      self->again = TRUE;
    } else if ((es->superseded || !es->lived) && !has_links (self, es) &&
               hypha_session_n_streams (es->session) == 0) {
      g_ptr_array_remove_index (self->sessions, i--);
    }
  }
}

/* ---- events of a session ---- */

static void
incoming (EngineSession *es, HyphaSessionStream *stream)
{
  HyphaEngine *self = es->engine;
  g_autoptr (HyphaStreamInfo) info = NULL;
  HyphaNews news = { .type = HYPHA_NEWS_STREAM_INCOMING };

  /* A peer that ends its streams as fast as it opens them keeps to its number of streams, but not
   * to that of letters which lie in the mailbox of a main thread that is busy. */
  if (atomic_load (self->parameters.unheard) >= self->parameters.limits.streams) {
    hypha_session_refuse (es->session, stream, HYPHA_CODE_BUSY);
    return;
  }
  atomic_fetch_add (self->parameters.unheard, 1);
  *self->parameters.last_key += 2;
  info = hypha_stream_info_new (*self->parameters.last_key, FALSE,
                                hypha_session_stream_get_service (stream),
                                hypha_session_stream_get_ticket (stream));
  hypha_engine_stream_new (self, es, stream, info);
  news.stream = hypha_stream_info_ref (info);
  hypha_engine_tell (self, &news);
}

static GError *
end_of_stream (const HyphaSessionEvent *event)
{
  if (event->error < 0)
    return NULL;
  return g_error_new_literal (HYPHA_ERROR, event->error,
                              event->text != NULL ? event->text : _ ("the stream was ended"));
}

static void
on_link_event (HyphaEngine *self, EngineSession *es, const HyphaSessionEvent *event)
{
  EngineLink *el = event->link_data;
  HyphaNews news = { 0 };

  if (event->type == HYPHA_SESSION_CONFIRMED) {
    hypha_link_confirmed (el->link, event->all);
    return;
  }
  if (event->type == HYPHA_SESSION_LINK_DONE) {
    el->slink = NULL;
    hypha_link_close (el->link, event->away, es->over != NULL ? es->over->code : HYPHA_ERROR_FAILED,
                      es->over != NULL ? es->over->message : _ ("the session ended"));
    return;
  }
  if (event->type == HYPHA_SESSION_SWITCHED) {
    news.type = HYPHA_NEWS_SWITCHED;
    if (event->from_data != NULL)
      news.from = g_object_ref (((EngineLink *) event->from_data)->mirror);
  } else {
    news.type = HYPHA_NEWS_LINK_UP;
    came_up (el->es);
  }
  news.link = el != NULL ? g_object_ref (el->mirror) : NULL;
  news.text = g_strdup (event->text);
  hypha_engine_tell (self, &news);
}

static void
on_stream_event (HyphaEngine *self, EngineSession *es, const HyphaSessionEvent *event)
{
  EngineStream *st = hypha_session_stream_get_data (event->stream);
  HyphaNews news = { .type = HYPHA_NEWS_STREAM_ACCEPTED };

  if (event->type == HYPHA_SESSION_OPENED) {
    incoming (es, event->stream);
    return;
  }
  if (st == NULL || (st->info->direct && hypha_engine_direct_event (st, event->type)))
    return;
  switch (event->type) {
  case HYPHA_SESSION_ACCEPTED:
    news.stream = hypha_stream_info_ref (st->info);
    hypha_engine_tell (self, &news);
    hypha_engine_stream_greet (st);
    hypha_engine_stream_update (st);
    break;
  case HYPHA_SESSION_READABLE:
  case HYPHA_SESSION_FINISHED:
    hypha_engine_stream_push (st);
    hypha_engine_stream_update (st);
    break;
  case HYPHA_SESSION_PEER_RESET:
    hypha_engine_stream_peer_reset (st);
    break;
  case HYPHA_SESSION_WRITABLE:
    hypha_engine_stream_update (st);
    break;
  case HYPHA_SESSION_STOPPED:
    hypha_engine_stream_stopped (st);
    break;
  case HYPHA_SESSION_CUT:
    hypha_engine_stream_reset (st);
    break;
  case HYPHA_SESSION_ENDED:
    hypha_engine_stream_ended (st, end_of_stream (event));
    break;
  default:
    g_assert_not_reached ();
  }
}

/* What a link that the session has left still owes is a CLOSE: in the midst of a transfer as well,
 * when there is no room for more frames. */
static void
say_close (HyphaEngine *self, EngineSession *es)
{
  HyphaFrameOut out = { 0 };

  for (guint i = 0; i < self->links->len; i++) {
    EngineLink *el = self->links->pdata[i];

    if (el->es == es && el->established && el->slink != NULL &&
        !hypha_session_link_is_up (el->slink) &&
        hypha_session_next_frame (es->session, el->slink, hypha_engine_now (self), &out))
      hypha_link_send (el->link, &out);
  }
}

static gboolean
drain_events (HyphaEngine *self, EngineSession *es)
{
  HyphaSessionEvent event;
  gboolean any = FALSE;

  while (hypha_session_next_event (es->session, &event)) {
    any = TRUE;
    switch (event.type) {
    case HYPHA_SESSION_LINK_UP:
    case HYPHA_SESSION_LINK_DONE:
    case HYPHA_SESSION_SWITCHED:
    case HYPHA_SESSION_CONFIRMED:
      on_link_event (self, es, &event);
      break;
    case HYPHA_SESSION_OVER:
      /* Every stream has said so already, its links are yet to. */
      g_clear_error (&es->over);
      es->over = end_of_stream (&event);
      say_close (self, es);
      break;
    default:
      on_stream_event (self, es, &event);
    }
  }
  return any;
}

/* ---- frames to the links ---- */

static void
fill_link (EngineLink *el)
{
  gint64 now = hypha_engine_now (el->engine);
  HyphaFrameOut out = { 0 };
  gboolean any = FALSE;

  while (el->slink != NULL && hypha_link_has_room (el->link) &&
         hypha_session_next_frame (el->es->session, el->slink, now, &out)) {
    hypha_link_send (el->link, &out);
    any = TRUE;
  }
  if (any) {
    hypha_link_flush (el->link);
    el->engine->again = TRUE; /* what was sent last may have ended a stream */
  }
}

static void
tick (HyphaTimer *timer)
{
  HyphaEngine *self = timer->user_data;
  gint64 now = hypha_engine_now (self);

  for (guint i = 0; i < self->sessions->len; i++)
    hypha_session_tick (((EngineSession *) self->sessions->pdata[i])->session, now);
  hypha_engine_work (self);
}

static void
set_timer (HyphaEngine *self)
{
  gint64 next = G_MAXINT64;

  for (guint i = 0; i < self->sessions->len; i++)
    next =
        MIN (next, hypha_session_next_tick (((EngineSession *) self->sessions->pdata[i])->session));
  if (next == G_MAXINT64)
    hypha_timer_cancel (&self->timer);
  else
    hypha_timer_set (&self->timer, self->parameters.worker, next, tick, self);
}

/* Whatever came in: carries events on and frames out until nothing is left to do. Links and
 * sessions may go meanwhile, so nothing is remembered across a step. */
void
hypha_engine_work (HyphaEngine *self)
{
  if (self->stopping)
    return;
  if (self->working) {
    self->again = TRUE;
    return;
  }
  self->working = TRUE;
  do {
    self->again = FALSE;
    for (guint i = 0; i < self->sessions->len; i++)
      if (drain_events (self, self->sessions->pdata[i]))
        self->again = TRUE;
    for (guint i = 0; i < self->links->len; i++) {
      EngineLink *el = self->links->pdata[i];

      if (el->established)
        fill_link (el);
    }
    end_superseded (self);
  } while (self->again);
  g_ptr_array_set_size (self->buried, 0);
  self->working = FALSE;
  set_timer (self);
}

/* ---- life ---- */

HyphaEngine *
hypha_engine_new (const HyphaEngineParameters *parameters)
{
  HyphaEngine *self = g_new0 (HyphaEngine, 1);

  self->parameters = *parameters;
  self->sessions = g_ptr_array_new_with_free_func (session_free);
  self->links = g_ptr_array_new ();
  self->buried = g_ptr_array_new_with_free_func (hypha_engine_link_free);
  self->streams = g_hash_table_new (g_int64_hash, g_int64_equal);
  return self;
}
