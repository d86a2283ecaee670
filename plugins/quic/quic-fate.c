/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-fate.h"

#include <pthread.h>
#include <stdatomic.h>

struct _QuicFate {
  /* Not by GLib: ThreadSanitizer sees these two alone, as Debian builds GLib. */
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GError *error; /* under the mutex */
};

QuicFate *
quic_fate_new (void)
{
  QuicFate *self = g_new0 (QuicFate, 1);

  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->mutex, NULL);
  return self;
}

QuicFate *
quic_fate_ref (QuicFate *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

void
quic_fate_unref (gpointer fate)
{
  QuicFate *self = fate;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_clear_error (&self->error);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

void
quic_fate_set (QuicFate *self, const GError *error)
{
  pthread_mutex_lock (&self->mutex);
  if (self->error == NULL)
    self->error = g_error_copy (error);
  pthread_mutex_unlock (&self->mutex);
}

GError *
quic_fate_dup (gpointer fate)
{
  QuicFate *self = fate;
  GError *copy;

  pthread_mutex_lock (&self->mutex);
  copy = self->error != NULL ? g_error_copy (self->error) : NULL;
  pthread_mutex_unlock (&self->mutex);
  return copy;
}
