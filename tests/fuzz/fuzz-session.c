/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include "session-world.h"

/* Two sessions, the links between them, their programs, and somebody on the way: the first three
 * bytes are the limits, then a step each (session-world.c). What comes over a link comes whole, in
 * single bytes, and in uneven pieces, and the same has to happen. At the end nobody disturbs any
 * more, and two new links have to work. */

#define STEPS_MAX 300

/* Whatever happened: after a new start both can speak to each other. */
static void
check_goes_on (World *world)
{
  g_autoptr (GError) error = NULL;
  HyphaSessionStream *stream;
  guint tries = 0;

  for (int side = 0; side < 2; side++) {
    hypha_session_drop (world->session[side], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED,
                        "the end", world->now);
    world->waiting[side] = FALSE;
    world->swallow[side] = G_MAXSIZE;
  }
  world_settle (world);
  for (guint slot = 1; slot < WORLD_LINKS; slot++)
    world_link (world, slot, 200);
  while (!world_link (world, 0, 1))
    g_assert_cmpuint (++tries, <, 4);
  world->honest = TRUE;
  world_settle (world);
  stream = hypha_session_open (world->session[0], "echo", &error);
  g_assert_no_error (error);
  world_settle (world);
  g_assert_cmpuint (hypha_session_stream_room (world->session[0], stream), >, 0);
}

static guint64
run (const uint8_t *data, size_t size, WorldSplit split)
{
  FuzzInput input = { data, size };
  g_autoptr (World) world = world_new (&input, split);

  for (guint i = 0; i < STEPS_MAX && world_step (world, &input); i++)
    ;
  check_goes_on (world);
  return world->hash;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  guint64 whole = run (data, size, WORLD_WHOLE);

  for (WorldSplit split = WORLD_SINGLE_BYTES; split < WORLD_N_SPLITS; split++)
    g_assert_cmpuint (run (data, size, split), ==, whole);
  return 0;
}
