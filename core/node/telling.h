/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How often something is told of that others can make happen as often as they like: some of it a
 * minute, the rest is counted. All zeros to begin with. */
typedef struct {
  gint64 since; /* us, monotonic */
  guint told, untold;
} HyphaTelling;

void hypha_telling_tell (HyphaTelling *self, const char *about, const char *text,
                         const char *others);

G_END_DECLS
