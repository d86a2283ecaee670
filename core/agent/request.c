/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/request.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include <hypha-api.h>

#include "agent/members.h"

/* ---- values ---- */

static gboolean
holds (JsonNode *node, GType type)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type;
}

static gboolean
read_text (JsonNode *node, const char *name, char **text, GError **error)
{
  if (!holds (node, G_TYPE_STRING) || *json_node_get_string (node) == '\0')
    return hypha_agent_refuse_request (error, _ ("'%s' is not a text, or empty"), name);
  g_free (*text);
  *text = json_node_dup_string (node);
  return TRUE;
}

static gboolean
read_size (JsonNode *node, const char *name, guint16 *size, GError **error)
{
  if (!holds (node, G_TYPE_INT64) || json_node_get_int (node) < 0 ||
      json_node_get_int (node) > G_MAXUINT16)
    return hypha_agent_refuse_request (error, _ ("'%s' is not a number from 0 to 65535"), name);
  *size = (guint16) json_node_get_int (node);
  return TRUE;
}

static gboolean
read_argv (HyphaAgentRequest *self, JsonNode *node, GError **error)
{
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  JsonArray *array = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonNode *word = json_array_get_element (array, i);

    if (!holds (word, G_TYPE_STRING))
      return hypha_agent_refuse_request (error, _ ("'argv' is not an array of texts"));
    g_strv_builder_add (words, json_node_get_string (word));
  }
  g_strfreev (self->argv);
  self->argv = g_strv_builder_end (words);
  if (array == NULL || self->argv[0] == NULL || *self->argv[0] == '\0')
    return hypha_agent_refuse_request (
        error, _ ("'argv' is not an array that begins with the name of a command"));
  return TRUE;
}

static gboolean
read_env (HyphaAgentRequest *self, JsonNode *node, GError **error)
{
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return hypha_agent_refuse_request (error, _ ("'env' is not an object"));
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &name, &value)) {
    g_autofree char *word = NULL;

    if (*name == '\0' || strchr (name, '=') || !holds (value, G_TYPE_STRING))
      return hypha_agent_refuse_request (
          error, _ ("'env' is not an object of texts, whose names are not empty and have no '='"));
    word = g_strconcat (name, "=", json_node_get_string (value), NULL);
    g_strv_builder_add (words, word);
  }
  g_strfreev (self->env);
  self->env = g_strv_builder_end (words);
  return TRUE;
}

static gboolean
read_pty (HyphaAgentRequest *self, JsonNode *node, GError **error)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return hypha_agent_refuse_request (error, _ ("'pty' is not an object"));
  self->pty = TRUE;
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &name, &value)) {
    if (g_str_equal (name, "rows")   ? !read_size (value, "rows", &self->rows, error)
        : g_str_equal (name, "cols") ? !read_size (value, "cols", &self->cols, error)
        : g_str_equal (name, "term")
            ? !read_text (value, "term", &self->term, error)
            : !hypha_agent_refuse_request (error, _ ("'%s' is not known of a pty"), name))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_member (gpointer request, const char *name, JsonNode *value, GError **error)
{
  HyphaAgentRequest *self = request;

  if (g_str_equal (name, "argv"))
    return read_argv (self, value, error);
  if (g_str_equal (name, "env"))
    return read_env (self, value, error);
  if (g_str_equal (name, "pty"))
    return read_pty (self, value, error);
  if (g_str_equal (name, "cwd"))
    return read_text (value, "cwd", &self->cwd, error);
  if (g_str_equal (name, "user"))
    return read_text (value, "user", &self->user, error);
  if (!g_str_equal (name, "shell"))
    return hypha_agent_refuse_request (error, _ ("'%s' is not known"), name);
  if (!holds (value, G_TYPE_BOOLEAN))
    return hypha_agent_refuse_request (error, _ ("'shell' is neither true nor false"));
  self->shell = json_node_get_boolean (value);
  return TRUE;
}

/**
 * hypha_agent_request_parse:
 * @text: (array length=length): JSON, as it came
 * @length: of it
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL, with what is wrong
 *
 * Returns: (transfer full) (nullable): what to run
 */
HyphaAgentRequest *
hypha_agent_request_parse (const guint8 *text, gsize length, GError **error)
{
  g_autoptr (HyphaAgentRequest) self = g_new0 (HyphaAgentRequest, 1);

  if (!hypha_agent_read_members (text, length, read_member, self, error))
    return NULL;
  if (self->argv == NULL) {
    hypha_agent_refuse_request (error, _ ("'argv' is missing"));
    return NULL;
  }
  return g_steal_pointer (&self);
}

/**
 * hypha_agent_request_free:
 * @self: (transfer full): a request
 *
 * Frees it.
 */
void
hypha_agent_request_free (HyphaAgentRequest *self)
{
  g_strfreev (self->argv);
  g_strfreev (self->env);
  g_free (self->cwd);
  g_free (self->user);
  g_free (self->term);
  g_free (self);
}
