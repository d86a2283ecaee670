/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include "link/frame.h"

/* The codec leaves nothing open: what was read is written as the same bytes. */
static void
assert_written_as (HyphaFrameOut *out, const guint8 *data, gsize size)
{
  g_assert_cmpuint (out->head_length + out->length, ==, size);
  g_assert_cmpmem (out->head, out->head_length, data, out->head_length);
  g_assert_cmpmem (out->data, out->length, data + out->head_length, size - out->head_length);
  hypha_frame_out_clear (out);
}

static void
check_resume (const HyphaFrame *frame, const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autofree HyphaResumeEntry *entries = NULL;
  HyphaResume resume;
  HyphaFrameOut out;

  if (!hypha_resume_parse (frame, &resume, &error)) {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    return;
  }
  g_assert_no_error (error);
  entries = g_new0 (HyphaResumeEntry, resume.n_entries + 1);
  for (guint i = 0; i < resume.n_entries; i++)
    hypha_resume_get (&resume, i, &entries[i]);
  hypha_resume_write (resume.opened, resume.seen, entries, resume.n_entries, &out);
  assert_written_as (&out, data, size);
}

/* Less of the same bytes is either too little, or wrong already. */
static void
check_prefix (const guint8 *data, gsize size, gssize whole, gsize length)
{
  g_autofree guint8 *part = g_memdup2 (data, length);
  g_autoptr (GError) error = NULL;
  HyphaFrame frame;
  gssize got = hypha_frame_parse (part, length, &frame, &error);

  g_assert_true (got == 0 || got == whole);
  g_assert_true ((got < 0) == (error != NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  while (size > 0) {
    g_autoptr (GError) error = NULL;
    HyphaFrame frame;
    HyphaFrameOut out;
    gssize whole = hypha_frame_parse (data, size, &frame, &error);

    check_prefix (data, size, whole, MIN (size, HYPHA_FRAME_HEADER));
    check_prefix (data, size, whole, size / 2);
    if (whole < 0)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    else
      g_assert_no_error (error);
    if (whole <= 0)
      return 0;

    g_assert_cmpint (whole, >=, HYPHA_FRAME_HEADER);
    g_assert_cmpint (whole, <=, MIN (size, HYPHA_FRAME_HEADER + HYPHA_FRAME_MAX));
    hypha_frame_write (&frame, NULL, &out);
    assert_written_as (&out, data, (gsize) whole);
    if (frame.type == HYPHA_FRAME_RESUME)
      check_resume (&frame, data, (gsize) whole);
    data += whole;
    size -= (size_t) whole;
  }
  return 0;
}
