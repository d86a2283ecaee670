/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fuzz-input.h"
#include "session/session-private.h"

/* Two real sessions, up to four links between them that carry the bytes of the real codec, and
 * programs at the ends of the streams; all of it does what a fuzzer's bytes say, and nothing by
 * chance. Somebody on the way may change the bytes, or make them up. */

#define WORLD_LINKS 4
#define WORLD_WAY_MAX (256 * 1024) /* a channel takes no more than so much */

/* How the bytes of a link come in. What happens must not depend on it. */
typedef enum { WORLD_WHOLE, WORLD_SINGLE_BYTES, WORLD_UNEVEN, WORLD_N_SPLITS } WorldSplit;

typedef struct {
  HyphaSessionLink *link[2];
  GByteArray *way[2];  /* by who sent it: on its way */
  GByteArray *tail[2]; /* by who sent it: came, and is no whole frame yet */
} WorldLink;

typedef struct {
  HyphaSession *session[2];
  HyphaSessionNumbers numbers[2];
  HyphaNonceClock clock[2];
  HyphaSession *snapshot[2];
  guint64 fingerprint; /* of the last handshake */
  guint64 snapshot_last[2];
  gint64 now;
  WorldLink links[WORLD_LINKS];
  WorldSplit split;
  guint uneven;
  gsize swallow[2];    /* how much a program takes as it comes */
  gboolean waiting[2]; /* nobody answers what is opened, for now */
  gboolean honest;     /* so far nobody has lied, or gone back in time */
  guint over[2];       /* sessions that ended */
  int error[2];        /* of the last one */
  guint64 hash;        /* of all that happened */
  gsize allocated;     /* before there was anything */
} World;

World *world_new (FuzzInput *input, WorldSplit split);
void world_free (World *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (World, world_free)

/* One step, if there is one; FALSE: END came, or there is nothing more. */
gboolean world_step (World *self, FuzzInput *input);
/* A new link in SLOT, with a handshake in which both tell the truth. */
gboolean world_link (World *self, guint slot, guint32 cost);
void world_receive (World *self, guint slot, int from, const guint8 *data, gsize length);
/* What FROM would say in a RESUME; to be cleared. */
void world_write_resume (World *self, int from, HyphaFrameOut *out);
/* As many changes to a RESUME as INPUT says. */
GByteArray *world_change_resume (World *self, const HyphaFrameOut *out, FuzzInput *input);
/* Everything goes through until nothing moves. */
void world_settle (World *self);
void world_check (World *self);

/* For session-*.c alone. */
void world_take_events (World *self);
void world_cut (World *self, guint slot);
/* LIES (nullable): the numbers of session and link that side 1 is told instead of the true ones. */
gboolean world_shake_hands (World *self, guint slot, guint32 cost, const guint64 *lies);
gboolean world_send_one (World *self, guint slot, int side);
gboolean world_take_from_way (World *self, guint slot, int from, gsize length);
gsize world_on_data (World *self, int side, HyphaSessionStream *stream, guint64 offset,
                     const guint8 *data, gsize length);

/* What a program writes. */
static inline guint8
world_byte_at (guint32 id, guint64 offset)
{
  return (guint8) (id * 31 + offset * 7 + offset / 251);
}
