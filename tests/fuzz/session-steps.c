/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-world.h"

#include <string.h>

#include "link/wire.h"

/* What a fuzzer's bytes can have happen to two sessions. */

/* --- Programs --- */

typedef struct {
  guint left;
  HyphaSessionStream *stream;
} Pick;

static void
pick_one (HyphaSessionStream *stream, gpointer user_data)
{
  Pick *pick = user_data;

  if (pick->left-- == 0)
    pick->stream = stream;
}

/* The one that the next byte names; NULL: there is none at all. */
static HyphaSessionStream *
pick (World *self, int side, FuzzInput *input)
{
  guint n = hypha_session_n_streams (self->session[side]), which = fuzz_u8 (input);
  Pick pick = { .left = n > 0 ? which % n : 0 };

  hypha_session_foreach_stream (self->session[side], pick_one, &pick);
  return pick.stream;
}

static void
do_write (World *self, int side, HyphaSessionStream *stream, gsize length)
{
  gsize filled = 0;
  struct iovec pieces[4];
  guint n = hypha_session_stream_reserve (self->session[side], stream, length, pieces, 4);

  for (guint i = 0; i < n; i++)
    for (gsize k = 0; k < pieces[i].iov_len; k++)
      ((guint8 *) pieces[i].iov_base)[k] = world_byte_at (stream->id, stream->written + filled++);
  g_assert_cmpuint (filled, <=, length);
  hypha_session_stream_commit (self->session[side], stream, filled);
}

static void
do_read (World *self, int side, HyphaSessionStream *stream, gsize length)
{
  guint64 offset = stream->read;
  struct iovec piece;

  if (hypha_session_stream_pieces (self->session[side], stream, &piece, 1) == 0)
    return;
  length = MIN (length, piece.iov_len);
  world_on_data (self, side, stream, offset, piece.iov_base, length);
  hypha_session_stream_read (self->session[side], stream, length, self->now);
}

static void
do_answer (World *self, int side, HyphaSessionStream *stream, guint how)
{
  if (hypha_session_stream_is_mine (stream))
    return;
  if (how % 8 == 0)
    hypha_session_accept (self->session[side], stream);
  else
    hypha_session_refuse (self->session[side], stream,
                          (HyphaCode) CLAMP (how % 8, HYPHA_CODE_REFUSED, HYPHA_CODE_GONE));
}

static void
do_open (World *self, int side, guint how)
{
  static const guint8 ticket[HYPHA_TICKET_BYTES] = { 1, 2, 3 };
  static const char *const services[] = { "echo", "é", "a service", "", "exec" };
  g_autoptr (GError) error = NULL;
  HyphaSessionStream *stream =
      hypha_session_open_direct (self->session[side], services[how % G_N_ELEMENTS (services)],
                                 how & 0x80 ? ticket : NULL, &error);

  g_assert_true ((stream == NULL) == (error != NULL));
}

static gboolean
do_stream (World *self, int side, guint what, FuzzInput *input)
{
  HyphaSessionStream *stream = pick (self, side, input);
  guint amount = fuzz_u16 (input);

  if (stream == NULL)
    return TRUE;
  switch (what) {
  case 0:
    do_write (self, side, stream, amount);
    break;
  case 1:
    do_read (self, side, stream, amount);
    break;
  case 2:
    hypha_session_stream_finish (self->session[side], stream);
    break;
  case 3:
    hypha_session_stream_reset (self->session[side], stream, HYPHA_CODE_APPLICATION);
    break;
  case 4:
    hypha_session_stream_stop (self->session[side], stream, HYPHA_CODE_APPLICATION);
    break;
  default:
    do_answer (self, side, stream, amount);
  }
  return TRUE;
}

/* --- Somebody in between --- */

/* A value that means something to who receives it, and a little more or less. */
static guint64
choose_value (World *self, int to, const HyphaSessionStream *stream, FuzzInput *input)
{
  guint which = fuzz_u8 (input);
  guint64 delta = (guint64) (gint64) (gint16) fuzz_u16 (input);
  const guint64 values[] = { 0,
                             stream ? stream->next : 0,
                             stream ? stream->acked : 0,
                             stream ? stream->sent : 0,
                             stream ? stream->limit : 0,
                             stream ? stream->promised : 0,
                             stream ? stream->written : 0,
                             stream ? stream->final : 0,
                             G_MAXUINT64,
                             self->session[to]->epoch,
                             G_MAXINT64,
                             G_GUINT64_CONSTANT (1) << 32 };

  return values[which % G_N_ELEMENTS (values)] + delta;
}

/* A frame of the fuzzer's choosing, whose fields are mostly near what they should be. */
static void
do_frame (World *self, guint slot, int from, FuzzInput *input)
{
  guint type = fuzz_u8 (input), flags = fuzz_u8 (input), far = fuzz_u8 (input), scale;
  HyphaSessionStream *stream = pick (self, !from, input);
  guint64 value = choose_value (self, !from, stream, input);
  gsize length = fuzz_u8 (input);
  guint32 id = stream != NULL ? stream->id : 0;
  g_autofree guint8 *frame = NULL;
  guint8 *p;

  scale = type & 0x80 ? 257 : 1;
  type &= 0x1f;
  if (far != 0)
    id = far < 128 ? id + far : (far == 255 ? HYPHA_SESSION_ID_LAST : far - 128u);
  length = MIN (length * scale, HYPHA_FRAME_MAX);
  frame = g_malloc0 (HYPHA_FRAME_HEADER + 12 + length);
  p = frame;
  *p++ = (guint8) type;
  *p++ = (guint8) flags;
  p += 2;
  p = hypha_wire_put_u32 (p, id);
  p += 4;
  if (type == HYPHA_FRAME_RESET || type == HYPHA_FRAME_STOP || type == HYPHA_FRAME_CLOSE)
    p = hypha_wire_put_u32 (p, far % 10);
  if (type != HYPHA_FRAME_STOP && type != HYPHA_FRAME_CLOSE && type != HYPHA_FRAME_OPEN)
    p = hypha_wire_put_u64 (p, value);
  if (type == HYPHA_FRAME_OPEN || type == HYPHA_FRAME_DATA || type > HYPHA_FRAME_CLOSE) {
    memset (p, 'a', length);
    p += length;
  }
  hypha_wire_put_u32 (frame + 8, (guint32) (p - frame - HYPHA_FRAME_HEADER));
  self->honest = FALSE;
  world_receive (self, slot, from, frame, (gsize) (p - frame));
}

/* RESET for streams that were never opened, one after another. */
static void
do_flood (World *self, guint slot, int from, FuzzInput *input)
{
  guint n = fuzz_u16 (input);
  guint64 id = (guint64) (self->session[!from]->seen + 2);

  n = n > 0xf000 ? HYPHA_SESSION_REFUSALS_MAX + 100 : n % 64; /* a real one takes its time */
  self->honest = FALSE;
  if (hypha_session_id_is_mine (self->session[!from], (guint32) id))
    id++;
  for (; n > 0 && id <= HYPHA_SESSION_ID_LAST; n--, id += 2) {
    guint8 frame[HYPHA_FRAME_HEADER + 12] = { HYPHA_FRAME_RESET };

    hypha_wire_put_u32 (frame + 4, (guint32) id);
    hypha_wire_put_u32 (frame + 8, 12);
    hypha_wire_put_u32 (frame + 12, HYPHA_CODE_APPLICATION);
    world_receive (self, slot, from, frame, sizeof frame);
  }
}

void
world_write_resume (World *self, int from, HyphaFrameOut *out)
{
  g_autoptr (HyphaSession) copy = hypha_session_copy_for_test (self->session[from]);

  hypha_session_write_resume (copy, NULL, out);
}

#define ENTRY_BYTES 32
#define BODY_HEAD (HYPHA_FRAME_HEADER + 8)

static void
change_field (World *self, GByteArray *bytes, FuzzInput *input)
{
  guint entries = (bytes->len - BODY_HEAD) / ENTRY_BYTES, what = fuzz_u8 (input);
  guint which = fuzz_u8 (input);
  guint64 delta = (guint64) (gint64) (gint16) fuzz_u16 (input);
  guint8 *head = bytes->data + HYPHA_FRAME_HEADER, *entry;

  if (what % 8 < 2 || entries == 0) {
    head += what % 2 * 4;
    hypha_wire_put_u32 (head, hypha_wire_get_u32 (head) + (guint32) delta);
    return;
  }
  which %= entries;
  entry = bytes->data + BODY_HEAD + which * ENTRY_BYTES;
  switch (what % 8) {
  case 2:
    hypha_wire_put_u32 (entry, hypha_wire_get_u32 (entry) + (guint32) delta);
    break;
  case 3:
    entry[4] ^= (guint8) (delta & 7);
    break;
  case 7:
    g_byte_array_remove_range (bytes, BODY_HEAD + which * ENTRY_BYTES, ENTRY_BYTES);
    break;
  default: /* next, limit, final */
    entry += 8 * (what % 8 - 3);
    hypha_wire_put_u64 (entry, hypha_wire_get_u64 (entry) + delta);
  }
}

GByteArray *
world_change_resume (World *self, const HyphaFrameOut *out, FuzzInput *input)
{
  GByteArray *bytes = g_byte_array_new ();
  guint changes = fuzz_u8 (input) % 8;

  g_byte_array_append (bytes, out->head, out->head_length);
  g_byte_array_append (bytes, out->data, (guint) out->length);
  while (changes-- > 0)
    change_field (self, bytes, input);
  hypha_wire_put_u32 (bytes->data + 8, bytes->len - HYPHA_FRAME_HEADER);
  return bytes;
}

static void
do_resume (World *self, guint slot, int from, FuzzInput *input)
{
  g_autoptr (GByteArray) bytes = NULL;
  HyphaFrameOut out;

  world_write_resume (self, from, &out);
  bytes = world_change_resume (self, &out, input);
  hypha_frame_out_clear (&out);
  self->honest = FALSE;
  world_receive (self, slot, from, bytes->data, bytes->len);
}

/* Changes, repeats or inserts bytes on the way. */
static void
do_tamper (World *self, guint slot, int from, FuzzInput *input)
{
  GByteArray *way = self->links[slot].way[from];
  guint at = fuzz_u16 (input), how = fuzz_u8 (input);
  gsize length = how;
  const guint8 *bytes;

  self->honest = FALSE;
  if (how == 0) {
    if (way->len > 0)
      way->data[at % way->len] ^= fuzz_u8 (input) | 1;
  } else if (how == 255) { /* again, what is on its way */
    g_autofree guint8 *copy = g_memdup2 (way->data, way->len);

    if (way->len < WORLD_WAY_MAX)
      g_byte_array_append (way, copy, way->len);
  } else {
    bytes = fuzz_bytes (input, &length);
    world_receive (self, slot, from, bytes, length);
  }
}

/* SIDE is as it was, or will be as it is now. */
static void
do_snapshot (World *self, int side, gboolean restore)
{
  if (!restore) {
    g_clear_pointer (&self->snapshot[side], hypha_session_free);
    self->snapshot[side] = hypha_session_copy_for_test (self->session[side]);
    self->snapshot_last[side] = atomic_load (&self->numbers[side].last);
    return;
  }
  if (self->snapshot[side] == NULL)
    return;
  for (guint slot = 0; slot < WORLD_LINKS; slot++)
    world_cut (self, slot);
  self->honest = FALSE;
  hypha_session_free (self->session[side]);
  self->session[side] = g_steal_pointer (&self->snapshot[side]);
  atomic_store (&self->numbers[side].last, self->snapshot_last[side]);
}

static void
do_lies (World *self, guint slot, FuzzInput *input)
{
  guint64 session = hypha_session_get_number (self->session[0]), lies[2];
  gint8 up = (gint8) fuzz_u8 (input);

  /* Whoever claims a number near the last one has none left, and nobody to blame. */
  lies[0] = up < 0 && session < (guint64) -up ? 0 : session + (guint64) (gint64) up;
  lies[1] = self->session[0]->link_number + (guint64) (gint64) (gint8) fuzz_u8 (input);
  self->honest = FALSE;
  world_shake_hands (self, slot, 5, lies);
}

/* --- The steps --- */

static void
do_limits (World *self, int side, FuzzInput *input)
{
  HyphaSessionLimits limits = self->session[side]->limits;

  limits.streams = fuzz_u8 (input) % 32;
  limits.window_total = 256 * (guint64) fuzz_u8 (input);
  limits.window_max = 64 * (guint64) fuzz_u8 (input);
  hypha_session_set_limits (self->session[side], &limits);
}

static void
do_time (World *self, FuzzInput *input)
{
  self->now += (gint64) fuzz_u16 (input) * 100;
  for (int side = 0; side < 2; side++)
    hypha_session_tick (self->session[side], self->now);
}

static void
do_update (World *self, guint slot, int side, FuzzInput *input)
{
  guint how = fuzz_u8 (input);

  if (self->links[slot].link[side] != NULL)
    hypha_session_link_update (self->session[side], self->links[slot].link[side], how & 0x7f,
                               how > 0x7f, self->now);
}

static void
do_frames (World *self, guint slot, int side, FuzzInput *input)
{
  guint n = fuzz_u8 (input);

  while (n-- > 0 && world_send_one (self, slot, side))
    ;
}

gboolean
world_step (World *self, FuzzInput *input)
{
  guint first = fuzz_u8 (input), slot = first >> 5 & 3;
  int side = first >> 7;

  if (input->left == 0 && first == 0)
    return FALSE;
  switch (first & 0x1f) {
  case 0:
    return FALSE;
  case 1:
    world_link (self, slot, fuzz_u8 (input));
    break;
  case 2:
    world_cut (self, slot);
    break;
  case 3:
    do_frames (self, slot, side, input);
    break;
  case 4:
    world_take_from_way (self, slot, side, fuzz_u16 (input));
    break;
  case 5:
    world_settle (self);
    break;
  case 6:
    do_open (self, side, fuzz_u8 (input));
    break;
  case 7:
  case 8:
  case 9:
  case 10:
  case 11:
  case 12:
    do_stream (self, side, (first & 0x1f) - 7, input);
    break;
  case 13:
    do_time (self, input);
    break;
  case 14:
    do_tamper (self, slot, side, input);
    break;
  case 15:
  case 16:
  case 17:
    do_frame (self, slot, side, input);
    break;
  case 18:
    do_resume (self, slot, side, input);
    break;
  case 19:
    hypha_session_drop (self->session[side], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED,
                        "dropped", self->now);
    break;
  case 20:
    do_limits (self, side, input);
    break;
  case 21:
    do_update (self, slot, side, input);
    break;
  case 22:
    self->swallow[side] = fuzz_u8 (input) * 16u;
    break;
  case 23:
    self->waiting[side] = !self->waiting[side];
    break;
  case 24:
    do_snapshot (self, side, FALSE);
    break;
  case 25:
    do_snapshot (self, side, TRUE);
    break;
  case 26:
    do_lies (self, slot, input);
    break;
  case 27:
    do_flood (self, slot, side, input);
    break;
  default: /* for the most common ones */
    world_settle (self);
  }
  world_take_events (self);
  return TRUE;
}
