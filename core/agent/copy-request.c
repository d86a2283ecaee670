/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/copy-request.h"

#include <glib/gi18n-lib.h>

#include <hypha-api.h>

#include "agent/members.h"

static gboolean
is_text (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING;
}

/* A path may be empty: where all of them begin. */
static gboolean
read_text (JsonNode *node, const char *name, char **text, GError **error)
{
  if (!is_text (node))
    return hypha_agent_refuse_request (error, _ ("'%s' is not a text"), name);
  g_free (*text);
  *text = json_node_dup_string (node);
  return TRUE;
}

static gboolean
read_get (HyphaAgentCopyRequest *self, JsonNode *node, GError **error)
{
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
  JsonArray *array = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonNode *path = json_array_get_element (array, i);

    if (!is_text (path))
      return hypha_agent_refuse_request (error, _ ("'%s' is not an array of texts"), "get");
    g_strv_builder_add (paths, json_node_get_string (path));
  }
  g_strfreev (self->get);
  self->get = g_strv_builder_end (paths);
  return self->get[0] != NULL ||
         hypha_agent_refuse_request (error, _ ("'%s' is not an array of texts"), "get");
}

static gboolean
read_member (gpointer request, const char *name, JsonNode *value, GError **error)
{
  HyphaAgentCopyRequest *self = request;

  if (g_str_equal (name, "get"))
    return read_get (self, value, error);
  if (g_str_equal (name, "put"))
    return read_text (value, "put", &self->put, error);
  if (g_str_equal (name, "user"))
    return read_text (value, "user", &self->user, error);
  if (!g_str_equal (name, "into"))
    return hypha_agent_refuse_request (error, _ ("'%s' is not known"), name);
  if (!JSON_NODE_HOLDS_VALUE (value) || json_node_get_value_type (value) != G_TYPE_BOOLEAN)
    return hypha_agent_refuse_request (error, _ ("'into' is neither true nor false"));
  self->into = json_node_get_boolean (value);
  return TRUE;
}

/**
 * hypha_agent_copy_request_parse:
 * @text: (array length=length): JSON, as it came
 * @length: of it
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL, with what is wrong
 *
 * Returns: (transfer full) (nullable): what to copy
 */
HyphaAgentCopyRequest *
hypha_agent_copy_request_parse (const guint8 *text, gsize length, GError **error)
{
  g_autoptr (HyphaAgentCopyRequest) self = g_new0 (HyphaAgentCopyRequest, 1);

  if (!hypha_agent_read_members (text, length, read_member, self, error))
    return NULL;
  if ((self->get != NULL) == (self->put != NULL)) {
    hypha_agent_refuse_request (error, _ ("it has to have either 'get' or 'put'"));
    return NULL;
  }
  return g_steal_pointer (&self);
}

/**
 * hypha_agent_copy_request_free:
 * @self: (transfer full): a request
 *
 * Frees it.
 */
void
hypha_agent_copy_request_free (HyphaAgentCopyRequest *self)
{
  g_strfreev (self->get);
  g_free (self->put);
  g_free (self->user);
  g_free (self);
}
