/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <string.h>

#include "link/wire.h"
#include "session-world.h"

/* Limits and steps as fuzz-session has them, up to one that is 0: they bring two sessions into some
 * state. Then comes a new link, and over it, to the side that bit 0 of the next byte names, a
 * RESUME. Bit 1: the rest of the input is its body, else it says what is changed in the true one.
 * What it comes to is compared with what it says. */

#define STEPS_MAX 200

/* What a stream was before. */
typedef struct {
  guint32 id;
  guint64 acked, sent, limit;
  gboolean answered, over;
} Before;

static void
note (HyphaSessionStream *stream, gpointer user_data)
{
  Before before = { .id = stream->id,
                    .acked = stream->acked,
                    .sent = stream->sent,
                    .limit = stream->limit,
                    .answered = stream->answered,
                    .over = stream->resetting || stream->send_end != HYPHA_END_NONE };

  g_array_append_val ((GArray *) user_data, before);
}

static gboolean
find_entry (const HyphaResume *resume, guint32 id, HyphaResumeEntry *entry)
{
  for (guint i = 0; i < resume->n_entries; i++) {
    hypha_resume_get (resume, i, entry);
    if (entry->stream == id)
      return TRUE;
  }
  return FALSE;
}

/* It was believed: so it can have said nothing that is not so. */
static void
check_taken (HyphaSession *session, const HyphaResume *resume, const GArray *streams, gint64 opened,
             gint64 known)
{
  g_assert_cmpint (resume->seen, <=, opened);
  g_assert_cmpint (resume->seen, >=, known);
  for (guint i = 0; i < resume->n_entries; i++) {
    HyphaResumeEntry entry;

    hypha_resume_get (resume, i, &entry);
    g_assert_cmpint (entry.stream, <=,
                     hypha_session_id_is_mine (session, entry.stream) ? resume->seen
                                                                      : resume->opened);
  }
  for (guint i = 0; i < streams->len; i++) {
    const Before *before = &g_array_index (streams, Before, i);
    HyphaSessionStream *after = hypha_session_find (session, before->id);
    HyphaResumeEntry entry;

    if (find_entry (resume, before->id, &entry)) {
      g_assert_cmpuint (entry.next, <=, before->sent);
      g_assert_cmpuint (entry.next, >=, before->acked);
      g_assert_cmpuint (entry.stream & 1, ==, before->id & 1);
      if (after != NULL && after->send_end == HYPHA_END_NONE)
        g_assert_cmpuint (after->acked, ==, entry.next);
      if (after != NULL && entry.flags & HYPHA_RESUME_ACCEPTED) {
        g_assert_true (after->answered || !after->mine);
        g_assert_cmpuint (after->limit, ==, MAX (before->limit, entry.limit));
      } else if (after != NULL) {
        g_assert_cmpuint (after->limit, ==, before->limit);
      }
    } else if ((gint64) before->id <=
               (hypha_session_id_is_mine (session, before->id) ? resume->seen : resume->opened)) {
      g_assert_true (after == NULL || after->owes == 0);
    }
  }
}

static void
check_resume (World *world, int to, const guint8 *bytes, gsize length, gboolean changed)
{
  HyphaSession *session = world->session[to];
  g_autoptr (GArray) streams = g_array_new (FALSE, FALSE, sizeof (Before));
  guint over = world->over[to];
  gint64 opened = session->opened, known = session->known;
  HyphaFrame frame;
  HyphaResume resume;
  gboolean good = hypha_frame_parse (bytes, length, &frame, NULL) == (gssize) length &&
                  frame.type == HYPHA_FRAME_RESUME && hypha_resume_parse (&frame, &resume, NULL);

  hypha_session_foreach_stream (session, note, streams);
  world->honest = world->honest && !changed;
  world_receive (world, 0, !to, bytes, length);
  if (world->over[to] > over) {
    g_assert_true (changed || !world->honest);
    g_assert_true (world->error[to] == HYPHA_ERROR_PROTOCOL ||
                   world->error[to] == HYPHA_ERROR_ROLLED_BACK);
    g_assert_cmpuint (hypha_session_n_streams (session), ==, 0);
    g_assert_cmpuint (hypha_session_n_links (session), ==, 0);
    return;
  }
  if (world->links[0].link[to] == NULL || !hypha_session_link_is_up (world->links[0].link[to])) {
    g_assert_false (good);
    return;
  }
  g_assert_true (good);
  check_taken (session, &resume, streams, opened, known);
}

/* A RESUME with what is left of INPUT as its body. */
static GByteArray *
make_raw (FuzzInput *input)
{
  gsize length = MIN (input->left, HYPHA_FRAME_MAX);
  guint8 head[HYPHA_FRAME_HEADER] = { HYPHA_FRAME_RESUME };
  GByteArray *bytes = g_byte_array_new ();

  hypha_wire_put_u32 (head + 8, (guint32) length);
  g_byte_array_append (bytes, head, sizeof head);
  g_byte_array_append (bytes, fuzz_bytes (input, &length), (guint) length);
  return bytes;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  g_autoptr (World) world = world_new (&input, WORLD_WHOLE);
  g_autoptr (GByteArray) bytes = NULL;
  HyphaFrameOut out;
  guint how;

  for (guint i = 0; i < STEPS_MAX && world_step (world, &input); i++)
    ;
  if (!world_link (world, 0, 3))
    return 0;
  how = fuzz_u8 (&input);
  world_write_resume (world, !(how & 1), &out);
  bytes = how & 2 ? make_raw (&input) : world_change_resume (world, &out, &input);
  {
    gboolean same = bytes->len == out.head_length + out.length &&
                    memcmp (bytes->data, out.head, out.head_length) == 0 &&
                    memcmp (bytes->data + out.head_length, out.data, out.length) == 0;

    hypha_frame_out_clear (&out);
    check_resume (world, how & 1, bytes->data, bytes->len, !same);
  }
  world_settle (world);
  return 0;
}
