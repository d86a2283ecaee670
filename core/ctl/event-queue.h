/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Lines on their way to standard output, written by a thread: where output is slow or stands still,
 * the main thread goes on, and memory is bounded. */
typedef struct _HyphaEventQueue HyphaEventQueue;

/* Once a process. */
HyphaEventQueue *hypha_event_queue_start (void);
gboolean hypha_event_queue_has_room (HyphaEventQueue *self);
/* LINE is taken. FALSE: there was no room, and it is lost. */
gboolean hypha_event_queue_push (HyphaEventQueue *self, char *line);
/* Output has failed; the main context is woken when it does. */
gboolean hypha_event_queue_has_failed (HyphaEventQueue *self, GError **error);
/* Waits for what is under way, but not for ever. */
void hypha_event_queue_finish (HyphaEventQueue *self);

G_END_DECLS
