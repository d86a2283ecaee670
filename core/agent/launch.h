/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/account.h"
#include "agent/request.h"

G_BEGIN_DECLS

/* A process that is to become the command, and this end of what it reads and writes. */
typedef struct {
  pid_t pid; /* also of its session and its process group */
  /* Standard input, output and error; non-blocking, -1: none. With a pty, the first two are that
   * and the third is none; with a stream, all three are. */
  int fds[3];
  int report; /* non-blocking; ends when the command runs, or a HyphaAgentReport comes */
} HyphaAgentLaunch;

/* Why it does not. */
typedef struct {
  int stage;
  int error; /* errno */
} HyphaAgentReport;

gboolean hypha_agent_launch (const HyphaAgentRequest *request, const HyphaAgentAccount *account,
                             const char *peer, int stream, HyphaAgentLaunch *launch,
                             GError **error);
/* In words, with what the caller's exit status should be. */
char *hypha_agent_report_describe (const HyphaAgentReport *self, const HyphaAgentRequest *request,
                                   const HyphaAgentAccount *account, guint8 *status);

G_END_DECLS
