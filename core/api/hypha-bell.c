/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-bell.h"

#include <pthread.h>
#include <stdatomic.h>

/* Until it is looked again whether somebody is there to take a channel; */
#define REST_MS 100
/* and so many wait for that. Who has come may be gone meanwhile: without end, so would they be. */
#define MAX_WAITING 64

/**
 * HyphaBell:
 *
 * For transports that accept on a thread of their own: hands what comes there to the listener, on
 * the thread of the listener, once for all that has come since it looked.
 *
 * What goes from one thread to the other goes by a mutex, not by GLib alone, for ThreadSanitizer
 * sees nothing else.
 *
 * Since: ABI 1.2
 */
struct _HyphaBell {
  _Atomic guint ref_count;
  HyphaBellFunc answer;
  GMainContext *context;
  HyphaListener *listener; /* for the listener's thread; NULL: it is closed */

  pthread_mutex_t mutex;
  GPtrArray *knocks; /* NULL: nobody is let in any more */
  gboolean rung;     /* the listener's thread will look */
  GDestroyNotify knock_free;
};

/**
 * hypha_bell_new:
 * @listener: a listener, which closes the bell before it is gone
 * @answer: makes a channel of what has come
 * @knock_free: frees it, when it was answered, or will not be; on any thread
 *
 * Makes a bell, of which the thread that calls has the listener.
 *
 * Returns: (transfer full): the bell
 *
 * Since: ABI 1.2
 */
HyphaBell *
hypha_bell_new (HyphaListener *listener, HyphaBellFunc answer, GDestroyNotify knock_free)
{
  HyphaBell *self;

  g_return_val_if_fail (HYPHA_IS_LISTENER (listener), NULL);
  g_return_val_if_fail (answer != NULL && knock_free != NULL, NULL);

  self = g_new0 (HyphaBell, 1);
  atomic_init (&self->ref_count, 1);
  self->answer = answer;
  self->context = g_main_context_ref_thread_default ();
  self->listener = listener;
  pthread_mutex_init (&self->mutex, NULL);
  self->knocks = g_ptr_array_new_with_free_func (knock_free);
  self->knock_free = knock_free;
  return self;
}

/**
 * hypha_bell_ref:
 * @self: a bell
 *
 * Returns: (transfer full): @self
 *
 * Since: ABI 1.2
 */
HyphaBell *
hypha_bell_ref (HyphaBell *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

/**
 * hypha_bell_unref:
 * @self: (transfer full): a bell
 *
 * Since: ABI 1.2
 */
void
hypha_bell_unref (HyphaBell *self)
{
  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_clear_pointer (&self->knocks, g_ptr_array_unref);
  g_main_context_unref (self->context);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

/* What has come since the last time, and from now on goes to OTHER. */
static GPtrArray *
exchange (HyphaBell *self, GPtrArray *other)
{
  GPtrArray *knocks;

  pthread_mutex_lock (&self->mutex);
  knocks = self->knocks;
  self->knocks = other;
  self->rung = FALSE;
  pthread_mutex_unlock (&self->mutex);
  return knocks;
}

static gboolean on_rung (gpointer user_data);

/* Takes SOURCE. */
static void
look_by (HyphaBell *self, GSource *source)
{
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_rung, hypha_bell_ref (self), (GDestroyNotify) hypha_bell_unref);
  g_source_attach (source, self->context);
  g_source_unref (source);
}

/* Those from FIRST on go back, before what has come meanwhile; what there is no room for stays. */
static void
wait_for_somebody (HyphaBell *self, GPtrArray *knocks, guint first)
{
  gboolean look;

  pthread_mutex_lock (&self->mutex);
  while (knocks->len > first)
    g_ptr_array_insert (self->knocks, 0, g_ptr_array_steal_index (knocks, knocks->len - 1));
  while (self->knocks->len > MAX_WAITING)
    g_ptr_array_add (knocks, g_ptr_array_steal_index (self->knocks, self->knocks->len - 1));
  look = !self->rung;
  self->rung = TRUE;
  pthread_mutex_unlock (&self->mutex);
  if (look)
    look_by (self, g_timeout_source_new (REST_MS));
}

static gboolean
on_rung (gpointer user_data)
{
  HyphaBell *self = user_data;
  g_autoptr (GPtrArray) knocks = NULL;

  if (self->listener == NULL)
    return G_SOURCE_REMOVE;
  knocks = exchange (self, g_ptr_array_new_with_free_func (self->knock_free));
  /* Whoever is let in may close the listener, or listen no more. */
  for (guint i = 0; i < knocks->len && self->listener != NULL; i++) {
    g_autoptr (HyphaListener) kept = g_object_ref (self->listener);
    g_autoptr (HyphaChannel) channel = NULL;

    if (!hypha_listener_is_heard (self->listener)) {
      wait_for_somebody (self, knocks, i);
      break;
    }
    channel = self->answer (kept, knocks->pdata[i]);
    hypha_listener_accepted (kept, channel);
  }
  return G_SOURCE_REMOVE;
}

/**
 * hypha_bell_ring:
 * @self: a bell
 * @knock: (transfer full): what has come
 *
 * Has @knock answered on the thread of the listener, once somebody is connected to
 * [signal@Hypha.Listener::accepted], or a moment after that. When the bell is closed, it is freed
 * at once, or when that is closed before it was answered; or where there are too many for whom
 * nobody is there.
 *
 * Since: ABI 1.2
 */
void
hypha_bell_ring (HyphaBell *self, gpointer knock)
{
  gboolean closed, ring;

  pthread_mutex_lock (&self->mutex);
  closed = self->knocks == NULL;
  ring = !closed && !self->rung;
  if (!closed)
    g_ptr_array_add (self->knocks, knock);
  self->rung = self->rung || ring;
  pthread_mutex_unlock (&self->mutex);
  if (closed)
    self->knock_free (knock);
  if (ring)
    look_by (self, g_idle_source_new ());
}

/**
 * hypha_bell_close:
 * @self: (transfer full): a bell
 *
 * Ends it, on the thread of the listener, which is told of nobody any more: whoever waits hears at
 * once that nobody will come to the door.
 *
 * Since: ABI 1.2
 */
void
hypha_bell_close (HyphaBell *self)
{
  GPtrArray *knocks = exchange (self, NULL);

  self->listener = NULL;
  g_clear_pointer (&knocks, g_ptr_array_unref);
  hypha_bell_unref (self);
}
