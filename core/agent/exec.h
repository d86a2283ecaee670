/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* A stream to the service `exec`, and the command that it runs. It lives until both have ended.
 * Main thread. */
typedef struct _HyphaAgentExec HyphaAgentExec;

#define HYPHA_AGENT_MAX_COMMANDS 64
#define HYPHA_AGENT_MAX_STREAMS 128 /* with those that wait for a request, or to be closed */

/* FALSE: HYPHA_ERROR_BUSY. */
gboolean hypha_agent_exec_accept (HyphaPeer *peer, HyphaStream *stream, gpointer user_data,
                                  GError **error);
/* Tells every caller that the agent ends, and ends its command. */
void hypha_agent_exec_stop_all (void);
guint hypha_agent_exec_count (void);

G_END_DECLS
