/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/inbox.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <hypha-api.h>
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
  return TRUE;
}

void
hypha_inbox_clear (HyphaInbox *self)
{
  g_assert (self->first == NULL);
  pthread_mutex_destroy (&self->lock);
  close (self->fd);
  self->fd = -1;
}

void
hypha_inbox_post (HyphaInbox *self, HyphaWorkFunc func, gpointer data)
{
  HyphaInboxItem *item = g_new (HyphaInboxItem, 1);

  *item = (HyphaInboxItem){ .func = func, .data = data };

  /* The write happens under the lock, so that once a thread has seen an item it may also tear the
   * inbox down: nobody is still about to touch the descriptor. */
  pthread_mutex_lock (&self->lock);
  *self->end = item;
  self->end = &item->next;
  if (!self->awake) {
    self->awake = TRUE;
    eventfd_write (self->fd, 1);
  }
  pthread_mutex_unlock (&self->lock);
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
