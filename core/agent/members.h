/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A request, as all services have it: a JSON object with members that are known, and no others. */

/* What VALUE says is taken into REQUEST; FALSE: hypha_agent_refuse_request(). */
typedef gboolean (*HyphaAgentMemberFunc) (gpointer request, const char *name, JsonNode *value,
                                          GError **error);

gboolean hypha_agent_read_members (const guint8 *text, gsize length, HyphaAgentMemberFunc member,
                                   gpointer request, GError **error);
/* HYPHA_ERROR_PROTOCOL with what is wrong. FALSE, always. */
gboolean hypha_agent_refuse_request (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
