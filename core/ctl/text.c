/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/text.h"

#include <string.h>

/* A terminal obeys control characters, and shows format characters by turning the rest around them.
 */
static gboolean
is_harmless (gunichar c)
{
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT:
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
  case G_UNICODE_PRIVATE_USE:
  case G_UNICODE_SURROGATE:
  case G_UNICODE_UNASSIGNED:
    return FALSE;
  default:
    return TRUE;
  }
}

/**
 * hypha_ctl_escape:
 * @text: from whomever
 *
 * Returns: (transfer full): @text with everything that a terminal would not simply show as `\u{x}`,
 * or `\xhh` for bytes that are no UTF-8, and a backslash doubled
 */
char *
hypha_ctl_escape (const char *text)
{
  GString *safe = g_string_sized_new (strlen (text));

  while (*text) {
    gunichar c = g_utf8_get_char_validated (text, -1);

    if (c == (gunichar) -1 || c == (gunichar) -2) {
      g_string_append_printf (safe, "\\x%02x", (guchar) *text++);
      continue;
    }
    if (c == '\\')
      g_string_append (safe, "\\\\");
    else if (is_harmless (c))
      g_string_append_unichar (safe, c);
    else
      g_string_append_printf (safe, "\\u{%x}", c);
    text = g_utf8_next_char (text);
  }
  return g_string_free (safe, FALSE);
}

static void
append_utf16 (GString *string, gunichar c)
{
  if (c > 0xffff) {
    c -= 0x10000;
    g_string_append_printf (string, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
  } else {
    g_string_append_printf (string, "\\u%04x", c);
  }
}

/**
 * hypha_ctl_escape_json:
 * @json: a JSON text, valid UTF-8
 *
 * Outside of strings JSON is ASCII, so escapes can be put in without looking where one is.
 *
 * Returns: (transfer full): the same JSON, with everything that a terminal would not simply show as
 * `\uxxxx`
 */
char *
hypha_ctl_escape_json (const char *json)
{
  GString *safe = g_string_sized_new (strlen (json));

  for (; *json; json = g_utf8_next_char (json)) {
    gunichar c = g_utf8_get_char (json);

    if (c == '\n' || is_harmless (c))
      g_string_append_unichar (safe, c);
    else
      append_utf16 (safe, c);
  }
  return g_string_free (safe, FALSE);
}

static guint
char_width (gunichar c)
{
  if (g_unichar_iszerowidth (c))
    return 0;
  return g_unichar_iswide (c) ? 2 : 1;
}

/**
 * hypha_ctl_text_width:
 * @text: harmless UTF-8
 *
 * Returns: the columns it takes
 */
guint
hypha_ctl_text_width (const char *text)
{
  guint width = 0;

  for (; *text; text = g_utf8_next_char (text))
    width += char_width (g_utf8_get_char (text));
  return width;
}

/**
 * hypha_ctl_text_cut:
 * @text: harmless UTF-8
 * @width: columns there are, at least 1
 *
 * Returns: (transfer full): @text, or as much of its beginning as fits with an ellipsis
 */
char *
hypha_ctl_text_cut (const char *text, guint width)
{
  const char *end = text;
  guint used = 0;

  if (hypha_ctl_text_width (text) <= width)
    return g_strdup (text);
  while (used + char_width (g_utf8_get_char (end)) < width) {
    used += char_width (g_utf8_get_char (end));
    end = g_utf8_next_char (end);
  }
  return g_strdup_printf ("%.*s…", (int) (end - text), text);
}

/**
 * hypha_ctl_text_take_line:
 * @rest: (inout): harmless UTF-8; moved behind what is taken
 * @width: columns there are, at least 1
 *
 * Takes one line off a longer text. A word that is longer than a line is taken apart.
 *
 * Returns: (transfer full): as many words as fit, at least one character
 */
char *
hypha_ctl_text_take_line (const char **rest, guint width)
{
  const char *begin = *rest, *at = begin, *space = NULL, *end;
  guint used = 0;

  while (*at && (at == begin || used + char_width (g_utf8_get_char (at)) <= width)) {
    used += char_width (g_utf8_get_char (at));
    at = g_utf8_next_char (at);
    if (*at == ' ' && at[-1] != ' ')
      space = at;
  }
  end = *at && space ? space : at;
  *rest = end;
  while (**rest == ' ')
    (*rest)++;
  return g_strndup (begin, (gsize) (end - begin));
}

/**
 * hypha_ctl_text_append_wrapped:
 * @text: what it goes to
 * @whole: harmless UTF-8
 * @indent: columns before each line but the first, where @text is already
 * @width: columns of a line, without @indent; 0: there is no edge
 *
 * Appends @whole over as many lines as it takes.
 */
void
hypha_ctl_text_append_wrapped (GString *text, const char *whole, guint indent, guint width)
{
  const char *rest = whole;

  do {
    g_autofree char *line = hypha_ctl_text_take_line (&rest, width > 0 ? width : G_MAXUINT);

    g_string_append (text, line);
    if (*rest)
      g_string_append_printf (text, "\n%*s", (int) indent, "");
  } while (*rest);
}
