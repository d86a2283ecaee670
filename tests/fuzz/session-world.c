/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-world.h"

#include <string.h>

#define STEPS_TO_SETTLE 400

/* Of the sanitizer, where there is one. */
extern gsize __sanitizer_get_current_allocated_bytes (void) __attribute__ ((weak));

static gsize
allocated (void)
{
  return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes () : 0;
}

static void
record (World *self, const void *data, gsize length)
{
  const guint8 *p = data;

  for (gsize i = 0; i < length; i++)
    self->hash = (self->hash ^ p[i]) * G_GUINT64_CONSTANT (1099511628211);
}

static void
record_number (World *self, guint64 number)
{
  record (self, &number, sizeof number);
}

/* --- What has to hold --- */

/* What two sessions may hold, whatever they were told: their windows both ways, in chunks of which
 * the last may be nearly empty; streams, refusals and what is told of them. */
static gsize
may_hold (World *self)
{
  gsize most = 1024 * 1024;

  for (int side = 0; side < 2; side++) {
    HyphaSession *session = self->session[side];
    guint streams = g_hash_table_size (session->streams);

    most += 2 * 4 * session->promise_bound + streams * 16 * 1024;
    most += self->snapshot[side] != NULL ? 2 * 4 * session->promise_bound + 512 * 1024 : 0;
    for (guint i = 0; i < WORLD_LINKS; i++)
      most += 2 * (self->links[i].way[side]->len + self->links[i].tail[side]->len) + 4096;
  }
  return most;
}

void
world_check (World *self)
{
  for (int side = 0; side < 2; side++) {
    HyphaSession *session = self->session[side];

    hypha_session_check (session);
    g_assert_cmpuint (hypha_session_get_memory (session), <=, 2 * session->promise_bound);
    if (hypha_session_n_streams (session) == 0)
      g_assert_cmpuint (hypha_session_get_memory (session), ==, 0);
  }
  if (self->allocated > 0 && allocated () > self->allocated)
    g_assert_cmpuint (allocated () - self->allocated, <=, may_hold (self));
}

gsize
world_on_data (World *self, int side, HyphaSessionStream *stream, guint64 offset,
               const guint8 *data, gsize length)
{
  guint32 id = hypha_session_stream_get_id (stream);

  record_number (self, (guint64) side << 32 | id);
  record (self, data, length);
  for (gsize i = 0; self->honest && i < length; i++)
    g_assert_cmpuint (data[i], ==, world_byte_at (id, offset + i));
  return length;
}

static gsize
deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data, gsize length,
         gpointer user_data)
{
  World *self = user_data;
  int side = session == self->session[1];

  return world_on_data (self, side, stream, stream->read, data, MIN (length, self->swallow[side]));
}

/* Who ended the session, if everybody was honest? Only what a step asked for. */
static void
on_over (World *self, int side, const HyphaSessionEvent *event)
{
  self->over[side]++;
  self->error[side] = event->error;
  g_assert_nonnull (event->text);
  g_assert_true (g_utf8_validate (event->text, -1, NULL));
  if (self->honest &&
      (event->error == HYPHA_ERROR_PROTOCOL || event->error == HYPHA_ERROR_ROLLED_BACK))
    g_error ("an honest session ended: %s", event->text);
}

static void
on_event (World *self, int side, const HyphaSessionEvent *event)
{
  WorldLink *link = event->link_data;

  record_number (self, (guint64) side << 32 | event->type);
  record_number (self, (guint64) event->error << 32 | event->away);
  if (event->stream != NULL)
    record_number (self, hypha_session_stream_get_id (event->stream));
  switch (event->type) {
  case HYPHA_SESSION_OPENED:
    if (!self->waiting[side])
      hypha_session_accept (self->session[side], event->stream);
    break;
  case HYPHA_SESSION_LINK_DONE:
    link->link[side] = NULL;
    break;
  case HYPHA_SESSION_OVER:
    on_over (self, side, event);
    break;
  case HYPHA_SESSION_ENDED:
    g_assert_true (event->error == -1 || event->text != NULL);
    break;
  default:
    break;
  }
}

void
world_take_events (World *self)
{
  for (int side = 0; side < 2; side++) {
    HyphaSessionEvent event;

    while (hypha_session_next_event (self->session[side], &event))
      on_event (self, side, &event);
  }
  world_check (self);
}

/* --- Links --- */

static void
clear_way (WorldLink *link, int from)
{
  g_byte_array_set_size (link->way[from], 0);
  g_byte_array_set_size (link->tail[from], 0);
}

void
world_cut (World *self, guint slot)
{
  WorldLink *link = &self->links[slot];

  for (int side = 0; side < 2; side++) {
    HyphaSessionLink *end = g_steal_pointer (&link->link[side]);

    if (end != NULL)
      hypha_session_detach (self->session[side], end, self->now);
    clear_way (link, side);
  }
  world_take_events (self);
}

/* Side 0 dials. */
gboolean
world_shake_hands (World *self, guint slot, guint32 cost, const guint64 *lies)
{
  WorldLink *link = &self->links[slot];
  HyphaSessionOffer offer[2];
  HyphaAttach verdict;
  guint64 highest = 0, fingerprint = ++self->fingerprint;

  world_cut (self, slot);
  for (int side = 0; side < 2; side++)
    hypha_session_offer (self->session[side], hypha_nonce_clock_tick (&self->clock[side]),
                         &offer[side]);
  verdict =
      hypha_session_attach (self->session[1], &offer[1], lies ? lies[0] : offer[0].session_number,
                            lies ? lies[1] : offer[0].link_number, fingerprint, cost, self->now,
                            link, &link->link[1], &highest);
  record_number (self, verdict);
  if (verdict == HYPHA_ATTACH_ROLLED_BACK)
    hypha_session_accused (self->session[0], highest, self->now);
  if (verdict == HYPHA_ATTACH_DONE && lies == NULL) {
    verdict = hypha_session_attach (self->session[0], &offer[0], offer[1].session_number,
                                    offer[1].link_number, fingerprint, cost, self->now, link,
                                    &link->link[0], &highest);
    if (verdict == HYPHA_ATTACH_ROLLED_BACK)
      hypha_session_peer_rolled_back (self->session[0], self->now);
    if (verdict != HYPHA_ATTACH_DONE)
      world_cut (self, slot);
  }
  world_take_events (self);
  return verdict == HYPHA_ATTACH_DONE;
}

gboolean
world_link (World *self, guint slot, guint32 cost)
{
  return world_shake_hands (self, slot, cost, NULL);
}

/* From the session onto the way. */
gboolean
world_send_one (World *self, guint slot, int side)
{
  WorldLink *link = &self->links[slot];
  g_autofree guint8 *whole = NULL;
  HyphaFrameOut out;
  HyphaFrame frame;
  gsize size;

  if (link->link[side] == NULL || link->way[side]->len > WORLD_WAY_MAX ||
      !hypha_session_next_frame (self->session[side], link->link[side], self->now, &out))
    return FALSE;
  size = out.head_length + out.length;
  whole = g_malloc (size);
  memcpy (whole, out.head, out.head_length);
  if (out.length > 0)
    memcpy (whole + out.head_length, out.data, out.length);
  hypha_frame_out_clear (&out);
  g_assert_cmpint (hypha_frame_parse (whole, size, &frame, NULL), ==, (gssize) size);
  record (self, whole, size);
  g_byte_array_append (link->way[side], whole, (guint) size);
  world_take_events (self);
  return TRUE;
}

static void
receive (World *self, HyphaSessionLink *link, int to, const HyphaFrame *frame)
{
  gboolean early = !link->up && !link->done && frame->type != HYPHA_FRAME_RESUME &&
                   frame->type != HYPHA_FRAME_PING && frame->type != HYPHA_FRAME_PONG &&
                   frame->type != HYPHA_FRAME_GOAWAY &&
                   !(frame->type == HYPHA_FRAME_EPOCH && frame->flags & HYPHA_FRAME_TAKEN);
  guint over = self->over[to];

  hypha_session_receive (self->session[to], link, frame, self->now);
  world_take_events (self);
  /* Before its RESUME was checked, a link carries nothing that anybody believes. */
  g_assert_true (!early || self->over[to] > over);
}

/* A link that makes no sense is given up, as core/link does. */
static void
parse (World *self, guint slot, int from)
{
  WorldLink *link = &self->links[slot];
  GByteArray *tail = link->tail[from];
  gsize at = 0;

  while (link->link[!from] != NULL) {
    g_autoptr (GError) error = NULL;
    HyphaFrame frame;
    gssize size = hypha_frame_parse (tail->data + at, tail->len - at, &frame, &error);

    g_assert_true ((size < 0) == (error != NULL));
    if (size < 0) {
      g_assert_false (self->honest);
      world_cut (self, slot);
      return;
    }
    if (size == 0)
      break;
    at += (gsize) size;
    receive (self, link->link[!from], !from, &frame);
  }
  g_byte_array_remove_range (tail, 0, (guint) MIN (at, tail->len));
}

static gsize
next_piece (World *self, gsize length)
{
  switch (self->split) {
  case WORLD_SINGLE_BYTES:
    return 1;
  case WORLD_UNEVEN:
    self->uneven = self->uneven * 1103515245 + 12345;
    return MIN (length, 1 + (self->uneven >> 16) % 61);
  default:
    return length;
  }
}

void
world_receive (World *self, guint slot, int from, const guint8 *data, gsize length)
{
  WorldLink *link = &self->links[slot];

  while (length > 0 && link->link[!from] != NULL) {
    gsize piece = next_piece (self, length);

    g_byte_array_append (link->tail[from], data, (guint) piece);
    data += piece;
    length -= piece;
    parse (self, slot, from);
  }
}

gboolean
world_take_from_way (World *self, guint slot, int from, gsize length)
{
  GByteArray *way = self->links[slot].way[from];
  g_autofree guint8 *data = NULL;

  length = MIN (length, way->len);
  if (length == 0)
    return FALSE;
  data = g_memdup2 (way->data, length);
  g_byte_array_remove_range (way, 0, (guint) length);
  world_receive (self, slot, from, data, length);
  return TRUE;
}

void
world_settle (World *self)
{
  gboolean moved = TRUE;

  for (guint step = 0; moved && step < STEPS_TO_SETTLE; step++) {
    moved = FALSE;
    for (guint slot = 0; slot < WORLD_LINKS; slot++)
      for (int side = 0; side < 2; side++) {
        moved |= world_send_one (self, slot, side);
        moved |= world_take_from_way (self, slot, side, G_MAXSIZE);
      }
  }
}

/* --- Its life --- */

World *
world_new (FuzzInput *input, WorldSplit split)
{
  World *self;
  HyphaSessionLimits limits;

  hypha_session_limits_init (&limits);
  limits.streams = 1 + fuzz_u8 (input) % 16;
  limits.window_min = 16 << fuzz_u8 (input) % 8;
  limits.window_total = 2 * (guint64) limits.streams * limits.window_min + 64u * fuzz_u8 (input);
  limits.window_max = 32 * (guint64) limits.window_min;
  limits.send_max = limits.window_max;
  limits.session_timeout = 2 * G_USEC_PER_SEC;

  self = g_new0 (World, 1);
  self->allocated = allocated ();
  self->split = split;
  self->now = G_USEC_PER_SEC;
  self->honest = TRUE;
  self->hash = G_GUINT64_CONSTANT (14695981039346656037);
  for (guint i = 0; i < WORLD_LINKS; i++)
    for (int side = 0; side < 2; side++) {
      self->links[i].way[side] = g_byte_array_new ();
      self->links[i].tail[side] = g_byte_array_new ();
    }
  for (int side = 0; side < 2; side++) {
    self->swallow[side] = G_MAXSIZE;
    self->session[side] = hypha_session_new (side == 0, &self->numbers[side], &self->clock[side],
                                             &limits, self->now, deliver, self);
  }
  return self;
}

void
world_free (World *self)
{
  for (int side = 0; side < 2; side++) {
    g_clear_pointer (&self->snapshot[side], hypha_session_free);
    hypha_session_free (self->session[side]);
    for (guint i = 0; i < WORLD_LINKS; i++) {
      g_byte_array_unref (self->links[i].way[side]);
      g_byte_array_unref (self->links[i].tail[side]);
    }
  }
  g_free (self);
}
