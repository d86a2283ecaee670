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

typedef enum {
  HYPHA_TELLING_NO,
  HYPHA_TELLING_YES,
  HYPHA_TELLING_LAST, /* the others of this minute will be counted only */
} HyphaTellingAnswer;

HyphaTellingAnswer hypha_telling_ask (HyphaTelling *self, gint64 now, guint *untold);

G_END_DECLS
