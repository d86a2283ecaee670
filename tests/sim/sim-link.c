/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-link.h"
#include "sim-app.h"
#include "sim-node.h"

/* The handshake, as far as sessions are concerned: a type and three numbers. */
#define MESSAGE_BYTES 25

typedef enum {
  MESSAGE_HELLO = 1, /* instance */
  MESSAGE_REPLY,     /* instance */
  MESSAGE_AUTH,      /* session number, link number */
  MESSAGE_ACCEPT,    /* session number, link number */
  MESSAGE_REJECT,    /* code, highest session number known */
} MessageType;

static SimPipe *
pipe_out (SimEnd *self)
{
  return &self->link->pipes[self->index];
}

static SimPipe *
pipe_in (SimEnd *self)
{
  return &self->link->pipes[1 - self->index];
}

/* Links. */

SimLink *
sim_link_new (SimWorld *world, SimNode *initiator, SimNode *responder)
{
  SimRandom *random = &world->random;
  SimLink *self = g_new0 (SimLink, 1);
  guint64 frame = 0;

  self->world = world;
  self->id = ++world->n_links;
  self->relayed = world->relays && !world->scripted && self->id % 3 != 0;
  if (!world->scripted && sim_world_has (world, SIM_FAULT_TWIN))
    self->place = (guint) sim_random_between (random, 1, 16);
  for (guint i = 0; i < 2; i++) {
    const HyphaSessionLimits *limits = &(i == 0 ? initiator : responder)->limits;
    /* DATA, or RESUME of all streams there may be. */
    frame = MAX (frame, limits->window_max + 1024);
    frame = MAX (frame, 2 * limits->streams * 32 + 1024);
  }
  frame = MIN (frame, HYPHA_FRAME_MAX + HYPHA_FRAME_HEADER);
  self->ping_bound = SIM_SECOND / 100;
  for (guint i = 0; i < 2; i++) {
    gint64 delay = sim_random_scale (random, 10, SIM_SECOND / 5);
    gsize capacity = (gsize) sim_random_scale (random, 64, 128 * 1024);
    gint64 drain = sim_random_scale (random, 100, 3 * SIM_SECOND / 10);
    guint64 bandwidth = MAX ((capacity + frame) * 1000000 / (guint64) drain, 1000);
    SimNode *node = i == 0 ? initiator : responder;

    if (world->scripted) {
      delay = 1000;
      capacity = 4096;
      bandwidth = 10 * 1000 * 1000;
    }
    sim_pipe_init (&self->pipes[i], delay, bandwidth, capacity);
    self->ping_bound += delay + (gint64) ((capacity + frame + 1024) * 1000000 / bandwidth);
    self->ends[i] = (SimEnd){
      .link = self,
      .index = i,
      .node = node,
      .open = TRUE,
      .state = i == 0 ? SIM_END_REPLY : SIM_END_HELLO,
      .started = sim_node_now (node),
      .input = g_byte_array_new (),
      .static_cost = world->scripted ? 5 : (guint32) sim_random_between (random, 1, 400),
    };
  }
  return self;
}

void
sim_link_free (SimLink *self)
{
  for (guint i = 0; i < 2; i++) {
    sim_pipe_clear (&self->pipes[i]);
    g_byte_array_unref (self->ends[i].input);
  }
  g_free (self);
}

gboolean
sim_link_is_good (SimLink *self)
{
  for (guint i = 0; i < 2; i++) {
    SimEnd *end = &self->ends[i];
    if (!end->open || end->node->paused_until > self->world->now || !end->slink ||
        !hypha_session_link_is_up (end->slink) || self->pipes[i].mode != SIM_PIPE_CARRIES ||
        self->pipes[i].was_cut || self->pipes[i].stalled_until > self->world->now)
      return FALSE;
  }
  return TRUE;
}

void
sim_link_cut (SimLink *self)
{
  SimWorld *world = self->world;
  SimRandom *random = &world->random;

  self->touched = TRUE;
  sim_note (world, '-', "cut", self->id, 0, 0);
  for (guint i = 0; i < 2; i++) {
    SimPipe *pipe = &self->pipes[i];
    guint how = (guint) sim_random_below (random, 10);
    self->dead_since[i] = world->now;
    gsize keep =
        sim_random_chance (random, 300) ? 0 : sim_random_below (random, sim_pipe_length (pipe) + 1);
    sim_pipe_cut (pipe, keep, sim_random_chance (random, 700) ? SIM_PIPE_SWALLOWS : SIM_PIPE_JAMS);
    /* Its reader learns of it at once, some time later, or never. */
    if (how < 5)
      sim_pipe_end (pipe, world->now);
    else if (how < 8)
      sim_pipe_end (pipe, world->now + sim_random_scale (random, 100, 4 * SIM_SECOND));
  }
}

void
sim_link_cut_later (SimLink *self, guint direction, guint64 bytes)
{
  self->touched = TRUE;
  self->pipes[direction].cut_at = self->pipes[direction].written + bytes;
}

/* DIRECTION has come to where it was to be cut. */
static void
broke (SimLink *self, guint direction)
{
  SimWorld *world = self->world;

  sim_note (world, '-', "broke", self->id, direction, self->pipes[direction].written);
  if (!world->scripted) {
    sim_link_cut (self);
    return;
  }
  for (guint i = 0; i < 2; i++) {
    if (i != direction && self->cut_loses_both)
      sim_pipe_cut (&self->pipes[i], 0, SIM_PIPE_SWALLOWS);
    self->pipes[i].was_cut = TRUE;
    self->pipes[i].mode = SIM_PIPE_SWALLOWS;
    sim_pipe_end (&self->pipes[i], world->now + self->pipes[i].delay);
  }
}

void
sim_link_silence (SimLink *self, guint direction)
{
  self->touched = TRUE;
  sim_note (self->world, '-', "silence", self->id, direction, 0);
  for (guint i = 0; i < 2; i++)
    if (direction == i || direction == 2) {
      self->dead_since[i] = self->world->now;
      sim_pipe_cut (&self->pipes[i], 0, SIM_PIPE_SWALLOWS);
    }
}

gint64
sim_end_dead_since (SimEnd *self)
{
  SimLink *link = self->link;
  gint64 since = 0;

  /* What was under way may still tell him that all is well. */
  for (guint i = 0; i < 2; i++)
    if (link->dead_since[i] != 0)
      since = MAX (since, MAX (link->dead_since[i], link->pipes[i].last_arrival));
  if (since == 0)
    return 0;
  for (guint i = 0; i < 2; i++)
    since = MAX (since, link->pipes[i].stalled_until);
  return MAX (since, MAX (self->last_proof, self->node->paused_until));
}

void
sim_link_check (SimLink *self)
{
  SimWorld *world = self->world;

  if (!sim_link_is_good (self))
    self->good_since = 0;
  else if (self->good_since == 0)
    self->good_since = world->now;
  for (guint i = 0; i < 2; i++) {
    gint64 since = sim_end_dead_since (&self->ends[i]);
    if (self->ends[i].open && self->ends[i].slink && since > 0 &&
        world->now > since + SIM_LINK_TIMEOUT + 3 * SIM_PING_INTERVAL)
      sim_violation (world, "%c still has link %u, which died long ago", self->ends[i].node->name,
                     self->id);
  }
}

/* Sending. */

static const char *const frame_names[] = {
  [HYPHA_FRAME_OPEN] = "OPEN",     [HYPHA_FRAME_DATA] = "DATA",     [HYPHA_FRAME_ACK] = "ACK",
  [HYPHA_FRAME_WINDOW] = "WINDOW", [HYPHA_FRAME_RESET] = "RESET",   [HYPHA_FRAME_STOP] = "STOP",
  [HYPHA_FRAME_PING] = "PING",     [HYPHA_FRAME_PONG] = "PONG",     [HYPHA_FRAME_EPOCH] = "EPOCH",
  [HYPHA_FRAME_RESUME] = "RESUME", [HYPHA_FRAME_GOAWAY] = "GOAWAY", [HYPHA_FRAME_CLOSE] = "CLOSE",
};

/* No stream may be promised more than its share, whatever else is free. */
static void
check_window (SimEnd *self, SimApp *app, guint64 limit)
{
  const HyphaSessionLimits *limits = &self->node->limits;

  app->promised = MAX (app->promised, limit);
  if (!app->stop_called && app->promised > app->received->len + limits->window_max)
    sim_violation (self->link->world, "one window promises %" G_GUINT64_FORMAT " bytes",
                   app->promised - app->received->len);
}

/* What goes out, seen from outside: it must be what the codec reads, allowed on this link at this
 * moment, and promise no more memory than a session may. */
static void
watch_frame (SimEnd *self, const guint8 *data, gsize length)
{
  SimWorld *world = self->link->world;
  g_autoptr (GError) error = NULL;
  HyphaFrame frame;
  gssize size = hypha_frame_parse (data, length, &frame, &error);

  if (size != (gssize) length) {
    sim_violation (world, "a frame that does not parse was sent: %s",
                   error ? error->message : "wrong size");
    return;
  }
  world->counts[SIM_COUNT_FRAMES]++;
  if (world->tracing)
    g_print ("             %c   link %u: %s%s%s%s stream %u value %" G_GUINT64_FORMAT
             " code %u length %zu\n",
             self->node->name, self->link->id, frame_names[frame.type],
             frame.flags & HYPHA_FRAME_FIN ? " FIN" : "",
             frame.flags & HYPHA_FRAME_RESET_TAKEN ? " RESET-TAKEN" : "",
             frame.flags & HYPHA_FRAME_ASK ? " ASK" : "", frame.stream, frame.value, frame.code,
             frame.length);
  if (frame.type == HYPHA_FRAME_PING || frame.type == HYPHA_FRAME_PONG ||
      frame.type == HYPHA_FRAME_GOAWAY)
    return;
  if (frame.type != HYPHA_FRAME_RESUME && frame.type != HYPHA_FRAME_CLOSE &&
      !(frame.flags & HYPHA_FRAME_TAKEN) && self->slink && !hypha_session_link_is_up (self->slink))
    sim_violation (world, "frame %d went over link %u before the peer's RESUME", frame.type,
                   self->link->id);
  if (world->quiet && frame.type != HYPHA_FRAME_RESUME && frame.type != HYPHA_FRAME_EPOCH &&
      frame.type != HYPHA_FRAME_CLOSE)
    sim_violation (world, "%s of stream %u, when all is said", frame_names[frame.type],
                   frame.stream);
  if (frame.type == HYPHA_FRAME_DATA && self->session && self->link->relayed) {
    HyphaSessionStream *hs = hypha_session_find (self->session->session, frame.stream);
    SimApp *app = hs ? hypha_session_stream_get_data (hs) : NULL;
    if (app && app->stream->carries)
      sim_violation (world, "stream %u carries a link, and went over link %u, which is relayed",
                     app->stream->token, self->link->id);
  }
  if (frame.type == HYPHA_FRAME_WINDOW && self->session) {
    HyphaSessionStream *hs = hypha_session_find (self->session->session, frame.stream);
    SimApp *app = hs ? hypha_session_stream_get_data (hs) : NULL;
    guint64 sum = 0;
    if (app)
      check_window (self, app, frame.value);
    for (guint i = 0; i < self->node->apps->len; i++) {
      SimApp *other = g_ptr_array_index (self->node->apps, i);
      if (other->session == self->session && !other->peer_finished && !other->peer_reset &&
          !other->stop_called && other->promised > other->received->len)
        sum += other->promised - other->received->len;
    }
    if (sum > self->node->limits.window_total)
      sim_violation (world, "windows promise %" G_GUINT64_FORMAT " bytes together", sum);
  }
}

static void
write_bytes (SimEnd *self, const guint8 *data, gsize length)
{
  SimPipe *out = pipe_out (self);
  gboolean was_cut = out->was_cut;

  sim_pipe_write (out, data, length, self->link->world->now);
  if (out->was_cut && !was_cut)
    broke (self->link, self->index);
}

static void
write_frame (SimEnd *self, HyphaFrameOut *out)
{
  g_autofree guint8 *bytes = g_malloc (out->head_length + out->length);

  memcpy (bytes, out->head, out->head_length);
  if (out->length > 0)
    memcpy (bytes + out->head_length, out->data, out->length);
  watch_frame (self, bytes, out->head_length + out->length);
  write_bytes (self, bytes, out->head_length + out->length);
  hypha_frame_out_clear (out);
}

static void
write_plain_frame (SimEnd *self, HyphaFrameType type, guint64 value, guint32 code)
{
  HyphaFrame frame = { .type = type, .value = value, .code = code };
  HyphaFrameOut out = { 0 };
  hypha_frame_write (&frame, NULL, &out);
  write_frame (self, &out);
}

static void
write_message (SimEnd *self, MessageType type, guint64 a, guint64 b)
{
  guint8 bytes[MESSAGE_BYTES] = { type };
  memcpy (bytes + 1, &a, sizeof a);
  memcpy (bytes + 9, &b, sizeof b);
  write_bytes (self, bytes, sizeof bytes);
}

gboolean
sim_end_pump (SimEnd *self)
{
  SimWorld *world = self->link->world;
  SimPipe *out = pipe_out (self);
  gboolean sent = FALSE, asks = FALSE;
  HyphaFrameOut frame = { 0 };
  guint64 token;

  if (!self->open || self->state != SIM_END_FRAMES || self->node->paused_until > world->now)
    return FALSE;
  if (hypha_heartbeat_take_pong (&self->heartbeat, &token)) {
    write_plain_frame (self, HYPHA_FRAME_PONG, token, 0);
    sent = TRUE;
  }
  if (self->pump_at > world->now)
    return sent;
  while (self->slink && sim_pipe_has_room (out) &&
         hypha_session_next_frame (self->session->session, self->slink, sim_node_now (self->node),
                                   &frame)) {
    self->unacknowledged = frame.head[0] != HYPHA_FRAME_DATA;
    self->n_sent++;
    write_frame (self, &frame);
    hypha_heartbeat_sent (&self->heartbeat, sim_node_now (self->node));
    sent = asks = TRUE;
    if (!world->scripted && sim_random_chance (&world->random, 20)) {
      self->pump_at = world->now + sim_random_scale (&world->random, 10, 50000);
      break;
    }
  }
  if (asks && self->unacknowledged &&
      hypha_heartbeat_take_ping_along (&self->heartbeat, sim_node_now (self->node), &token))
    write_plain_frame (self, HYPHA_FRAME_PING, token, 0);
  return sent;
}

/* The link's end. */

/* FLUSH: what was written still arrives. */
static void
shut (SimEnd *self, gboolean flush, gint64 after)
{
  SimPipe *out = pipe_out (self);
  gboolean told = out->mode == SIM_PIPE_CARRIES && !out->was_cut;

  self->open = FALSE;
  self->slink = NULL;
  if (!flush)
    sim_pipe_cut (out, 0, SIM_PIPE_SWALLOWS);
  out->mode = SIM_PIPE_SWALLOWS;
  if (told && after < G_MAXINT64)
    sim_pipe_end (out, self->link->world->now + out->delay + after);
  sim_pipe_cut (pipe_in (self), 0, SIM_PIPE_SWALLOWS);
  pipe_in (self)->ended = TRUE;
}

static void
end_detach (SimEnd *self)
{
  HyphaSessionLink *slink = g_steal_pointer (&self->slink);
  SimSession *session = self->session;
  gboolean had_any;

  if (!slink || !session)
    return;
  had_any = hypha_session_n_links (session->session) > 0;
  hypha_session_detach (session->session, slink, sim_node_now (self->node));
  if (had_any && hypha_session_n_links (session->session) == 0) {
    session->linkless_since = sim_node_now (self->node);
    session->stood_before = self->node->stood;
  }
}

static void
close_end (SimEnd *self, const char *why, gboolean flush)
{
  if (!self->open)
    return;
  sim_note (self->link->world, self->node->name, why, self->link->id, 0, 0);
  end_detach (self);
  shut (self, flush, 0);
}

void
sim_end_close (SimEnd *self, const char *why)
{
  SimWorld *world = self->link->world;
  close_end (self, why, world->scripted || sim_random_chance (&world->random, 500));
}

void
sim_end_vanish (SimEnd *self)
{
  SimRandom *random = &self->link->world->random;
  gboolean flush, told;

  if (!self->open)
    return;
  end_detach (self);
  /* Compilers differ in the order in which they evaluate arguments. */
  flush = sim_random_chance (random, self->link->world->lives ? 600 : 300);
  told = sim_random_chance (random, 700);
  shut (self, flush, told ? (gint64) sim_random_below (random, SIM_SECOND) : G_MAXINT64);
}

void
sim_end_done (SimEnd *self, HyphaAway away)
{
  SimWorld *world = self->link->world;

  if (!self->open)
    return;
  self->slink = NULL;
  if (self->state == SIM_END_FRAMES)
    write_plain_frame (self, HYPHA_FRAME_GOAWAY, 0, away);
  /* A socket that is closed with unread bytes takes back what it had not yet sent. */
  if (!world->scripted && sim_random_chance (&world->random, 300)) {
    world->farewell_at = 0;
    close_end (self, "session gave link up, abruptly", FALSE);
  } else {
    close_end (self, "session gave link up", TRUE);
  }
}

void
sim_end_close_twin (SimEnd *self)
{
  SimWorld *world = self->link->world;
  SimEnd *twin = NULL;

  if (!self->node->lower || self->link->place == 0)
    return;
  for (guint i = 0; i < world->links->len && twin == NULL; i++) {
    SimLink *link = g_ptr_array_index (world->links, i);
    for (guint j = 0; j < 2; j++) {
      SimEnd *other = &link->ends[j];
      if (other != self && other->node == self->node && other->session == self->session &&
          link->place == self->link->place && other->slink != NULL &&
          hypha_session_link_is_up (other->slink) && !other->told_suspect)
        twin = other;
    }
  }
  if (twin == NULL)
    return;
  if (twin->link->id < self->link->id)
    twin = self;
  world->counts[SIM_COUNT_TWIN]++;
  write_plain_frame (twin, HYPHA_FRAME_GOAWAY, 0, HYPHA_AWAY_TWIN);
  close_end (twin, "closes a twin", TRUE);
}

/* The handshake. */

static void
begin_frames (SimEnd *self, HyphaSessionLink *slink)
{
  SimWorld *world = self->link->world;
  gint64 now = sim_node_now (self->node);

  self->state = SIM_END_FRAMES;
  self->slink = slink;
  hypha_heartbeat_init (&self->heartbeat, now, SIM_PING_INTERVAL, SIM_LINK_TIMEOUT,
                        now - self->started);
  world->counts[SIM_COUNT_LINKS]++;
  sim_note (world, self->node->name, "attached", self->link->id, self->offer.session_number,
            self->offer.link_number);
}

static HyphaAttach
attach (SimEnd *self, guint64 peer_session, guint64 peer_link, guint64 *highest)
{
  SimWorld *world = self->link->world;
  HyphaSessionLink *slink = NULL;
  HyphaAttach verdict;

  if (!self->session)
    return HYPHA_ATTACH_STALE;
  verdict = hypha_session_attach (self->session->session, &self->offer, peer_session, peer_link,
                                  self->link->id, self->static_cost, sim_node_now (self->node),
                                  self, &slink, highest);
  if (verdict == HYPHA_ATTACH_DONE) {
    if (self->link->relayed)
      hypha_session_link_set_relayed (slink);
    begin_frames (self, slink);
  } else if (verdict == HYPHA_ATTACH_ROLLED_BACK) {
    world->counts[SIM_COUNT_REJECTED]++;
    if (!world->rolled_back)
      sim_violation (world, "falsely rejected as rolled back: link %u at %c", self->link->id,
                     self->node->name);
  } else {
    world->counts[SIM_COUNT_STALE]++;
  }
  return verdict;
}

static void
receive_auth (SimEnd *self, guint64 peer_session, guint64 peer_link)
{
  guint64 highest = 0;

  self->session = sim_node_get_session (self->node, self->peer_instance);
  hypha_session_offer (self->session->session, self->nonce_tick, &self->offer);
  switch (attach (self, peer_session, peer_link, &highest)) {
  case HYPHA_ATTACH_DONE:
    write_message (self, MESSAGE_ACCEPT, self->offer.session_number, self->offer.link_number);
    break;
  case HYPHA_ATTACH_ROLLED_BACK:
    write_message (self, MESSAGE_REJECT, HYPHA_REJECT_ROLLED_BACK, highest);
    sim_end_close (self, "rejects as rolled back");
    break;
  case HYPHA_ATTACH_STALE:
    write_message (self, MESSAGE_REJECT, HYPHA_REJECT_STALE, 0);
    sim_end_close (self, "rejects as stale");
    break;
  default:
    g_assert_not_reached ();
  }
}

static void
receive_message (SimEnd *self, const guint8 *bytes)
{
  guint64 a, b, highest = 0;
  HyphaAttach verdict;

  memcpy (&a, bytes + 1, sizeof a);
  memcpy (&b, bytes + 9, sizeof b);
  switch ((MessageType) bytes[0]) {
  case MESSAGE_HELLO:
    self->peer_instance = a;
    self->nonce_tick = hypha_nonce_clock_tick (&self->node->clock);
    self->state = SIM_END_AUTH;
    write_message (self, MESSAGE_REPLY, self->node->instance, 0);
    break;
  case MESSAGE_REPLY:
    self->peer_instance = a;
    self->session = sim_node_get_session (self->node, a);
    hypha_session_offer (self->session->session, self->nonce_tick, &self->offer);
    self->state = SIM_END_ACCEPT;
    write_message (self, MESSAGE_AUTH, self->offer.session_number, self->offer.link_number);
    break;
  case MESSAGE_AUTH:
    receive_auth (self, a, b);
    break;
  case MESSAGE_ACCEPT:
    verdict = attach (self, a, b, &highest);
    if (verdict == HYPHA_ATTACH_ROLLED_BACK)
      hypha_session_peer_rolled_back (self->session->session, sim_node_now (self->node));
    if (verdict != HYPHA_ATTACH_DONE)
      sim_end_close (self, "does not attach");
    break;
  case MESSAGE_REJECT:
    if (a == HYPHA_REJECT_ROLLED_BACK && self->session) {
      hypha_session_accused (self->session->session, b, sim_node_now (self->node));
      if (hypha_session_get_number (self->session->session) <= b)
        sim_violation (self->link->world, "%c goes on below the number it was accused with",
                       self->node->name);
    }
    sim_end_close (self, "was rejected");
    break;
  default:
    g_assert_not_reached ();
  }
}

/* Receiving. */

static void
check_starvation (SimEnd *self, guint64 token)
{
  SimLink *link = self->link;
  gint64 now = sim_node_now (self->node);

  for (guint i = 0; i < self->heartbeat.n_pending; i++)
    if (self->heartbeat.pending[i].token == token && !link->touched &&
        now - self->heartbeat.pending[i].at > link->ping_bound)
      sim_violation (link->world, "a ping was starved on link %u: %" G_GINT64_FORMAT " us",
                     link->id, now - self->heartbeat.pending[i].at);
}

static void
tell_session (SimEnd *self)
{
  gint64 now = sim_node_now (self->node);
  guint32 cost = hypha_heartbeat_cost (&self->heartbeat, self->static_cost, now);
  gboolean suspect = hypha_heartbeat_is_suspect (&self->heartbeat, now);

  if (!self->slink || (cost == self->told_cost && suspect == self->told_suspect))
    return;
  self->told_cost = cost;
  self->told_suspect = suspect;
  hypha_session_link_update (self->session->session, self->slink, cost, suspect, now);
}

/* What has come may be lost with the session, and was acknowledged: that is no fault of the
 * sender's. */
static void
note_end (SimEnd *self, guint32 stream)
{
  HyphaSessionStream *hs = hypha_session_find (self->session->session, stream);
  SimApp *app = hs ? hypha_session_stream_get_data (hs) : NULL;

  if (app)
    sim_app_note_taken (app);
}

static void
receive_frame (SimEnd *self, const HyphaFrame *frame)
{
  gint64 now = sim_node_now (self->node);

  self->n_data += frame->type == HYPHA_FRAME_DATA;
  switch (frame->type) {
  case HYPHA_FRAME_PING:
    hypha_heartbeat_ping_received (&self->heartbeat, frame->value);
    break;
  case HYPHA_FRAME_PONG:
    check_starvation (self, frame->value);
    hypha_heartbeat_pong_received (&self->heartbeat, frame->value, now);
    self->last_pong = now;
    tell_session (self);
    break;
  case HYPHA_FRAME_GOAWAY:
    sim_end_close (self, "peer went away");
    break;
  default:
    self->n_taken++;
    hypha_heartbeat_received (&self->heartbeat, now);
    if (self->slink)
      hypha_session_receive (self->session->session, self->slink, frame, now);
    if (self->slink && frame->type == HYPHA_FRAME_DATA && frame->flags & HYPHA_FRAME_FIN)
      note_end (self, frame->stream);
    /* The verdict may have been the end of this link. */
    sim_node_drain (self->node);
    break;
  }
}

/* Returns how much was used up. */
static gsize
receive_one (SimEnd *self, const guint8 *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  HyphaFrame frame;
  gssize size;

  if (self->state != SIM_END_FRAMES) {
    if (length < MESSAGE_BYTES)
      return 0;
    receive_message (self, data);
    return MESSAGE_BYTES;
  }
  size = hypha_frame_parse (data, length, &frame, &error);
  if (size < 0) {
    sim_violation (self->link->world, "link %u carried what does not parse: %s", self->link->id,
                   error->message);
    return 0;
  }
  if (size > 0)
    receive_frame (self, &frame);
  return (gsize) size;
}

static void
receive_bytes (SimEnd *self, gsize length, const guint8 *data)
{
  SimWorld *world = self->link->world;
  gsize used, offset = 0;

  g_byte_array_append (self->input, data, (guint) length);
  if (self->state == SIM_END_FRAMES)
    hypha_heartbeat_heard (&self->heartbeat, sim_node_now (self->node));
  do {
    used = receive_one (self, self->input->data + offset, self->input->len - offset);
    offset += used;
  } while (used > 0 && self->open && offset < self->input->len && !world->violation);
  g_byte_array_remove_range (self->input, 0, (guint) offset);
}

static void
act_on_input (SimEnd *self)
{
  SimWorld *world = self->link->world;
  SimPipe *in = pipe_in (self);
  const guint8 *data = NULL;
  gsize ready = sim_pipe_peek (in, world->now, &data), piece = ready;

  if (ready == 0) {
    if (sim_pipe_at_end (in, world->now)) {
      in->ended = TRUE;
      sim_end_close (self, "end of file");
    }
    return;
  }
  if (!world->scripted) {
    guint how = (guint) sim_random_below (&world->random, 10);
    if (how >= 7)
      piece = 1 + sim_random_below (&world->random, how < 9 ? ready : MIN (ready, 16));
  }
  sim_note (world, self->node->name, "bytes", self->link->id, in->taken, piece);
  {
    g_autofree guint8 *copy = g_memdup2 (data, piece);
    sim_pipe_take (in, piece);
    receive_bytes (self, piece, copy);
  }
}

gint64
sim_end_next (SimEnd *self)
{
  SimWorld *world = self->link->world;
  gint64 next = G_MAXINT64, offset = self->node->offset;

  if (!self->open)
    return G_MAXINT64;
  next = MIN (next, sim_pipe_next (pipe_in (self)));
  if (self->state == SIM_END_REPLY && self->nonce_tick == 0)
    next = world->now;
  if (self->state == SIM_END_FRAMES)
    next = MIN (next, hypha_heartbeat_next (&self->heartbeat) - offset);
  else
    next = MIN (next, self->started + SIM_HANDSHAKE_TIMEOUT - offset);
  if (self->pump_at > world->now)
    next = MIN (next, self->pump_at);
  return MAX (next, self->node->paused_until);
}

void
sim_end_act (SimEnd *self)
{
  SimWorld *world = self->link->world;
  gint64 now = sim_node_now (self->node);
  guint64 token;

  if (self->state == SIM_END_REPLY && self->nonce_tick == 0) {
    self->nonce_tick = hypha_nonce_clock_tick (&self->node->clock);
    write_message (self, MESSAGE_HELLO, self->node->instance, 0);
    return;
  }
  if (sim_pipe_next (pipe_in (self)) <= world->now) {
    act_on_input (self);
    return;
  }
  if (self->state != SIM_END_FRAMES) {
    if (now >= self->started + SIM_HANDSHAKE_TIMEOUT)
      sim_end_close (self, "handshake timeout");
    return;
  }
  if (hypha_heartbeat_next (&self->heartbeat) > now)
    return;
  if (hypha_heartbeat_is_dead (&self->heartbeat, now)) {
    sim_end_close (self, "link timeout");
    return;
  }
  if (hypha_heartbeat_take_ping (&self->heartbeat, now, &token))
    write_plain_frame (self, HYPHA_FRAME_PING, token, 0);
  tell_session (self);
}
