/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include "io/worker.h"

G_BEGIN_DECLS

typedef struct _HyphaInboxItem HyphaInboxItem;

/* Closures from any thread, carried out in order by the one thread that watches the eventfd: what a
 * worker and a mailbox have in common. */
typedef struct {
  pthread_mutex_t lock;
  HyphaInboxItem *first, **end;
  gboolean awake; /* the eventfd was written and not read since: spares a system call a post */
  int fd;
  _Atomic guint posting; /* threads that may still touch it */
} HyphaInbox;

gboolean hypha_inbox_init (HyphaInbox *self, GError **error);
/* Must be empty. */
void hypha_inbox_clear (HyphaInbox *self);
void hypha_inbox_post (HyphaInbox *self, HyphaWorkFunc func, gpointer data);
/* Of what this thread has posted, at least: others may be about to. */
gboolean hypha_inbox_is_empty (HyphaInbox *self);
/* Only wakes whoever watches it. */
void hypha_inbox_wake (HyphaInbox *self);
/* Carries out what was there when it was called: what those closures post comes in another turn. */
void hypha_inbox_run (HyphaInbox *self);
/* Carries out everything, also what comes meanwhile. */
void hypha_inbox_drain (HyphaInbox *self);

G_END_DECLS
