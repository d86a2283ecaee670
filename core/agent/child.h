/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/launch.h"

G_BEGIN_DECLS

/* A process, from its start until it is reaped. Main thread. */
typedef struct _HyphaAgentChild HyphaAgentChild;

typedef struct {
  /* WHY_NOT NULL: the command runs. */
  void (*ran) (const HyphaAgentReport *why_not, gpointer user_data);
  /* STATUS is as of waitpid(). What it wrote may still be on its way. */
  void (*exited) (int status, gpointer user_data);
  gboolean alone; /* it starts no others, so that nothing is left when it has exited */
} HyphaAgentChildEvents;

/* Takes LAUNCH but for its fds. */
HyphaAgentChild *hypha_agent_child_new (const HyphaAgentLaunch *launch,
                                        const HyphaAgentChildEvents *events, gpointer user_data,
                                        GError **error);
void hypha_agent_child_signal (HyphaAgentChild *self, int number); /* to the process group */
/* Both take SELF, and nothing is told any more. */
void hypha_agent_child_release (HyphaAgentChild *self); /* it has exited, and that was told */
void hypha_agent_child_end (HyphaAgentChild *self);     /* SIGHUP, and soon SIGKILL, to the group */

/* Those that are not reaped. */
guint hypha_agent_child_count (void);

G_END_DECLS
