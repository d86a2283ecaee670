/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"

#include <string.h>

static guint8
byte_at (guint32 id, guint64 offset)
{
  return (guint8) (id * 31 + offset * 7 + offset / 251);
}

static void
happened_free (gpointer data)
{
  Happened *self = data;

  g_free (self->text);
  g_free (self);
}

static void
wire_free (gpointer data)
{
  Wire *self = data;

  g_queue_clear_full (&self->frames[0], (GDestroyNotify) g_bytes_unref);
  g_queue_clear_full (&self->frames[1], (GDestroyNotify) g_bytes_unref);
  g_free (self);
}

GByteArray *
pair_received (Pair *self, int side, guint32 id)
{
  GByteArray *bytes = g_hash_table_lookup (self->received[side], GUINT_TO_POINTER (id));

  if (bytes == NULL) {
    bytes = g_byte_array_new ();
    g_hash_table_insert (self->received[side], GUINT_TO_POINTER (id), bytes);
  }
  return bytes;
}

static gsize
deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data, gsize length,
         gpointer user_data)
{
  Pair *self = user_data;
  int side = session == self->session[1];
  gsize taken = MIN (length, self->swallow[side]);

  if (!self->reading[side])
    return 0;
  g_byte_array_append (pair_received (self, side, hypha_session_stream_get_id (stream)), data,
                       (guint) taken);
  return taken;
}

Pair *
pair_new_with (const HyphaSessionLimits *a, const HyphaSessionLimits *b)
{
  Pair *self = g_new0 (Pair, 1);

  self->now = 1000000;
  self->wires = g_ptr_array_new_with_free_func (wire_free);
  self->happened = g_ptr_array_new_with_free_func (happened_free);
  self->limits[0] = *a;
  self->limits[1] = *b;
  for (int side = 0; side < 2; side++) {
    self->received[side] =
        g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_byte_array_unref);
    self->reading[side] = TRUE;
    self->swallow[side] = G_MAXSIZE;
    self->session[side] = hypha_session_new (side == 0, &self->numbers[side], &self->clock[side],
                                             &self->limits[side], self->now, deliver, self);
  }
  return self;
}

Pair *
pair_new (void)
{
  HyphaSessionLimits limits;

  hypha_session_limits_init (&limits);
  return pair_new_with (&limits, &limits);
}

void
pair_free (Pair *self)
{
  for (int side = 0; side < 2; side++) {
    hypha_session_free (self->session[side]);
    g_hash_table_unref (self->received[side]);
  }
  g_ptr_array_unref (self->wires);
  g_ptr_array_unref (self->happened);
  g_free (self);
}

/* Side 0 dials. */
HyphaAttach
pair_try_link (Pair *self, guint32 cost, Wire **wire)
{
  HyphaSessionOffer offer[2];
  guint64 tick[2], highest, fingerprint = ++self->fingerprint;
  HyphaAttach verdict;

  *wire = g_new0 (Wire, 1);
  tick[0] = hypha_nonce_clock_tick (&self->clock[0]);
  tick[1] = hypha_nonce_clock_tick (&self->clock[1]);
  hypha_session_offer (self->session[0], tick[0], &offer[0]);
  hypha_session_offer (self->session[1], tick[1], &offer[1]);
  verdict = hypha_session_attach (self->session[1], &offer[1], offer[0].session_number,
                                  offer[0].link_number, fingerprint, cost, self->now, *wire,
                                  &(*wire)->link[1], &highest);
  if (verdict == HYPHA_ATTACH_ROLLED_BACK)
    hypha_session_accused (self->session[0], highest, self->now);
  if (verdict == HYPHA_ATTACH_DONE)
    verdict = hypha_session_attach (self->session[0], &offer[0], offer[1].session_number,
                                    offer[1].link_number, fingerprint, cost, self->now, *wire,
                                    &(*wire)->link[0], &highest);
  if (verdict == HYPHA_ATTACH_ROLLED_BACK && (*wire)->link[1] != NULL)
    hypha_session_peer_rolled_back (self->session[0], self->now);
  if (verdict != HYPHA_ATTACH_DONE) {
    if ((*wire)->link[1] != NULL)
      hypha_session_detach (self->session[1], (*wire)->link[1], self->now);
    g_clear_pointer (wire, wire_free);
    return verdict;
  }
  g_ptr_array_add (self->wires, *wire);
  return verdict;
}

Wire *
pair_link (Pair *self, guint32 cost)
{
  Wire *wire;

  g_assert_cmpint (pair_try_link (self, cost, &wire), ==, HYPHA_ATTACH_DONE);
  return wire;
}

void
pair_cut (Pair *self, Wire *wire)
{
  for (int side = 0; side < 2; side++) {
    HyphaSessionLink *link = g_steal_pointer (&wire->link[side]);

    if (link != NULL)
      hypha_session_detach (self->session[side], link, self->now);
  }
  g_ptr_array_remove (self->wires, wire);
  pair_drain (self);
}

gboolean
pair_send_one (Pair *self, Wire *wire, int side)
{
  HyphaFrameOut out;
  GByteArray *bytes;

  if (wire->link[side] == NULL ||
      !hypha_session_next_frame (self->session[side], wire->link[side], self->now, &out))
    return FALSE;
  bytes = g_byte_array_new ();
  g_byte_array_append (bytes, out.head, out.head_length);
  if (out.length > 0)
    g_byte_array_append (bytes, out.data, (guint) out.length);
  self->frames_sent[side][out.head[0]] += !(out.head[1] & HYPHA_FRAME_TAKEN);
  hypha_frame_out_clear (&out);
  g_queue_push_tail (&wire->frames[side], g_byte_array_free_to_bytes (bytes));
  hypha_session_check (self->session[side]);
  return TRUE;
}

gboolean
pair_take_one (Pair *self, Wire *wire, int side)
{
  g_autoptr (GBytes) bytes = g_queue_pop_head (&wire->frames[side]);
  HyphaSessionLink *link = wire->link[!side];
  g_autoptr (GError) error = NULL;
  HyphaFrame frame;
  gsize size;
  const guint8 *data;

  if (bytes == NULL)
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  g_assert_cmpint (hypha_frame_parse (data, size, &frame, &error), ==, (gssize) size);
  g_assert_no_error (error);
  if (link != NULL)
    hypha_session_receive (self->session[!side], link, &frame, self->now);
  hypha_session_check (self->session[!side]);
  return TRUE;
}

void
pair_inject (Pair *self, Wire *wire, int to, const HyphaFrame *frame)
{
  g_assert_nonnull (wire->link[to]);
  hypha_session_receive (self->session[to], wire->link[to], frame, self->now);
  hypha_session_check (self->session[to]);
}

void
pair_inject_resume (Pair *self, Wire *wire, int to, gint64 opened, gint64 seen,
                    const HyphaResumeEntry *entries, guint n)
{
  HyphaFrameOut out;
  HyphaFrame frame = { .type = HYPHA_FRAME_RESUME };

  hypha_resume_write (opened, seen, entries, n, &out);
  frame.data = out.data;
  frame.length = out.length;
  pair_inject (self, wire, to, &frame);
  hypha_frame_out_clear (&out);
}

void
pair_read_all (Pair *self, int side, HyphaSessionStream *stream)
{
  struct iovec pieces[4];
  guint n;

  while ((n = hypha_session_stream_pieces (self->session[side], stream, pieces, 4)) > 0) {
    gsize taken = 0;

    for (guint i = 0; i < n; i++) {
      g_byte_array_append (pair_received (self, side, hypha_session_stream_get_id (stream)),
                           pieces[i].iov_base, (guint) pieces[i].iov_len);
      taken += pieces[i].iov_len;
    }
    hypha_session_stream_read (self->session[side], stream, taken, self->now);
  }
}

static void
handle (Pair *self, int side, const HyphaSessionEvent *event)
{
  switch (event->type) {
  case HYPHA_SESSION_OPENED:
    if (!self->holding)
      hypha_session_accept (self->session[side], event->stream);
    break;
  case HYPHA_SESSION_READABLE:
    if (self->reading[side])
      pair_read_all (self, side, event->stream);
    break;
  case HYPHA_SESSION_LINK_DONE: {
    Wire *wire = event->link_data;

    /* What it still sent comes before the end of file. */
    wire->link[side] = NULL;
    while (pair_take_one (self, wire, side))
      ;
    if (wire->link[!side] != NULL && !wire->link[!side]->done)
      hypha_session_detach (self->session[!side], g_steal_pointer (&wire->link[!side]), self->now);
    break;
  }
  default:
    break;
  }
}

void
pair_drain (Pair *self)
{
  gboolean more = TRUE;

  while (more) {
    more = FALSE;
    for (int side = 0; side < 2; side++) {
      HyphaSessionEvent event;

      while (hypha_session_next_event (self->session[side], &event)) {
        Happened *h = g_new0 (Happened, 1);

        more = TRUE;
        h->side = side;
        h->type = event.type;
        h->stream = event.stream != NULL ? (gint64) hypha_session_stream_get_id (event.stream) : -1;
        h->error = event.error;
        h->away = event.away;
        h->all = event.all;
        h->text = g_strdup (event.text);
        g_ptr_array_add (self->happened, h);
        handle (self, side, &event);
        hypha_session_check (self->session[side]);
      }
    }
  }
}

void
pair_run (Pair *self)
{
  gboolean moved = TRUE;

  while (moved) {
    moved = FALSE;
    for (guint i = 0; i < self->wires->len; i++)
      for (int side = 0; side < 2; side++) {
        Wire *wire = g_ptr_array_index (self->wires, i);

        while (pair_send_one (self, wire, side))
          moved = TRUE;
        while (pair_take_one (self, wire, side))
          moved = TRUE;
        pair_drain (self);
      }
  }
}

void
pair_run_over (Pair *self, Wire *wire)
{
  for (guint i = 0; i < 10; i++)
    for (int side = 0; side < 2; side++) {
      while (pair_send_one (self, wire, side))
        ;
      while (pair_take_one (self, wire, side))
        ;
      pair_drain (self);
    }
}

void
pair_pass (Pair *self, gint64 time)
{
  gint64 end = self->now + time;

  pair_run (self);
  while (self->now < end) {
    self->now = MIN (self->now + 1000, end);
    hypha_session_tick (self->session[0], self->now);
    hypha_session_tick (self->session[1], self->now);
    pair_drain (self);
    pair_run (self);
  }
}

HyphaSessionStream *
pair_open (Pair *self, int side, const char *service)
{
  g_autoptr (GError) error = NULL;
  HyphaSessionStream *stream = hypha_session_open (self->session[side], service, &error);

  g_assert_no_error (error);
  return stream;
}

HyphaSessionStream *
pair_other (Pair *self, int side, HyphaSessionStream *stream)
{
  return hypha_session_find (self->session[!side], hypha_session_stream_get_id (stream));
}

/* As much as there is room for; returns how much that was. */
gsize
pair_write (Pair *self, int side, HyphaSessionStream *stream, gsize length)
{
  gsize written = 0;
  struct iovec pieces[4];
  guint n;

  while (written < length && (n = hypha_session_stream_reserve (self->session[side], stream,
                                                                length - written, pieces, 4)) > 0) {
    gsize filled = 0;

    for (guint i = 0; i < n; i++)
      for (gsize k = 0; k < pieces[i].iov_len; k++)
        ((guint8 *) pieces[i].iov_base)[k] = byte_at (stream->id, stream->written + filled++);
    hypha_session_stream_commit (self->session[side], stream, filled);
    written += filled;
  }
  hypha_session_check (self->session[side]);
  return written;
}

void
pair_assert_received (Pair *self, int side, guint32 id, gsize length)
{
  GByteArray *bytes = pair_received (self, side, id);

  g_assert_cmpuint (bytes->len, ==, length);
  for (gsize i = 0; i < length; i++)
    if (bytes->data[i] != byte_at (id, i))
      g_error ("stream %u: byte %zu is %u and should be %u", id, i, bytes->data[i],
               byte_at (id, i));
}

const Happened *
pair_find (Pair *self, int side, HyphaSessionEventType type, gint64 stream)
{
  for (guint i = 0; i < self->happened->len; i++) {
    const Happened *h = g_ptr_array_index (self->happened, i);

    if (h->side == side && h->type == type && h->stream == stream)
      return h;
  }
  return NULL;
}

guint
pair_count (Pair *self, int side, HyphaSessionEventType type)
{
  guint n = 0;

  for (guint i = 0; i < self->happened->len; i++) {
    const Happened *h = g_ptr_array_index (self->happened, i);

    n += h->side == side && h->type == type;
  }
  return n;
}

void
pair_forget (Pair *self)
{
  g_ptr_array_set_size (self->happened, 0);
}

void
pair_assert_over (Pair *self, int side, HyphaError error)
{
  const Happened *over = pair_find (self, side, HYPHA_SESSION_OVER, -1);

  g_assert_nonnull (over);
  if (over->error != (int) error)
    g_error ("side %d: over with %d, not %d: %s", side, over->error, error, over->text);
  g_assert_cmpuint (strlen (over->text), >, 0);
  g_assert_cmpuint (hypha_session_get_memory (self->session[side]), ==, 0);
}

void
pair_assert_ended (Pair *self, int side, guint32 id, int error)
{
  const Happened *ended = pair_find (self, side, HYPHA_SESSION_ENDED, id);

  g_assert_nonnull (ended);
  g_assert_cmpint (ended->error, ==, error);
}

void
pair_assert_empty (Pair *self)
{
  for (int side = 0; side < 2; side++) {
    g_assert_cmpuint (hypha_session_n_streams (self->session[side]), ==, 0);
    g_assert_cmpuint (hypha_session_get_memory (self->session[side]), ==, 0);
    g_assert_cmpuint (self->session[side]->lent, ==, 0);
  }
}

void
pair_assert_goes_on (Pair *self)
{
  HyphaSessionStream *a;
  Wire *wire;

  pair_run (self);
  while (self->wires->len > 0)
    pair_cut (self, g_ptr_array_index (self->wires, 0));
  if (pair_try_link (self, 5, &wire) != HYPHA_ATTACH_DONE)
    pair_link (self, 5);
  pair_run (self);
  pair_forget (self);
  self->holding = FALSE;
  a = pair_open (self, 0, "again");
  pair_run (self);
  g_assert_cmpuint (pair_write (self, 0, a, 100), ==, 100);
  g_byte_array_set_size (pair_received (self, 1, a->id), 0);
  pair_pass (self, 20000);
  pair_assert_received (self, 1, a->id, 100);
  g_assert_cmpuint (pair_count (self, 0, HYPHA_SESSION_OVER), ==, 0);
  g_assert_cmpuint (pair_count (self, 1, HYPHA_SESSION_OVER), ==, 0);
}
