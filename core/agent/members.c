/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/members.h"

#include <glib/gi18n-lib.h>

#include <hypha-api.h>

#include "client/json-text.h"

#define MAX_MEMORY (4 * 1024 * 1024) /* of its values: words are much more than their text */

/**
 * hypha_agent_refuse_request:
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 * @format: what is wrong with it, as printf() takes it
 * @...: what the format needs
 *
 * Returns: %FALSE, for the caller to return
 */
gboolean
hypha_agent_refuse_request (GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list arguments;

  va_start (arguments, format);
  what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL, _ ("the request is wrong: %s"), what);
  return FALSE;
}

/**
 * hypha_agent_read_members:
 * @text: (array length=length): JSON, as it came
 * @length: of it
 * @member: takes each
 * @request: for @member
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL, with what is wrong
 *
 * Returns: %TRUE if all of it was taken
 */
gboolean
hypha_agent_read_members (const guint8 *text, gsize length, HyphaAgentMemberFunc member,
                          gpointer request, GError **error)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (JsonNode) root =
      hypha_json_text_parse ((const char *) text, length, MAX_MEMORY, &reason);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (root == NULL)
    return hypha_agent_refuse_request (error, "%s", reason->message);
  if (!JSON_NODE_HOLDS_OBJECT (root))
    return hypha_agent_refuse_request (error, _ ("it is not a JSON object"));
  json_object_iter_init (&iter, json_node_get_object (root));
  while (json_object_iter_next (&iter, &name, &value)) {
    if (!member (request, name, value, error))
      return FALSE;
  }
  return TRUE;
}
