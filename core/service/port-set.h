/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HYPHA_PORT_MAX 65535u

/* A set of TCP ports, 1 to 65535. Zeroed: empty. */
typedef struct {
  guint64 bits[(HYPHA_PORT_MAX + 1) / 64];
} HyphaPortSet;

void hypha_port_set_add (HyphaPortSet *self, guint port); /* what is no port is passed over */
gboolean hypha_port_set_has (const HyphaPortSet *self, guint port);
/* The first port above PORT; 0: there is none. */
guint hypha_port_set_next (const HyphaPortSet *self, guint port);

/* ---- what people write: "8080,9000-9100" ---- */

/* The error names what is wrong: INVALID_ARGUMENT. */
gboolean hypha_port_set_parse_ranges (HyphaPortSet *self, const char *text, GError **error);

/* ---- what nodes tell each other: a line of JSON, "[22,8080]\n" ---- */

/* More are not told, and not taken. */
#define HYPHA_PORT_LIST_MAX 4096u
/* The longest line, with its end. */
#define HYPHA_PORT_LINE_MAX (HYPHA_PORT_LIST_MAX * sizeof "65535," + sizeof "[]\n")

char *hypha_port_set_to_line (const HyphaPortSet *self);
/* LINE: LENGTH bytes, without its end. PROTOCOL: it is none. */
gboolean hypha_port_set_parse_line (HyphaPortSet *self, const char *line, gsize length,
                                    GError **error);

G_END_DECLS
