/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"

G_BEGIN_DECLS

/* Moves bytes from one descriptor to another on a worker, without protocol: FROM until end-of-file,
 * then shuts TO down for writing. FROM and TO may be the same (echo); TO -1 throws away (discard).
 */
typedef struct _HyphaCopier HyphaCopier;

/* Once, on the worker: how many bytes went over, and NULL or why it stopped early: GONE where
 * nobody reads TO any more, else RESET. */
typedef void (*HyphaCopierDone) (HyphaCopier *copier, guint64 bytes, const GError *error,
                                 gpointer user_data);

/* On the worker's thread; both descriptors non-blocking and taken. Freed by itself after DONE, or
 * by cancel. */
HyphaCopier *hypha_copier_start (HyphaWorker *worker, int from, int to, HyphaCopierDone done,
                                 gpointer user_data, GError **error);
void hypha_copier_cancel (HyphaCopier *copier);       /* DONE is not called */
guint64 hypha_copier_get_bytes (HyphaCopier *copier); /* so far */

G_END_DECLS
