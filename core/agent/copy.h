/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* A stream to the service `cp`, until a process of its own has it, and then that process. Main
 * thread. */
typedef struct _HyphaAgentCopy HyphaAgentCopy;

#define HYPHA_AGENT_MAX_COPY_STREAMS 128 /* with those that wait for a request, or to be closed */

/* The directories that streams which come from now on may copy from and to. FALSE: ENTRY, of the
 * setting services, names none. */
gboolean hypha_agent_copy_configure (GVariant *entry);
/* FALSE: HYPHA_ERROR_BUSY. */
gboolean hypha_agent_copy_accept (HyphaPeer *peer, HyphaStream *stream, gpointer user_data,
                                  GError **error);
void hypha_agent_copy_stop_all (void);

/* That process: this program, started with this word and the roots. */
#define HYPHA_AGENT_COPY_OPTION "--serve-copy"
int hypha_agent_copy_serve (const char *const *roots);

#define HYPHA_AGENT_COPY_REQUEST "HYPHA_COPY_REQUEST" /* in its environment: JSON */

G_END_DECLS
