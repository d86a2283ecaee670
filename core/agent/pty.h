/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/account.h"

G_BEGIN_DECLS

/* A terminal for ACCOUNT: OURS gets the master twice, and nothing for standard error; THEIRS the
 * terminal three times. */
gboolean hypha_agent_pty_open (guint16 rows, guint16 cols, const HyphaAgentAccount *account,
                               int ours[3], int theirs[3], GError **error);
void hypha_agent_pty_resize (int master, guint16 rows, guint16 cols);
/* What a person types for end-of-file; 0: the program does not let the terminal tell it. */
char hypha_agent_pty_get_end (int master);

G_END_DECLS
