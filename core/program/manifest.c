/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/manifest.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <hypha-api.h>
#include "hypha-text.h"
#include "json-text.h"
#include "program/fields.h"

#define MAX_BYTES (64 * 1024)
#define MAX_MEMORY (1024 * 1024)
#define MAX_TEXT 256
#define MAX_SCHEMES 8
#define MAX_OPTIONS 64
#define MAX_COST 1000000
#define MAX_PRINTED (32 * 1024) /* of all options: they stand in one line with others */

/* A manifest as it stands there. */
typedef struct {
  gint64 protocol;
  char *name, *version, *description, *licence, *endpoint;
  char **schemes, **command;
  gint64 cost, priority;
  JsonObject *options;
} Words;

#define WORD(NAME, KIND, MEMBER, MISSING)                               \
  {                                                                     \
    NAME, HYPHA_PROGRAM_FIELD_##KIND, offsetof (Words, MEMBER), MISSING \
  }

static const HyphaProgramField fields[] = {
  WORD ("protocol", INTEGER, protocol, TRUE), WORD ("name", STRING, name, TRUE),
  WORD ("version", STRING, version, TRUE),    WORD ("description", STRING, description, FALSE),
  WORD ("licence", STRING, licence, FALSE),   WORD ("schemes", STRINGS, schemes, TRUE),
  WORD ("cost", INTEGER, cost, TRUE),         WORD ("priority", INTEGER, priority, FALSE),
  WORD ("endpoint", STRING, endpoint, FALSE), WORD ("options", OBJECT, options, FALSE),
  WORD ("command", STRINGS, command, TRUE),   { NULL },
};

static void
words_clear (Words *words)
{
  hypha_program_fields_clear (fields, words);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Words, words_clear)

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, message);
  return FALSE;
}

/* A newer manifest may have words that are not known here: that it is newer is the better reason.
 */
static gboolean
check_protocol (JsonObject *object, GError **error)
{
  static const HyphaProgramField first[] = { WORD ("protocol", INTEGER, protocol, TRUE), { NULL } };
  Words words = { 0 };

  if (!hypha_program_fields_read (object, first, FALSE, &words, error))
    return FALSE;
  if (words.protocol == HYPHA_PROGRAM_PROTOCOL)
    return TRUE;
  return refuse (error,
                 _ ("its protocol is %" PRId64 ", and here that is %d: update hypha, or install a "
                    "plug-in for this version"),
                 words.protocol, HYPHA_PROGRAM_PROTOCOL);
}

static gboolean
check_text (const char *what, const char *text, GError **error)
{
  if (text == NULL)
    return TRUE;
  if (*text == '\0' || strlen (text) > MAX_TEXT)
    return refuse (error, _ ("'%s' is not 1 to %d bytes"), what, MAX_TEXT);
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (!g_unichar_isprint (g_utf8_get_char (p)))
      return refuse (error, _ ("'%s' has a character that cannot be printed"), what);
  return TRUE;
}

static gboolean
is_scheme (const char *scheme, gboolean canonical)
{
  g_autofree char *uri = g_strconcat (scheme, ":x", NULL);
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (uri, NULL);

  if (endpoint == NULL || !g_str_equal (hypha_endpoint_get_scheme (endpoint), scheme))
    return FALSE;
  for (const char *p = scheme; canonical && *p != '\0'; p++)
    if (g_ascii_isupper (*p))
      return FALSE;
  return TRUE;
}

static gboolean
check_schemes (char **schemes, GError **error)
{
  guint n = g_strv_length (schemes);

  if (n == 0 || n > MAX_SCHEMES)
    return refuse (error, _ ("'schemes' is not a list of 1 to %d schemes"), MAX_SCHEMES);
  for (guint i = 0; i < n; i++) {
    g_autofree char *quoted = hypha_text_quote (schemes[i]);

    if (!is_scheme (schemes[i], i == 0))
      return refuse (error,
                     i == 0 ? _ ("%s is no scheme: that is a lower-case letter, then such letters, "
                                 "digits, '+', '-' and '.'")
                            : _ ("%s is no scheme: that is a letter, then letters, digits, '+', "
                                 "'-' and '.'"),
                     quoted);
    if (g_strv_contains ((const char *const *) schemes + i + 1, schemes[i]))
      return refuse (error, _ ("'schemes' has %s twice"), quoted);
  }
  return TRUE;
}

static gboolean
check_numbers (const Words *words, GError **error)
{
  if (words->cost < 1 || words->cost > MAX_COST)
    return refuse (error, _ ("'cost' is %" PRId64 ", and a link costs 1 to %d"), words->cost,
                   MAX_COST);
  if (words->priority < G_MININT32 || words->priority > G_MAXINT32)
    return refuse (error, _ ("'priority' does not fit into 32 bits"));
  return TRUE;
}

static gboolean
read_endpoint (const char *word, HyphaProgramEndpoint *endpoint, GError **error)
{
  static const char *const words[] = {
    [HYPHA_PROGRAM_ENDPOINT_HOST_PORT] = "host-port",
    [HYPHA_PROGRAM_ENDPOINT_PATH] = "path",
    [HYPHA_PROGRAM_ENDPOINT_ANY] = "any",
  };
  g_autofree char *quoted = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_strcmp0 (words[i], word != NULL ? word : "any") == 0) {
      *endpoint = i;
      return TRUE;
    }
  quoted = hypha_text_quote (word);
  return refuse (error, _ ("'endpoint' is %s, and not one of 'host-port', 'path' and 'any'"),
                 quoted);
}

static gboolean
read_options (JsonObject *object, GHashTable *options, GError **error)
{
  static const char *const kinds[] = { "boolean", "integer", "string", NULL };
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (object == NULL)
    return TRUE;
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, &node)) {
    gboolean is_string = json_node_get_node_type (node) == JSON_NODE_VALUE &&
                         json_node_get_value_type (node) == G_TYPE_STRING;
    g_autofree char *quoted = hypha_text_quote (name);

    if (!check_text ("options", name, error))
      return FALSE;
    if (!is_string || !g_strv_contains (kinds, json_node_get_string (node)))
      return refuse (error, _ ("the option %s is none of 'boolean', 'integer' and 'string'"),
                     quoted);
    if (g_hash_table_size (options) == MAX_OPTIONS)
      return refuse (error, _ ("it has more than %d options"), MAX_OPTIONS);
    g_hash_table_insert (options, g_strdup (name), json_node_dup_string (node));
  }
  return TRUE;
}

static gboolean
check_command (char **command, GError **error)
{
  if (command[0] == NULL || *command[0] == '\0')
    return refuse (error, _ ("'command' does not begin with the program that is to be run"));
  return TRUE;
}

static gboolean
check_words (const Words *words, const char *name, GError **error)
{
  if (!check_text ("name", words->name, error) || !check_text ("version", words->version, error) ||
      !check_text ("description", words->description, error) ||
      !check_text ("licence", words->licence, error))
    return FALSE;
  if (!g_str_equal (words->name, name))
    return refuse (error, _ ("'name' is '%s', and the file is called %s%s"), words->name, name,
                   HYPHA_PROGRAM_SUFFIX);
  return check_schemes (words->schemes, error) && check_numbers (words, error) &&
         check_command (words->command, error);
}

static HyphaProgramManifest *
take_words (JsonNode *node, GBytes *text, const char *name, const char *path, GError **error)
{
  g_autoptr (HyphaProgramManifest) self = NULL;
  g_autofree char *directory = g_path_get_dirname (path);
  g_auto (Words) words = { 0 };
  JsonObject *object;

  if (json_node_get_node_type (node) != JSON_NODE_OBJECT) {
    refuse (error, _ ("it is no JSON object"));
    return NULL;
  }
  object = json_node_get_object (node);
  if (!check_protocol (object, error) ||
      !hypha_program_fields_read (object, fields, TRUE, &words, error) ||
      !check_words (&words, name, error))
    return NULL;
  self = g_rc_box_new0 (HyphaProgramManifest);
  self->text = g_bytes_ref (text);
  self->options = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!read_endpoint (words.endpoint, &self->endpoint, error) ||
      !read_options (words.options, self->options, error))
    return NULL;
  self->name = g_steal_pointer (&words.name);
  self->version = g_steal_pointer (&words.version);
  self->description = g_steal_pointer (&words.description);
  self->licence = g_steal_pointer (&words.licence);
  self->schemes = g_steal_pointer (&words.schemes);
  self->command = g_steal_pointer (&words.command);
  self->program = g_canonicalize_filename (self->command[0], directory);
  self->cost = (guint) words.cost;
  self->priority = (int) words.priority;
  return g_steal_pointer (&self);
}

/* hypha_program_manifest_parse:
 * @text: what stands in the file
 * @name: of the file, without its suffix
 * @path: of the file
 *
 * Reads the manifest of a transport that is a program. Whether that program may be run is another
 * question.
 *
 * Returns: (transfer full): the manifest, or %NULL with %HYPHA_ERROR_PLUGIN, which names the file
 * and what is wrong in it */
HyphaProgramManifest *
hypha_program_manifest_parse (GBytes *text, const char *name, const char *path, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);
  g_autoptr (GError) reason = NULL;
  g_autoptr (HyphaProgramManifest) self = NULL;
  JsonNode *node = NULL;
  gsize length;
  const char *data = g_bytes_get_data (text, &length);

  node = hypha_json_text_parse (data != NULL ? data : "", length, MAX_MEMORY, &reason);
  if (node != NULL) {
    self = take_words (node, text, name, path, &reason);
    json_node_unref (node);
  }
  if (self == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s is no manifest of a transport: %s"),
                 display, reason->message);
  return g_steal_pointer (&self);
}

/* hypha_program_manifest_read:
 * @fd: the file, at its beginning
 *
 * The same of an open file.
 *
 * Returns: (transfer full): the manifest, or %NULL with an error */
HyphaProgramManifest *
hypha_program_manifest_read (int fd, const char *name, const char *path, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);
  g_autofree char *buffer = g_malloc (MAX_BYTES + 1);
  g_autoptr (GBytes) text = NULL;
  gsize length = 0;
  ssize_t got = 1;

  while (got != 0 && length <= MAX_BYTES) {
    got = TEMP_FAILURE_RETRY (read (fd, buffer + length, MAX_BYTES + 1 - length));
    if (got < 0) {
      int code = errno;

      g_set_error (error, G_IO_ERROR, (int) g_io_error_from_errno (code),
                   _ ("%s cannot be read: %s"), display, g_strerror (code));
      return NULL;
    }
    length += (gsize) got;
  }
  if (length > MAX_BYTES) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s is larger than the manifest of a transport may be (%d bytes)"), display,
                 MAX_BYTES);
    return NULL;
  }
  text = g_bytes_new_take (g_steal_pointer (&buffer), length);
  return hypha_program_manifest_parse (text, name, path, error);
}

HyphaProgramManifest *
hypha_program_manifest_ref (HyphaProgramManifest *self)
{
  return g_rc_box_acquire (self);
}

static void
manifest_clear (gpointer data)
{
  HyphaProgramManifest *self = data;

  g_clear_pointer (&self->text, g_bytes_unref);
  g_clear_pointer (&self->options, g_hash_table_unref);
  g_free (self->name);
  g_free (self->version);
  g_free (self->description);
  g_free (self->licence);
  g_strfreev (self->schemes);
  g_strfreev (self->command);
  g_free (self->program);
}

void
hypha_program_manifest_unref (HyphaProgramManifest *self)
{
  g_rc_box_release_full (self, manifest_clear);
}

/* ---- options ---- */

/* What JSON takes for a whole number. */
static gboolean
read_integer (GVariant *value, gint64 *number)
{
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_BYTE:
    *number = g_variant_get_byte (value);
    return TRUE;
  case G_VARIANT_CLASS_INT16:
    *number = g_variant_get_int16 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT16:
    *number = g_variant_get_uint16 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT32:
    *number = g_variant_get_int32 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT32:
    *number = g_variant_get_uint32 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT64:
    *number = g_variant_get_int64 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT64:
    *number = (gint64) g_variant_get_uint64 (value);
    return g_variant_get_uint64 (value) <= G_MAXINT64;
  default:
    return FALSE;
  }
}

static gboolean
add_option (GString *text, const char *name, const char *kind, GVariant *value)
{
  gint64 number;

  if (g_str_equal (kind, "integer") && read_integer (value, &number))
    hypha_program_fields_add_integer (text, name, number);
  else if (g_str_equal (kind, "boolean") && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    hypha_program_fields_add_boolean (text, name, g_variant_get_boolean (value));
  else if (g_str_equal (kind, "string") && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) &&
           strlen (g_variant_get_string (value, NULL)) <= HYPHA_PROGRAM_MAX_STRING)
    hypha_program_fields_add_string (text, name, g_variant_get_string (value, NULL));
  else
    return FALSE;
  return TRUE;
}

/* hypha_program_manifest_print_options:
 * @options: a{sv}, from transport-options
 *
 * Checks options against those that the manifest names.
 *
 * Returns: (transfer full): them as a JSON object, or %NULL with %HYPHA_ERROR_INVALID_SETTING,
 * which names the option */
char *
hypha_program_manifest_print_options (HyphaProgramManifest *self, GVariant *options, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
    g_autoptr (GVariant) owned = value;
    const char *kind = g_hash_table_lookup (self->options, name);
    g_autofree char *quoted = hypha_text_quote (name);

    if (kind != NULL && add_option (text, name, kind, owned))
      continue;
    if (kind == NULL)
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("the transport '%s' has no option %s"), self->schemes[0], quoted);
    else
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("the option %s of the transport '%s' takes a value of the kind '%s' and of "
                      "bounded size, and this is one of the type '%s'"),
                   quoted, self->schemes[0], kind, g_variant_get_type_string (owned));
    return NULL;
  }
  if (text->len > MAX_PRINTED) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("the options of the transport '%s' are too large: at most %d bytes"),
                 self->schemes[0], MAX_PRINTED);
    return NULL;
  }
  g_string_append (text, text->len == 0 ? "{}" : "}");
  return g_string_free (g_steal_pointer (&text), FALSE);
}
