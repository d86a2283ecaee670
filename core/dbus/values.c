/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dbus/values.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* A bus takes 32 arrays and 32 structures in one another, and more of variants; what a message puts
 * around a value counts, too. */
#define MAX_LEVELS 16

static guint
count_containers (const char *type)
{
  guint n = 0;

  for (; *type; type++)
    n += strchr ("a({", *type) != NULL;
  return n;
}

static gboolean
is_carried (GVariant *value, guint level)
{
  const char *type = g_variant_get_type_string (value);

  if (level > MAX_LEVELS || count_containers (type) > MAX_LEVELS || strpbrk (type, "mh") ||
      strstr (type, "()"))
    return FALSE;
  /* Of what has no variant in it, the type has told everything. */
  if (strchr (type, 'v') == NULL)
    return TRUE;
  for (gsize i = 0; i < g_variant_n_children (value); i++) {
    g_autoptr (GVariant) child = g_variant_get_child_value (value, i);

    if (!is_carried (child, level + 1))
      return FALSE;
  }
  return TRUE;
}

/**
 * hypha_dbus_value_check:
 * @value: from elsewhere than D-Bus
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * A #GVariant can be what D-Bus cannot carry. GDBus leaves a call unanswered rather than send it,
 * and a bus hangs up on whoever sends a value that is nested too deeply.
 *
 * Returns: %TRUE if @value can be told over D-Bus
 */
gboolean
hypha_dbus_value_check (GVariant *value, GError **error)
{
  if (is_carried (value, 1))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("D-Bus could not carry it: it has an optional value, a descriptor or an empty "
                  "tuple in it, or is nested more than %d deep"),
               MAX_LEVELS);
  return FALSE;
}
