/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "loader/loader.h"

G_BEGIN_DECLS

/* Answers a call of Dial with a bare channel; gives up when the caller has left the bus. */
void hypha_dialling_start (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation,
                           HyphaLoader *loader, const char *endpoint, GVariant *options);

G_END_DECLS
