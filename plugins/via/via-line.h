/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* Reads lines of a stream, within a deadline, and nothing beyond the last of them. */
typedef struct _ViaLine ViaLine;

/* LINE without its end, or NULL and the ERROR. Once for each via_line_next(); it may free the
 * reader. */
typedef void (*ViaLineFunc) (ViaLine *self, const char *line, const GError *error,
                             gpointer user_data);

/* MAX: bytes in a line. AHEAD: more lines will be read, and nothing else. */
ViaLine *via_line_new (HyphaStream *stream, gsize max, gboolean ahead, ViaLineFunc func,
                       gpointer user_data);
void via_line_free (ViaLine *self);
void via_line_next (ViaLine *self, guint timeout_ms); /* 0: as long as it takes */

/* DONE: it is on its way; else the stream is of no further use. */
typedef void (*ViaWrittenFunc) (gboolean done, gpointer user_data);

/* As soon as there is room for it, or never if that takes too long. FUNC NULL: it is the last word,
 * and STREAM is closed behind it. */
void via_line_write (HyphaStream *stream, const char *line, ViaWrittenFunc func,
                     gpointer user_data);

G_END_DECLS
