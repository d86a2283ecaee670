/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* Whether a name of a peer, a node or a service may hold C: only what can be seen as itself. A name
 * goes into logs, terminals, settings and D-Bus; separators would split it there, and format
 * characters turn it around or make two names look the same. */
static inline gboolean
hypha_name_may_hold (gunichar c)
{
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT:
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
  case G_UNICODE_SPACE_SEPARATOR:
  case G_UNICODE_PRIVATE_USE:
  case G_UNICODE_SURROGATE:
  case G_UNICODE_UNASSIGNED:
    return FALSE;
  default:
    return TRUE;
  }
}

/* Whether TEXT is such a name: UTF-8, and 1 to MAX bytes. */
static inline gboolean
hypha_name_is_good (const char *text, gsize max)
{
  gsize length = strlen (text);
  gboolean good = length > 0 && length <= max && g_utf8_validate (text, -1, NULL);

  for (const char *p = text; good && *p != '\0'; p = g_utf8_next_char (p))
    good = hypha_name_may_hold (g_utf8_get_char (p));
  return good;
}

G_END_DECLS
