/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-channel.h"

G_BEGIN_DECLS

/**
 * HyphaStreamClass:
 *
 * The class of [class@Hypha.Stream], from which nothing derives.
 */
#define HYPHA_TYPE_STREAM (hypha_stream_get_type ())
HYPHA_EXTERN
G_DECLARE_FINAL_TYPE (HyphaStream, hypha_stream, HYPHA, STREAM, GIOStream)

HYPHA_EXTERN
guint64 hypha_stream_get_id (HyphaStream *self);
HYPHA_EXTERN
const char *hypha_stream_get_service (HyphaStream *self);
HYPHA_EXTERN
int hypha_stream_get_fd (HyphaStream *self); /* non-blocking; still the stream's */
HYPHA_EXTERN
int hypha_stream_steal_fd (HyphaStream *self); /* it can be moved no more, but still ends */
/* What comes of one goes to the other from now on, and the program moves neither any more. */
HYPHA_EXTERN
gboolean hypha_stream_join (HyphaStream *self, HyphaStream *other, GError **error);
/* Deadline of every single read and write that follows, in ms; 0: none. G_IO_ERROR_TIMED_OUT. */
HYPHA_EXTERN
void hypha_stream_set_timeout (HyphaStream *self, guint timeout_ms);
HYPHA_EXTERN
guint hypha_stream_get_timeout (HyphaStream *self);
HYPHA_EXTERN
gboolean hypha_stream_close_read (HyphaStream *self, GError **error);
HYPHA_EXTERN
gboolean hypha_stream_close_write (HyphaStream *self, GError **error);
/* Ends when both directions have: TRUE if both were finished, else the error that ended it (domain
 * HYPHA_ERROR). End-of-file alone does not tell a finished stream from one that was reset: this
 * does. */
HYPHA_EXTERN
void hypha_stream_wait_end_async (HyphaStream *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
gboolean hypha_stream_wait_end_finish (HyphaStream *self, GAsyncResult *result, guint64 *received,
                                       guint64 *sent, GError **error);

/* Of a bare channel, whose descriptor is taken out: for whatever is not Hypha at the other end. */
HYPHA_EXTERN
HyphaStream *hypha_stream_new_for_channel (HyphaChannel *channel, GError **error);

/* For implementations of HyphaPeer. FD is taken. NULL if it is not a socket. */
HYPHA_EXTERN
HyphaStream *hypha_stream_new (int fd, guint64 id, const char *service);
/* Once, on the main thread. ERROR NULL: both directions were finished. */
HYPHA_EXTERN
void hypha_stream_ended (HyphaStream *self, guint64 received, guint64 sent, const GError *error);

G_END_DECLS
