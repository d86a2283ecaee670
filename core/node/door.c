/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/door.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "loader/dial.h"

/* An address that is taken now is free when its holder has gone: seconds later, at a restart. */
#define RETRY_MS 2000

struct _HyphaDoor {
  grefcount ref_count;
  HyphaLoader *loader;
  char *uri;
  int adopted; /* a listening socket that was handed over; -1: this door makes its own */
  gboolean permanent, closed, failed;
  gboolean was_open; /* at least once: then whoever asked for it was told that it is */
  HyphaDoorEvents events;
  gpointer user_data;
  HyphaListener *listener;
  GCancellable *opening;
  guint timer;
  char *trouble;
  GPtrArray *waiters; /* of GTask */
};

static HyphaDoor *
door_new (HyphaLoader *loader, const char *uri, const HyphaDoorEvents *events, gpointer user_data)
{
  HyphaDoor *self = g_new0 (HyphaDoor, 1);

  g_ref_count_init (&self->ref_count);
  self->loader = g_object_ref (loader);
  self->uri = g_strdup (uri);
  self->adopted = -1;
  self->events = *events;
  self->user_data = user_data;
  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  return self;
}

HyphaDoor *
hypha_door_new (HyphaLoader *loader, const char *uri, gboolean permanent,
                const HyphaDoorEvents *events, gpointer user_data, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = events->for_links
                                           ? hypha_loader_check_link_endpoint (loader, uri, error)
                                           : hypha_loader_check_endpoint (loader, uri, error);
  HyphaDoor *self;

  if (endpoint == NULL)
    return NULL;
  self = door_new (loader, uri, events, user_data);
  self->permanent = permanent;
  return self;
}

HyphaDoor *
hypha_door_new_adopted (HyphaLoader *loader, int fd, const char *name,
                        const HyphaDoorEvents *events, gpointer user_data)
{
  HyphaDoor *self = door_new (loader, name, events, user_data);

  self->adopted = fd;
  return self;
}

HyphaDoor *
hypha_door_ref (HyphaDoor *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
hypha_door_unref (HyphaDoor *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_object (&self->opening);
  g_clear_object (&self->listener);
  g_object_unref (self->loader);
  if (self->adopted >= 0)
    close (self->adopted);
  g_ptr_array_unref (self->waiters);
  g_free (self->uri);
  g_free (self->trouble);
  g_free (self);
}

/* With BOUND, or with ERROR. */
static void
answer_waiters (HyphaDoor *self, const char *bound, const GError *error)
{
  g_autoptr (GPtrArray) waiters = g_steal_pointer (&self->waiters);

  self->waiters = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < waiters->len; i++) {
    if (error != NULL)
      g_task_return_error (waiters->pdata[i], g_error_copy (error));
    else
      g_task_return_pointer (waiters->pdata[i], g_strdup (bound), g_free);
  }
}

static gboolean
timer_fired (gpointer data)
{
  HyphaDoor *self = data;

  self->timer = 0;
  hypha_door_open (self);
  return G_SOURCE_REMOVE;
}

static void
drop_listener (HyphaDoor *self)
{
  if (self->listener != NULL) {
    g_signal_handlers_disconnect_by_data (self->listener, self);
    hypha_listener_close (self->listener);
  }
  g_clear_object (&self->listener);
}

static void
failed (HyphaDoor *self, const GError *error)
{
  drop_listener (self);
  if (g_strcmp0 (self->trouble, error->message) != 0 && self->events.troubled != NULL)
    self->events.troubled (self, error->message, self->user_data);
  else if (g_strcmp0 (self->trouble, error->message) != 0)
    g_warning ("%s", error->message);
  g_free (self->trouble);
  self->trouble = g_strdup (error->message);
  self->failed = TRUE;
  answer_waiters (self, NULL, error);
  /* A socket that was handed over does not become another by waiting: a transport has to come. */
  if ((self->permanent || self->was_open) && self->adopted < 0 && !self->closed && self->timer == 0)
    self->timer = g_timeout_add (RETRY_MS, timer_fired, self);
  /* One of the waiters may have closed it. */
  if (!self->closed)
    self->events.changed (self, self->user_data);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, HyphaDoor *self)
{
  self->events.knocked (self, channel, self->user_data);
}

static void
on_failed (HyphaListener *listener, const GError *error, HyphaDoor *self)
{
  failed (self, error);
}

/* Nothing is wrong any more: people and tools may connect to BOUND. */
static void
works (HyphaDoor *self, const char *bound)
{
  self->failed = FALSE;
  g_clear_pointer (&self->trouble, g_free);
  answer_waiters (self, bound, NULL);
  self->events.changed (self, self->user_data);
}

/* Takes LISTENER. */
static void
take_listener (HyphaDoor *self, HyphaListener *listener)
{
  self->listener = listener;
  self->was_open = TRUE;
  g_signal_connect (self->listener, "accepted", G_CALLBACK (on_accepted), self);
  g_signal_connect (self->listener, "failed", G_CALLBACK (on_failed), self);
  works (self, hypha_door_get_bound (self));
}

static void
listen_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HyphaDoor) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener =
      hypha_loader_listen_finish (HYPHA_LOADER (source), result, &error);

  g_clear_object (&self->opening);
  if (self->closed) {
    if (listener != NULL)
      hypha_listener_close (listener);
    return;
  }
  if (listener == NULL) {
    failed (self, error);
    return;
  }
  take_listener (self, g_steal_pointer (&listener));
}

/* Asks every transport; a socket that none takes waits for the next that comes. */
static void
open_adopted (HyphaDoor *self)
{
  g_autoptr (GError) trouble = NULL;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->loader)); i++) {
    g_autoptr (HyphaModule) module = g_list_model_get_item (G_LIST_MODEL (self->loader), i);
    HyphaTransport *transport = hypha_module_get_transport (module);
    gboolean may =
        transport != NULL && !(self->events.for_links && hypha_transport_is_lossy (transport));
    g_autoptr (GError) error = NULL;
    HyphaListener *listener = may ? hypha_transport_adopt (transport, self->adopted, &error) : NULL;

    if (listener != NULL) {
      hypha_loader_follow_listener (self->loader, listener);
      take_listener (self, listener);
      return;
    }
    if (error != NULL && trouble == NULL &&
        !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
      trouble = g_error_new (error->domain, error->code, "%s: %s", self->uri, error->message);
  }
  if (trouble == NULL)
    trouble = g_error_new (HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                           _ ("%s: no transport that is here takes this socket; it waits for one "
                              "(hyphactl plugins shows what was found)"),
                           self->uri);
  failed (self, trouble);
}

/* Its transport may have come since it was asked for. */
static gboolean
may_carry_links (HyphaDoor *self)
{
  G_GNUC_UNUSED g_autoptr (HyphaDoor) kept = hypha_door_ref (self); /* whoever waits may drop it */
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint =
      hypha_loader_check_link_endpoint (self->loader, self->uri, &error);

  if (endpoint != NULL &&
      (self->events.may_use == NULL || self->events.may_use (endpoint, self->user_data, &error)))
    return TRUE;
  failed (self, error);
  return FALSE;
}

void
hypha_door_open (HyphaDoor *self)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  const char *held = NULL;

  if (self->closed || self->listener != NULL || self->opening != NULL)
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->adopted >= 0) {
    open_adopted (self);
    return;
  }
  endpoint = hypha_loader_parse_endpoint (self->loader, self->uri, NULL, NULL);
  if (endpoint != NULL && self->events.held != NULL)
    held = self->events.held (self, endpoint, self->user_data);
  if (held != NULL) {
    works (self, held);
    return;
  }
  if (self->events.for_links && !may_carry_links (self))
    return;
  self->opening = g_cancellable_new ();
  hypha_loader_listen_async (self->loader, self->uri, self->opening, listen_done,
                             hypha_door_ref (self));
}

void
hypha_door_close (HyphaDoor *self)
{
  g_autoptr (GError) error = NULL;

  if (self->closed)
    return;
  self->closed = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->opening != NULL)
    g_cancellable_cancel (self->opening);
  drop_listener (self);
  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("%s is no longer listened on"),
                       self->uri);
  answer_waiters (self, NULL, error);
}

void
hypha_door_await (HyphaDoor *self, GTask *task)
{
  if (self->listener != NULL) {
    g_task_return_pointer (task, g_strdup (hypha_door_get_bound (self)), g_free);
    return;
  }
  g_ptr_array_add (self->waiters, g_object_ref (task));
  hypha_door_open (self);
}

void
hypha_door_await_no_more (HyphaDoor *self, GTask *task)
{
  G_GNUC_UNUSED g_autoptr (GTask) held = g_object_ref (task);

  if (g_ptr_array_remove_fast (self->waiters, task))
    g_task_return_error_if_cancelled (task);
}

gboolean
hypha_door_is_unwanted (HyphaDoor *self)
{
  return !self->permanent && self->adopted < 0 && !self->was_open && self->waiters->len == 0;
}

const char *
hypha_door_get_uri (HyphaDoor *self)
{
  return self->uri;
}

const char *
hypha_door_get_bound (HyphaDoor *self)
{
  return self->listener != NULL
             ? hypha_endpoint_to_string (hypha_listener_get_bound (self->listener))
             : NULL;
}

const char *
hypha_door_get_trouble (HyphaDoor *self)
{
  return self->trouble;
}

gboolean
hypha_door_is_opening (HyphaDoor *self)
{
  return self->opening != NULL && !self->was_open && !self->failed;
}

gboolean
hypha_door_is_adopted (HyphaDoor *self)
{
  return self->adopted >= 0;
}

gboolean
hypha_door_is_permanent (HyphaDoor *self)
{
  return self->permanent;
}

void
hypha_door_set_permanent (HyphaDoor *self, gboolean permanent)
{
  self->permanent = permanent;
}

gboolean
hypha_door_is_spent (HyphaDoor *self)
{
  return !self->permanent && self->adopted < 0 && self->failed && !self->was_open;
}
