/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-world.h"
#include "sim-app.h"
#include "sim-link.h"
#include "sim-node.h"

/* A mean time between two things that befall the world. */
#define ACTION (SIM_SECOND / 4)
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
  self->nodes[0] = sim_node_new (self, 0, lower);
  self->nodes[1] = sim_node_new (self, 1, !lower);
  return self;
}

void
sim_world_free (SimWorld *self)
{
  g_clear_pointer (&self->snapshot, sim_snapshot_free);
  for (guint i = 0; i < 2; i++)
    sim_node_free (self->nodes[i]);
  g_ptr_array_unref (self->links);
  g_ptr_array_unref (self->streams);
  g_free (self->violation);
  g_free (self);
}

/* Stepping. */

static void
settle (SimWorld *self)
{
  gboolean more = TRUE;

  while (more && !self->violation) {
    more = FALSE;
    for (guint i = 0; i < self->links->len; i++) {
      SimLink *link = g_ptr_array_index (self->links, i);
      for (guint j = 0; j < 2; j++)
        more |= sim_end_pump (&link->ends[j]);
    }
    for (guint i = 0; i < 2; i++)
      more |= sim_node_drain (self->nodes[i]);
  }
  for (guint i = 0; i < 2 && !self->violation; i++)
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
  for (guint i = 0; i < 2; i++) {
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
  settle (self);
  return !self->violation;
}

void
sim_world_dial (SimWorld *self, guint node)
{
  SimLink *link = sim_link_new (self, node);
  sim_note (self, self->nodes[node]->name, "dials", link->id, 0, 0);
  g_ptr_array_add (self->links, link);
}

/* Faults. */

static void
count_fault (SimWorld *self, SimCounter counter)
{
  self->counts[counter]++;
  self->counts[SIM_COUNT_LINK_FAULTS]++;
}

static void
stall (SimWorld *self, SimLink *link)
{
  SimPipe *pipe = &link->pipes[sim_random_below (&self->random, 2)];

  link->touched = TRUE;
  pipe->stalled_until = MAX (pipe->stalled_until,
                             self->now + sim_random_scale (&self->random, 10000, 15 * SIM_SECOND));
  sim_note (self, '-', "stall", link->id, (guint64) pipe->stalled_until, 0);
}

static void
hurt_link (SimWorld *self, SimLink *link)
{
  SimRandom *random = &self->random;
  guint which = (guint) sim_random_below (random, 100);

  if (which < 45 && sim_world_has (self, SIM_FAULT_CUT)) {
    count_fault (self, SIM_COUNT_CUT);
    if (sim_random_chance (random, 400)) {
      guint direction = (guint) sim_random_below (random, 2);
      sim_link_cut_later (link, direction, (guint64) sim_random_scale (random, 1, 8192));
    } else {
      sim_link_cut (link);
    }
  } else if (which >= 45 && which < 75 && sim_world_has (self, SIM_FAULT_STALL)) {
    count_fault (self, SIM_COUNT_STALL);
    stall (self, link);
  } else if (which >= 75 && which < 88 && sim_world_has (self, SIM_FAULT_SILENT)) {
    count_fault (self, SIM_COUNT_SILENT);
    sim_link_silence (link, 2);
  } else if (which >= 88 && sim_world_has (self, SIM_FAULT_ONEWAY)) {
    count_fault (self, SIM_COUNT_ONEWAY);
    sim_link_silence (link, (guint) sim_random_below (random, 2));
  }
}

static void
change_cost (SimWorld *self, SimLink *link)
{
  SimRandom *random = &self->random;
  guint which = (guint) sim_random_below (random, 4);

  /* At one end, at the other, or at both in the same moment: then both may switch at once. */
  for (guint i = 0; i < 2; i++)
    if (which != i)
      link->ends[i].static_cost = (guint32) sim_random_between (random, 1, 400);
}

/* How many links are there that nothing has befallen yet. */
static guint
count_links (SimWorld *self)
{
  guint n = 0;

  for (guint i = 0; i < self->links->len; i++) {
    SimLink *link = g_ptr_array_index (self->links, i);
    n += link->ends[0].open && link->ends[1].open && !link->pipes[0].was_cut &&
         !link->pipes[1].was_cut;
  }
  return n;
}

static gboolean
is_paused (SimWorld *self, guint node)
{
  return self->nodes[node]->paused_until > self->now;
}

static void
dial_by_chance (SimWorld *self)
{
  SimRandom *random = &self->random;
  guint n = count_links (self);
  guint who = (guint) sim_random_below (random, 2);

  if (self->now < self->dark_until || n > 4)
    return;
  if (sim_random_chance (random, n < 3 ? 400 : 20) && (self->dialling & (1 << who)) &&
      !is_paused (self, who)) {
    if (sim_world_has (self, SIM_FAULT_NO_ANSWER) && sim_random_chance (random, 100)) {
      count_fault (self, SIM_COUNT_NO_ANSWER);
      sim_world_dial (self, who);
      sim_link_silence (g_ptr_array_index (self->links, self->links->len - 1),
                        (guint) sim_random_below (random, 3));
    } else {
      sim_world_dial (self, who);
    }
  }
  if (sim_random_chance (random, 30) && n < 3 && self->dialling == 3 && !is_paused (self, 0) &&
      !is_paused (self, 1)) {
    sim_world_dial (self, 0);
    sim_world_dial (self, 1);
  }
}

static void
go_dark (SimWorld *self)
{
  sim_note (self, '-', "dark", 0, 0, 0);
  if (sim_random_chance (&self->random, 500))
    self->dark_until =
        self->now + sim_random_between (&self->random, SIM_SECOND, 3 * SIM_SESSION_TIMEOUT);
  for (guint i = 0; i < self->links->len; i++) {
    count_fault (self, SIM_COUNT_CUT);
    sim_link_cut (g_ptr_array_index (self->links, i));
  }
}

static void
pause_node (SimWorld *self, SimNode *node)
{
  self->counts[SIM_COUNT_PAUSE]++;
  node->paused_until = self->now + sim_random_scale (&self->random, 10000, 20 * SIM_SECOND);
  sim_note (self, node->name, "pauses", (guint64) node->paused_until, 0, 0);
  for (guint i = 0; i < self->links->len; i++)
    ((SimLink *) g_ptr_array_index (self->links, i))->touched = TRUE;
}

static guint64
count_upsets (SimWorld *self)
{
  const guint64 *counts = self->counts;
  return counts[SIM_COUNT_LINK_FAULTS] + counts[SIM_COUNT_RESTART] + counts[SIM_COUNT_ROLLBACK] +
         counts[SIM_COUNT_PAUSE] + counts[SIM_COUNT_DROP];
}

/* If the link that carries NODE's sending is sound, the peer learns at once that the session has
 * ended. */
static void
disconnect (SimWorld *self, SimNode *node)
{
  SimSession *session = sim_node_pick_session (node), *other;
  HyphaSessionLink *chosen = session ? hypha_session_get_chosen (session->session) : NULL;
  SimEnd *end = chosen ? hypha_session_link_get_data (chosen) : NULL;

  self->farewell_at = 0;
  if (end && sim_link_is_good (end->link) && !end->link->touched) {
    other = end->link->ends[1 - end->index].session;
    self->farewell_at = self->now + 3 * end->link->ping_bound + SIM_SECOND / 4;
    self->farewell_from = node->index;
    self->farewell_overs = other->overs;
  }
  sim_node_disconnect (node);
  self->farewell_faults = count_upsets (self);
}

static void
check_farewell (SimWorld *self)
{
  SimNode *from = self->nodes[self->farewell_from], *to = self->nodes[1 - self->farewell_from];

  if (self->farewell_at == 0 || self->farewell_faults != count_upsets (self))
    self->farewell_at = 0;
  if (self->farewell_at == 0 || self->now < self->farewell_at)
    return;
  self->farewell_at = 0;
  for (guint i = 0; i < to->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (to->sessions, i);
    if (session->peer_instance == from->instance && session->overs == self->farewell_overs)
      sim_violation (self, "%c does not know that %c disconnected", to->name, from->name);
  }
}

static void
hurt_nodes (SimWorld *self)
{
  SimRandom *random = &self->random;
  SimNode *node = self->nodes[sim_random_below (random, 2)];

  if (sim_world_has (self, SIM_FAULT_EXPIRE) && sim_random_chance (random, 4))
    go_dark (self);
  if (sim_world_has (self, SIM_FAULT_DROP) && sim_random_chance (random, 3) &&
      node->paused_until <= self->now)
    disconnect (self, node);
  if (sim_world_has (self, SIM_FAULT_PAUSE) && sim_random_chance (random, 3))
    pause_node (self, node);
  if (sim_world_has (self, SIM_FAULT_RESTART) && sim_random_chance (random, 3)) {
    sim_node_restart (node);
    g_clear_pointer (&self->snapshot, sim_snapshot_free);
  }
  if (!sim_world_has (self, SIM_FAULT_ROLLBACK))
    return;
  /* One run in three has rollbacks: with them, less can be checked. */
  if (!self->snapshot && self->seed % 3 == 0 && self->counts[SIM_COUNT_RESTART] == 0 &&
      sim_random_chance (random, 30)) {
    settle (self);
    self->snapshot = sim_snapshot_take (node);
  }
}

static void
check_links (SimWorld *self)
{
  for (guint i = 0; i < self->links->len; i++)
    sim_link_check (g_ptr_array_index (self->links, i));
}

static void
act (SimWorld *self)
{
  SimRandom *random = &self->random;
  guint n, who = (guint) sim_random_below (random, 2);

  self->next_action = self->now + sim_random_between (random, 1, 2 * ACTION);
  dial_by_chance (self);
  if (sim_random_chance (random, 150) && !is_paused (self, who))
    sim_node_open (self->nodes[who]);
  n = self->links->len;
  if (n > 0) {
    SimLink *link = g_ptr_array_index (self->links, sim_random_below (random, n));
    if (sim_random_chance (random, self->weather))
      hurt_link (self, link);
    if (sim_world_has (self, SIM_FAULT_COST) && sim_random_chance (random, 70))
      change_cost (self, link);
  }
  hurt_nodes (self);
  settle (self);
}

/* A whole run. */

static void
run_until (SimWorld *self, gint64 until)
{
  while (sim_world_step (self, until))
    ;
}

static gboolean
finished (SimWorld *self)
{
  for (guint i = 0; i < 2; i++) {
    SimNode *node = self->nodes[i];
    for (guint j = 0; j < node->apps->len; j++)
      if (!sim_app_is_idle (g_ptr_array_index (node->apps, j)))
        return FALSE;
  }
  return TRUE;
}

static gboolean
has_good_link (SimWorld *self)
{
  for (guint i = 0; i < self->links->len; i++)
    if (sim_link_is_good (g_ptr_array_index (self->links, i)))
      return TRUE;
  return FALSE;
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
      for (guint i = 0; i < 2; i++)
        for (guint j = 0; j < self->nodes[i]->apps->len; j++) {
          SimApp *app = g_ptr_array_index (self->nodes[i]->apps, j);
          sim_note (self, self->nodes[i]->name, "stuck", app->stream->token,
                    hypha_session_stream_get_id (app->hs), app->written);
        }
      return;
    }
    run_until (self, self->now + 3 * SIM_SECOND);
    check_links (self);
    turn++;
    if (!has_good_link (self)) {
      guint who = turn % 2;
      if ((self->dialling & (1 << who)) == 0)
        who = 1 - who;
      sim_world_dial (self, who);
    }
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
  for (guint i = 0; i < 2; i++) {
    guint n = self->streams->len;
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
  gint64 start = self->now;

  self->healing = TRUE;
  g_clear_pointer (&self->snapshot, sim_snapshot_free);
  sim_note (self, '-', "heals", 0, 0, 0);
  wait_until_finished (self, "while others are stalled");
  self->released = TRUE;
  sim_note (self, '-', "releases", 0, 0, 0);
  for (guint i = 0; i < 2; i++)
    for (guint j = 0; j < self->nodes[i]->apps->len; j++)
      sim_app_wake (g_ptr_array_index (self->nodes[i]->apps, j));
  wait_until_finished (self, "after all were released");
  /* Sessions that nobody uses may still find out that they are of old. */
  for (guint i = 0; i < 30 && !self->violation; i++) {
    run_until (self, self->now + 3 * SIM_SECOND);
    check_links (self);
    if (!has_good_link (self))
      sim_world_dial (self, self->dialling == 3 ? i % 2 : self->dialling - 1);
  }
  if (self->violation)
    return;
  self->calm = TRUE;
  settle (self);
  self->calm = FALSE;
  open_last (self);
  wait_until_finished (self, "after all faults");
  self->counts[SIM_COUNT_SECONDS] += (guint64) ((self->now - start) / SIM_SECOND);
}

gboolean
sim_world_run (SimWorld *self)
{
  gint64 end = self->now + sim_random_scale (&self->random, 20, 200) * SIM_SECOND;

  self->next_action = self->now;
  while (self->now < end && !self->violation) {
    gint64 due = self->snapshot ? sim_snapshot_get_due (self->snapshot) : G_MAXINT64;
    run_until (self, MIN (self->next_action, due));
    if (self->violation)
      break;
    if (due <= self->now) {
      sim_snapshot_restore (g_steal_pointer (&self->snapshot));
      settle (self);
    } else {
      act (self);
    }
    check_links (self);
    check_farewell (self);
  }
  self->counts[SIM_COUNT_SECONDS] += (guint64) (self->now / SIM_SECOND);
  if (!self->violation)
    heal (self);
  for (guint i = 0; i < self->streams->len && !self->violation; i++)
    for (guint side = 0; side < 2; side++)
      check_outcome (self, g_ptr_array_index (self->streams, i), side);
  return self->violation == NULL;
}
