/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fixed exchange whose link is cut at every byte, in each direction in turn: the outcome is the
 * same as if nothing had happened. */
#include "sim-app.h"
#include "sim-link.h"
#include "sim-node.h"

/* What one side of a stream does. */
typedef struct {
  guint64 writes;
  gboolean finishes; /* received well by the other, to the last byte */
  SimAbort abort;
  guint64 abort_at;
  HyphaCode refuse;
} Side;

typedef struct {
  guint opener;
  Side sides[2];
} Script;

static const Script scripts[] = {
  /* data both ways, half-closed by the one that is done first */
  { .opener = 0,
    .sides = { { .writes = 700, .finishes = TRUE }, { .writes = 300, .finishes = TRUE } } },
  /* the opener resets half-way */
  { .opener = 0,
    .sides = { { .writes = 1000, .abort = SIM_ABORT_RESET, .abort_at = 300 },
               { .writes = 50, .finishes = TRUE } } },
  /* nothing in one direction */
  { .opener = 1, .sides = { { .finishes = TRUE }, { .writes = 600, .finishes = TRUE } } },
  /* refused */
  { .opener = 0, .sides = { { .writes = 100 }, { .refuse = HYPHA_CODE_NO_SUCH_SERVICE } } },
  /* the acceptor reads no more after a while */
  { .opener = 1,
    .sides = { { .writes = 2000 },
               { .writes = 10, .finishes = TRUE, .abort = SIM_ABORT_STOP, .abort_at = 100 } } },
};

typedef struct {
  SimWorld *world;
  guint n_opened;
  gboolean opened[2];
} Run;

static void
plan (SimApp *app, gpointer data)
{
  Run *run = data;
  const Script *script = NULL;
  const Side *side;
  guint n = 0;

  /* Tokens are given in the order in which a node opens its streams, and either may be first. */
  for (guint i = 0; i < run->world->streams->len; i++) {
    SimStream *stream = g_ptr_array_index (run->world->streams, i);
    if (stream->opener == app->stream->opener && stream->token < app->stream->token)
      n++;
  }
  for (guint i = 0; i < G_N_ELEMENTS (scripts) && !script; i++)
    if (scripts[i].opener == app->stream->opener && n-- == 0)
      script = &scripts[i];
  side = &script->sides[app->side];
  app->stream->script = script;
  app->plan = (SimPlan){
    .total = side->writes,
    .rate = 100,
    .pace = 200,
    .abort = side->abort,
    .abort_after = G_MAXINT64 / 4,
    .abort_at = side->abort_at,
    .refuse = side->refuse,
    .in_place = app->stream->opener == 0,
  };
}

static void
open_all (Run *run, guint node)
{
  if (run->opened[node] || !sim_node_pick_session (run->world->nodes[node]))
    return;
  run->opened[node] = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (scripts); i++)
    if (scripts[i].opener == node)
      sim_node_open (run->world->nodes[node]);
}

static gboolean
is_over (Run *run)
{
  return run->opened[0] && run->opened[1] && run->world->nodes[0]->apps->len == 0 &&
         run->world->nodes[1]->apps->len == 0;
}

static SimWorld *
new_world (Run *run)
{
  SimWorld *world = sim_world_new (1, 0);

  world->scripted = TRUE;
  world->plan = plan;
  world->plan_data = run;
  for (guint i = 0; i < 2; i++) {
    HyphaSessionLimits *limits = &world->nodes[i]->limits;
    hypha_session_limits_init (limits);
    limits->streams = 4;
    limits->window_min = 128;
    limits->window_total = 4096;
    limits->window_max = 512;
    limits->send_max = 512;
    limits->session_timeout = SIM_SESSION_TIMEOUT;
    limits->ack_delay = 2000;
  }
  return world;
}

static void
check_side (SimWorld *world, SimStream *stream, guint index)
{
  const Script *script = stream->script;
  const Side *mine = &script->sides[index], *other = &script->sides[1 - index];
  const SimOutcome *outcome = &stream->outcomes[index];
  gboolean well = mine->finishes && other->finishes && mine->abort == SIM_ABORT_NOT;

  g_assert_true (outcome->over);
  if (other->finishes && mine->abort != SIM_ABORT_STOP) {
    g_assert_true (outcome->peer_finished);
    g_assert_cmpuint (outcome->received, ==, other->writes);
  }
  if (!other->finishes)
    g_assert_false (outcome->peer_finished);
  if (well)
    g_assert_true (outcome->clean);
  if (script->sides[1].refuse)
    g_assert_cmpuint (outcome->received, ==, 0);
}

/* Cuts the first link after BYTES bytes in DIRECTION; returns how many bytes that direction
 * carried. */
static guint64
run_cut (guint direction, guint64 bytes, gboolean loses_both, gboolean warm)
{
  Run run = { 0 };
  g_autoptr (SimWorld) world = run.world = new_world (&run);
  SimLink *link;
  guint64 carried = 0;
  gint64 deadline = world->now + 60 * SIM_SECOND;
  gint64 warm_at = world->now + 6000; /* when the first one is up and carries both directions */

  sim_world_dial (world, 0);
  link = g_ptr_array_index (world->links, 0);
  link->cut_loses_both = loses_both;
  if (bytes < G_MAXUINT64)
    sim_link_cut_later (link, direction, bytes);
  while (!is_over (&run) && !world->violation && world->now < deadline) {
    for (guint node = 0; node < 2; node++)
      open_all (&run, node);
    sim_world_step (world, warm && world->now < warm_at ? warm_at : world->now + SIM_SECOND / 10);
    if (warm && world->now >= warm_at) {
      warm = FALSE;
      sim_world_dial (world, 1);
      link = g_ptr_array_index (world->links, world->links->len - 1);
      link->ends[0].static_cost = link->ends[1].static_cost = 500;
    }
    if (world->links->len > 0 && ((SimLink *) g_ptr_array_index (world->links, 0))->id == 1)
      carried = ((SimLink *) g_ptr_array_index (world->links, 0))->pipes[direction].written;
    if (world->links->len == 0)
      sim_world_dial (world, 0);
  }
  if (world->violation || !is_over (&run))
    g_test_message ("cut after %" G_GUINT64_FORMAT " bytes in direction %u", bytes, direction);
  g_assert_cmpstr (world->violation, ==, NULL);
  g_assert_true (is_over (&run));
  g_assert_cmpuint (world->streams->len, ==, G_N_ELEMENTS (scripts));
  for (guint i = 0; i < world->streams->len; i++)
    for (guint side = 0; side < 2; side++)
      check_side (world, g_ptr_array_index (world->streams, i), side);
  return carried;
}

typedef struct {
  const char *path;
  guint direction;
  gboolean loses_both, warm;
} Case;

static void
test_cut (gconstpointer data)
{
  const Case *c = data;
  guint64 length = run_cut (c->direction, G_MAXUINT64, c->loses_both, c->warm);

  g_assert_cmpuint (length, >, 1000);
  for (guint64 bytes = 0; bytes <= length; bytes++)
    run_cut (c->direction, bytes, c->loses_both, c->warm);
  g_test_message ("%" G_GUINT64_FORMAT " places", length + 1);
}

static const Case cases[] = {
  { "/sim/cut/every-byte-to-the-responder-then-a-new-link", 0, FALSE, FALSE },
  { "/sim/cut/every-byte-to-the-initiator-then-a-new-link", 1, FALSE, FALSE },
  { "/sim/cut/every-byte-to-the-responder-and-all-the-other-way", 0, TRUE, FALSE },
  { "/sim/cut/every-byte-to-the-initiator-and-all-the-other-way", 1, TRUE, FALSE },
  { "/sim/cut/every-byte-to-the-responder-with-a-warm-link", 0, FALSE, TRUE },
  { "/sim/cut/every-byte-to-the-initiator-with-a-warm-link", 1, TRUE, TRUE },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add_data_func (cases[i].path, &cases[i], test_cut);
  return g_test_run ();
}
