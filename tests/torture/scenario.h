/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Something that the library does, from nothing to nothing: all that it opens and allocates is let
 * go at the end. FOLDER is empty at the first run, and private; each run may leave files there for
 * the next. FALSE with the library's own error if it could not do it; G_IO_ERROR_TIMED_OUT, which
 * is this program's, if the library never said. */
typedef gboolean (*ScenarioFunc) (const char *folder, GError **error);

typedef struct {
  const char *name;
  ScenarioFunc run;
} Scenario;

/* What waits for something, or for the deadline. */
gboolean scenario_wait (gboolean (*is_done) (gpointer data), gpointer data, const char *what,
                        GError **error);

gboolean scenario_key (const char *folder, GError **error);
gboolean scenario_loop (const char *folder, GError **error);
gboolean scenario_many (const char *folder, GError **error);
gboolean scenario_plug_ins (const char *folder, GError **error);
gboolean scenario_program (const char *folder, GError **error);
gboolean scenario_pumped (const char *folder, GError **error);
gboolean scenario_plain (const char *folder, GError **error);
gboolean scenario_tls (const char *folder, GError **error);
