/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "node/node.h"

G_BEGIN_DECLS

/* Answers a call of Attach with the node's end of a connection that the caller carries. */
void hypha_attaching_answer (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation,
                             HyphaNode *node, const char *from, GVariant *options);

G_END_DECLS
