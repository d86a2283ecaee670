/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/text.h"

#include <string.h>

/* What is no format character, but shows nothing either: two names that differ by it look the same.
 */
static gboolean
is_invisible (gunichar c)
{
  static const gunichar ranges[][2] = {
    { 0x34f, 0x34f },   { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
    { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xffa0, 0xffa0 }, { 0xe0100, 0xe01ef },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (ranges); i++) {
    if (c >= ranges[i][0] && c <= ranges[i][1])
      return TRUE;
  }
  return FALSE;
}

/* A terminal obeys control characters, and shows format characters by turning the rest around them.
 */
static gboolean
is_harmless (gunichar c)
{
  if (is_invisible (c))
    return FALSE;
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

/**
 * hypha_ctl_escape_variant:
 * @printed: what g_variant_print() made
 *
 * GLib escapes what it cannot print, but shows line separators and private characters. Outside of
 * strings GVariant text is ASCII, as JSON is.
 *
 * Returns: (transfer full): the same value, with everything that a terminal would not simply show
 * as
 * `\uxxxx` or `\Uxxxxxxxx`
 */
char *
hypha_ctl_escape_variant (const char *printed)
{
  GString *safe = g_string_sized_new (strlen (printed));

  for (; *printed; printed = g_utf8_next_char (printed)) {
    gunichar c = g_utf8_get_char (printed);

    if (is_harmless (c))
      g_string_append_unichar (safe, c);
    else
      g_string_append_printf (safe, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
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
