/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "node/telling.h"

G_BEGIN_DECLS

/* A stream to a service of a peer that tells something in lines, kept for as long as the peer can
 * be reached; the peer is looked for again when who is meant by its name has changed. Main thread.
 */
typedef struct _HyphaHearer HyphaHearer;

typedef struct {
  const char *service;
  gsize longest;       /* line, with its end */
  const char *no_more; /* what is said when the peer ends the stream; translated when it is */
  /* A line, without its end; a NUL follows. FALSE with an error: it is none, and the stream ends;
   * then nothing else may have happened yet. */
  gboolean (*heard) (const char *line, gsize length, gpointer user_data, GError **error);
  /* What was heard holds no longer, and the trouble says why; or there is another trouble. */
  void (*lost) (gpointer user_data);
} HyphaHearerKind;

/* WHAT: whom the log is to name. REQUEST: what is said first, with its end; NULL: nothing. */
HyphaHearer *hypha_hearer_new (HyphaNode *node, const char *peer, const char *what,
                               const char *request, const HyphaHearerKind *kind,
                               gpointer user_data);
/* Its troubles are told as often as TELLING lets it, with those of others; TELLING lives as long.
 */
void hypha_hearer_share_telling (HyphaHearer *self, HyphaTelling *telling);
void hypha_hearer_open (HyphaHearer *self);  /* once */
void hypha_hearer_close (HyphaHearer *self); /* for good; nobody is called any more */
void hypha_hearer_unref (HyphaHearer *self); /* it was closed, or never open */

gboolean hypha_hearer_hears (HyphaHearer *self);
gboolean hypha_hearer_has_link (HyphaHearer *self);         /* to the peer */
const GError *hypha_hearer_get_trouble (HyphaHearer *self); /* NULL: none */
/* The trouble is one that somebody has to mend. */
gboolean hypha_hearer_has_failed (HyphaHearer *self);

G_END_DECLS
