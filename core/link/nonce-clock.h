/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdatomic.h>
#include <glib.h>

G_BEGIN_DECLS

/* One a node: it ticks whenever a nonce of a handshake goes out. Whoever answers that nonce must
 * know at least what it had acknowledged before; sessions therefore remember what they knew at each
 * tick (session/watermark.h). */
typedef struct {
  _Atomic guint64 ticks;
} HyphaNonceClock;

/* Before the nonce's first byte is sent. Returns the tick the nonce belongs to. */
static inline guint64
hypha_nonce_clock_tick (HyphaNonceClock *self)
{
  return atomic_fetch_add (&self->ticks, 1) + 1;
}

static inline guint64
hypha_nonce_clock_now (const HyphaNonceClock *self)
{
  return atomic_load (&((HyphaNonceClock *) self)->ticks);
}

G_END_DECLS
