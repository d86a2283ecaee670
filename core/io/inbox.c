/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/inbox.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <hypha-api.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct _HyphaInboxItem {
  HyphaInboxItem *next;
  HyphaWorkFunc func;
  gpointer data;
};

gboolean
hypha_inbox_init (HyphaInbox *self, GError **error)
{
  self->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->fd < 0) {
    int saved = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("Cannot make an eventfd: %s"),
                 g_strerror (saved));
    return FALSE;
  }
  pthread_mutex_init (&self->lock, NULL);
  self->first = NULL;
  self->end = &self->first;
  self->awake = FALSE;
  atomic_store (&self->posting, 0);
  return TRUE;
}

void
hypha_inbox_clear (HyphaInbox *self)
{
  g_assert (self->first == NULL);
  /* What somebody posted may have been carried out before he has written to the eventfd. */
  while (atomic_load (&self->posting) > 0)
    sched_yield ();
  pthread_mutex_destroy (&self->lock);
  close (self->fd);
  self->fd = -1;
}

/* A wake-up that is lost is never made good: whoever posts next takes the thread for awake. Where
 * the counter is full the descriptor is ready anyway. */
static void
ring (HyphaInbox *self)
{
  int result;

  do
    result = eventfd_write (self->fd, 1);
  while (result < 0 && errno == EINTR);
}

void
hypha_inbox_wake (HyphaInbox *self)
{
  gboolean wake;

  atomic_fetch_add (&self->posting, 1);
  pthread_mutex_lock (&self->lock);
  wake = !self->awake;
  self->awake = TRUE;
  pthread_mutex_unlock (&self->lock);
  if (wake)
    ring (self);
  atomic_fetch_sub (&self->posting, 1);
}

void
hypha_inbox_post (HyphaInbox *self, HyphaWorkFunc func, gpointer data)
{
  HyphaInboxItem *item = g_new (HyphaInboxItem, 1);
  gboolean wake;

  *item = (HyphaInboxItem){ .func = func, .data = data };

  atomic_fetch_add (&self->posting, 1);
  pthread_mutex_lock (&self->lock);
  *self->end = item;
  self->end = &item->next;
  wake = !self->awake;
  self->awake = TRUE;
  pthread_mutex_unlock (&self->lock);
  /* Not under the lock: whoever is woken would only run into it, which on one core is two switches
   * of threads more. */
  if (wake)
    ring (self);
  atomic_fetch_sub (&self->posting, 1);
}

gboolean
hypha_inbox_is_empty (HyphaInbox *self)
{
  gboolean empty;

  pthread_mutex_lock (&self->lock);
  empty = self->first == NULL;
  pthread_mutex_unlock (&self->lock);
  return empty;
}

static HyphaInboxItem *
take (HyphaInbox *self)
{
  HyphaInboxItem *item;

  pthread_mutex_lock (&self->lock);
  item = self->first;
  if (item != NULL) {
    self->first = item->next;
    if (self->first == NULL)
      self->end = &self->first;
  }
  pthread_mutex_unlock (&self->lock);
  return item;
}

/* Returns the last item that is there now. */
static HyphaInboxItem *
fall_asleep (HyphaInbox *self)
{
  HyphaInboxItem *last = NULL;
  eventfd_t ignored;

  pthread_mutex_lock (&self->lock);
  eventfd_read (self->fd, &ignored);
  self->awake = FALSE;
  if (self->first != NULL)
    last = (HyphaInboxItem *) ((guint8 *) self->end - G_STRUCT_OFFSET (HyphaInboxItem, next));
  pthread_mutex_unlock (&self->lock);
  return last;
}

static void
carry_out (HyphaInboxItem *item)
{
  HyphaWorkFunc func = item->func;
  gpointer data = item->data;

  g_free (item);
  func (data);
}

void
hypha_inbox_run (HyphaInbox *self)
{
  HyphaInboxItem *last = fall_asleep (self);
  gboolean more = last != NULL;

  /* One at a time, so that a closure may drain the inbox and no order is lost. */
  while (more) {
    HyphaInboxItem *item = take (self);

    if (item == NULL)
      break;
    more = item != last;
    carry_out (item);
  }
}

void
hypha_inbox_drain (HyphaInbox *self)
{
  HyphaInboxItem *item;

  while ((item = take (self)) != NULL)
    carry_out (item);
}
