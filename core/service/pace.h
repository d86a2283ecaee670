/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How often each of several may have something: some at once, and then one each while. */
typedef struct _HyphaPace HyphaPace;

HyphaPace *hypha_pace_new (guint at_once, guint each_ms);
/* 0: WHO has one more now, which is counted. Else none yet: the milliseconds until one may be had.
 */
guint hypha_pace_take (HyphaPace *self, const char *who, gint64 now);
void hypha_pace_free (HyphaPace *self);

G_END_DECLS
