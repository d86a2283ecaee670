/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"

G_BEGIN_DECLS

/* The way back: closures from workers, carried out in order on the main context that made the
 * mailbox. */
typedef struct _HyphaMailbox HyphaMailbox;

HyphaMailbox *hypha_mailbox_new (GError **error); /* on the thread-default main context */
void hypha_mailbox_free (
    HyphaMailbox *self); /* carries out what is there; nobody may post any more */
void hypha_mailbox_post (HyphaMailbox *self, HyphaWorkFunc func,
                         gpointer data); /* from any thread */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaMailbox, hypha_mailbox_free)

G_END_DECLS
