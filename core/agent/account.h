/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* A user that commands run as. */
typedef struct {
  char *name, *home, *shell;
  uid_t uid;
  gid_t gid;
  gboolean become; /* the agent is root, and takes these groups and this uid */
  gid_t *groups;
  int n_groups;
} HyphaAgentAccount;

/* NAME NULL: whoever the agent is. */
HyphaAgentAccount *hypha_agent_account_find (const char *name, GError **error);
void hypha_agent_account_free (HyphaAgentAccount *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaAgentAccount, hypha_agent_account_free)

G_END_DECLS
