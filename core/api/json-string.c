/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-text.h"

#include <string.h>

/**
 * hypha_json_text_append_string: (skip)
 * @text: what is written to
 * @string: any text
 *
 * Writes @string as JSON spells it, with its quotes. It needs nothing of json-glib, as the rest
 * does that writes.
 *
 * Returns: %FALSE if @string is no UTF-8: nothing was written then
 */
gboolean
hypha_json_text_append_string (GString *text, const char *string)
{
  static const char escaped[] = HYPHA_JSON_ESCAPED, letters[] = HYPHA_JSON_LETTERS;

  if (!g_utf8_validate (string, -1, NULL))
    return FALSE;
  g_string_append_c (text, '"');
  for (const char *p = string; *p != '\0'; p++) {
    const char *found = strchr (escaped, *p);

    if (found != NULL)
      g_string_append_printf (text, "\\%c", letters[found - escaped]);
    else if ((guchar) *p < ' ')
      g_string_append_printf (text, "\\u%04x", (guint) *p);
    else
      g_string_append_c (text, *p);
  }
  g_string_append_c (text, '"');
  return TRUE;
}
