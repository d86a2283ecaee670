/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Internal: not installed, not exported. */

#include "hypha-channel.h"
#include "hypha-stream.h"

G_BEGIN_DECLS

/* How a stream upon a bare channel ends: nobody tells it, so its two directions note what they
 * meet. Counted by reference; any thread may use it. */
typedef struct _HyphaEnding HyphaEnding;

HyphaEnding *hypha_ending_new (HyphaStream *stream, HyphaChannel *channel);
HyphaEnding *hypha_ending_ref (HyphaEnding *self);
void hypha_ending_unref (HyphaEnding *self);
/* What one read or one write of WANTED bytes brought; ERROR if COUNT is -1. */
void hypha_ending_moved (HyphaEnding *self, gboolean reading, gsize wanted, gssize count,
                         const GError *error);
/* This end closed a direction. */
void hypha_ending_closed (HyphaEnding *self, gboolean reading);
/* The descriptor went elsewhere: nobody here will see the end. */
void hypha_ending_left (HyphaEnding *self);

G_END_DECLS
