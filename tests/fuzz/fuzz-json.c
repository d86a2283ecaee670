/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <string.h>

#include "client/json-input.h"
#include "client/json-text.h"

#include "hypha-error.h"

/* First byte: bit 0: lines. Second: how long a message may be, and with that its values. Third: how
 * many bytes come at once. Then what the other end sends. */

static void
assert_wrong (const GError *error)
{
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* What was taken is written as what reads the same. */
static void
read_message (const char *text, gsize length, gsize max_memory, GString *story)
{
  g_autofree char *copy = g_memdup2 (text, length); /* what is read beyond it is found */
  g_autofree char *printed = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = NULL, again = NULL;
  gsize size = 0;

  node = hypha_json_text_parse (copy != NULL ? copy : "", length, max_memory, &error);
  if (node == NULL) {
    assert_wrong (error);
    g_string_append_printf (story, "%s\n", error->message);
    return;
  }
  g_assert_no_error (error);
  printed = hypha_json_text_print (node, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (printed), ==, size);
  g_assert_null (strchr (printed, '\n'));
  again = hypha_json_text_parse (printed, size, G_MAXSIZE, &error);
  g_assert_no_error (error);
  g_assert_true (json_node_equal (node, again));
  g_string_append_printf (story, "%s\n", printed);
}

/* What happens, in words; AT_ONCE bytes come together. */
static char *
tell (HyphaJsonFraming framing, guint max_size, const guint8 *data, gsize size, gsize at_once)
{
  HyphaJsonInput input = { .framing = framing };
  GString *story = g_string_new (NULL);
  HyphaJsonInputVerdict verdict = HYPHA_JSON_INPUT_MORE;
  gsize left = at_once;

  while (verdict != HYPHA_JSON_INPUT_WRONG) {
    g_autoptr (GError) error = NULL;
    const char *text;
    gsize length, room, count;
    guint8 *into;

    verdict = hypha_json_input_look (&input, max_size, &text, &length, &error);
    if (verdict == HYPHA_JSON_INPUT_WRONG) {
      assert_wrong (error);
    } else if (verdict == HYPHA_JSON_INPUT_MESSAGE) {
      g_assert_cmpuint (length, <=, max_size);
      read_message (text, length, (gsize) max_size * 8, story);
      hypha_json_input_done (&input);
    } else if (size > 0) {
      into = hypha_json_input_room (&input, &room);
      g_assert_cmpuint (room, >, 0);
      left = left > 0 ? left : at_once;
      count = MIN (MIN (room, size), left);
      memcpy (into, data, count);
      hypha_json_input_came (&input, room, count);
      data += count;
      size -= count;
      left -= count;
    } else {
      break;
    }
  }
  g_string_append_printf (story, "%s", verdict == HYPHA_JSON_INPUT_WRONG ? "wrong" : "end");
  if (verdict != HYPHA_JSON_INPUT_WRONG)
    g_string_append_printf (story, " after %zu", hypha_json_input_get_size (&input));
  hypha_json_input_clear (&input);
  return g_string_free (story, FALSE);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *whole = NULL, *pieces = NULL;
  HyphaJsonFraming framing;
  guint max_size;

  if (size < 3)
    return 0;
  framing = data[0] & 1 ? HYPHA_JSON_FRAMING_LINES : HYPHA_JSON_FRAMING_LENGTH;
  max_size = 1 + (guint) data[1] * 256;
  whole = tell (framing, max_size, data + 3, size - 3, size);
  pieces = tell (framing, max_size, data + 3, size - 3, 1 + (gsize) data[2]);
  g_assert_cmpstr (whole, ==, pieces);
  return 0;
}
