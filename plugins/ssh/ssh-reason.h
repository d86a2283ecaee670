/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ssh-address.h"

G_BEGIN_DECLS

/* Sentences for how an ssh ended. WORDS: what it said, escaped; may be "". */

/* Before anything was connected. COMMAND: what was to run there. */
GError *ssh_reason_of_failure (const char *display, const SshAddress *address, const char *command,
                               int wait_status, const char *words);
/* After that, and not well. */
GError *ssh_reason_of_end (int wait_status, const char *words);

/* Lines of anything as one line that is safe to print. */
char *ssh_reason_dup_clean (const char *bytes, gsize length);

G_END_DECLS
