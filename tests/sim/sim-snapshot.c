/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-snapshot.h"
#include "session/session-private.h"
#include "sim-app.h"
#include "sim-link.h"
#include "sim-node.h"

struct _SimSnapshot {
  SimNode *node;
  gint64 taken; /* node's time */
  gint64 due;   /* world's time */
  guint64 instance, numbers, ticks;
  GPtrArray *sessions; /* of SimSession */
  gint current;        /* index, -1: none */
  GPtrArray *apps;     /* of SimApp; their session is an index */
  GArray *carried_out; /* guint, by stream */
};

SimSnapshot *
sim_snapshot_take (SimNode *node)
{
  SimSnapshot *self = g_new0 (SimSnapshot, 1);

  sim_note (node->world, node->name, "snapshot", 0, 0, 0);
  self->node = node;
  self->taken = sim_node_now (node);
  /* Soon after, what matters is what went over the links of now; later, the numbers of new ones. */
  self->due = node->world->now + sim_random_scale (&node->world->random, 20000,
                                                   (node->world->lives ? 2 : 20) * SIM_SECOND);
  self->instance = node->instance;
  self->numbers = atomic_load (&node->numbers.last);
  self->ticks = atomic_load (&node->clock.ticks);
  self->sessions = g_ptr_array_new_with_free_func (sim_session_free);
  self->apps = g_ptr_array_new ();
  self->carried_out = g_array_new (FALSE, FALSE, sizeof (guint));
  self->current = -1;
  for (guint i = 0; i < node->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (node->sessions, i);
    SimSession *copy = g_memdup2 (session, sizeof *session);
    copy->session = hypha_session_copy_for_test (session->session);
    copy->linkless_since = self->taken;
    g_ptr_array_add (self->sessions, copy);
    if (session == node->current)
      self->current = (gint) i;
  }
  for (guint i = 0; i < node->apps->len; i++) {
    SimApp *app = g_ptr_array_index (node->apps, i);
    SimApp *copy = sim_app_copy (app);
    guint index;
    g_assert_true (g_ptr_array_find (node->sessions, app->session, &index));
    copy->session = g_ptr_array_index (self->sessions, index);
    copy->hs = hypha_session_find (copy->session->session, hypha_session_stream_get_id (app->hs));
    hypha_session_stream_set_data (copy->hs, copy);
    g_ptr_array_add (self->apps, copy);
  }
  for (guint i = 0; i < node->world->streams->len; i++) {
    SimStream *stream = g_ptr_array_index (node->world->streams, i);
    g_array_append_val (self->carried_out, stream->carried_out[node->index]);
  }
  return self;
}

gint64
sim_snapshot_get_due (SimSnapshot *self)
{
  return self->due;
}

void
sim_snapshot_free (SimSnapshot *self)
{
  g_ptr_array_unref (self->sessions);
  g_ptr_array_set_free_func (self->apps, (GDestroyNotify) sim_app_free);
  g_ptr_array_unref (self->apps);
  g_array_unref (self->carried_out);
  g_free (self);
}

/* NODE's memory is what SELF holds. */
static void
install (SimSnapshot *self, SimNode *node)
{
  SimWorld *world = node->world;

  node->offset = self->taken - world->now;
  node->instance = self->instance;
  node->salt = sim_random_next (&world->random);
  atomic_store (&node->numbers.last, self->numbers);
  atomic_store (&node->clock.ticks, self->ticks);
  g_ptr_array_unref (node->sessions);
  node->sessions = g_steal_pointer (&self->sessions);
  self->sessions = g_ptr_array_new ();
  if (self->current >= 0)
    node->current = g_ptr_array_index (node->sessions, self->current);
  for (guint i = 0; i < node->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (node->sessions, i);

    session->node = node;
    session->stood_before = node->stood;
    session->session->numbers = &node->numbers;
    session->session->clock = &node->clock;
  }
  for (guint i = 0; i < self->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->apps, i);
    SimHistory *after = sim_history_fork (app->history, app->written, node->salt);

    after->finished = app->finished;
    g_ptr_array_add (app->stream->histories[app->side], after);
    app->history = after;
    app->node = node;
    app->stream->outcomes[app->side] = (SimOutcome){ 0 };
    /* What was not answered yet may get another answer in this life. */
    if (world->lives && !app->answered && sim_random_chance (&world->random, 500))
      app->plan.refuse = app->plan.refuse ? 0 : HYPHA_CODE_REFUSED;
    g_ptr_array_add (node->apps, app);
  }
}

/* What NODE has written is on its way for a while. */
static void
delay_last_words (SimNode *node)
{
  SimWorld *world = node->world;

  for (guint i = 0; i < world->links->len; i++) {
    SimLink *link = g_ptr_array_index (world->links, i);
    for (guint j = 0; j < 2; j++)
      if (link->ends[j].node == node && link->ends[j].open) {
        link->touched = TRUE;
        link->pipes[j].stalled_until =
            MAX (link->pipes[j].stalled_until,
                 world->now + sim_random_scale (&world->random, 1000, SIM_SECOND));
      }
  }
}

void
sim_snapshot_restore (SimSnapshot *self)
{
  SimNode *node = self->node;
  SimWorld *world = node->world;
  gboolean at_once = world->lives || sim_random_chance (&world->random, 500);

  sim_note (world, node->name, "rolls back", 0, 0, 0);
  world->counts[SIM_COUNT_ROLLBACK]++;
  world->rolled_back = TRUE;
  if (at_once)
    delay_last_words (node);
  sim_node_die (node);
  node->paused_until = 0;
  install (self, node);
  if (at_once)
    sim_world_meet (world, node);
  /* What had yet to be asked for is asked for in this life, too, as by a program that went back;
   * the other life's OPEN may still be on its way. */
  for (guint i = 0; i < self->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->apps, i);
    if (app->side == 0 && !app->hs->open_sent)
      app->stream->lives++;
  }
  g_ptr_array_set_size (self->apps, 0);
  /* What ran here since never happened. */
  for (guint i = 0; i < world->streams->len; i++) {
    SimStream *stream = g_ptr_array_index (world->streams, i);
    if (stream->opener != node->role)
      stream->carried_out[node->index] =
          i < self->carried_out->len ? g_array_index (self->carried_out, guint, i) : 0;
  }
  sim_snapshot_free (self);
}

static void
clone_with_sessions (SimNode *node, SimNode *clone)
{
  SimWorld *world = node->world;
  SimSnapshot *self = sim_snapshot_take (node);

  install (self, clone);
  for (guint i = 0; i < self->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->apps, i);
    /* Both will ask for it. */
    if (app->side == 0 && !app->hs->open_sent)
      app->stream->lives++;
  }
  g_ptr_array_set_size (self->apps, 0);
  for (guint i = 0; i < world->streams->len; i++) {
    SimStream *stream = g_ptr_array_index (world->streams, i);
    stream->carried_out[clone->index] = stream->carried_out[node->index];
  }
  sim_snapshot_free (self);
}

void
sim_node_double_again (SimNode *clone)
{
  SimWorld *world = clone->world;
  SimNode *node = world->nodes[clone->role];

  sim_note (world, node->name, "is doubled again", 0, 0, 0);
  world->counts[SIM_COUNT_DOUBLE]++;
  delay_last_words (clone);
  sim_node_die (clone);
  clone->paused_until = 0;
  clone_with_sessions (node, clone);
}

void
sim_node_clone (SimNode *node, gboolean same_instance)
{
  SimWorld *world = node->world;
  SimNode *clone = sim_node_new (world, world->n_nodes, node->lower);

  g_assert_cmpuint (world->n_nodes, <, G_N_ELEMENTS (world->nodes));
  world->nodes[world->n_nodes++] = clone;
  clone->role = node->role;
  clone->name = (char) g_ascii_tolower (node->name);
  clone->offset = node->offset;
  clone->limits = node->limits;
  sim_note (world, node->name, same_instance ? "is doubled" : "is cloned", 0, 0, 0);
  if (same_instance) {
    world->counts[SIM_COUNT_DOUBLE]++;
    world->rolled_back = world->doubled = TRUE;
    clone_with_sessions (node, clone);
  } else {
    world->counts[SIM_COUNT_CLONE]++;
    atomic_store (&clone->numbers.last, atomic_load (&node->numbers.last));
    atomic_store (&clone->clock.ticks, atomic_load (&node->clock.ticks));
  }
}
