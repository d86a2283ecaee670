/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/json-lane.h"

#include <errno.h>
#include <glib/gi18n-lib.h>

#include "hypha-error.h"
#include "hypha-source.h"

/* What a source calls; turns live as long as their sources. */
typedef struct {
  HyphaJsonLane *lane;
  HyphaJsonTurn *turn;
} Event;

static void
turn_free (HyphaJsonTurn *turn)
{
  hypha_clear_source (&turn->cancelled);
  hypha_clear_source (&turn->timer);
  g_clear_object (&turn->task);
  g_clear_pointer (&turn->bytes, g_bytes_unref);
  g_clear_pointer (&turn->node, json_node_unref);
  g_free (turn);
}

static void
break_lane (HyphaJsonLane *self, const GError *cause)
{
  if (self->broken == NULL)
    self->broken = g_error_copy (cause);
}

/* Takes TURN out and ends it. Whoever is answered may do what he likes to the channel. */
static void
end_turn (HyphaJsonLane *self, HyphaJsonTurn *turn, const GError *error)
{
  if (turn == g_queue_peek_head (&self->turns))
    hypha_clear_source (&self->ready);
  g_queue_remove (&self->turns, turn);
  hypha_clear_source (&turn->cancelled);
  hypha_clear_source (&turn->timer);
  if (turn->task != NULL)
    self->funcs->answer (self->channel, turn, g_steal_pointer (&turn->task), error);
  turn_free (turn);
}

static void run (HyphaJsonLane *self);

/* Its time is over, or somebody has cancelled it. */
static void
give_up (HyphaJsonLane *self, HyphaJsonTurn *turn, const GError *error)
{
  G_GNUC_UNUSED g_autoptr (GObject) alive = g_object_ref (self->channel);
  gboolean is_first = turn == g_queue_peek_head (&self->turns);

  if (turn->is_reply && !is_first) {
    /* Those before it may still have theirs; those behind it would have this one. */
    hypha_clear_source (&turn->cancelled);
    self->funcs->answer (self->channel, turn, g_steal_pointer (&turn->task), error);
    return;
  }
  if (is_first && (turn->is_reply || self->funcs->is_midst (self->channel, turn)))
    break_lane (self, error);
  end_turn (self, turn, error);
  run (self);
}

static gboolean
on_timer (gpointer data)
{
  Event *event = data;
  g_autoptr (GError) error = event->lane->funcs->new_timeout (event->lane->channel, event->turn);

  give_up (event->lane, event->turn, error);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer data)
{
  Event *event = data;
  /* Not asked of CANCELLABLE: who has reset it meanwhile has cancelled it all the same. */
  g_autoptr (GError) error =
      g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, g_strerror (ECANCELED));

  give_up (event->lane, event->turn, error);
  return G_SOURCE_REMOVE;
}

static gboolean
on_ready (GObject *stream, gpointer data)
{
  run (data);
  return G_SOURCE_CONTINUE;
}

/* SOURCE: taken. */
static GSource *
attach (HyphaJsonTurn *turn, GSource *source)
{
  g_source_set_priority (source, g_task_get_priority (turn->task));
  g_source_attach (source, g_task_get_context (turn->task));
  return source;
}

static GSource *
attach_event (HyphaJsonLane *self, HyphaJsonTurn *turn, GSource *source, GSourceFunc callback)
{
  Event *event = g_new (Event, 1);

  *event = (Event){ self, turn };
  g_source_set_callback (source, callback, event, g_free);
  return attach (turn, source);
}

static void
watch_cancellable (HyphaJsonLane *self, HyphaJsonTurn *turn)
{
  GCancellable *cancellable = g_task_get_cancellable (turn->task);

  if (cancellable != NULL)
    turn->cancelled = attach_event (self, turn, g_cancellable_source_new (cancellable),
                                    G_SOURCE_FUNC (on_cancelled));
}

/* Until the stream has something for the turn that is the first. Its time runs from its first
 * wait. */
static void
await_stream (HyphaJsonLane *self, HyphaJsonTurn *turn)
{
  if (self->ready == NULL) {
    self->ready = self->funcs->create_source (self->channel);
    g_source_set_callback (self->ready, G_SOURCE_FUNC (on_ready), self, NULL);
    attach (turn, self->ready);
  }
  if (turn->timer == NULL && self->timeout_ms > 0) {
    turn->timeout_ms = self->timeout_ms;
    turn->timer = attach_event (self, turn, g_timeout_source_new (self->timeout_ms), on_timer);
  }
}

/* Serves one after the other, until one has to wait. */
static void
run (HyphaJsonLane *self)
{
  G_GNUC_UNUSED g_autoptr (GObject) alive = g_object_ref (self->channel);
  HyphaJsonTurn *turn;

  while ((turn = g_queue_peek_head (&self->turns)) != NULL && !turn->held) {
    g_autoptr (GError) error = NULL;

    if (turn->task == NULL) {
      g_autoptr (GError) cause =
          g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                               _ ("somebody waited no longer for the reply to a request"));

      break_lane (self, cause);
    } else if (self->broken != NULL) {
      error = self->funcs->new_closed (self->channel, self->broken);
    } else {
      HyphaJsonStep step = self->funcs->step (self->channel, turn, &error);

      if (step == HYPHA_JSON_STEP_AGAIN) {
        await_stream (self, turn);
        return;
      }
      if (step == HYPHA_JSON_STEP_BROKEN)
        break_lane (self, error);
    }
    end_turn (self, turn, error);
  }
}

/**
 * hypha_json_lane_add:
 * @self: a direction
 * @turn: (transfer full): a message that is to be moved
 *
 * Puts a turn behind the others. It may be over before this returns, unless it is held.
 */
void
hypha_json_lane_add (HyphaJsonLane *self, HyphaJsonTurn *turn)
{
  g_queue_push_tail (&self->turns, turn);
  if (turn->held)
    return;
  watch_cancellable (self, turn);
  if (turn == g_queue_peek_head (&self->turns))
    run (self);
}

/**
 * hypha_json_lane_release:
 * @self: a direction
 * @turn: a turn that is held here
 * @task: (transfer full): who waits for it
 *
 * Lets a turn be served, for its request is out.
 */
void
hypha_json_lane_release (HyphaJsonLane *self, HyphaJsonTurn *turn, GTask *task)
{
  turn->task = task;
  turn->held = FALSE;
  watch_cancellable (self, turn);
  if (turn == g_queue_peek_head (&self->turns))
    run (self);
}

/**
 * hypha_json_lane_drop:
 * @self: a direction
 * @turn: a turn that is held here
 *
 * Takes a turn out that nobody waits for, for its request does not go out.
 */
void
hypha_json_lane_drop (HyphaJsonLane *self, HyphaJsonTurn *turn)
{
  g_queue_remove (&self->turns, turn);
  turn_free (turn);
  run (self);
}

/**
 * hypha_json_lane_clear:
 * @self: a direction in which nobody waits
 *
 * Frees what it has.
 */
void
hypha_json_lane_clear (HyphaJsonLane *self)
{
  hypha_clear_source (&self->ready);
  g_queue_clear_full (&self->turns, (GDestroyNotify) turn_free);
  g_clear_error (&self->broken);
}
