/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-node.h"
#include "session/session-private.h"
#include "sim-app.h"
#include "sim-link.h"

void
sim_session_free (gpointer data)
{
  SimSession *self = data;

  hypha_session_free (self->session);
  g_free (self);
}

static void
node_born (SimNode *self)
{
  SimRandom *random = &self->world->random;

  self->instance = sim_random_next (random);
  self->salt = sim_random_next (random);
  atomic_store (&self->numbers.last, 0);
  atomic_store (&self->clock.ticks, 0);
}

static void
choose_limits (SimNode *self)
{
  SimRandom *random = &self->world->random;
  HyphaSessionLimits *limits = &self->limits;
  const guint32 windows[] = { 16, 64, 512, 512, 2048, 8192 };
  const gint64 timeouts[] = { SIM_SESSION_TIMEOUT, SIM_SESSION_TIMEOUT, SIM_SESSION_TIMEOUT,
                              SIM_SESSION_TIMEOUT / 3, SIM_SESSION_TIMEOUT * 3 };
  guint64 promised;

  hypha_session_limits_init (limits);
  limits->session_timeout = sim_random_pick (random, timeouts);
  limits->ack_delay = sim_random_scale (random, 100, 20000);
  limits->switch_margin = (guint32) sim_random_between (random, 0, 20);
  if (self->world->crowd_size > 0)
    limits->streams = self->world->crowd_size;
  if (self->world->crowd_size == 512)
    return;
  if (self->world->crowd_size > 0) {
    limits->window_min = sim_random_pick (random, windows);
    promised = 2 * limits->streams * (guint64) limits->window_min;
    limits->window_total = promised + sim_random_below (random, 3) * promised / 4;
    limits->window_max = limits->window_min << sim_random_below (random, 5);
    limits->send_max = (guint64) sim_random_scale (random, 64, 65536);
    return;
  }
  limits->streams = (guint32) sim_random_between (random, 1, 8);
  limits->window_min = sim_random_pick (random, windows);
  promised = 2 * 8 * (guint64) limits->window_min;
  limits->window_total = promised + sim_random_below (random, 4) * promised;
  limits->window_max = limits->window_min << sim_random_below (random, 5);
  limits->send_max = (guint64) sim_random_scale (random, 64, 65536);
}

SimNode *
sim_node_new (SimWorld *world, guint index, gboolean lower)
{
  SimNode *self = g_new0 (SimNode, 1);

  self->world = world;
  self->index = self->role = index;
  self->name = "AB"[index];
  self->lower = lower;
  self->offset = (gint64) sim_random_below (&world->random, 1000) * SIM_SECOND;
  self->sessions = g_ptr_array_new_with_free_func (sim_session_free);
  self->apps = g_ptr_array_new ();
  choose_limits (self);
  node_born (self);
  return self;
}

/* What runs here is over, without a word. */
void
sim_node_die (SimNode *self)
{
  for (guint i = 0; i < self->world->links->len; i++) {
    SimLink *link = g_ptr_array_index (self->world->links, i);
    for (guint j = 0; j < 2; j++)
      if (link->ends[j].node == self) {
        sim_end_vanish (&link->ends[j]);
        link->ends[j].session = NULL;
      }
  }
  for (guint i = 0; i < self->apps->len; i++) {
    sim_app_note_taken (g_ptr_array_index (self->apps, i));
    sim_app_free (g_ptr_array_index (self->apps, i));
  }
  g_ptr_array_set_size (self->apps, 0);
  g_ptr_array_set_size (self->sessions, 0);
  self->current = NULL;
}

void
sim_node_retire (SimNode *self)
{
  sim_note (self->world, self->name, "is gone", 0, 0, 0);
  sim_node_die (self);
  self->gone = TRUE;
}

void
sim_node_free (SimNode *self)
{
  sim_node_die (self);
  g_ptr_array_unref (self->apps);
  g_ptr_array_unref (self->sessions);
  g_free (self);
}

gint64
sim_node_now (SimNode *self)
{
  return self->world->now + self->offset;
}

/* Sessions. */

SimSession *
sim_node_get_session (SimNode *self, guint64 peer_instance)
{
  SimSession *session;

  for (guint i = 0; i < self->sessions->len; i++) {
    session = g_ptr_array_index (self->sessions, i);
    if (session->peer_instance == peer_instance)
      return session;
  }
  session = g_new0 (SimSession, 1);
  session->node = self;
  session->peer_instance = peer_instance;
  session->linkless_since = sim_node_now (self);
  session->stood_before = self->stood;
  session->session = hypha_session_new (self->lower, &self->numbers, &self->clock, &self->limits,
                                        sim_node_now (self), sim_app_deliver, NULL);
  g_ptr_array_add (self->sessions, session);
  return session;
}

SimSession *
sim_node_pick_session (SimNode *self)
{
  SimSession *linked = NULL;

  if (self->sessions->len == 0)
    return NULL;
  for (guint i = 0; i < self->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (self->sessions, i);
    if (hypha_session_n_links (session->session) > 0)
      linked = session;
  }
  /* A clone that is gone again leaves its original. */
  if (linked != NULL &&
      (self->current == NULL || hypha_session_n_links (self->current->session) == 0))
    return linked;
  if (self->current != NULL)
    return self->current;
  return g_ptr_array_index (self->sessions, self->sessions->len - 1);
}

/* A link to this instance of the peer is up: those before it are probed. */
static void
supersede_others (SimNode *self, SimSession *session)
{
  gint64 now = sim_node_now (self);

  self->current = session;
  session->superseded = FALSE;
  session->probe_until = 0;
  for (guint i = 0; i < self->sessions->len; i++) {
    SimSession *other = g_ptr_array_index (self->sessions, i);
    if (other == session || other->superseded)
      continue;
    other->superseded = TRUE;
    other->probe_from = now;
    other->probe_until =
        hypha_session_n_links (other->session) == 0 ? now : now + 3 * SIM_PING_INTERVAL;
  }
}

static void
probe_ends (SimNode *self, SimSession *session)
{
  SimWorld *world = self->world;

  session->probe_until = 0;
  for (guint i = 0; i < world->links->len; i++) {
    SimLink *link = g_ptr_array_index (world->links, i);
    for (guint j = 0; j < 2; j++)
      if (link->ends[j].session == session && link->ends[j].slink &&
          link->ends[j].last_pong > session->probe_from) {
        session->superseded = FALSE;
        return;
      }
  }
  sim_note (world, self->name, "old session ends", session->peer_instance, 0, 0);
  hypha_session_drop (session->session, HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_RESTARTED,
                      "the peer started anew", sim_node_now (self));
}

/* Forgets sessions with instances that are no more. */
static void
sweep (SimNode *self)
{
  SimWorld *world = self->world;

  for (guint i = 0; i < self->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (self->sessions, i);
    if (!session->superseded || session->probe_until != 0 ||
        hypha_session_n_links (session->session) > 0 ||
        hypha_session_n_streams (session->session) > 0)
      continue;
    for (guint j = 0; j < world->links->len; j++) {
      SimLink *link = g_ptr_array_index (world->links, j);
      for (guint k = 0; k < 2; k++)
        if (link->ends[k].session == session) {
          if (link->ends[k].state == SIM_END_FRAMES)
            sim_end_close (&link->ends[k], "session forgotten");
          link->ends[k].session = NULL;
        }
    }
    g_ptr_array_remove_index (self->sessions, i--);
  }
}

/* Events. */

static const char *const event_names[] = {
  [HYPHA_SESSION_OPENED] = "  OPENED",         [HYPHA_SESSION_ACCEPTED] = "  ACCEPTED",
  [HYPHA_SESSION_READABLE] = "  READABLE",     [HYPHA_SESSION_FINISHED] = "  FINISHED",
  [HYPHA_SESSION_PEER_RESET] = "  PEER_RESET", [HYPHA_SESSION_WRITABLE] = "  WRITABLE",
  [HYPHA_SESSION_STOPPED] = "  STOPPED",       [HYPHA_SESSION_ENDED] = "  ENDED",
  [HYPHA_SESSION_LINK_UP] = "  LINK_UP",       [HYPHA_SESSION_LINK_DONE] = "  LINK_DONE",
  [HYPHA_SESSION_SWITCHED] = "  SWITCHED",     [HYPHA_SESSION_OVER] = "  OVER",
  [HYPHA_SESSION_CONFIRMED] = "  CONFIRMED",   [HYPHA_SESSION_CUT] = "  CUT",
};

/* Half of the streams have one, which says whose it is. */
static const guint8 *
ticket_of (guint token, guint8 ticket[HYPHA_TICKET_BYTES])
{
  if (token % 2 == 0)
    return NULL;
  for (guint i = 0; i < HYPHA_TICKET_BYTES; i++)
    ticket[i] = (guint8) (token * 31 + i);
  return ticket;
}

static gboolean
has_its_ticket (HyphaSessionStream *stream, guint token)
{
  guint8 bytes[HYPHA_TICKET_BYTES];
  const guint8 *wanted = ticket_of (token, bytes);
  const guint8 *ticket = hypha_session_stream_get_ticket (stream);

  if (wanted == NULL || ticket == NULL)
    return wanted == ticket;
  return memcmp (wanted, ticket, HYPHA_TICKET_BYTES) == 0;
}

static void
on_opened (SimSession *self, const HyphaSessionEvent *event)
{
  SimWorld *world = self->node->world;
  const char *service = hypha_session_stream_get_service (event->stream);
  guint64 token = 0;
  SimStream *stream;
  guint theirs = 0;

  if (service[0] != 't' ||
      !g_ascii_string_to_unsigned (service + 1, 10, 1, world->streams->len, &token, NULL)) {
    sim_violation (world, "OPEN of a service that nobody named: %s", service);
    return;
  }
  if (!has_its_ticket (event->stream, (guint) token))
    sim_violation (world, "stream %" G_GUINT64_FORMAT " came without its ticket", token);
  stream = g_ptr_array_index (world->streams, token - 1);
  if (++stream->carried_out[self->node->index] > stream->lives)
    sim_violation (world, "the OPEN of stream %u was carried out twice", stream->token);
  sim_app_new (self->node, self, event->stream, stream, 1);
  for (guint i = 0; i < self->node->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->node->apps, i);
    theirs += app->session == self && app->side == 1;
  }
  if (theirs > self->node->limits.streams)
    sim_violation (world, "the peer could open one stream more than %c's limit", self->node->name);
}

/* The peer's end of this session, if it has streams; NULL: none. */
static SimSession *
held_by_peer (SimSession *self)
{
  SimNode *node = self->node;
  SimWorld *world = node->world;

  for (guint i = 0; i < world->n_nodes; i++)
    for (guint j = 0; j < world->nodes[i]->sessions->len; j++) {
      SimSession *other = g_ptr_array_index (world->nodes[i]->sessions, j);

      if (world->nodes[i]->role != node->role && world->nodes[i]->instance == self->peer_instance &&
          other->peer_instance == node->instance && hypha_session_n_streams (other->session) > 0)
        return other;
    }
  return NULL;
}

static void
on_over (SimSession *self, const HyphaSessionEvent *event)
{
  SimNode *node = self->node;
  SimWorld *world = node->world;
  const guint64 *counts = world->counts;
  gboolean lost = counts[SIM_COUNT_RESTART] + counts[SIM_COUNT_DROP] + counts[SIM_COUNT_EXPIRED] +
                      counts[SIM_COUNT_ROLLBACK] + counts[SIM_COUNT_CLONE] +
                      counts[SIM_COUNT_DOUBLE] >
                  0;

  SimSession *other;

  self->overs++;
  if (self->outlived && event->error == HYPHA_ERROR_RESTARTED)
    world->counts[SIM_COUNT_MET_AGAIN]++;
  self->outlived = FALSE;
  sim_note (world, node->name, "over", (guint64) event->error,
            hypha_session_get_number (self->session), 0);
  if (world->tracing)
    g_print ("      why: %s\n", event->text ? event->text : "-");
  switch (event->error) {
  case HYPHA_ERROR_EXPIRED:
    world->counts[SIM_COUNT_EXPIRED]++;
    other = held_by_peer (self);
    if (other != NULL) {
      world->counts[SIM_COUNT_OUTLIVED]++;
      other->outlived = TRUE;
    }
    if (sim_node_now (node) - self->linkless_since - (node->stood - self->stood_before) <
        node->limits.session_timeout)
      sim_violation (world, "%c's session expired early", node->name);
    break;
  case HYPHA_ERROR_RESTARTED:
  case HYPHA_ERROR_DISCONNECTED:
    if (!lost)
      sim_violation (world, "%c's session ended (%s) for nothing", node->name, event->text);
    break;
  case HYPHA_ERROR_ROLLED_BACK:
    world->counts[world->doubled ? SIM_COUNT_DOUBLE_FOUND : SIM_COUNT_ROLLBACK_FOUND]++;
    if (!world->rolled_back)
      sim_violation (world, "falsely rolled back at %c: %s", node->name, event->text);
    break;
  default:
    /* What was under way from the life that is no more may arrive when the nonce has gone out: then
     * only a gap tells. */
    world->counts[world->doubled ? SIM_COUNT_DOUBLE_FOUND : SIM_COUNT_BROKEN]++;
    if (!world->rolled_back)
      sim_violation (world, "falsely broken at %c: %s", node->name, event->text);
    break;
  }
}

static void
on_stream (SimSession *self, const HyphaSessionEvent *event)
{
  SimApp *app = hypha_session_stream_get_data (event->stream);

  if (!app) {
    sim_violation (self->node->world, "an event %d for a stream without a program", event->type);
    return;
  }
  sim_app_event (app, event);
  if (app->over) {
    g_ptr_array_remove (self->node->apps, app);
    sim_app_free (app);
  }
}

/* END is said to have been heard to the last frame. */
static void
all_heard (SimEnd *end)
{
  const SimEnd *other = &end->link->ends[1 - end->index];
  SimWorld *world = end->link->world;

  world->counts[SIM_COUNT_ALL_HEARD]++;
  hypha_heartbeat_all_heard (&end->heartbeat);
  if (other->n_taken != end->n_sent && !world->rolled_back)
    sim_violation (world,
                   "%c takes link %u to be heard to the end, and of its %" G_GUINT64_FORMAT
                   " frames %" G_GUINT64_FORMAT " have come",
                   end->node->name, end->link->id, end->n_sent, other->n_taken);
}

static void
on_link (SimSession *self, const HyphaSessionEvent *event)
{
  SimWorld *world = self->node->world;
  SimEnd *end = event->link_data;

  switch (event->type) {
  case HYPHA_SESSION_LINK_UP:
    if (!end->open)
      break;
    world->counts[SIM_COUNT_LINKS_UP]++;
    sim_note (world, self->node->name, "up", end->link->id, 0, 0);
    supersede_others (self->node, self);
    sim_end_close_twin (end);
    break;
  case HYPHA_SESSION_LINK_DONE:
    sim_end_done (end, event->away);
    break;
  case HYPHA_SESSION_SWITCHED:
    world->counts[SIM_COUNT_SWITCHES]++;
    if (g_strcmp0 (event->text, hypha_choice_reason_to_string (HYPHA_CHOICE_SUSPECT)) == 0)
      world->counts[SIM_COUNT_SUSPECT]++;
    if (g_strcmp0 (event->text, hypha_choice_reason_to_string (HYPHA_CHOICE_CHEAPER)) == 0)
      world->counts[SIM_COUNT_CHEAPER]++;
    sim_note (world, self->node->name, "switched", end ? end->link->id : 0, 0, 0);
    if (world->tracing)
      g_print ("      why: %s\n", event->text ? event->text : "-");
    break;
  case HYPHA_SESSION_CONFIRMED:
    if (end->open && end->state == SIM_END_FRAMES) {
      hypha_heartbeat_confirmed (&end->heartbeat, sim_node_now (self->node));
      end->last_proof = world->now;
      if (end->link->ends[1 - end->index].n_data == 0 && !world->rolled_back)
        sim_violation (world, "%c takes link %u to be heard, over which no data has come",
                       self->node->name, end->link->id);
      if (event->all)
        all_heard (end);
    }
    break;
  default:
    g_assert_not_reached ();
  }
}

static gboolean
drain (SimSession *self)
{
  SimWorld *world = self->node->world;
  HyphaSessionEvent event;
  gboolean any = FALSE;

  while (!world->violation && hypha_session_next_event (self->session, &event)) {
    any = TRUE;
    world->counts[SIM_COUNT_EVENTS]++;
    if (event.stream)
      world->counts[SIM_COUNT_EVENTS_OF_STREAMS]++;
    sim_note (world, self->node->name, event_names[event.type],
              event.stream ? hypha_session_stream_get_id (event.stream) : 0,
              (guint64) (event.error + 1), 0);
    switch (event.type) {
    case HYPHA_SESSION_OPENED:
      on_opened (self, &event);
      break;
    case HYPHA_SESSION_OVER:
      on_over (self, &event);
      break;
    case HYPHA_SESSION_LINK_UP:
    case HYPHA_SESSION_LINK_DONE:
    case HYPHA_SESSION_SWITCHED:
    case HYPHA_SESSION_CONFIRMED:
      on_link (self, &event);
      break;
    default:
      on_stream (self, &event);
      break;
    }
  }
  return any;
}

gboolean
sim_node_drain (SimNode *self)
{
  gboolean any = FALSE;
  for (guint i = 0; i < self->sessions->len; i++)
    any |= drain (g_ptr_array_index (self->sessions, i));
  return any;
}

/* Acting. */

static gint64
session_next (SimSession *self)
{
  gint64 next = hypha_session_next_tick (self->session);
  if (next < G_MAXINT64)
    next += self->lateness;
  return self->probe_until ? MIN (next, self->probe_until) : next;
}

gint64
sim_node_next (SimNode *self)
{
  gint64 next = G_MAXINT64;

  for (guint i = 0; i < self->sessions->len; i++)
    next = MIN (next, session_next (g_ptr_array_index (self->sessions, i)));
  for (guint i = 0; i < self->apps->len; i++)
    next = MIN (next, ((SimApp *) g_ptr_array_index (self->apps, i))->next_at);
  return next == G_MAXINT64 ? next : MAX (next - self->offset, self->paused_until);
}

void
sim_node_act (SimNode *self)
{
  SimRandom *random = &self->world->random;
  gint64 now = sim_node_now (self);

  for (guint i = 0; i < self->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (self->sessions, i);
    if (session_next (session) > now)
      continue;
    if (session->probe_until && session->probe_until <= now)
      probe_ends (self, session);
    hypha_session_tick (session->session, now);
    session->lateness = !self->world->scripted && sim_random_chance (random, 100)
                            ? sim_random_scale (random, 1, 20000)
                            : 0;
    return;
  }
  for (guint i = 0; i < self->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->apps, i);
    if (app->next_at <= now) {
      sim_app_act (app);
      return;
    }
  }
}

/* Without a link, streams wait for as long as session-timeout says, and no longer. */
static void
check_expiry (SimSession *self)
{
  SimNode *node = self->node;
  gint64 now = sim_node_now (node), oldest = now;
  gint64 since = MAX (self->linkless_since, node->paused_until + node->offset);

  if (hypha_session_n_links (self->session) > 0 || hypha_session_n_streams (self->session) == 0 ||
      node->paused_until > node->world->now)
    return;
  for (guint i = 0; i < node->apps->len; i++) {
    SimApp *app = g_ptr_array_index (node->apps, i);
    if (app->session == self)
      oldest = MIN (oldest, app->born);
  }
  if (now > MAX (since, oldest) + node->limits.session_timeout + SIM_SECOND)
    sim_violation (node->world, "%c's session has not expired", node->name);
}

/* Does the sending go over the best link there is? */
static void
check_choice (SimSession *self)
{
  SimWorld *world = self->node->world;
  HyphaSessionLink *chosen = hypha_session_get_chosen (self->session);
  SimEnd *end = chosen ? hypha_session_link_get_data (chosen) : NULL;
  gint64 dead = end ? sim_end_dead_since (end) : 0;

  for (guint i = 0; i < world->links->len && end; i++) {
    SimLink *link = g_ptr_array_index (world->links, i);
    for (guint j = 0; j < 2; j++) {
      SimEnd *other = &link->ends[j];
      if (other == end || other->session != self || !other->slink ||
          !hypha_session_link_is_up (other->slink))
        continue;
      if (end->told_suspect && !other->told_suspect)
        sim_violation (world, "%c sends over link %u, which is suspect, and has link %u",
                       self->node->name, end->link->id, link->id);
      if (dead > 0 && link->good_since > 0 && sim_link_is_good (link) &&
          world->now > MAX (dead, link->good_since) + 4 * SIM_PING_INTERVAL + link->ping_bound)
        sim_violation (world, "%c sends over link %u, which is dead, and has link %u",
                       self->node->name, end->link->id, link->id);
      if (world->calm && link->good_since > 0 && world->now - link->good_since > 65 * SIM_SECOND &&
          end->told_cost > other->told_cost + self->node->limits.switch_margin + 5)
        sim_violation (world, "%c sends over link %u for %u, and has link %u for %u",
                       self->node->name, end->link->id, end->told_cost, link->id, other->told_cost);
    }
  }
}

static void
raise_peak (SimWorld *world, SimPeak peak, guint64 value)
{
  world->peaks[peak] = MAX (world->peaks[peak], value);
}

/* What a session holds, and what it has promised to hold, is bounded, and nothing without streams.
 */
static void
check_memory (SimSession *self)
{
  SimWorld *world = self->node->world;
  HyphaSession *session = self->session;
  guint n = hypha_session_n_streams (session);
  guint64 bound = n > 0 ? self->node->limits.window_total : 0;
  guint64 promised = session->lent + n * (guint64) session->limits.window_min;

  if (session->held > bound || session->unacknowledged > bound || (n > 0 && promised > bound) ||
      hypha_session_get_memory (session) != session->held + session->unacknowledged)
    sim_violation (world, "%c holds %zu and %zu bytes for one session", self->node->name,
                   session->held, session->unacknowledged);
  raise_peak (world, SIM_PEAK_STREAMS, n);
  raise_peak (world, SIM_PEAK_HELD, session->held);
  raise_peak (world, SIM_PEAK_UNACKNOWLEDGED, session->unacknowledged);
  raise_peak (world, SIM_PEAK_PROMISED, promised);
}

static void
count_stalled (HyphaSessionStream *stream, gpointer user_data)
{
  guint *n = user_data;
  *n += stream->answered && stream->written > stream->acked && stream->sent == stream->limit;
}

static void
check_crowd (SimSession *self)
{
  SimWorld *world = self->node->world;
  guint size = world->crowd_size, stalled = 0;

  if (size == 0 || world->seen[SIM_COUNT_CROWD_STALLED] || world->steps % size != 0 ||
      hypha_session_n_streams (self->session) < size)
    return;
  if (hypha_session_n_streams (self->session) == 2 * size)
    sim_world_saw (world, SIM_COUNT_CROWD_FULL);
  hypha_session_foreach_stream (self->session, count_stalled, &stalled);
  if (stalled >= size / 2)
    sim_world_saw (world, SIM_COUNT_CROWD_STALLED);
}

/* Two lives of the other side at once: each with a session of its own, or both in one. */
static void
check_lives (SimNode *self)
{
  SimWorld *world = self->world;
  guint n = 0;

  for (guint i = 0; i < world->links->len; i++) {
    SimLink *link = g_ptr_array_index (world->links, i);
    for (guint j = 0; j < 2; j++)
      if (link->ends[j].node == self && sim_link_is_good (link))
        n |= 1u << link->ends[1 - j].node->index;
  }
  if ((n & 4) != 0 && (n & 3) != 0)
    sim_world_saw (world, world->doubled ? SIM_COUNT_DOUBLE_BOTH : SIM_COUNT_CLONE_BOTH);
}

void
sim_node_check (SimNode *self)
{
  for (guint i = 0; i < self->sessions->len; i++) {
    SimSession *session = g_ptr_array_index (self->sessions, i);

    hypha_session_check_in_turn (session->session);
    check_choice (session);
    check_expiry (session);
    check_memory (session);
    check_crowd (session);
  }
  if (self->world->n_nodes > 2)
    check_lives (self);
  sweep (self);
}

/* What happens to it. */

void
sim_node_open (SimNode *self)
{
  SimSession *session = sim_node_pick_session (self);
  g_autoptr (GError) error = NULL;
  g_autofree char *service = NULL;
  guint8 ticket[HYPHA_TICKET_BYTES];
  HyphaSessionStream *hs;
  guint mine = 0;

  if (!session)
    return;
  for (guint i = 0; i < self->apps->len; i++) {
    SimApp *app = g_ptr_array_index (self->apps, i);
    mine += app->session == session && app->side == 0;
  }
  service = g_strdup_printf ("t%u", self->world->streams->len + 1);
  hs = hypha_session_open_direct (session->session, service,
                                  ticket_of (self->world->streams->len + 1, ticket), &error);
  if (!hs) {
    if (!g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_BUSY) || mine < self->limits.streams)
      sim_violation (self->world, "opening failed: %s", error->message);
    return;
  }
  if (mine >= self->limits.streams)
    sim_violation (self->world, "one stream more than the limit could be opened");
  self->world->counts[SIM_COUNT_STREAMS]++;
  sim_note (self->world, self->name, "opens", self->world->streams->len + 1,
            hypha_session_stream_get_id (hs), 0);
  sim_app_new (self, session, hs, sim_stream_new (self->world, self->role), 0);
}

void
sim_node_restart (SimNode *self)
{
  sim_note (self->world, self->name, "restarts", 0, 0, 0);
  self->world->counts[SIM_COUNT_RESTART]++;
  sim_node_die (self);
  node_born (self);
}

void
sim_node_disconnect (SimNode *self)
{
  SimSession *session = sim_node_pick_session (self);

  if (!session)
    return;
  sim_note (self->world, self->name, "disconnects", 0, 0, 0);
  self->world->counts[SIM_COUNT_DROP]++;
  hypha_session_drop (session->session, HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED,
                      "asked for", sim_node_now (self));
}
