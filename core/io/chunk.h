/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdatomic.h>
#include <glib.h>

G_BEGIN_DECLS

/* What the chunks of a busy stream hold: a multiple of what fits into a frame of 64 KiB beside its
 * offset, so that a full chunk leaves in full frames. */
#define HYPHA_CHUNK_LARGE (4 * (64 * 1024 - 8))

/* What those of a stream hold whose program writes a few KiB at a time. */
#define HYPHA_CHUNK_MIDDLE (HYPHA_CHUNK_LARGE / 4)

/* What is no larger is there, or GLib ends the process: as for all that is small. */
#define HYPHA_CHUNK_SMALL (4 * 1024)

/* How many free ones of each of these sizes are kept: 4 MiB, what one stream has under way at most,
 * and 1 MiB.
 * None with AddressSanitizer, from which memory that is kept would hide its use after it was
 * freed. */
#if defined __SANITIZE_ADDRESS__
#define HYPHA_CHUNK_SPARE_MAX 0
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define HYPHA_CHUNK_SPARE_MAX 0
#endif
#endif
#ifndef HYPHA_CHUNK_SPARE_MAX
#define HYPHA_CHUNK_SPARE_MAX 16
#endif

/* A piece of memory that bytes were put into once and are then only read; shared by reference,
 * among threads as well. Only whoever fills it looks at `used`. */
typedef struct _HyphaChunk {
  _Atomic guint ref_count;
  guint32 size; /* how much room */
  guint32 used; /* how much of it is filled; bytes below never change */
  guint8 data[];
} HyphaChunk;

HyphaChunk *hypha_chunk_new (guint32 size);      /* NULL: there is no memory for so many */
HyphaChunk *hypha_chunk_new_some (guint32 size); /* with less room then; never NULL */
HyphaChunk *hypha_chunk_ref (HyphaChunk *self);
void hypha_chunk_unref (HyphaChunk *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaChunk, hypha_chunk_unref)

guint hypha_chunk_n_spare (void); /* how many are kept now */

G_END_DECLS
