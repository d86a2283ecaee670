/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib/gi18n-lib.h>
#include <glib.h>
#include <string.h>

#include "link/name.h"

G_BEGIN_DECLS

/* Numbers in network byte order, at any address; and what a name that a peer sends may look like.
 */

static inline guint16
hypha_wire_get_u16 (const guint8 *p)
{
  return (guint16) (p[0] << 8 | p[1]);
}

static inline guint32
hypha_wire_get_u32 (const guint8 *p)
{
  guint32 value;

  memcpy (&value, p, sizeof value);
  return GUINT32_FROM_BE (value);
}

static inline guint64
hypha_wire_get_u64 (const guint8 *p)
{
  guint64 value;

  memcpy (&value, p, sizeof value);
  return GUINT64_FROM_BE (value);
}

/* Each returns where the next one goes. */
static inline guint8 *
hypha_wire_put_u16 (guint8 *p, guint16 value)
{
  value = GUINT16_TO_BE (value);
  return (guint8 *) memcpy (p, &value, sizeof value) + sizeof value;
}

static inline guint8 *
hypha_wire_put_u32 (guint8 *p, guint32 value)
{
  value = GUINT32_TO_BE (value);
  return (guint8 *) memcpy (p, &value, sizeof value) + sizeof value;
}

static inline guint8 *
hypha_wire_put_u64 (guint8 *p, guint64 value)
{
  value = GUINT64_TO_BE (value);
  return (guint8 *) memcpy (p, &value, sizeof value) + sizeof value;
}

/* NULL, or why these bytes are no name. */
static inline const char *
hypha_wire_judge_name (const guint8 *data, gsize length)
{
  const char *text = (const char *) data, *end = text + length;

  if (!g_utf8_validate_len (text, length, NULL))
    return _ ("is not UTF-8");
  for (; text < end; text = g_utf8_next_char (text))
    /* What this end's Unicode does not know yet may be a letter to a newer peer. */
    if (!hypha_name_may_hold (g_utf8_get_char (text)) &&
        g_unichar_type (g_utf8_get_char (text)) != G_UNICODE_UNASSIGNED)
      return _ ("holds a space, a control character or another that cannot be seen");
  return NULL;
}

G_END_DECLS
