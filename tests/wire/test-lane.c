/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lane.h"

#include <string.h>

#define MS G_GINT64_CONSTANT (1000000)
#define MANY 100000

static const guint8 nothing[1500];

static void
test_delay (void)
{
  const LaneKind kind = { .delay = 50 * MS };
  g_autoptr (Lane) lane = lane_new (&kind);
  g_autofree LanePacket *first = NULL, *second = NULL;

  g_assert_cmpint (lane_due (lane), ==, -1);
  lane_put (lane, "one", 3, 1000);
  lane_put (lane, "second", 6, 1000 + MS);
  g_assert_cmpint (lane_due (lane), ==, 1000 + 50 * MS);
  g_assert_null (lane_take (lane, 1000 + 50 * MS - 1));
  first = lane_take (lane, 1000 + 50 * MS);
  g_assert_cmpmem (first->bytes, first->length, "one", 3);
  g_assert_null (lane_take (lane, 1000 + 51 * MS - 1));
  second = lane_take (lane, 1000 + 53 * MS);
  g_assert_cmpmem (second->bytes, second->length, "second", 6);
  g_assert_cmpint (lane_due (lane), ==, -1);
  g_assert_cmpuint (lane_counts (lane)->delivered, ==, 2);
  g_assert_cmpuint (lane_counts (lane)->latest, ==, 2 * MS);
}

/* Which of MANY packets are lost. */
static GByteArray *
losses (double loss, guint64 seed)
{
  const LaneKind kind = { .loss = loss, .seed = seed };
  g_autoptr (Lane) lane = lane_new (&kind);
  GByteArray *lost = g_byte_array_new ();

  for (gint64 at = 0; at < MANY; at++) {
    guint8 gone;
    g_autofree LanePacket *packet = NULL;

    lane_put (lane, nothing, 100, at);
    packet = lane_take (lane, at);
    gone = packet == NULL;
    g_byte_array_append (lost, &gone, 1);
  }
  g_assert_cmpuint (lane_counts (lane)->packets, ==, MANY);
  g_assert_cmpuint (lane_counts (lane)->bytes, ==, 100 * MANY);
  g_assert_cmpuint (lane_counts (lane)->lost + lane_counts (lane)->delivered, ==, MANY);
  return lost;
}

static guint
count (const GByteArray *of)
{
  guint n = 0;

  for (guint i = 0; i < of->len; i++)
    n += of->data[i];
  return n;
}

static guint
count_pairs (const GByteArray *of)
{
  guint n = 0;

  for (guint i = 1; i < of->len; i++)
    n += of->data[i] && of->data[i - 1];
  return n;
}

/* Four standard deviations at most from what chance would have; the seeds are fixed, and so is what
 * comes of it. */
static void
test_loss (void)
{
  g_autoptr (GByteArray) none = losses (0, 1), all = losses (1, 1);
  g_autoptr (GByteArray) some = losses (0.01, 1), more = losses (0.2, 1);

  g_assert_cmpuint (count (none), ==, 0);
  g_assert_cmpuint (count (all), ==, MANY);
  g_assert_cmpuint (ABS ((int) count (some) - 1000), <=, 4 * 32);
  g_assert_cmpuint (ABS ((int) count (more) - 20000), <=, 4 * 127);
  /* What became of the last packet tells nothing of the next. */
  g_assert_cmpuint (ABS ((int) count_pairs (more) - 4000), <=, 4 * 63);
}

static void
test_seed (void)
{
  g_autoptr (GByteArray) one = losses (0.01, 7), again = losses (0.01, 7), other = losses (0.01, 8);

  g_assert_cmpmem (one->data, one->len, again->data, again->len);
  g_assert_true (memcmp (one->data, other->data, one->len) != 0);
}

/* 12 Mbit/s: 1500 bytes in a millisecond. */
static void
test_rate (void)
{
  const LaneKind kind = { .delay = 10 * MS, .rate = 12000000, .queue = 4500 };
  g_autoptr (Lane) lane = lane_new (&kind);

  for (int i = 0; i < 5; i++)
    lane_put (lane, nothing, 1500, 0);
  g_assert_cmpuint (lane_counts (lane)->overflowed, ==, 2);
  for (int i = 1; i <= 3; i++) {
    g_autofree LanePacket *packet = NULL;

    g_assert_cmpint (lane_due (lane), ==, i * MS + 10 * MS);
    packet = lane_take (lane, lane_due (lane));
    g_assert_nonnull (packet);
  }
  /* After half a packet's time, one and a half still waited: there is room for one. */
  lane_put (lane, nothing, 1500, 0);
  for (int i = 0; i < 2; i++)
    lane_put (lane, nothing, 1500, MS / 2);
  g_assert_cmpuint (lane_counts (lane)->overflowed, ==, 5);
  lane_put (lane, nothing, 1500, MS);
  g_assert_cmpint (lane_due (lane), ==, 14 * MS);
  /* When nothing waits, it goes out at once, and nothing is saved up. */
  g_free (lane_take (lane, 14 * MS));
  lane_put (lane, nothing, 1500, 100 * MS);
  lane_put (lane, nothing, 750, 100 * MS);
  g_assert_cmpint (lane_due (lane), ==, 111 * MS);
  g_free (lane_take (lane, 111 * MS));
  g_assert_cmpint (lane_due (lane), ==, 111 * MS + MS / 2);
}

static void
test_bounded (void)
{
  const LaneKind kind = { .delay = 1000 * MS };
  g_autoptr (Lane) lane = lane_new (&kind);

  for (int i = 0; i < MANY; i++)
    lane_put (lane, nothing, 1500, 0);
  g_assert_cmpuint (lane_counts (lane)->overflowed, >, MANY / 2);
  g_assert_cmpuint (lane_counts (lane)->lost, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lane/delays-every-packet-by-as-much-and-keeps-their-order", test_delay);
  g_test_add_func ("/lane/loses-as-many-as-asked-each-by-itself", test_loss);
  g_test_add_func ("/lane/loses-the-same-ones-for-the-same-seed", test_seed);
  g_test_add_func ("/lane/lets-out-at-its-rate-and-drops-what-finds-the-queue-full", test_rate);
  g_test_add_func ("/lane/holds-so-much-and-no-more", test_bounded);
  return g_test_run ();
}
