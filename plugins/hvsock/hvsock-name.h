/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Parts of paths. */
gboolean hvsock_name_is_pattern (const char *part);
/* As in a trust rule, no '*' stands for a colon. */
gboolean hvsock_name_fits (const char *part, const char *name);
/* Whether it has a port behind it, as those of listeners have, ours among them. */
gboolean hvsock_name_is_port_socket (const char *name);

G_END_DECLS
