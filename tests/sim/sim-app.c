/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-app.h"
#include "sim-node.h"

#define NO_MATCH G_MAXUINT64

typedef struct {
  guint64 from;
  guint64 salt;
} Part;

static const guint8 *
pattern_word (guint64 token, guint side, guint64 salt, guint64 word, guint8 *bytes)
{
  guint64 value = sim_mix (salt ^ sim_mix ((token << 1 | side) ^ sim_mix (word)));
  memcpy (bytes, &value, sizeof value);
  return bytes;
}

/* Streams. */

SimHistory *
sim_history_new (guint64 salt)
{
  SimHistory *self = g_new0 (SimHistory, 1);
  self->parts = g_array_new (FALSE, FALSE, sizeof (Part));
  g_array_append_val (self->parts, ((Part){ .from = 0, .salt = salt }));
  return self;
}

SimHistory *
sim_history_fork (const SimHistory *self, guint64 length, guint64 salt)
{
  SimHistory *fork = g_new0 (SimHistory, 1);
  fork->parts = g_array_copy (self->parts);
  while (fork->parts->len > 0 &&
         g_array_index (fork->parts, Part, fork->parts->len - 1).from >= length)
    g_array_set_size (fork->parts, fork->parts->len - 1);
  g_array_append_val (fork->parts, ((Part){ .from = length, .salt = salt }));
  fork->length = length;
  return fork;
}

static void
history_free (gpointer data)
{
  SimHistory *self = data;
  g_array_unref (self->parts);
  g_free (self);
}

static guint64
history_salt (const SimHistory *self, guint64 offset, guint64 *until)
{
  guint i = self->parts->len - 1;
  *until = G_MAXUINT64;
  while (g_array_index (self->parts, Part, i).from > offset)
    *until = g_array_index (self->parts, Part, i--).from;
  return g_array_index (self->parts, Part, i).salt;
}

static void
history_fill (const SimHistory *self, guint token, guint side, guint64 offset, guint8 *data,
              gsize length)
{
  guint64 until = 0, salt = 0, word = G_MAXUINT64;
  guint8 bytes[8];

  for (gsize i = 0; i < length; i++, offset++) {
    if (offset >= until || i == 0) {
      salt = history_salt (self, offset, &until);
      word = G_MAXUINT64;
    }
    if (offset / 8 != word) {
      word = offset / 8;
      pattern_word (token, side, salt, word, bytes);
    }
    data[i] = bytes[offset % 8];
  }
}

SimStream *
sim_stream_new (SimWorld *world, guint opener)
{
  SimStream *self = g_new0 (SimStream, 1);
  self->opener = opener;
  self->lives = 1;
  for (guint side = 0; side < 2; side++)
    self->histories[side] = g_ptr_array_new_with_free_func (history_free);
  g_ptr_array_add (world->streams, self);
  self->token = world->streams->len;
  return self;
}

void
sim_stream_free (SimStream *self)
{
  for (guint side = 0; side < 2; side++)
    g_ptr_array_unref (self->histories[side]);
  g_free (self);
}

/* What SIDE writes now. */
SimHistory *
sim_stream_history (SimStream *self, guint side)
{
  GPtrArray *histories = self->histories[side];
  return histories->len == 0 ? NULL : g_ptr_array_index (histories, histories->len - 1);
}

/* Programs. */

static void
plan_by_chance (SimApp *self)
{
  SimWorld *world = self->node->world;
  SimRandom *random = &world->random;
  SimPlan *plan = &self->plan;
  guint64 window = MIN (world->nodes[0]->limits.window_min, world->nodes[1]->limits.window_min);
  const guint64 totals[] = { 0, 3, window / 2, window + 1, window * 3, window * 8, window * 20 };

  plan->total = sim_random_pick (random, totals);
  plan->rate = (guint) sim_random_scale (random, MAX (window / 16, 1), window * 8);
  plan->pace = sim_random_scale (random, 100, SIM_SECOND / 4);
  plan->in_place = sim_random_chance (random, 500);
  if (self->side == 1 && sim_random_chance (random, 300))
    plan->answer_after = sim_random_scale (random, 1000, 3 * SIM_SECOND);
  if (world->healing)
    return;

  if (self->side == 1 && sim_world_has (world, SIM_FAULT_REFUSE) && sim_random_chance (random, 80))
    plan->refuse = (HyphaCode) sim_random_between (random, HYPHA_CODE_REFUSED, HYPHA_CODE_BUSY);
  if (sim_world_has (world, SIM_FAULT_ABORT) && sim_random_chance (random, 330)) {
    plan->abort = (SimAbort) sim_random_between (random, SIM_ABORT_RESET, SIM_ABORT_BOTH);
    plan->abort_after = sim_random_scale (random, 1000, 10 * SIM_SECOND);
    plan->abort_at =
        sim_random_chance (random, 500) ? G_MAXUINT64 : sim_random_below (random, plan->total + 1);
  }
  if (sim_world_has (world, SIM_FAULT_IDLE) && sim_random_chance (random, 200)) {
    plan->never_reads = sim_random_chance (random, 300);
    plan->never_writes = sim_random_chance (random, 150);
    plan->sleeps_from = sim_random_scale (random, 1, 5 * SIM_SECOND);
    plan->sleeps_until = plan->sleeps_from + sim_random_scale (random, 1000, 20 * SIM_SECOND);
  }
}

/* Every second stream of a crowd is not read by anybody, and written to for as long as it goes. The
 * others have to go on. */
static void
plan_in_crowd (SimApp *self)
{
  SimRandom *random = &self->node->world->random;
  SimPlan *plan = &self->plan;
  guint32 window = self->node->limits.window_min;
  gboolean stalled = self->stream->token % 2 == 0;

  *plan = (SimPlan){
    .total = stalled ? 3 * (guint64) window : (guint64) sim_random_below (random, 2 * window),
    .rate = MAX (window / 2, 1),
    .pace = sim_random_scale (random, 100, SIM_SECOND / 4),
    .in_place = sim_random_chance (random, 500),
    .never_reads = stalled,
  };
}

SimApp *
sim_app_new (SimNode *node, SimSession *session, HyphaSessionStream *hs, SimStream *stream,
             guint side)
{
  SimWorld *world = node->world;
  SimApp *self = g_new0 (SimApp, 1);

  self->node = node;
  self->session = session;
  self->hs = hs;
  self->stream = stream;
  self->side = side;
  self->answered = side == 0;
  self->born = self->next_at = sim_node_now (node);
  self->received = g_byte_array_new ();
  self->matches = g_array_new (FALSE, TRUE, sizeof (guint64));
  if (world->plan)
    world->plan (self, world->plan_data);
  else if (world->crowd_size > 0 && !world->healing)
    plan_in_crowd (self);
  else
    plan_by_chance (self);
  stream->idles |= self->plan.never_reads || self->plan.never_writes;
  self->history = sim_history_new (node->salt);
  g_ptr_array_add (stream->histories[side], self->history);
  hypha_session_stream_set_data (hs, self);
  g_ptr_array_add (node->apps, self);
  if (side == 0)
    stream->carries = world->relays && !world->plan && !world->healing && stream->token % 2 == 0;
  if (stream->carries && side == 0)
    hypha_session_stream_carry (session->session, hs);
  return self;
}

SimApp *
sim_app_copy (SimApp *self)
{
  SimApp *copy = g_memdup2 (self, sizeof *self);
  copy->received = g_byte_array_sized_new (self->received->len);
  g_byte_array_append (copy->received, self->received->data, self->received->len);
  copy->matches = g_array_copy (self->matches);
  return copy;
}

void
sim_app_free (SimApp *self)
{
  g_byte_array_unref (self->received);
  g_array_unref (self->matches);
  g_free (self);
}

gboolean
sim_app_is_idle (SimApp *self)
{
  return self->stream->idles && !self->node->world->released;
}

static void
check_bytes (SimApp *self, const guint8 *data, gsize length)
{
  SimWorld *world = self->node->world;
  guint side = 1 - self->side;
  GPtrArray *histories = self->stream->histories[side];
  gboolean fits = FALSE;

  world->counts[SIM_COUNT_BYTES] += length;
  g_byte_array_append (self->received, data, (guint) length);
  if (self->matches->len < histories->len)
    g_array_set_size (self->matches, histories->len);
  for (guint i = 0; i < histories->len; i++) {
    SimHistory *history = g_ptr_array_index (histories, i);
    guint64 *match = &g_array_index (self->matches, guint64, i);
    guint64 until = MIN (self->received->len, history->length);
    if (*match != NO_MATCH && until > *match) {
      gsize n = (gsize) (until - *match);
      g_autofree guint8 *expected = g_malloc (n);
      history_fill (history, self->stream->token, side, *match, expected, n);
      *match = memcmp (expected, self->received->data + *match, n) == 0 ? until : NO_MATCH;
    }
    fits |= *match == self->received->len;
  }
  if (fits || length == 0)
    return;
  sim_violation (world, "%s: stream %u, side %u, before offset %u",
                 world->rolled_back ? "bytes of two lives" : "wrong bytes", self->stream->token,
                 self->side, self->received->len);
}

gsize
sim_app_deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data,
                 gsize length, gpointer user_data)
{
  SimApp *self = hypha_session_stream_get_data (stream);
  SimWorld *world;
  gint64 age;

  if (!self || !self->plan.in_place || !self->answered || self->over || self->stop_called)
    return 0;
  world = self->node->world;
  age = sim_node_now (self->node) - self->born;
  if ((self->plan.never_reads && !world->released) ||
      (age >= self->plan.sleeps_from && age < self->plan.sleeps_until))
    return 0;
  length = MIN (length, self->plan.rate);
  if (!world->scripted)
    length = sim_random_below (&world->random, length + 1);
  check_bytes (self, data, length);
  return length;
}

static void
check_finish (SimApp *self)
{
  SimWorld *world = self->node->world;
  SimHistory *history = sim_stream_history (self->stream, 1 - self->side);

  if (self->stop_called)
    return;
  if (world->rolled_back) {
    GPtrArray *histories = self->stream->histories[1 - self->side];
    gboolean whole = FALSE;

    for (guint i = 0; i < histories->len; i++) {
      SimHistory *one = g_ptr_array_index (histories, i);

      whole |= one->finished && one->length == self->received->len &&
               (one->length == 0 || (i < self->matches->len &&
                                     g_array_index (self->matches, guint64, i) == one->length));
    }
    if (!whole)
      sim_violation (world, "stream %u ended for side %u as in no life", self->stream->token,
                     self->side);
    return;
  }
  if (!history || !history->finished)
    sim_violation (world, "stream %u looks finished to side %u, and is not", self->stream->token,
                   self->side);
  else if (self->received->len != history->length)
    sim_violation (world, "stream %u ended for side %u after %u of %" G_GUINT64_FORMAT " bytes",
                   self->stream->token, self->side, self->received->len, history->length);
}

/* With what its program has not read yet. */
void
sim_app_note_taken (SimApp *self)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();
  GPtrArray *histories = self->stream->histories[1 - self->side];
  struct iovec pieces[64];
  guint n =
      self->hs ? hypha_session_stream_pieces (self->session->session, self->hs, pieces, 64) : 0;

  g_byte_array_append (all, self->received->data, self->received->len);
  for (guint i = 0; i < n; i++)
    g_byte_array_append (all, pieces[i].iov_base, (guint) pieces[i].iov_len);
  for (guint i = 0; i < histories->len; i++) {
    SimHistory *history = g_ptr_array_index (histories, i);

    if (history->finished && !history->taken && history->length == all->len) {
      g_autofree guint8 *expected = g_malloc (all->len + 1);

      history_fill (history, self->stream->token, 1 - self->side, 0, expected, all->len);
      history->taken = all->len == 0 || memcmp (expected, all->data, all->len) == 0;
    }
  }
}

/* Two lives may have written the same. */
static gboolean
was_taken (SimStream *stream, guint side, const SimHistory *history)
{
  const gsize length = (gsize) history->length;
  g_autofree guint8 *mine = g_malloc (length + 1), *other = g_malloc (length + 1);

  history_fill (history, stream->token, side, 0, mine, length);
  for (guint i = 0; i < stream->histories[side]->len; i++) {
    const SimHistory *one = g_ptr_array_index (stream->histories[side], i);

    if (!one->taken || one->length != length)
      continue;
    history_fill (one, stream->token, side, 0, other, length);
    if (length == 0 || memcmp (mine, other, length) == 0)
      return TRUE;
  }
  return FALSE;
}

/* What ends well for whoever wrote it was taken to its end, by one life of the other side. */
static void
check_taken (SimApp *self)
{
  SimWorld *world = self->node->world;

  if (!self->finished || self->was_reset || self->stopped ||
      self->stream->stop_called[1 - self->side])
    return;
  for (guint i = 0; i < world->n_nodes; i++)
    for (guint j = 0; j < world->nodes[i]->apps->len; j++) {
      SimApp *other = g_ptr_array_index (world->nodes[i]->apps, j);

      if (other->stream == self->stream && other->side != self->side && !other->over)
        sim_app_note_taken (other);
    }
  if (!was_taken (self->stream, self->side, self->history))
    sim_violation (world, "stream %u ended well for side %u, whose words nobody took",
                   self->stream->token, self->side);
}

static gboolean
read_some (SimApp *self, guint64 budget)
{
  HyphaSession *session = self->session->session;
  struct iovec pieces[4];
  guint n = hypha_session_stream_pieces (session, self->hs, pieces, G_N_ELEMENTS (pieces));
  gsize taken = 0;

  for (guint i = 0; i < n && taken < budget; i++) {
    gsize length = MIN (pieces[i].iov_len, budget - taken);
    check_bytes (self, pieces[i].iov_base, length);
    taken += length;
  }
  if (taken > 0)
    hypha_session_stream_read (session, self->hs, taken, sim_node_now (self->node));
  if (hypha_session_stream_at_end (self->hs))
    check_finish (self);
  return taken > 0;
}

static gboolean
write_some (SimApp *self, guint64 budget)
{
  HyphaSession *session = self->session->session;
  SimHistory *history = self->history;
  gsize room = hypha_session_stream_room (session, self->hs);
  gsize want = MIN (MIN (room, budget), self->plan.total - self->written);
  struct iovec pieces[4];
  gsize filled = 0;

  if (self->finished || self->was_reset || self->stopped)
    return FALSE;
  if (want > 0) {
    guint n = hypha_session_stream_reserve (session, self->hs, want, pieces, G_N_ELEMENTS (pieces));
    for (guint i = 0; i < n; i++) {
      history_fill (history, self->stream->token, self->side, self->written + filled,
                    pieces[i].iov_base, pieces[i].iov_len);
      filled += pieces[i].iov_len;
    }
    if (filled > want || filled == 0)
      sim_violation (self->node->world, "reserve gave %zu of %zu bytes", filled, want);
    /* The other end may read what is committed before this call returns in other designs: be exact.
     */
    self->written += filled;
    history->length = self->written;
    hypha_session_stream_commit (session, self->hs, filled);
  }
  if (self->written == self->plan.total) {
    self->finished = history->finished = TRUE;
    hypha_session_stream_finish (session, self->hs);
    return FALSE;
  }
  return filled > 0;
}

static void
abort_now (SimApp *self)
{
  HyphaSession *session = self->session->session;
  SimAbort how = self->plan.abort;

  self->plan.abort = SIM_ABORT_NOT;
  if (how != SIM_ABORT_STOP && !self->stopped && !self->was_reset) {
    self->was_reset = TRUE;
    hypha_session_stream_reset (session, self->hs, HYPHA_CODE_APPLICATION);
  }
  if (how != SIM_ABORT_RESET && !self->peer_reset && !self->stop_called) {
    self->stop_called = self->stream->stop_called[self->side] = TRUE;
    hypha_session_stream_stop (session, self->hs, HYPHA_CODE_APPLICATION);
  }
}

/* TRUE: it has taken the stream, or had before. */
static gboolean
answer (SimApp *self, gint64 age)
{
  HyphaSession *session = self->session->session;

  if (self->answered)
    return TRUE;
  if (age < self->plan.answer_after) {
    self->next_at = self->born + self->plan.answer_after;
    return FALSE;
  }
  self->answered = TRUE;
  if (self->plan.refuse) {
    self->was_reset = TRUE;
    hypha_session_refuse (session, self->hs, self->plan.refuse);
    self->next_at = G_MAXINT64;
    return FALSE;
  }
  hypha_session_accept (session, self->hs);
  if (self->stream->carries)
    hypha_session_stream_carry (session, self->hs);
  return TRUE;
}

void
sim_app_act (SimApp *self)
{
  SimWorld *world = self->node->world;
  SimPlan *plan = &self->plan;
  gint64 now = sim_node_now (self->node), age = now - self->born;
  gboolean more = FALSE;

  self->next_at = G_MAXINT64;
  if (self->over || !answer (self, age))
    return;
  if (plan->abort && (age >= plan->abort_after || self->written >= plan->abort_at ||
                      self->received->len >= plan->abort_at))
    abort_now (self);
  if (age >= plan->sleeps_from && age < plan->sleeps_until) {
    self->next_at = self->born + plan->sleeps_until;
  } else {
    if (!plan->never_writes || world->released)
      more |= write_some (self, plan->rate);
    if ((!plan->never_reads || world->released) && !self->stop_called)
      more |= read_some (self, plan->rate);
    if (more)
      self->next_at = now + plan->pace;
  }
  if (plan->abort && age < plan->abort_after)
    self->next_at = MIN (self->next_at, self->born + plan->abort_after);
}

void
sim_app_wake (SimApp *self)
{
  SimWorld *world = self->node->world;
  gint64 late = world->scripted ? 0 : (gint64) sim_random_below (&world->random, 200);
  if (sim_random_chance (&world->random, 500))
    late = 0;
  self->next_at = MIN (self->next_at, sim_node_now (self->node) + late);
}

static void
app_ended (SimApp *self, int error)
{
  SimWorld *world = self->node->world;
  SimOutcome *outcome = &self->stream->outcomes[self->side];
  SimCounter counter = SIM_COUNT_ENDED;
  guint64 received = 0, sent = 0;

  *outcome = (SimOutcome){
    .over = TRUE,
    .peer_finished = self->peer_finished,
    .finished = self->finished,
    .was_reset = self->was_reset,
    .stopped = self->stopped,
    .gone_early = self->stop_called,
    .clean = error < 0,
    .received = self->received->len,
  };
  if (error < 0)
    counter = SIM_COUNT_FINE;
  else if (error == HYPHA_ERROR_RESTARTED || error == HYPHA_ERROR_ROLLED_BACK ||
           error == HYPHA_ERROR_EXPIRED || error == HYPHA_ERROR_DISCONNECTED)
    counter = SIM_COUNT_LOST;
  else if (error == HYPHA_ERROR_REFUSED || error == HYPHA_ERROR_NO_SUCH_SERVICE ||
           error == HYPHA_ERROR_NOT_TRUSTED || error == HYPHA_ERROR_PERMISSION_DENIED ||
           error == HYPHA_ERROR_BUSY)
    counter = SIM_COUNT_REFUSED;
  world->counts[counter]++;
  hypha_session_stream_counts (self->hs, &received, &sent);
  sim_app_note_taken (self);
  if (error < 0)
    check_taken (self);
  if (error < 0 && self->peer_finished) {
    check_finish (self);
    if (!self->stop_called && received != self->received->len)
      sim_violation (world, "stream %u counts %" G_GUINT64_FORMAT " bytes received",
                     self->stream->token, received);
  }
  if (error < 0 && sent != self->written)
    sim_violation (world, "stream %u counts %" G_GUINT64_FORMAT " bytes sent", self->stream->token,
                   sent);
  if (error < 0 && !self->stop_called && !self->peer_finished)
    sim_violation (world, "stream %u ended well for side %u without the peer's end",
                   self->stream->token, self->side);
  if (error < 0 && !self->finished && !self->was_reset && !self->stopped)
    sim_violation (world, "stream %u ended well for side %u, which never finished",
                   self->stream->token, self->side);
  self->over = TRUE;
  self->hs = NULL;
}

void
sim_app_event (SimApp *self, const HyphaSessionEvent *event)
{
  SimWorld *world = self->node->world;

  switch (event->type) {
  case HYPHA_SESSION_FINISHED:
    self->peer_finished = TRUE;
    if (!world->rolled_back && !self->stop_called) {
      SimHistory *history = sim_stream_history (self->stream, 1 - self->side);
      if (!history || !history->finished)
        sim_violation (world, "stream %u looks finished to side %u, and is not",
                       self->stream->token, self->side);
    }
    break;
  case HYPHA_SESSION_PEER_RESET:
    self->peer_reset = TRUE;
    break;
  case HYPHA_SESSION_STOPPED:
    self->stopped = TRUE;
    break;
  case HYPHA_SESSION_CUT: /* as if the program had reset it, in both directions */
    world->counts[SIM_COUNT_CARRIED]++;
    if (!self->stream->carries)
      sim_violation (world, "stream %u carries nothing, and was cut", self->stream->token);
    self->was_reset = self->was_reset || !self->stopped;
    if (!self->peer_reset && !self->peer_finished)
      self->stop_called = self->stream->stop_called[self->side] = TRUE;
    break;
  case HYPHA_SESSION_ENDED:
    app_ended (self, event->error);
    return;
  case HYPHA_SESSION_ACCEPTED:
  case HYPHA_SESSION_READABLE:
  case HYPHA_SESSION_WRITABLE:
  default:
    break;
  }
  sim_app_wake (self);
}
