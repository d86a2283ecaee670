/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-text.h"

#include <glib/gi18n-lib.h>

/* Long enough for any node id or host name, short enough for one line of a log. */
#define MAX_QUOTED_CHARS 120

/* At most MAX characters of TEXT. */
static void
append_escaped (GString *to, const char *text, gsize max)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  gsize count = 0;

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (count++ == max) {
      g_string_append (to, "...");
      break;
    }
    if (g_unichar_isprint (c))
      g_string_append_unichar (to, c);
    else
      g_string_append_printf (to, "\\u{%x}", c);
  }
}

char *
hypha_text_quote (const char *text)
{
  GString *quoted = g_string_new ("'");

  append_escaped (quoted, text, MAX_QUOTED_CHARS);
  g_string_append_c (quoted, '\'');
  return g_string_free (quoted, FALSE);
}

char *
hypha_text_escape (const char *text)
{
  GString *escaped = g_string_new (NULL);

  append_escaped (escaped, text, G_MAXSIZE);
  return g_string_free (escaped, FALSE);
}

gboolean
hypha_text_parse_u32 (const char *text, guint32 max, guint32 *value, char **why)
{
  g_autofree char *quoted = hypha_text_quote (text);
  guint64 number = 0;

  if (*text == '\0') {
    *why = g_strdup (_ ("is empty"));
    return FALSE;
  }
  for (const char *p = text; *p != '\0'; p++) {
    if (!g_ascii_isdigit (*p)) {
      *why = g_strdup_printf (_ ("%s is not a decimal number"), quoted);
      return FALSE;
    }
    number = number * 10 + (guint64) (*p - '0');
    if (number > max) {
      *why = g_strdup_printf (_ ("%s is above %u"), quoted, max);
      return FALSE;
    }
  }
  if (text[0] == '0' && text[1] != '\0') {
    *why = g_strdup_printf (_ ("%s begins with a zero"), quoted);
    return FALSE;
  }
  *value = (guint32) number;
  return TRUE;
}
