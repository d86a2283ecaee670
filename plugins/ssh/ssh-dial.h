/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ssh-address.h"

G_BEGIN_DECLS

/* What runs: nothing of it goes through a shell here, and COMMAND, the last word,
 * through the one at the other machine. */
char **ssh_dial_dup_argv (const char *program, const char *command, const SshAddress *address,
                          guint timeout_ms);
/* TASK (taken) returns a channel. */
void ssh_dial (GTask *task, const char *program, const char *command, HyphaEndpoint *endpoint,
               guint timeout_ms, GCancellable *cancellable);

G_END_DECLS
