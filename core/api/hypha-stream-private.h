/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two directions of a HyphaStream. Internal: not installed, not exported. */

#include "hypha-ending.h"
#include "hypha-stream-end.h"

G_BEGIN_DECLS

/* Each keeps END and, when it is closed, shuts down its own direction of it. ENDING: of a stream
 * upon a bare channel, else NULL. */
#define HYPHA_TYPE_STREAM_INPUT (hypha_stream_input_get_type ())
G_DECLARE_FINAL_TYPE (HyphaStreamInput, hypha_stream_input, HYPHA, STREAM_INPUT, GInputStream)
GInputStream *hypha_stream_input_new (HyphaStreamEnd *end, HyphaEnding *ending);
/* Deadline of every single read that follows, in ms; 0: none. Any thread may set it. */
void hypha_stream_input_set_timeout (HyphaStreamInput *self, guint timeout_ms);

#define HYPHA_TYPE_STREAM_OUTPUT (hypha_stream_output_get_type ())
G_DECLARE_FINAL_TYPE (HyphaStreamOutput, hypha_stream_output, HYPHA, STREAM_OUTPUT, GOutputStream)
GOutputStream *hypha_stream_output_new (HyphaStreamEnd *end, HyphaEnding *ending);
void hypha_stream_output_set_timeout (HyphaStreamOutput *self, guint timeout_ms);

/* One read or one write: what both directions are made of. */
typedef struct {
  HyphaStreamEnd *end;
  void *into;       /* a read; NULL: a write */
  const void *from; /* a write */
  gsize count;
  guint timeout_ms;    /* G_IO_ERROR_TIMED_OUT; 0: none */
  HyphaEnding *ending; /* nullable */
} HyphaTransfer;

gssize hypha_transfer_try (const HyphaTransfer *self, GCancellable *cancellable, GError **error);
gssize hypha_transfer_run (const HyphaTransfer *self, GCancellable *cancellable, GError **error);
/* TASK returns the count, as an int. The caller goes on holding its own reference of TASK. */
void hypha_transfer_run_async (const HyphaTransfer *self, GTask *task);
/* Becomes ready when the next try may do something; for g_pollable_*_stream_create_source(). */
GSource *hypha_transfer_create_source (GObject *stream, HyphaStreamEnd *end, GIOCondition condition,
                                       GCancellable *cancellable);

G_END_DECLS
