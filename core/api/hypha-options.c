/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-options.h"

#include <glib/gi18n-lib.h>

#include "hypha-error.h"
#include "hypha-text.h"

/**
 * HyphaOptions:
 *
 * The options of a transport, while they are read:
 *
 * ```c
 * static gboolean
 * ring_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
 * {
 *   g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
 *   gboolean nodelay = hypha_options_get_boolean (options, "nodelay", TRUE);
 *   guint depth = hypha_options_get_uint (options, "depth", 1, 64, 8);
 *
 *   if (!hypha_options_finish (options, error))
 *     return FALSE;
 *   ...
 * }
 * ```
 *
 * The first thing that is wrong is the error; until [method@Hypha.Options.finish] tells it,
 * whatever is wrong reads as if it were left out.
 *
 * Since: ABI 1.2
 */
struct _HyphaOptions {
  const char *transport;
  GVariantDict *left; /* what nobody has asked for yet */
  GPtrArray *taken;   /* of GVariant: what was given out lies in them */
  GString *known;     /* all names that were asked for, with their types */
  GError *error;      /* the first; nullable */
};

/**
 * hypha_options_new:
 * @transport: the transport, which outlives it
 * @values: what its `configure` was given, `a{sv}`
 *
 * Begins to read options.
 *
 * Returns: (transfer full): the options
 *
 * Since: ABI 1.2
 */
HyphaOptions *
hypha_options_new (HyphaTransport *transport, GVariant *values)
{
  HyphaOptions *self;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (transport), NULL);
  g_return_val_if_fail (g_variant_is_of_type (values, G_VARIANT_TYPE_VARDICT), NULL);

  self = g_new0 (HyphaOptions, 1);
  self->transport = hypha_transport_get_schemes (transport)[0];
  self->left = g_variant_dict_new (values);
  self->taken = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  self->known = g_string_new (NULL);
  return self;
}

/**
 * hypha_options_free:
 * @self: (transfer full): options
 *
 * Since: ABI 1.2
 */
void
hypha_options_free (HyphaOptions *self)
{
  g_variant_dict_unref (self->left);
  g_ptr_array_unref (self->taken);
  g_string_free (self->known, TRUE);
  g_clear_error (&self->error);
  g_free (self);
}

/**
 * hypha_options_refuse:
 * @self: options
 * @name: the name of the option
 * @format: what is wrong with it, as printf() has it, with its value unless that may be a secret
 * @...: for @format
 *
 * Refuses an option for more than its type or its range.
 *
 * Since: ABI 1.2
 */
void
hypha_options_refuse (HyphaOptions *self, const char *name, const char *format, ...)
{
  g_autofree char *why = NULL;
  g_autofree char *safe = NULL;
  va_list args;

  g_return_if_fail (self != NULL && name != NULL && format != NULL);

  if (self->error != NULL)
    return;
  va_start (args, format);
  why = g_strdup_vprintf (format, args);
  va_end (args);
  safe = hypha_text_escape (why);
  self->error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("option '%s' of the transport %s: %s"), name, self->transport, safe);
}

/* NULL: it is left out. */
static GVariant *
take (HyphaOptions *self, const char *name, const char *type)
{
  GVariant *value = g_variant_dict_lookup_value (self->left, name, NULL);

  g_string_append_printf (self->known, "%s'%s' (%s)", self->known->len > 0 ? ", " : "", name, type);
  if (value == NULL)
    return NULL;
  g_variant_dict_remove (self->left, name);
  g_ptr_array_add (self->taken, value);
  return value;
}

/**
 * hypha_options_get_value:
 * @self: options
 * @name: the name of the option
 * @type: its type, as GVariant writes it
 *
 * Reads an option that is neither a number nor a string nor true or false.
 *
 * Returns: (nullable) (transfer none): its value, good as long as @self; %NULL: it is left out, or
 *   wrong
 *
 * Since: ABI 1.2
 */
GVariant *
hypha_options_get_value (HyphaOptions *self, const char *name, const char *type)
{
  GVariant *value;

  g_return_val_if_fail (self != NULL && name != NULL, NULL);
  g_return_val_if_fail (type != NULL && g_variant_type_string_is_valid (type), NULL);

  value = take (self, name, type);
  if (value == NULL || g_variant_is_of_type (value, G_VARIANT_TYPE (type)))
    return value;
  hypha_options_refuse (self, name, _ ("it is of the type '%s', and has to be of '%s'"),
                        g_variant_get_type_string (value), type);
  return NULL;
}

/**
 * hypha_options_get_boolean:
 * @self: options
 * @name: the name of the option
 * @fallback: what it is when it is left out
 *
 * Reads an option that is true or false.
 *
 * Returns: its value
 *
 * Since: ABI 1.2
 */
gboolean
hypha_options_get_boolean (HyphaOptions *self, const char *name, gboolean fallback)
{
  GVariant *value = hypha_options_get_value (self, name, "b");

  return value != NULL ? g_variant_get_boolean (value) : fallback;
}

/**
 * hypha_options_get_string:
 * @self: options
 * @name: the name of the option
 * @fallback: (nullable): what it is when it is left out
 *
 * Reads an option that is a string.
 *
 * Returns: (nullable) (transfer none): its value, good as long as @self, or @fallback
 *
 * Since: ABI 1.2
 */
const char *
hypha_options_get_string (HyphaOptions *self, const char *name, const char *fallback)
{
  GVariant *value = hypha_options_get_value (self, name, "s");

  return value != NULL ? g_variant_get_string (value, NULL) : fallback;
}

/* A bare number, as people write one, is an i: so a number may have any type that holds it. FALSE:
 * it is none. */
static gboolean
read_number (GVariant *value, gint64 *number)
{
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_UINT16:
    *number = g_variant_get_uint16 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT16:
    *number = g_variant_get_int16 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT32:
    *number = g_variant_get_uint32 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT32:
    *number = g_variant_get_int32 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT64:
    *number = (gint64) MIN (g_variant_get_uint64 (value), G_MAXINT64);
    return TRUE;
  case G_VARIANT_CLASS_INT64:
    *number = g_variant_get_int64 (value);
    return TRUE;
  default:
    return FALSE;
  }
}

/**
 * hypha_options_get_uint:
 * @self: options
 * @name: the name of the option
 * @minimum: the least that it may be
 * @maximum: the most
 * @fallback: what it is when it is left out
 *
 * Reads an option that is a number; of which type of integers, does not matter.
 *
 * Returns: its value
 *
 * Since: ABI 1.2
 */
guint
hypha_options_get_uint (HyphaOptions *self, const char *name, guint minimum, guint maximum,
                        guint fallback)
{
  g_autofree char *text = NULL;
  GVariant *value;
  gint64 number;

  g_return_val_if_fail (self != NULL && name != NULL, fallback);

  value = take (self, name, "u");
  if (value == NULL)
    return fallback;
  if (!read_number (value, &number)) {
    hypha_options_refuse (self, name,
                          _ ("it is of the type '%s', and has to be a number, %u to %u"),
                          g_variant_get_type_string (value), minimum, maximum);
    return fallback;
  }
  if (number >= minimum && number <= maximum)
    return (guint) number;
  text = g_variant_print (value, FALSE);
  hypha_options_refuse (self, name, _ ("it is %s, and has to be %u to %u"), text, minimum, maximum);
  return fallback;
}

/**
 * hypha_options_finish:
 * @self: options, of which all that there are have been read
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Tells whether all were right, and refuses those that nobody has read.
 *
 * Returns: %TRUE if what was read may be put into force
 *
 * Since: ABI 1.2
 */
gboolean
hypha_options_finish (HyphaOptions *self, GError **error)
{
  g_autoptr (GVariant) left = NULL;

  g_return_val_if_fail (self != NULL, FALSE);

  left = g_variant_ref_sink (g_variant_dict_end (self->left));
  if (self->error == NULL && g_variant_n_children (left) > 0) {
    g_autofree char *quoted = NULL;
    const char *name;

    g_variant_get_child (left, 0, "{&sv}", &name, NULL);
    quoted = hypha_text_quote (name);
    self->error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                               _ ("the transport %s has no option %s: it has %s"), self->transport,
                               quoted, self->known->str);
  }
  if (self->error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&self->error));
  return FALSE;
}
