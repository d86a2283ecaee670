/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-fault.h"
#include "sim-link.h"
#include "sim-node.h"
#include "sim-snapshot.h"

/* A mean time between two things that befall the world. */
#define ACTION (SIM_SECOND / 4)

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
  guint who = (guint) sim_random_below (random, self->n_nodes);

  if (self->now < self->dark_until || n > 4 || self->nodes[who]->gone)
    return;
  if (sim_random_chance (random, n < 3 ? 400 : 20) &&
      (self->dialling & (1u << self->nodes[who]->role)) && !is_paused (self, who)) {
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
  gboolean frozen = sim_random_chance (&self->random, 500);
  gint64 length =
      sim_random_scale (&self->random, 10000, (guint64) (frozen ? 60 : 20) * SIM_SECOND);

  if (is_paused (self, node->index))
    return;
  self->counts[frozen ? SIM_COUNT_FROZEN : SIM_COUNT_PAUSE]++;
  node->paused_until = self->now + length;
  /* As of a machine that sleeps: for the node no time has passed. */
  if (frozen)
    node->offset -= length;
  else
    node->stood += MAX (length - 2 * SIM_SECOND, 0);
  sim_note (self, node->name, "pauses", (guint64) node->paused_until, 0, 0);
  for (guint i = 0; i < self->links->len; i++)
    ((SimLink *) g_ptr_array_index (self->links, i))->touched = TRUE;
}

static guint64
count_upsets (SimWorld *self)
{
  const guint64 *counts = self->counts;
  return counts[SIM_COUNT_LINK_FAULTS] + counts[SIM_COUNT_RESTART] + counts[SIM_COUNT_ROLLBACK] +
         counts[SIM_COUNT_PAUSE] + counts[SIM_COUNT_FROZEN] + counts[SIM_COUNT_DROP] +
         counts[SIM_COUNT_TWIN];
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
  if (end && self->n_nodes == 2 && sim_link_is_good (end->link) && !end->link->touched) {
    other = end->link->ends[1 - end->index].session;
    self->farewell_at = self->now + 3 * end->link->ping_bound + SIM_SECOND / 4;
    self->farewell_from = node->index;
    self->farewell_overs = other->overs;
  }
  sim_node_disconnect (node);
  self->farewell_faults = count_upsets (self);
}

void
sim_fault_check_farewell (SimWorld *self)
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

/* What NODE says is on its way for long, but for the RESUME of a new link. */
static void
hold_words (SimWorld *self, SimNode *node)
{
  const gint64 until = self->now + sim_random_between (&self->random, SIM_SECOND, 4 * SIM_SECOND);

  for (guint i = 0; i < self->links->len; i++) {
    SimLink *link = g_ptr_array_index (self->links, i);
    for (guint j = 0; j < 2; j++)
      if (link->ends[j].node == node) {
        link->touched = TRUE;
        link->pipes[j].stalled_until = MAX (link->pipes[j].stalled_until, until);
      }
  }
  sim_world_meet (self, node);
}

/* One instance lives twice all the time, or goes back again and again, or both: and each life has a
 * link at once, while the words of the other one are under way. In every second such run the other
 * end goes back, too, and often both at the same moment. */
static void
live_twice (SimWorld *self)
{
  SimRandom *random = &self->random;
  const guint kind = (guint) (self->seed / 16 % 3);
  const gboolean both = self->seed / 96 % 2 == 1;
  SimNode *node = self->nodes[self->seed / 48 % 2];

  sim_world_settle (self);
  if ((both || kind != 0) && !self->snapshot && sim_random_chance (random, 150)) {
    SimNode *back = both ? self->nodes[sim_random_below (random, 2)] : node;

    self->snapshot = sim_snapshot_take (back);
    if (both && !self->other_snapshot && sim_random_chance (random, 500))
      self->other_snapshot = sim_snapshot_take (self->nodes[1 - back->index]);
    if (sim_random_chance (random, 500))
      hold_words (self, back);
  }
  if (kind == 1 || !sim_random_chance (random, 60))
    return;
  if (self->n_nodes > 2)
    sim_node_double_again (self->nodes[2]);
  else
    sim_node_clone (node, TRUE);
  sim_world_meet (self, self->nodes[2]);
}

static void
hurt_nodes (SimWorld *self)
{
  SimRandom *random = &self->random;
  SimNode *node = self->nodes[sim_random_below (random, self->n_nodes)];

  if (self->lives) {
    live_twice (self);
    return;
  }
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
  /* One run in ten has a clone: with the same instance, less can be checked. */
  if (sim_world_has (self, SIM_FAULT_CLONE) && self->seed % 10 == 1 && self->n_nodes == 2 &&
      !is_paused (self, node->index) && sim_random_chance (random, 15)) {
    sim_world_settle (self);
    sim_node_clone (node, self->seed % 20 == 1);
    if (sim_random_chance (random, 500))
      sim_world_meet (self, self->nodes[self->n_nodes - 1]);
  }
  if (!sim_world_has (self, SIM_FAULT_ROLLBACK))
    return;
  /* One run in three has rollbacks: with them, less can be checked. */
  if (!self->snapshot && !is_paused (self, node->index) && self->seed % 3 == 0 &&
      self->counts[SIM_COUNT_RESTART] == 0 && sim_random_chance (random, 30)) {
    sim_world_settle (self);
    self->snapshot = sim_snapshot_take (node);
  }
}

void
sim_fault_act (SimWorld *self)
{
  SimRandom *random = &self->random;
  guint n, who = (guint) sim_random_below (random, self->n_nodes);

  self->next_action = self->now + sim_random_between (random, 1, 2 * ACTION);
  dial_by_chance (self);
  if (sim_random_chance (random, 150) && !is_paused (self, who))
    sim_node_open (self->nodes[who]);
  for (guint i = 0; i < self->crowd_size / 8 && self->crowd_left > 0 && !is_paused (self, who);
       i++) {
    self->crowd_left--;
    sim_node_open (self->nodes[who]);
  }
  n = self->links->len;
  if (n > 0) {
    SimLink *link = g_ptr_array_index (self->links, sim_random_below (random, n));
    if (sim_random_chance (random, self->weather))
      hurt_link (self, link);
    if (sim_world_has (self, SIM_FAULT_COST) && sim_random_chance (random, 70))
      change_cost (self, link);
  }
  hurt_nodes (self);
  sim_world_settle (self);
}
