/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a caller wants to be run. */
typedef struct {
  char **argv; /* at least one word, and the first is not empty */
  gboolean shell;
  char **env; /* NAME=VALUE */
  char *cwd;  /* NULL: the user's home */
  char *user; /* NULL: whoever the agent is */
  gboolean pty;
  guint16 rows, cols;
  char *term; /* with a pty; may be NULL */
} HyphaAgentRequest;

HyphaAgentRequest *hypha_agent_request_parse (const guint8 *text, gsize length, GError **error);
void hypha_agent_request_free (HyphaAgentRequest *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaAgentRequest, hypha_agent_request_free)

G_END_DECLS
