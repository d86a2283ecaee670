/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Colours on standard output, for states. A process has one terminal, so this is kept here. */

/* "auto", "always" or "never"; FALSE with an error of G_OPTION_ERROR for any other. */
gboolean hypha_ctl_colour_choose (const char *when, GError **error);
/* Around TEXT; both are empty where there are no colours, or where TEXT is no state. */
const char *hypha_ctl_colour_begin (const char *text);
const char *hypha_ctl_colour_end (const char *text);

G_END_DECLS
