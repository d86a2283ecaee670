/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-world.h"
#include "sim-app.h"
#include "sim-fault.h"
#include "sim-link.h"
#include "sim-node.h"
#include "sim-snapshot.h"

#define MAX_IDLE_STEPS 200000

void
sim_note (SimWorld *self, char who, const char *what, guint64 a, guint64 b, guint64 c)
{
  guint64 hash = self->hash;

  for (const char *p = what; *p; p++)
    hash = (hash ^ (guint8) *p) * G_GUINT64_CONSTANT (0x100000001b3);
  hash = sim_mix (hash ^ (guint64) self->now ^
                  sim_mix ((guint64) (guint8) who ^ sim_mix (a ^ sim_mix (b ^ sim_mix (c)))));
  self->hash = hash;
  if (self->tracing)
    g_print ("%10" G_GINT64_FORMAT " %c %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
             " %" G_GUINT64_FORMAT "\n",
             self->now, who, what, a, b, c);
}

void
sim_violation (SimWorld *self, const char *format, ...)
{
  va_list arguments;

  if (self->violation)
    return;
  va_start (arguments, format);
  self->violation = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  if (self->tracing)
    g_print ("%10" G_GINT64_FORMAT "   VIOLATION %s\n", self->now, self->violation);
}

SimWorld *
sim_world_new (guint64 seed, guint faults)
{
  SimWorld *self = g_new0 (SimWorld, 1);
  const guint weathers[] = { 30, 85, 85, 200, 400 };
  const guint dialling[] = { 3, 3, 3, 1, 2 };
  gboolean lower;

  self->seed = seed;
  self->faults = faults;
  sim_random_init (&self->random, seed);
  self->links = g_ptr_array_new_with_free_func ((GDestroyNotify) sim_link_free);
  self->streams = g_ptr_array_new_with_free_func ((GDestroyNotify) sim_stream_free);
  self->now = SIM_SECOND;
  self->weather = sim_random_pick (&self->random, weathers);
  self->dialling = sim_random_pick (&self->random, dialling);
  lower = sim_random_chance (&self->random, 500);
  /* And a few are about lives that go back, or go on twice, and hardly anything else. */
  self->lives = sim_world_has (self, SIM_FAULT_LIVES) && seed % 16 == 11;
  /* And in some, links go through other nodes. */
  self->relays = seed % 16 == 14;
  /* A few runs have as many streams as there can be, with the limits that a node has by default. */
  if (sim_world_has (self, SIM_FAULT_CROWD) && seed % 64 == 7)
    self->crowd_size = seed % 256 == 7 ? 512 : (guint) sim_random_between (&self->random, 16, 96);
  self->nodes[0] = sim_node_new (self, 0, lower);
  self->nodes[1] = sim_node_new (self, 1, !lower);
  self->n_nodes = 2;
  self->crowd_left = 4 * self->crowd_size;
  self->counts[SIM_COUNT_CROWD] = self->crowd_size > 0;
  return self;
}

void
sim_world_free (SimWorld *self)
{
  g_clear_pointer (&self->snapshot, sim_snapshot_free);
  g_clear_pointer (&self->other_snapshot, sim_snapshot_free);
  for (guint i = 0; i < self->n_nodes; i++)
    sim_node_free (self->nodes[i]);
  g_ptr_array_unref (self->links);
  g_ptr_array_unref (self->streams);
  g_free (self->violation);
  g_free (self);
}

/* Stepping. */

void
sim_world_settle (SimWorld *self)
{
  gboolean more = TRUE;

  while (more && !self->violation) {
    more = FALSE;
    for (guint i = 0; i < self->links->len; i++) {
      SimLink *link = g_ptr_array_index (self->links, i);
      for (guint j = 0; j < 2; j++)
        more |= sim_end_pump (&link->ends[j]);
    }
    for (guint i = 0; i < self->n_nodes; i++)
      more |= sim_node_drain (self->nodes[i]);
  }
  self->steps++;
  for (guint i = 0; i < self->n_nodes && !self->violation; i++)
    sim_node_check (self->nodes[i]);
}

static void
bury_links (SimWorld *self)
{
  for (guint i = 0; i < self->links->len; i++) {
    SimLink *link = g_ptr_array_index (self->links, i);
    if (!link->ends[0].open && !link->ends[1].open)
      g_ptr_array_remove_index (self->links, i--);
  }
}

gboolean
sim_world_step (SimWorld *self, gint64 until)
{
  gint64 next = G_MAXINT64;
  SimEnd *end = NULL;
  SimNode *node = NULL;

  if (self->violation)
    return FALSE;
  bury_links (self);
  for (guint i = 0; i < self->n_nodes; i++) {
    gint64 due = sim_node_next (self->nodes[i]);
    if (due < next) {
      next = due;
      node = self->nodes[i];
    }
  }
  for (guint i = 0; i < self->links->len; i++)
    for (guint j = 0; j < 2; j++) {
      SimEnd *candidate = &((SimLink *) g_ptr_array_index (self->links, i))->ends[j];
      gint64 due = sim_end_next (candidate);
      /* What is due at the same moment comes in any order. */
      if (due < next || (due == next && due < G_MAXINT64 && !self->scripted &&
                         sim_random_chance (&self->random, 500))) {
        next = due;
        end = candidate;
      }
    }
  if (next > until) {
    self->now = MAX (self->now, until);
    return FALSE;
  }
  if (next > self->now)
    self->idle_steps = 0;
  else if (++self->idle_steps > MAX_IDLE_STEPS)
    sim_violation (self, "time stands still");
  self->now = MAX (self->now, next);
  if (end)
    sim_end_act (end);
  else
    sim_node_act (node);
  sim_world_settle (self);
  return !self->violation;
}

static void
dial (SimWorld *self, SimNode *from, SimNode *to)
{
  SimLink *link = sim_link_new (self, from, to);

  sim_note (self, from->name, "dials", link->id, to->index, 0);
  g_ptr_array_add (self->links, link);
}

void
sim_world_dial (SimWorld *self, guint node)
{
  SimNode *from = self->nodes[node], *to = NULL;
  guint n = 0;

  for (guint i = 0; i < self->n_nodes; i++)
    if (self->nodes[i]->role != from->role && !self->nodes[i]->gone &&
        (++n == 1 || sim_random_chance (&self->random, 500)))
      to = self->nodes[i];
  dial (self, from, to);
}

/* NODE and the other side have a link at once, whoever of them may dial. */
void
sim_world_meet (SimWorld *self, SimNode *node)
{
  guint other = 1 - node->role;

  if (self->now < self->dark_until || self->nodes[other]->gone)
    return;
  if (self->dialling & (1u << node->role))
    dial (self, node, self->nodes[other]);
  else if (self->nodes[other]->paused_until <= self->now)
    dial (self, self->nodes[other], node);
}

/* A whole run. */

static void
check_links (SimWorld *self)
{
  for (guint i = 0; i < self->links->len; i++)
    sim_link_check (g_ptr_array_index (self->links, i));
}

static void
run_until (SimWorld *self, gint64 until)
{
  while (sim_world_step (self, until))
    ;
}

static gboolean
finished (SimWorld *self)
{
  for (guint i = 0; i < self->n_nodes; i++) {
    SimNode *node = self->nodes[i];
    for (guint j = 0; j < node->apps->len; j++)
      if (!sim_app_is_idle (g_ptr_array_index (node->apps, j)))
        return FALSE;
  }
  return TRUE;
}

static gboolean
has_good_link (SimWorld *self, SimNode *one, SimNode *other)
{
  for (guint i = 0; i < self->links->len; i++) {
    SimLink *link = g_ptr_array_index (self->links, i);

    if (sim_link_is_good (link) && ((link->ends[0].node == one && link->ends[1].node == other) ||
                                    (link->ends[1].node == one && link->ends[0].node == other)))
      return TRUE;
  }
  return FALSE;
}

/* Whoever has no link that is any good dials, or is dialled. */
static void
redial (SimWorld *self, guint turn)
{
  for (guint i = 0; i < self->n_nodes; i++)
    for (guint j = i + 1; j < self->n_nodes; j++) {
      SimNode *pair[2] = { self->nodes[i], self->nodes[j] };
      guint who = turn % 2;

      if (pair[0]->role == pair[1]->role || pair[0]->gone || pair[1]->gone ||
          has_good_link (self, pair[0], pair[1]))
        continue;
      if ((self->dialling & (1u << pair[who]->role)) == 0)
        who = 1 - who;
      dial (self, pair[who], pair[1 - who]);
    }
}

/* Redials until there is a link that nothing is wrong with, and waits until all is done. */
static void
wait_until_finished (SimWorld *self, const char *what)
{
  gint64 last = self->now + 3600 * SIM_SECOND, since = self->now;
  guint64 progress = 0;
  guint turn = 0;

  while (!self->violation && !finished (self)) {
    guint64 done = self->counts[SIM_COUNT_BYTES] + self->counts[SIM_COUNT_EVENTS_OF_STREAMS];
    if (done != progress)
      since = self->now;
    progress = done;
    if (self->now >= last || self->now - since > 120 * SIM_SECOND) {
      sim_violation (self, "stuck %s", what);
      for (guint i = 0; i < self->n_nodes; i++)
        for (guint j = 0; j < self->nodes[i]->apps->len; j++) {
          SimApp *app = g_ptr_array_index (self->nodes[i]->apps, j);
          sim_note (self, self->nodes[i]->name, "stuck", app->stream->token,
                    hypha_session_stream_get_id (app->hs), app->written);
        }
      return;
    }
    run_until (self, self->now + 3 * SIM_SECOND);
    check_links (self);
    redial (self, ++turn);
  }
}

static void
check_outcome (SimWorld *self, SimStream *stream, guint side)
{
  const SimOutcome *mine = &stream->outcomes[side], *other = &stream->outcomes[1 - side];

  if (stream->must_finish && !(mine->clean && mine->peer_finished && mine->finished))
    sim_violation (self, "stream %u, opened after all faults, did not finish for side %u",
                   stream->token, side);
  if (self->rolled_back)
    return;
  if (mine->clean && mine->finished && !mine->was_reset && !mine->stopped && other->over &&
      other->clean && !other->gone_early && !other->peer_finished)
    sim_violation (self, "stream %u: side %u has it that all arrived, the other has not",
                   stream->token, side);
}

/* The faults have stopped, and the sessions are as good as new. */
static void
open_last (SimWorld *self)
{
  for (guint i = 0; i < self->n_nodes; i++) {
    guint n = self->streams->len;

    if (self->nodes[i]->gone)
      continue;
    sim_node_open (self->nodes[i]);
    if (self->streams->len == n)
      sim_violation (self, "%c can open nothing after all faults", self->nodes[i]->name);
    else
      ((SimStream *) g_ptr_array_index (self->streams, n))->must_finish = TRUE;
  }
}

static void
heal (SimWorld *self)
{
  gint64 start = self->now, awake = 0;

  for (guint i = 0; i < self->n_nodes; i++)
    awake = MAX (awake, self->nodes[i]->paused_until);
  self->healing = TRUE;
  g_clear_pointer (&self->snapshot, sim_snapshot_free);
  g_clear_pointer (&self->other_snapshot, sim_snapshot_free);
  /* A cut that is yet to come would be a fault as well. */
  for (guint i = 0; i < self->links->len; i++)
    for (guint j = 0; j < 2; j++)
      ((SimLink *) g_ptr_array_index (self->links, i))->pipes[j].cut_at = G_MAXUINT64;
  sim_note (self, '-', "heals", 0, 0, 0);
  /* One instance twice is a fault, too: as long as both live, they end each other's sessions. */
  if (self->doubled)
    sim_node_retire (
        self->nodes[sim_random_chance (&self->random, 500) ? 2 : self->nodes[2]->role]);
  wait_until_finished (self, "while others are stalled");
  self->released = TRUE;
  sim_note (self, '-', "releases", 0, 0, 0);
  for (guint i = 0; i < self->n_nodes; i++)
    for (guint j = 0; j < self->nodes[i]->apps->len; j++)
      sim_app_wake (g_ptr_array_index (self->nodes[i]->apps, j));
  wait_until_finished (self, "after all were released");
  /* Sessions that nobody uses may still find out that they are of old. */
  for (guint i = 0; i < 30 && !self->violation; i++) {
    run_until (self, self->now + 3 * SIM_SECOND);
    check_links (self);
    redial (self, i);
    self->quiet = i > 10 && self->now > awake + 15 * SIM_SECOND;
  }
  if (self->violation)
    return;
  self->quiet = FALSE;
  self->calm = TRUE;
  sim_world_settle (self);
  self->calm = FALSE;
  open_last (self);
  wait_until_finished (self, "after all faults");
  self->counts[SIM_COUNT_SECONDS] += (guint64) ((self->now - start) / SIM_SECOND);
}

gboolean
sim_world_run (SimWorld *self)
{
  gint64 end = self->now +
               sim_random_scale (&self->random, 20, self->crowd_size > 0 ? 30 : 200) * SIM_SECOND;

  self->next_action = self->now;
  while (self->now < end && !self->violation) {
    gint64 due = self->snapshot ? sim_snapshot_get_due (self->snapshot) : G_MAXINT64;
    run_until (self, MIN (self->next_action, due));
    if (self->violation)
      break;
    if (due <= self->now) {
      sim_snapshot_restore (g_steal_pointer (&self->snapshot));
      if (self->other_snapshot)
        sim_snapshot_restore (g_steal_pointer (&self->other_snapshot));
      sim_world_settle (self);
    } else {
      sim_fault_act (self);
    }
    check_links (self);
    sim_fault_check_farewell (self);
  }
  self->counts[SIM_COUNT_SECONDS] += (guint64) (self->now / SIM_SECOND);
  if (!self->violation)
    heal (self);
  for (guint i = 0; i < self->streams->len && !self->violation; i++)
    for (guint side = 0; side < 2; side++)
      check_outcome (self, g_ptr_array_index (self->streams, i), side);
  return self->violation == NULL;
}
