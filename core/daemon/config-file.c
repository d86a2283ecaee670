/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config-file-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <hypha-api.h>

#include "dbus/values.h"

/* GKeyFile and its settings back-end would take the schema's default for a value that does not
 * parse, without a word; a typing error would so close every listener. Hence a reader that keeps
 * count of lines and says what is wrong. What it takes is what the back-end takes. */

#define MAX_SHOWN 80

typedef HyphaConfigFileEntry Entry;

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_clear_pointer (&entry->value, g_variant_unref);
  g_free (entry);
}

static void
fault_free (gpointer data)
{
  HyphaConfigFileFault *fault = data;

  g_free (fault->key);
  g_free (fault->value);
  g_free (fault->reason);
  g_free (fault);
}

static void G_GNUC_PRINTF (5, 6) add_fault (HyphaConfigFile *self, guint line, const char *key,
                                            const char *value, const char *format, ...)
{
  HyphaConfigFileFault *fault = g_new0 (HyphaConfigFileFault, 1);
  va_list arguments;

  va_start (arguments, format);
  fault->line = line;
  fault->key = g_strdup (key);
  fault->value = g_strdup (value);
  fault->reason = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_ptr_array_add (self->faults, fault);
}

/* People keep forgetting the quotes of a string, so the back-end takes it without them. */
static GVariant *
parse_value (const GVariantType *type, const char *text, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  GVariant *value = g_variant_parse (type, text, NULL, NULL, &local_error);

  if (value)
    return value;
  if (g_variant_type_equal (type, G_VARIANT_TYPE_STRING) && *text != '"' && *text != '\'')
    return g_variant_ref_sink (g_variant_new_string (text));
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

static GVariant *
check_value (HyphaConfigFile *self, guint line, const char *key, const char *text)
{
  g_autoptr (GSettingsSchemaKey) schema_key = NULL;
  g_autoptr (GVariant) value = NULL;
  g_autoptr (GError) error = NULL;
  const GVariantType *type;

  schema_key = g_settings_schema_get_key (self->schema, key);
  type = g_settings_schema_key_get_value_type (schema_key);
  value = parse_value (type, text, &error);
  if (value == NULL) {
    g_autofree char *name = g_variant_type_dup_string (type);

    add_fault (self, line, key, text, _ ("it is not of the type %s: %s"), name, error->message);
    return NULL;
  }
  if (!g_settings_schema_key_range_check (schema_key, value)) {
    g_autoptr (GVariant) range = g_settings_schema_key_get_range (schema_key);
    g_autoptr (GVariant) limits = NULL;
    g_autofree char *printed = NULL;

    g_variant_get (range, "(&sv)", NULL, &limits);
    printed = g_variant_print (limits, FALSE);
    add_fault (self, line, key, text, _ ("it is not within %s"), printed);
    return NULL;
  }
  if (!hypha_dbus_value_check (value, &error)) {
    add_fault (self, line, key, text, "%s", error->message);
    return NULL;
  }
  return g_steal_pointer (&value);
}

static void
read_pair (HyphaConfigFile *self, guint line, const char *key, const char *text)
{
  Entry *entry;
  const Entry *earlier;

  if (!g_settings_schema_has_key (self->schema, key)) {
    add_fault (self, line, key, text, _ ("there is no such key"));
    return;
  }
  earlier = g_hash_table_lookup (self->entries, key);
  if (earlier) {
    add_fault (self, line, key, text, _ ("the key is on line %u already"), earlier->line);
    return;
  }
  entry = g_new0 (Entry, 1);
  entry->line = line;
  entry->value = check_value (self, line, key, text);
  g_hash_table_insert (self->entries, g_strdup (key), entry);
}

static void
read_line (HyphaConfigFile *self, guint line, char *text)
{
  char *equals;

  g_strstrip (text);
  if (*text == '\0' || *text == '#')
    return;
  if (*text == '[') {
    gsize length = strlen (text);

    self->in_group = text[length - 1] == ']' && length == strlen (self->group) + 2 &&
                     strncmp (text + 1, self->group, length - 2) == 0;
    if (self->in_group)
      self->last_line = line;
    else
      add_fault (self, line, NULL, text, _ ("the only group is [%s]"), self->group);
    return;
  }
  equals = strchr (text, '=');
  if (equals == NULL || equals == text) {
    add_fault (self, line, NULL, text, _ ("it is not of the form KEY=VALUE"));
    return;
  }
  *equals = '\0';
  g_strchomp (text);
  if (self->in_group)
    self->last_line = line;
  if (self->in_group)
    read_pair (self, line, text, g_strchug (equals + 1));
  else
    add_fault (self, line, text, g_strchug (equals + 1), _ ("it is not in the group [%s]"),
               self->group);
}

/**
 * hypha_config_file_parse:
 * @text: what is in the file
 * @length: its bytes
 * @group: the group that holds the keys
 * @schema: what the keys are held against
 *
 * Reads @text to its end and holds every line against @schema. Never fails: ask for the faults.
 *
 * Returns: (transfer full): what was found
 */
HyphaConfigFile *
hypha_config_file_parse (const char *text, gsize length, const char *group, GSettingsSchema *schema)
{
  HyphaConfigFile *self = g_new0 (HyphaConfigFile, 1);
  g_auto (GStrv) lines = NULL;
  g_autofree char *copy = NULL;
  const char *end = text;

  self->group = g_strdup (group);
  self->text = g_strndup (length > 0 ? text : "", length);
  self->length = length;
  self->schema = g_settings_schema_ref (schema);
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  self->faults = g_ptr_array_new_with_free_func (fault_free);
  if (length > 0 && !g_utf8_validate (text, (gssize) length, &end)) {
    guint line = 1;

    for (const char *c = text; c < end; c++)
      line += *c == '\n';
    add_fault (self, line, NULL, "", _ ("it is not UTF-8"));
    self->unreadable = TRUE;
    length = 0;
  }
  copy = g_strndup (length > 0 ? text : "", length);
  lines = g_strsplit (copy, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    read_line (self, i + 1, lines[i]);
  return self;
}

/* Whoever may write this file decides who comes in and what is reached: the same owners as for a
 * plug-in. Its group may be one of administrators. */
static gboolean
judge (const struct stat *status, const char *path, GError **error)
{
  g_autofree char *quoted = g_shell_quote (path);

  if (!S_ISREG (status->st_mode))
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("%s is not a regular file"),
                 path);
  else if (status->st_uid != 0 && status->st_uid != geteuid ())
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s belongs to user %u, neither to root nor to the user that hyphad runs as "
                    "(%u): chown root %s"),
                 path, (guint) status->st_uid, (guint) geteuid (), quoted);
  else if (status->st_mode & S_IWOTH)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s can be written by everybody: chmod o-w %s"), path, quoted);
  else if (status->st_size > HYPHA_CONFIG_FILE_MAX_SIZE)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s is larger than %d bytes: it is not a key file of hyphad"), path,
                 HYPHA_CONFIG_FILE_MAX_SIZE);
  else
    return TRUE;
  return FALSE;
}

static gboolean
set_errno (GError **error, const char *path)
{
  int code = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code), _ ("%s cannot be read: %s"),
               path, g_strerror (code));
  return FALSE;
}

/* Never waits, whatever PATH is, and never reads more than the bound, however the file grows. */
static gboolean
read_whole (int fd, const char *path, GByteArray *bytes, GError **error)
{
  guint8 part[16384];
  gssize n;

  while (bytes->len <= HYPHA_CONFIG_FILE_MAX_SIZE &&
         (n = TEMP_FAILURE_RETRY (read (fd, part, sizeof part))) != 0) {
    if (n < 0)
      return set_errno (error, path);
    g_byte_array_append (bytes, part, (guint) n);
  }
  return TRUE;
}

/**
 * hypha_config_file_load:
 * @path: a file
 * @group: the group that holds the keys
 * @schema: what the keys are held against
 * @error: return location for an error: %G_FILE_ERROR or %HYPHA_ERROR_INVALID_SETTING
 *
 * Reads a file whole, then as hypha_config_file_parse() does. Refuses what is no regular file, what
 * is too large, and what somebody could write who is neither root nor this user.
 *
 * Returns: (transfer full): what was found; %NULL if the file could not be read
 */
HyphaConfigFile *
hypha_config_file_load (const char *path, const char *group, GSettingsSchema *schema,
                        GError **error)
{
  g_auto (HyphaFd) fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  HyphaConfigFile *self;
  struct stat status;

  if (fd < 0 || fstat (fd, &status) != 0) {
    set_errno (error, path);
    return NULL;
  }
  if (!judge (&status, path, error) || !read_whole (fd, path, bytes, error))
    return NULL;
  self = hypha_config_file_parse ((const char *) bytes->data, bytes->len, group, schema);
  self->loaded = TRUE;
  hypha_stamp_from_stat (&self->stamp, &status);
  return self;
}

/**
 * hypha_config_file_free:
 * @self: (transfer full): a key file
 *
 * Frees @self.
 */
void
hypha_config_file_free (HyphaConfigFile *self)
{
  g_settings_schema_unref (self->schema);
  g_hash_table_unref (self->entries);
  g_ptr_array_unref (self->faults);
  g_free (self->group);
  g_free (self->text);
  g_free (self);
}

/**
 * hypha_config_file_lookup:
 * @self: a key file
 * @key: of the schema
 *
 * Returns: (transfer none) (nullable): the value; %NULL if the file has none, or a wrong one
 */
GVariant *
hypha_config_file_lookup (HyphaConfigFile *self, const char *key)
{
  const Entry *entry = g_hash_table_lookup (self->entries, key);

  return entry ? entry->value : NULL;
}

/**
 * hypha_config_file_get_line:
 * @self: a key file
 * @key: of the schema
 *
 * Returns: the line, from 1, that @key is on; 0 if it is not there
 */
guint
hypha_config_file_get_line (HyphaConfigFile *self, const char *key)
{
  const Entry *entry = g_hash_table_lookup (self->entries, key);

  return entry ? entry->line : 0;
}

/**
 * hypha_config_file_is_wrong:
 * @self: a key file
 * @key: of the schema
 *
 * Returns: %TRUE if the file has @key with a value that cannot be taken
 */
gboolean
hypha_config_file_is_wrong (HyphaConfigFile *self, const char *key)
{
  const Entry *entry = g_hash_table_lookup (self->entries, key);

  return self->unreadable || (entry && entry->value == NULL);
}

/**
 * hypha_config_file_equal:
 * @a: a key file
 * @b: another
 *
 * Returns: %TRUE if the same is in both
 */
gboolean
hypha_config_file_equal (HyphaConfigFile *a, HyphaConfigFile *b)
{
  return a->length == b->length && memcmp (a->text, b->text, a->length) == 0;
}

/**
 * hypha_config_file_get_faults:
 * @self: a key file
 *
 * Returns: (transfer none) (element-type HyphaConfigFileFault): everything that is wrong, in the
 * order of lines
 */
const GPtrArray *
hypha_config_file_get_faults (HyphaConfigFile *self)
{
  return self->faults;
}

/**
 * hypha_config_file_fault_describe:
 * @fault: what is wrong
 * @path: the file's
 *
 * Returns: (transfer full): a sentence with file, line, key, value and reason
 */
char *
hypha_config_file_fault_describe (const HyphaConfigFileFault *fault, const char *path)
{
  g_autofree char *key = fault->key ? g_strescape (fault->key, NULL) : NULL;
  g_autofree char *escaped = g_strescape (fault->value, "\"");
  const char *more = "";

  if (strlen (escaped) > MAX_SHOWN) {
    escaped[MAX_SHOWN] = '\0';
    more = "...";
  }
  if (key == NULL)
    return g_strdup_printf (_ ("%s, line %u: %s%s: %s"), path, fault->line, escaped, more,
                            fault->reason);
  return g_strdup_printf (_ ("%s, line %u: %s = %s%s: %s"), path, fault->line, key, escaped, more,
                          fault->reason);
}
