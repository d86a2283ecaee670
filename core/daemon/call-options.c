/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/call-options.h"

#include <glib/gi18n-lib.h>

static const HyphaCallOption *
find (const HyphaCallOption *known, const char *name)
{
  for (; known->name; known++) {
    if (g_str_equal (known->name, name))
      return known;
  }
  return NULL;
}

static char *
list (const HyphaCallOption *known)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (; known->name; known++)
    g_string_append_printf (names, "%s'%s'", names->len > 0 ? ", " : "", known->name);
  return g_string_free (g_steal_pointer (&names), FALSE);
}

static void
refuse (const HyphaCallOption *option, const HyphaCallOption *known, const char *name,
        GVariant *value, GError **error)
{
  g_autofree char *shown = g_strescape (name, NULL);
  g_autofree char *names = list (known);

  if (option)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("the option '%s' is of the type %s, not %s"), shown, option->type,
                 g_variant_get_type_string (value));
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("there is no option '%s' here, only: %s"), shown, names);
}

/**
 * hypha_call_options_check:
 * @options: a{sv} from a caller
 * @known: what the method knows
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT
 *
 * An option that is not known is an error: whoever gives it relies on it.
 *
 * Returns: %TRUE if every option is known and of its type
 */
gboolean
hypha_call_options_check (GVariant *options, const HyphaCallOption *known, GError **error)
{
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value)) {
    const HyphaCallOption *option = find (known, name);

    if (option && g_variant_is_of_type (value, G_VARIANT_TYPE (option->type)))
      continue;
    refuse (option, known, name, value, error);
    g_variant_unref (value);
    return FALSE;
  }
  return TRUE;
}

/**
 * hypha_call_options_without:
 * @options: a{sv}
 * @name: an option
 *
 * Returns: (transfer full): @options less @name
 */
GVariant *
hypha_call_options_without (GVariant *options, const char *name)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (options);

  g_variant_dict_remove (&dict, name);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
