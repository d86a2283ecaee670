/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* One direction of a bad line: packets go in, and come out later, or never. It has no clock:
 * whoever asks says what time it is, in nanoseconds. */
typedef struct _Lane Lane;

typedef struct {
  guint64 delay; /* ns, of every packet */
  double loss;   /* of all packets, from 0 to 1 */
  guint64 rate;  /* bits in a second; 0: as fast as they come */
  gsize queue;   /* bytes that may wait for their turn where there is a rate */
  guint64 seed;  /* of the losses: the same ones are lost every time */
} LaneKind;

typedef struct {
  guint64 packets, bytes; /* that went in */
  guint64 lost;           /* by chance */
  guint64 overflowed;     /* for want of room */
  guint64 delivered;
  guint64 latest; /* ns, the most that one came out after its time: the machine was busy */
} LaneCounts;

typedef struct {
  gint64 due;
  gsize length;
  guint8 bytes[];
} LanePacket;

Lane *lane_new (const LaneKind *kind);
void lane_free (Lane *lane);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Lane, lane_free)

void lane_put (Lane *lane, const void *bytes, gsize length, gint64 now);
gint64 lane_due (const Lane *lane); /* -1: nothing is under way */
LanePacket *lane_take (Lane *lane, gint64 now);
const LaneCounts *lane_counts (const Lane *lane);
