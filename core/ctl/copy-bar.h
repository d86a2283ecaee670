/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One line of standard error that tells how a copy gets on, where that is a terminal. */
typedef struct {
  gboolean shown; /* somebody looks */
  char *name;     /* of the file, made safe */
  guint64 size, begin, position;
  gint64 began, drawn; /* us; 0: not yet */
  guint width;         /* of what stands there */
} HyphaCopyBar;

void hypha_copy_bar_open (HyphaCopyBar *self, gboolean wanted);
void hypha_copy_bar_begin (HyphaCopyBar *self, const char *path, guint64 size);
void hypha_copy_bar_move (HyphaCopyBar *self, guint64 position);
void hypha_copy_bar_tick (HyphaCopyBar *self);
void hypha_copy_bar_erase (HyphaCopyBar *self); /* before something else is written */
void hypha_copy_bar_clear (HyphaCopyBar *self);

/* The line itself, WIDTH columns at most. (transfer full) */
char *hypha_copy_bar_format (const HyphaCopyBar *self, gint64 now, guint width);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCopyBar, hypha_copy_bar_clear)

G_END_DECLS
