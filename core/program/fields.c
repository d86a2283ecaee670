/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/fields.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>
#include <hypha-api.h>
#include "hypha-text.h"
#include "json-text.h"

static gboolean
refuse (GError **error, const char *format, const char *name)
{
  g_autofree char *quoted = hypha_text_quote (name);

  /* One of the sentences below, each with one place. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, format, quoted);
#pragma GCC diagnostic pop
  return FALSE;
}

/* NULL: NODE is no string, or too long. */
static const char *
look_at_string (JsonNode *node)
{
  const char *text;

  if (json_node_get_node_type (node) != JSON_NODE_VALUE ||
      json_node_get_value_type (node) != G_TYPE_STRING)
    return NULL;
  text = json_node_get_string (node);
  return strlen (text) <= HYPHA_PROGRAM_MAX_STRING ? text : NULL;
}

static gboolean
read_string (JsonNode *node, const char *name, char **out, GError **error)
{
  const char *text = look_at_string (node);

  if (text == NULL)
    return refuse (error, _ ("%s is no string of at most 4096 bytes"), name);
  *out = g_strdup (text);
  return TRUE;
}

static gboolean
read_strings (JsonNode *node, const char *name, char ***out, GError **error)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  JsonArray *array;

  if (json_node_get_node_type (node) != JSON_NODE_ARRAY)
    return refuse (error, _ ("%s is no list of strings"), name);
  array = json_node_get_array (node);
  if (json_array_get_length (array) > HYPHA_PROGRAM_MAX_STRINGS)
    return refuse (error, _ ("%s has more than 64 strings"), name);
  for (guint i = 0; i < json_array_get_length (array); i++) {
    const char *text = look_at_string (json_array_get_element (array, i));

    if (text == NULL)
      return refuse (error, _ ("%s holds what is no string of at most 4096 bytes"), name);
    g_strv_builder_add (builder, text);
  }
  *out = g_strv_builder_end (builder);
  return TRUE;
}

static gboolean
read_field (JsonNode *node, const HyphaProgramField *field, gpointer place, GError **error)
{
  gboolean is_value = json_node_get_node_type (node) == JSON_NODE_VALUE;

  switch (field->kind) {
  case HYPHA_PROGRAM_FIELD_STRING:
    return read_string (node, field->name, place, error);
  case HYPHA_PROGRAM_FIELD_STRINGS:
    return read_strings (node, field->name, place, error);
  case HYPHA_PROGRAM_FIELD_INTEGER:
    if (!is_value || json_node_get_value_type (node) != G_TYPE_INT64)
      return refuse (error, _ ("%s is no whole number"), field->name);
    *(gint64 *) place = json_node_get_int (node);
    return TRUE;
  case HYPHA_PROGRAM_FIELD_BOOLEAN:
    if (!is_value || json_node_get_value_type (node) != G_TYPE_BOOLEAN)
      return refuse (error, _ ("%s is neither true nor false"), field->name);
    *(gboolean *) place = json_node_get_boolean (node);
    return TRUE;
  case HYPHA_PROGRAM_FIELD_OBJECT:
    if (json_node_get_node_type (node) != JSON_NODE_OBJECT)
      return refuse (error, _ ("%s is no object"), field->name);
    *(JsonObject **) place = json_node_get_object (node);
    return TRUE;
  default:
    g_assert_not_reached ();
  }
}

/* hypha_program_fields_read:
 * @fields: what there may be
 * @strict: whether a name that is not among them is an error
 * @structure: where they go, empty at first
 *
 * Reads the members of an object, each once: a name that stands there twice is no JSON here.
 *
 * Returns: %FALSE with %HYPHA_ERROR_PLUGIN, which names the member; nothing is in @structure then
 */
gboolean
hypha_program_fields_read (JsonObject *object, const HyphaProgramField *fields, gboolean strict,
                           gpointer structure, GError **error)
{
  gboolean good = TRUE;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init (&iter, object);
  while (good && json_object_iter_next (&iter, &name, &node)) {
    const HyphaProgramField *field = fields;

    while (field->name != NULL && !g_str_equal (field->name, name))
      field++;
    if (field->name != NULL)
      good = read_field (node, field, (guint8 *) structure + field->offset, error);
    else if (strict)
      good = refuse (error, _ ("%s is not known here"), name);
  }
  for (const HyphaProgramField *field = fields; good && field->name != NULL; field++)
    if (field->missing && !json_object_has_member (object, field->name))
      good = refuse (error, _ ("%s is missing"), field->name);
  if (!good)
    hypha_program_fields_clear (fields, structure);
  return good;
}

void
hypha_program_fields_clear (const HyphaProgramField *fields, gpointer structure)
{
  for (; fields->name != NULL; fields++) {
    gpointer place = (guint8 *) structure + fields->offset;

    if (fields->kind == HYPHA_PROGRAM_FIELD_STRING)
      g_clear_pointer ((char **) place, g_free);
    else if (fields->kind == HYPHA_PROGRAM_FIELD_STRINGS)
      g_clear_pointer ((char ***) place, g_strfreev);
  }
}

static void
add_name (GString *object, const char *name)
{
  g_string_append_c (object, object->len == 0 ? '{' : ',');
  hypha_json_text_append_string (object, name);
  g_string_append_c (object, ':');
}

/* hypha_program_fields_add_string:
 * @object: what is written so far, without the last brace
 * @value: UTF-8; otherwise it is left empty */
void
hypha_program_fields_add_string (GString *object, const char *name, const char *value)
{
  add_name (object, name);
  if (!hypha_json_text_append_string (object, value))
    g_string_append (object, "\"\"");
}

void
hypha_program_fields_add_integer (GString *object, const char *name, gint64 value)
{
  add_name (object, name);
  g_string_append_printf (object, "%" PRId64, value);
}

void
hypha_program_fields_add_boolean (GString *object, const char *name, gboolean value)
{
  add_name (object, name);
  g_string_append (object, value ? "true" : "false");
}
