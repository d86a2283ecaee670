/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* Who listens where ADDRESS cannot be bound: "process 42 (nginx)", or as much as can be found out;
 * NULL if nothing. It reads the part of /proc that this user may read, for 100 ms at most: for
 * error messages only. */
char *tcp_holder_describe (const HyphaInetSockaddr *address);

G_END_DECLS
