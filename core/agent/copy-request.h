/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a caller wants to be copied: one of the two. */
typedef struct {
  char **get;    /* from here: paths */
  char *put;     /* to here */
  gboolean into; /* that has to be a directory */
  char *user;    /* NULL: whoever the agent is */
} HyphaAgentCopyRequest;

HyphaAgentCopyRequest *hypha_agent_copy_request_parse (const guint8 *text, gsize length,
                                                       GError **error);
void hypha_agent_copy_request_free (HyphaAgentCopyRequest *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaAgentCopyRequest, hypha_agent_copy_request_free)

G_END_DECLS
