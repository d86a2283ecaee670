/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a session holds is bounded in bytes of streams (test-flow.c). Here, what the memory is that
 * they lie in, when the peer arranges them as it likes it best. */

#include "../memory.h"
#include "pair.h"

static guint8 bytes[HYPHA_FRAME_DATA_MAX];

static void
say_data (Pair *p, Wire *wire, HyphaSessionStream *stream, gsize length)
{
  pair_inject (p, wire, 1,
               &(HyphaFrame){ .type = HYPHA_FRAME_DATA,
                              .stream = stream->id,
                              .value = stream->next,
                              .data = bytes,
                              .length = length });
  pair_drain (p);
}

/* Streams that were busy, and then stop with a byte each that nobody reads. */
static void
test_held (void)
{
  enum { STREAMS = 400 };
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  HyphaSessionStream *streams[STREAMS];
  gsize before, grown;

  for (guint i = 0; i < STREAMS; i++) {
    HyphaSessionStream *one = pair_open (p, 0, "sink");

    pair_run (p);
    streams[i] = pair_other (p, 0, one);
  }
  p->swallow[1] = 0; /* it is held, and then read at once */
  for (guint i = 0; i < 4 * STREAMS; i++) {
    HyphaSessionStream *stream = streams[i % STREAMS];

    say_data (p, wire, stream, MIN (stream->promised - stream->next, sizeof bytes));
  }
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 0);
  p->reading[1] = FALSE;
  before = memory_in_use ();
  for (guint i = 0; i < STREAMS; i++)
    say_data (p, wire, streams[i], 1);
  grown = memory_in_use () - before;
  g_test_message ("%" G_GSIZE_FORMAT " bytes in %" G_GSIZE_FORMAT,
                  hypha_session_get_memory (p->session[1]), grown);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, STREAMS);
  g_assert_cmpuint (grown, <=, STREAMS * (HYPHA_SESSION_WINDOW_MIN + 1024));
}

/* Programs that were looked at for what they have to say, and had nothing. */
static void
test_idle (void)
{
  enum { STREAMS = 400 };
  g_autoptr (Pair) p = pair_new ();
  gsize before, grown;

  pair_link (p, 5);
  before = memory_in_use ();
  for (guint i = 0; i < STREAMS; i++) {
    HyphaSessionStream *stream = pair_open (p, 0, "sink");
    struct iovec pieces[2];

    pair_run (p);
    g_assert_cmpuint (hypha_session_stream_reserve (p->session[0], stream, sizeof bytes, pieces, 2),
                      >, 0);
    hypha_session_stream_commit (p->session[0], stream, 0);
  }
  grown = memory_in_use () - before;
  g_test_message ("%" G_GSIZE_FORMAT " bytes a stream, both ends", grown / STREAMS);
  g_assert_cmpuint (grown, <=, STREAMS * 2 * 1500);
}

/* A link that takes nothing has frames waiting, and a peer may acknowledge what it never got: then
 * they alone keep what they lie in. */
static void
test_sent (void)
{
  enum { FRAMES = 8000, LINK = 256 * 1024 };
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  HyphaSessionStream *stream = pair_open (p, 1, "source");
  g_autofree HyphaFrameOut *waiting = g_new0 (HyphaFrameOut, FRAMES);
  gsize length = 0, grown;
  gsize before;

  pair_run (p);
  pair_inject (p, wire, 1,
               &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW, .stream = stream->id, .value = 1 << 30 });
  before = memory_in_use ();
  for (guint i = 0; i < FRAMES; i++) {
    g_assert_cmpuint (pair_write (p, 1, stream, 1), ==, 1);
    do
      g_assert_true (hypha_session_next_frame (p->session[1], wire->link[1], p->now, &waiting[i]));
    while (waiting[i].head[0] != HYPHA_FRAME_DATA);
    length += waiting[i].head_length + waiting[i].length;
    pair_inject (
        p, wire, 1,
        &(HyphaFrame){ .type = HYPHA_FRAME_ACK, .stream = stream->id, .value = stream->sent });
    pair_drain (p);
    pair_forget (p);
  }
  grown = memory_in_use () - before;
  g_test_message ("%" G_GSIZE_FORMAT " bytes of frames keep %" G_GSIZE_FORMAT, length, grown);
  g_assert_cmpuint (length, <=, LINK);
  g_assert_cmpuint (grown, <=, 4 * LINK);
  for (guint i = 0; i < FRAMES; i++)
    hypha_frame_out_clear (&waiting[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/memory/of-bytes-that-nobody-reads", test_held);
  g_test_add_func ("/session/memory/of-streams-that-say-nothing", test_idle);
  g_test_add_func ("/session/memory/of-frames-that-nobody-takes", test_sent);
  return g_test_run ();
}
