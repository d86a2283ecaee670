/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-text.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "hypha-error.h"

static gboolean
refuse (GError **error, const char *what)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("the message cannot be sent as JSON: %s"), what);
  return FALSE;
}

static gboolean write_node (GString *text, JsonNode *node, guint depth, GError **error);

static gboolean
write_string (GString *text, const char *string, GError **error)
{
  return hypha_json_text_append_string (text, string) ||
         refuse (error, _ ("it has a string without UTF-8"));
}

static gboolean
write_object (GString *text, JsonObject *object, guint depth, GError **error)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;
  char before = '{';

  if (json_object_get_size (object) > HYPHA_JSON_MAX_NAMES) {
    g_autofree char *what =
        g_strdup_printf (_ ("it has an object of more than %d names"), HYPHA_JSON_MAX_NAMES);

    return refuse (error, what);
  }
  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &value)) {
    g_string_append_c (text, before);
    before = ',';
    if (!write_string (text, name, error))
      return FALSE;
    g_string_append_c (text, ':');
    if (!write_node (text, value, depth, error))
      return FALSE;
  }
  g_string_append (text, before == '{' ? "{}" : "}");
  return TRUE;
}

static gboolean
write_array (GString *text, JsonArray *array, guint depth, GError **error)
{
  guint length = json_array_get_length (array);

  g_string_append_c (text, '[');
  for (guint i = 0; i < length; i++) {
    if (i > 0)
      g_string_append_c (text, ',');
    if (!write_node (text, json_array_get_element (array, i), depth, error))
      return FALSE;
  }
  g_string_append_c (text, ']');
  return TRUE;
}

/* In as few digits as give the same number again. It stays one with a fraction. */
static gboolean
write_double (GString *text, double number, GError **error)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE];

  if (!isfinite (number))
    return refuse (error, _ ("it has a number that is infinite or none"));
  g_ascii_formatd (digits, sizeof digits, "%.15g", number);
  if (g_ascii_strtod (digits, NULL) != number)
    g_ascii_dtostr (digits, sizeof digits, number);
  g_string_append (text, digits);
  if (strpbrk (digits, ".e") == NULL)
    g_string_append (text, ".0");
  return TRUE;
}

static gboolean
write_value (GString *text, JsonNode *node, GError **error)
{
  GType type = json_node_get_value_type (node);

  if (type == G_TYPE_STRING && json_node_get_string (node) != NULL)
    return write_string (text, json_node_get_string (node), error);
  if (type == G_TYPE_DOUBLE)
    return write_double (text, json_node_get_double (node), error);
  if (type == G_TYPE_INT64)
    g_string_append_printf (text, "%" PRId64, (int64_t) json_node_get_int (node));
  else if (type == G_TYPE_BOOLEAN)
    g_string_append (text, json_node_get_boolean (node) ? "true" : "false");
  else
    return refuse (error, _ ("it has a value that was not set"));
  return TRUE;
}

static gboolean
write_node (GString *text, JsonNode *node, guint depth, GError **error)
{
  if (JSON_NODE_HOLDS_NULL (node)) {
    g_string_append (text, "null");
    return TRUE;
  }
  if (JSON_NODE_HOLDS_VALUE (node))
    return write_value (text, node, error);
  if (depth == HYPHA_JSON_MAX_DEPTH) {
    g_autofree char *what = g_strdup_printf (
        _ ("its arrays and objects lie deeper in each other than %d times"), HYPHA_JSON_MAX_DEPTH);

    return refuse (error, what);
  }
  if (JSON_NODE_HOLDS_OBJECT (node) && json_node_get_object (node) != NULL)
    return write_object (text, json_node_get_object (node), depth + 1, error);
  if (JSON_NODE_HOLDS_ARRAY (node) && json_node_get_array (node) != NULL)
    return write_array (text, json_node_get_array (node), depth + 1, error);
  return refuse (error, _ ("it has a value that was not set"));
}

/**
 * hypha_json_text_print:
 * @node: a message
 * @length: (out): the bytes of the text
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT
 *
 * Writes a message in one line, as hypha_json_text_parse() takes it.
 *
 * Returns: (transfer full): the text, or %NULL
 */
char *
hypha_json_text_print (JsonNode *node, gsize *length, GError **error)
{
  GString *text = g_string_new (NULL);
  gboolean written = write_node (text, node, 0, error);

  *length = text->len;
  return g_string_free (text, !written);
}
