/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lane.h"

#include <string.h>

#define UNDER_WAY_MAX \
  (64 * 1024 * 1024) /* bytes: whoever sends without a rate fills a long delay fast */
#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

struct _Lane {
  LaneKind kind;
  guint64 state;
  GQueue packets; /* of LanePacket, in the order in which they come out */
  gsize held;     /* bytes in these */
  gint64 free_at; /* when the last one that went in has been sent, by the rate */
  LaneCounts counts;
};

/**
 * lane_new:
 * @kind: what it does to packets
 *
 * Returns: (transfer full): an empty lane
 */
Lane *
lane_new (const LaneKind *kind)
{
  Lane *lane = g_new0 (Lane, 1);

  lane->kind = *kind;
  lane->state = kind->seed;
  g_queue_init (&lane->packets);
  return lane;
}

/**
 * lane_free:
 * @lane: (transfer full): a lane
 *
 * Frees it, and what is under way on it.
 */
void
lane_free (Lane *lane)
{
  g_queue_clear_full (&lane->packets, g_free);
  g_free (lane);
}

/* SplitMix64: from 0 to less than 1. */
static double
next_random (Lane *lane)
{
  guint64 z = lane->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return (double) ((z ^ (z >> 31)) >> 11) / (double) (G_GUINT64_CONSTANT (1) << 53);
}

/* When LENGTH bytes have been sent that come now; FALSE if they find no room. */
static gboolean
find_turn (Lane *lane, gsize length, gint64 now, gint64 *sent)
{
  gint64 start = MAX (now, lane->free_at);

  *sent = start;
  if (lane->held + length > UNDER_WAY_MAX)
    return FALSE;
  if (lane->kind.rate == 0)
    return TRUE;
  if ((double) (start - now) * (double) lane->kind.rate / (8.0 * NS_PER_S) + (double) length >
      (double) lane->kind.queue)
    return FALSE;
  *sent = start + (gint64) ((guint64) length * 8 * NS_PER_S / lane->kind.rate);
  return TRUE;
}

/**
 * lane_put:
 * @lane: a lane
 * @bytes: a packet
 * @length: of it
 * @now: ns
 *
 * Sends it: unless it is lost, or there is no room, it comes out after its turn and the delay.
 */
void
lane_put (Lane *lane, const void *bytes, gsize length, gint64 now)
{
  LanePacket *packet;
  gint64 sent;

  lane->counts.packets++;
  lane->counts.bytes += length;
  /* Asked for every packet, so that what is lost does not depend on how full it is. */
  if (next_random (lane) < lane->kind.loss) {
    lane->counts.lost++;
    return;
  }
  if (!find_turn (lane, length, now, &sent)) {
    lane->counts.overflowed++;
    return;
  }
  packet = g_malloc (sizeof *packet + length);
  packet->due = sent + (gint64) lane->kind.delay;
  packet->length = length;
  memcpy (packet->bytes, bytes, length);
  lane->free_at = sent;
  lane->held += length;
  g_queue_push_tail (&lane->packets, packet);
}

/**
 * lane_due:
 * @lane: a lane
 *
 * Returns: when the next packet comes out, in ns; -1 if none is under way
 */
gint64
lane_due (const Lane *lane)
{
  const LanePacket *first = g_queue_peek_head ((GQueue *) &lane->packets);

  return first ? first->due : -1;
}

/**
 * lane_take:
 * @lane: a lane
 * @now: ns
 *
 * Returns: (transfer full) (nullable): a packet whose time has come, for g_free()
 */
LanePacket *
lane_take (Lane *lane, gint64 now)
{
  LanePacket *first = g_queue_peek_head (&lane->packets);

  if (!first || first->due > now)
    return NULL;
  g_queue_pop_head (&lane->packets);
  lane->held -= first->length;
  lane->counts.delivered++;
  lane->counts.latest = MAX (lane->counts.latest, (guint64) (now - first->due));
  return first;
}

/**
 * lane_counts:
 * @lane: a lane
 *
 * Returns: (transfer none): what has become of all that went in; it follows what happens
 */
const LaneCounts *
lane_counts (const Lane *lane)
{
  return &lane->counts;
}
