/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/listener.h"

#define MAX_WAITING 64 /* channels that nobody has taken; what comes then is closed */
#define LOOK_MS 100    /* until somebody listens to the listener, */
#define LOOKS 20       /* and no longer */

struct _HyphaProgramListener {
  HyphaListener parent_instance;

  guint64 number;
  HyphaProgramListenerClosed closed; /* NULL: there is nobody to tell any more */
  gpointer user_data;
  GQueue waiting;  /* of HyphaChannel */
  GError *failure; /* behind them; nullable */
  guint timer;
  guint looks;
};

G_DEFINE_FINAL_TYPE (HyphaProgramListener, hypha_program_listener, HYPHA_TYPE_LISTENER)

static void
drop_waiting (HyphaProgramListener *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  g_queue_clear_full (&self->waiting, g_object_unref);
  g_clear_error (&self->failure);
}

static void
hypha_program_listener_close (HyphaListener *listener)
{
  HyphaProgramListener *self = HYPHA_PROGRAM_LISTENER (listener);
  HyphaProgramListenerClosed closed = g_steal_pointer (&self->closed);

  drop_waiting (self);
  if (closed != NULL)
    closed (self, self->user_data);
}

static void
hypha_program_listener_finalize (GObject *object)
{
  drop_waiting (HYPHA_PROGRAM_LISTENER (object));
  G_OBJECT_CLASS (hypha_program_listener_parent_class)->finalize (object);
}

static void
hypha_program_listener_class_init (HyphaProgramListenerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_program_listener_finalize;
  HYPHA_LISTENER_CLASS (klass)->close = hypha_program_listener_close;
}

static void
hypha_program_listener_init (HyphaProgramListener *self)
{
  g_queue_init (&self->waiting);
}

/* hypha_program_listener_new:
 * @bound: canonical
 * @number: what the program knows it by
 * @closed: (scope notified): asked to have the program stop listening
 *
 * Returns: (transfer full): the listener */
HyphaProgramListener *
hypha_program_listener_new (HyphaEndpoint *bound, guint64 number, HyphaProgramListenerClosed closed,
                            gpointer user_data)
{
  HyphaProgramListener *self = g_object_new (HYPHA_TYPE_PROGRAM_LISTENER, "bound", bound, NULL);

  self->number = number;
  self->closed = closed;
  self->user_data = user_data;
  return self;
}

guint64
hypha_program_listener_get_number (HyphaProgramListener *self)
{
  return self->number;
}

/* hypha_program_listener_forget:
 * The program is no more, or has closed it by itself. */
void
hypha_program_listener_forget (HyphaProgramListener *self)
{
  self->closed = NULL;
}

static void wait_for_somebody (HyphaProgramListener *self);

static gboolean
on_look (gpointer user_data)
{
  g_autoptr (HyphaProgramListener) self = g_object_ref (user_data);
  g_autoptr (GError) failure = NULL;
  HyphaChannel *channel;
  gboolean given_up;

  if (!hypha_listener_is_heard (HYPHA_LISTENER (self)) && ++self->looks < LOOKS)
    return G_SOURCE_CONTINUE;
  given_up = self->looks == LOOKS;
  self->timer = 0;
  /* Whoever gets one may listen no more. */
  while ((given_up || hypha_listener_is_heard (HYPHA_LISTENER (self))) &&
         (channel = g_queue_pop_head (&self->waiting)) != NULL) {
    hypha_listener_accepted (HYPHA_LISTENER (self), channel);
    g_object_unref (channel);
  }
  if (!g_queue_is_empty (&self->waiting)) {
    wait_for_somebody (self);
    return G_SOURCE_REMOVE;
  }
  failure = g_steal_pointer (&self->failure);
  if (failure != NULL)
    hypha_listener_failed (HYPHA_LISTENER (self), failure);
  return G_SOURCE_REMOVE;
}

static void
wait_for_somebody (HyphaProgramListener *self)
{
  if (self->timer != 0)
    return;
  self->looks = 0;
  self->timer = g_timeout_add (LOOK_MS, on_look, self);
}

/* hypha_program_listener_take:
 * @channel: (transfer none): what the program has accepted
 *
 * Hands it to whoever listens, or keeps it for two seconds, until there is somebody. */
void
hypha_program_listener_take (HyphaProgramListener *self, HyphaChannel *channel)
{
  if (hypha_listener_is_closed (HYPHA_LISTENER (self)))
    return;
  if (self->timer == 0 && hypha_listener_is_heard (HYPHA_LISTENER (self))) {
    hypha_listener_accepted (HYPHA_LISTENER (self), channel);
    return;
  }
  if (g_queue_get_length (&self->waiting) >= MAX_WAITING || self->failure != NULL)
    return;
  g_queue_push_tail (&self->waiting, g_object_ref (channel));
  wait_for_somebody (self);
}

/* hypha_program_listener_fail:
 * @error: why it cannot go on
 *
 * Ends it, as soon as somebody listens to it, or in two seconds: whoever has just been given it
 * shall not take it for one that works. */
void
hypha_program_listener_fail (HyphaProgramListener *self, const GError *error)
{
  if (hypha_listener_is_closed (HYPHA_LISTENER (self)) || self->failure != NULL)
    return;
  if (self->timer == 0 && hypha_listener_is_heard (HYPHA_LISTENER (self))) {
    hypha_listener_failed (HYPHA_LISTENER (self), error);
    return;
  }
  self->failure = g_error_copy (error);
  wait_for_somebody (self);
}
