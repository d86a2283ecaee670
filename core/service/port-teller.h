/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* So many streams of one peer at once: one more is refused. */
#define HYPHA_PORT_TELLER_MAX 16

/* Tells peers which ports of this machine are listened on: a line for each change, and the first
 * one at once. Main thread. */
typedef struct _HyphaPortTeller HyphaPortTeller;

HyphaPortTeller *hypha_port_teller_new (void);
/* Answers INCOMING, and tells it until it goes. */
void hypha_port_teller_serve (HyphaPortTeller *self, HyphaIncoming *incoming);
/* Whether who has opened SERVICE may still be told. */
typedef gboolean (*HyphaPortTellerMay) (HyphaNodePeer *peer, const char *service,
                                        gpointer user_data);
/* Ends the streams of those who may not. */
void hypha_port_teller_review (HyphaPortTeller *self, HyphaPortTellerMay may, gpointer user_data);
/* Ends every stream: no list follows. */
void hypha_port_teller_stop (HyphaPortTeller *self);
void hypha_port_teller_free (HyphaPortTeller *self);

G_END_DECLS
