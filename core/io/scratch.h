/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/chunk.h"

G_BEGIN_DECLS

/* The buffer that all on a worker read into, one after the other. What was kept of it stays where
 * it lies, and the buffer begins behind it. */
typedef struct {
  HyphaChunk *chunk;   /* what is below `used` was kept by somebody */
  HyphaChunk *past;    /* the one before: bytes of it may be on their way to the new one */
  HyphaChunk *reserve; /* is never kept: in place of a new one while there is no memory for it */
} HyphaScratch;

/* FALSE: there is no memory. */
gboolean hypha_scratch_init (HyphaScratch *self);
void hypha_scratch_clear (HyphaScratch *self);
/* See hypha_worker_scratch. */
guint8 *hypha_scratch_get (HyphaScratch *self, gsize least, gsize *size);
/* See hypha_worker_keep. */
HyphaChunk *hypha_scratch_keep (HyphaScratch *self, const guint8 *data, gsize length);

G_END_DECLS
