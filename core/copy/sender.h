/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/entry.h"
#include "copy/events.h"
#include "copy/place.h"

G_BEGIN_DECLS

/* Sends trees to a socket. Blocks. */
typedef struct _HyphaCopySender HyphaCopySender;

HyphaCopySender *hypha_copy_sender_new (int socket, const HyphaCopyEvents *events,
                                        gpointer user_data);
void hypha_copy_sender_free (HyphaCopySender *self);
/* FALSE: it is over, with an error. What cannot be sent is told as a problem, and no error. */
gboolean hypha_copy_sender_add (HyphaCopySender *self, const HyphaCopySource *source,
                                const char *shown, GError **error);
gboolean hypha_copy_sender_miss (HyphaCopySender *self, const char *sentence, GError **error);
/* TRUE: everything is there, by the words of the receiver. */
gboolean hypha_copy_sender_finish (HyphaCopySender *self, HyphaCopyCounts *counts, GError **error);
/* Tells the receiver what the error was, if it is one of this end. */
void hypha_copy_sender_fail (HyphaCopySender *self, const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaCopySender, hypha_copy_sender_free)

G_END_DECLS
