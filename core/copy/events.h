/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How a copy gets on, at either end. */
typedef struct {
  void (*file) (const char *path, guint64 size, gpointer user_data); /* begins */
  void (*moved) (guint64 position, gpointer user_data);              /* within that file */
  /* Something is not copied, and the rest is. FAR: the other end says so, in its words. */
  void (*problem) (const char *sentence, gboolean far, gpointer user_data);
  void (*tick) (gpointer user_data); /* a few times a second */
} HyphaCopyEvents;

G_END_DECLS
