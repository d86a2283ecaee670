/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ending a GSource. Internal: not installed, not exported. */

#include <glib.h>

G_BEGIN_DECLS

/* Ends a source that is owned: it is not called any more. FALSE: there was none. */
static inline gboolean
hypha_clear_source (GSource **source)
{
  if (*source == NULL)
    return FALSE;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
  return TRUE;
}

G_END_DECLS
