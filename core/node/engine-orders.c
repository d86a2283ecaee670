/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the main thread asks for: each order is a closure that the worker carries out. */

#include "node/engine-private.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "io/hard-close.h"

typedef struct _Order Order;
typedef void (*StreamOrder) (Order *order, EngineStream *st);

struct _Order {
  HyphaEngine *engine;
  HyphaNodeLink *link;
  HyphaStreamInfo *stream;
  StreamOrder of_stream; /* what to do with STREAM */
  int fd;
  gboolean target;
  HyphaPipe *pipe; /* in place of FD */
  guint code;      /* HyphaCode, HyphaError or a cost */
  HyphaAway away;
  char *text;
  HyphaSessionLimits limits;
  gint64 ping_interval, link_timeout;
};

/* Nobody came to its other end. */
static void
let_go_of_pipe (HyphaPipe *pipe)
{
  g_autoptr (GError) error =
      g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the stream has ended"));

  hypha_pipe_abandon (pipe, error);
  hypha_pipe_unref (pipe);
}

static void
order_free (Order *order)
{
  g_clear_object (&order->link);
  g_clear_pointer (&order->stream, hypha_stream_info_unref);
  if (order->fd >= 0 && order->target)
    hypha_hard_close (order->fd);
  else if (order->fd >= 0)
    close (order->fd);
  g_clear_pointer (&order->pipe, let_go_of_pipe);
  g_free (order->text);
  g_free (order);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Order, order_free)

static Order *
order_new (HyphaEngine *engine, HyphaNodeLink *link, HyphaStreamInfo *stream)
{
  Order *order = g_new0 (Order, 1);

  order->engine = engine;
  order->link = link != NULL ? g_object_ref (link) : NULL;
  order->stream = stream != NULL ? hypha_stream_info_ref (stream) : NULL;
  order->fd = -1;
  return order;
}

static void
give (Order *order, HyphaWorkFunc func)
{
  hypha_worker_post (order->engine->parameters.worker, func, order);
}

/* An order that somebody waits for: where the worker sleeps, it need not wake up for that. */
static void
carry_out (Order *order, HyphaWorkFunc func)
{
  hypha_worker_do (order->engine->parameters.worker, func, order);
}

static EngineLink *
find_link (HyphaEngine *self, HyphaNodeLink *mirror)
{
  for (guint i = 0; i < self->links->len; i++) {
    EngineLink *el = self->links->pdata[i];

    if (el->mirror == mirror)
      return el;
  }
  return NULL;
}

static void
adopt (gpointer data)
{
  g_autoptr (Order) order = data;

  hypha_engine_link_begin (order->engine, g_steal_pointer (&order->link), order->text);
}

void
hypha_engine_adopt (HyphaEngine *self, HyphaNodeLink *link, const char *name)
{
  Order *order = order_new (self, link, NULL);

  order->text = g_strdup (name);
  give (order, adopt);
}

static void
close_link (gpointer data)
{
  g_autoptr (Order) order = data;
  EngineLink *el = find_link (order->engine, order->link);

  if (el != NULL)
    hypha_link_close (el->link, order->away, order->code, order->text);
}

void
hypha_engine_close_link (HyphaEngine *self, HyphaNodeLink *link, HyphaAway away, HyphaError code,
                         const char *reason)
{
  Order *order = order_new (self, link, NULL);

  order->away = away;
  order->code = code;
  order->text = g_strdup (reason);
  give (order, close_link);
}

static void
set_cost (gpointer data)
{
  g_autoptr (Order) order = data;
  EngineLink *el = find_link (order->engine, order->link);

  if (el != NULL)
    hypha_link_set_static_cost (el->link, order->code);
}

void
hypha_engine_set_cost (HyphaEngine *self, HyphaNodeLink *link, guint32 static_cost)
{
  Order *order = order_new (self, link, NULL);

  order->code = static_cost;
  give (order, set_cost);
}

static void
set_limits (gpointer data)
{
  g_autoptr (Order) order = data;
  HyphaEngine *self = order->engine;

  self->parameters.limits = order->limits;
  for (guint i = 0; i < self->sessions->len; i++)
    hypha_session_set_limits (((EngineSession *) self->sessions->pdata[i])->session,
                              &order->limits);
  for (guint i = 0; i < self->links->len; i++)
    hypha_link_configure (((EngineLink *) self->links->pdata[i])->link, order->ping_interval,
                          order->link_timeout);
  hypha_engine_work (self);
}

void
hypha_engine_set_limits (HyphaEngine *self, const HyphaSessionLimits *limits, gint64 ping_interval,
                         gint64 link_timeout)
{
  Order *order = order_new (self, NULL, NULL);

  order->limits = *limits;
  order->ping_interval = ping_interval;
  order->link_timeout = link_timeout;
  give (order, set_limits);
}

/* The peer is told that the sessions are over, so that its streams need not wait for a timeout. */
static void
drop_all (Order *order)
{
  HyphaEngine *self = order->engine;
  gint64 now = hypha_engine_now (self);

  for (guint i = 0; i < self->sessions->len; i++)
    hypha_session_drop (((EngineSession *) self->sessions->pdata[i])->session, order->away,
                        order->code, order->text, now);
  hypha_engine_work (self);
  while (self->links->len > 0) {
    EngineLink *el = self->links->pdata[self->links->len - 1];

    hypha_link_close (el->link, order->away, order->code, order->text);
  }
}

static void
drop (gpointer data)
{
  g_autoptr (Order) order = data;

  drop_all (order);
}

void
hypha_engine_drop (HyphaEngine *self, HyphaError error, const char *reason)
{
  Order *order = order_new (self, NULL, NULL);

  order->away = HYPHA_AWAY_DISCONNECTED;
  order->code = error;
  order->text = g_strdup (reason);
  give (order, drop);
}

static void
refuse_open (HyphaEngine *self, HyphaStreamInfo *info, GError *error)
{
  HyphaNews news = { .type = HYPHA_NEWS_STREAM_ENDED,
                     .stream = hypha_stream_info_ref (info),
                     .error = error };

  hypha_engine_tell (self, &news);
}

/* The stream takes whichever end of the program there is. */
static void
attach (Order *order, EngineStream *st)
{
  g_autoptr (HyphaPipe) pipe = g_steal_pointer (&order->pipe);

  if (pipe != NULL)
    hypha_engine_stream_attach_pipe (st, pipe);
  else if (order->fd >= 0) /* a direct one has none */
    hypha_engine_stream_attach_fd (st, g_steal_fd (&order->fd), order->target);
  hypha_engine_stream_catch_up (st);
}

static void
open_stream (gpointer data)
{
  g_autoptr (Order) order = data;
  HyphaEngine *self = order->engine;
  EngineSession *es = hypha_engine_current_session (self);
  g_autoptr (GError) error = NULL;
  HyphaSessionStream *stream;
  EngineStream *st;

  if (es == NULL) {
    refuse_open (self, order->stream,
                 g_error_new_literal (
                     HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                     _ ("there is no link to the peer: hyphactl connect ENDPOINT makes one")));
    return;
  }
  if (order->stream->carries && !hypha_session_is_grounded (es->session)) {
    refuse_open (self, order->stream,
                 g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                                      _ ("there is no link to the peer that does not itself go "
                                         "through another node")));
    return;
  }
  stream = hypha_session_open_direct (es->session, order->stream->service,
                                      order->stream->direct ? order->stream->ticket : NULL, &error);
  if (stream == NULL) {
    refuse_open (self, order->stream, g_steal_pointer (&error));
    return;
  }
  st = hypha_engine_stream_new (self, es, stream, order->stream);
  if (order->stream->carries)
    hypha_session_stream_carry (es->session, stream);
  attach (order, st);
  hypha_engine_work (self);
}

void
hypha_engine_open (HyphaEngine *self, HyphaStreamInfo *stream, int fd, gboolean target,
                   HyphaPipe *pipe)
{
  Order *order = order_new (self, NULL, stream);

  order->pipe = pipe != NULL ? hypha_pipe_ref (pipe) : NULL;
  order->fd = fd;
  order->target = target;
  carry_out (order, open_stream);
}

/* --- What is about one stream --- */

static void
find_stream (gpointer data)
{
  g_autoptr (Order) order = data;
  EngineStream *st = g_hash_table_lookup (order->engine->streams, &order->stream->key);

  if (st == NULL)
    return; /* it ended meanwhile, and has been told of */
  order->of_stream (order, st);
  hypha_engine_work (order->engine);
}

static Order *
stream_order_new (HyphaEngine *self, HyphaStreamInfo *stream, StreamOrder func)
{
  Order *order = order_new (self, NULL, stream);

  order->of_stream = func;
  return order;
}

static void
accept_stream (Order *order, EngineStream *st)
{
  hypha_session_accept (st->es->session, st->stream);
  if (st->info->carries && !hypha_session_stream_carry (st->es->session, st->stream))
    hypha_engine_stream_reset (st);
  attach (order, st);
}

void
hypha_engine_accept (HyphaEngine *self, HyphaStreamInfo *stream, int fd, gboolean target,
                     HyphaPipe *pipe)
{
  Order *order = stream_order_new (self, stream, accept_stream);

  order->pipe = pipe != NULL ? hypha_pipe_ref (pipe) : NULL;
  order->fd = fd;
  order->target = target;
  carry_out (order, find_stream);
}

static void
refuse_stream (Order *order, EngineStream *st)
{
  hypha_session_refuse (st->es->session, st->stream, order->code);
}

void
hypha_engine_refuse (HyphaEngine *self, HyphaStreamInfo *stream, HyphaCode code)
{
  Order *order = stream_order_new (self, stream, refuse_stream);

  order->code = code;
  carry_out (order, find_stream);
}

static void
take_direct (Order *order, EngineStream *st)
{
  hypha_session_accept (st->es->session, st->stream);
}

void
hypha_engine_take_direct (HyphaEngine *self, HyphaStreamInfo *stream)
{
  carry_out (stream_order_new (self, stream, take_direct), find_stream);
}

static void
answer_direct (Order *order, EngineStream *st)
{
  hypha_engine_direct_answer (st, order->code);
}

void
hypha_engine_answer_direct (HyphaEngine *self, HyphaStreamInfo *stream, HyphaCode code)
{
  Order *order = stream_order_new (self, stream, answer_direct);

  order->code = code;
  carry_out (order, find_stream);
}

static void
finish_direct (Order *order, EngineStream *st)
{
  hypha_session_stream_finish (st->es->session, st->stream);
}

void
hypha_engine_finish_direct (HyphaEngine *self, HyphaStreamInfo *stream)
{
  give (stream_order_new (self, stream, finish_direct), find_stream);
}

static void
reset_stream (Order *order, EngineStream *st)
{
  hypha_engine_stream_reset (st);
}

void
hypha_engine_reset (HyphaEngine *self, HyphaStreamInfo *stream)
{
  give (stream_order_new (self, stream, reset_stream), find_stream);
}

/* --- The end --- */

static void
end_streams (HyphaEngine *self, HyphaError code, const char *reason)
{
  g_autoptr (GList) left = g_hash_table_get_values (self->streams);

  for (GList *l = left; l != NULL; l = l->next)
    hypha_engine_stream_ended (l->data, g_error_new_literal (HYPHA_ERROR, code, reason));
}

static void
stop (gpointer data)
{
  g_autoptr (Order) order = data;
  HyphaEngine *self = order->engine;
  HyphaNews news = { .type = HYPHA_NEWS_GONE };

  drop_all (order);
  self->stopping = TRUE;
  end_streams (self, order->code, order->text);
  hypha_timer_cancel (&self->timer);
  hypha_engine_tell_at_last (self, &news); /* after that of the links */
  g_ptr_array_unref (self->sessions);
  g_ptr_array_unref (self->links);
  g_ptr_array_unref (self->buried);
  g_hash_table_unref (self->streams);
  g_free (self);
}

void
hypha_engine_stop (HyphaEngine *self, HyphaAway away, HyphaError code, const char *reason)
{
  Order *order = order_new (self, NULL, NULL);

  order->away = away;
  order->code = code;
  order->text = g_strdup (reason);
  give (order, stop);
}
