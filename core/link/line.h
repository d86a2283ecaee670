/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>
#include "link/output.h"
#include "link/tls.h"

G_BEGIN_DECLS

/* The descriptor below a link, in the open or with TLS upon it: behind these calls the two cannot
 * be told apart. */
typedef struct {
  int fd;        /* owned; -1: closed */
  HyphaTls *tls; /* NULL: in the open */
  guint64 sent;  /* in the open: bytes that the kernel has taken */
  GError *ended; /* found behind bytes that were handed out first */
  gboolean at_eof;
  gboolean drained; /* the last read took all there was: epoll tells of more */
} HyphaLine;

typedef enum {
  HYPHA_LINE_DONE,
  HYPHA_LINE_AGAIN,
  HYPHA_LINE_EOF,
  HYPHA_LINE_ERROR
} HyphaLineResult;

/* DONE: *N bytes came (> 0), of a bounded number of records. Read until AGAIN, or until it is
 * drained, before waiting for the descriptor. */
HyphaLineResult hypha_line_read (HyphaLine *self, guint8 *buffer, gsize size, gsize *n,
                                 GError **error);
/* DONE: the first *N bytes (> 0) of PIECES were taken; not all of them reach the kernel before
 * flush. */
HyphaLineResult hypha_line_write (HyphaLine *self, const struct iovec *pieces, guint n_pieces,
                                  gsize *n, GError **error);
HyphaLineResult hypha_line_flush (HyphaLine *self, GError **error);
/* Both: as much of OUTPUT as the kernel takes; DONE: all of it. WRITTEN: bytes, above TLS. */
HyphaLineResult hypha_line_send (HyphaLine *self, HyphaOutput *output, gsize *written,
                                 GError **error);
/* Bytes that the kernel has taken, all told. */
guint64 hypha_line_get_sent (const HyphaLine *self);
/* Where TLS has a farewell: it goes behind all that was written, as far as flush brings it. */
void hypha_line_bye (HyphaLine *self);
/* BYE: says that first. */
void hypha_line_close (HyphaLine *self, gboolean bye);

G_END_DECLS
