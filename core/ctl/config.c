/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* As hyphactl config set takes it back, and harmless. */
static char *
print (GVariant *value)
{
  g_autofree char *printed = g_variant_print (value, FALSE);

  return hypha_ctl_escape_variant (printed);
}

/* ---- list ---- */

static GVariant *
describe (const char *key, const char *summary, GVariant *value, GVariant *usual, gboolean writable)
{
  return g_variant_new_parsed ("{'key': <%s>, 'summary': <%s>, 'type': <%s>, 'value': %v, "
                               "'default': %v, 'writable': <%b>}",
                               key, summary, g_variant_get_type_string (value), value, usual,
                               writable);
}

static gboolean
list (HyphaCtl *ctl, HyphaDBusConfig1 *config, char **words, GError **error)
{
  g_autoptr (GVariant) settings = NULL;
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));
  g_autoptr (HyphaTable) table =
      hypha_table_new (_ ("KEY"), _ ("VALUE"), _ ("DEFAULT"), _ ("WHAT IT IS"), NULL);
  GVariantIter iter;
  const char *key, *summary;
  GVariant *value, *usual;
  gboolean writable;

  if (!hypha_dbus_config1_call_list_sync (config, G_DBUS_CALL_FLAGS_NONE, -1, &settings, NULL,
                                          error))
    return FALSE;
  g_variant_iter_init (&iter, settings);
  while (g_variant_iter_loop (&iter, "(&s&svvb)", &key, &summary, &value, &usual, &writable)) {
    g_variant_builder_add_value (all, describe (key, summary, value, usual, writable));
    hypha_table_add (table, g_strdup (key), print (value),
                     g_variant_equal (value, usual) ? g_strdup ("") : print (usual),
                     g_strdup (summary));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}

/* ---- get, set, reset ---- */

static GVariant *
get_value (HyphaDBusConfig1 *config, const char *key, GError **error)
{
  g_autoptr (GVariant) boxed = NULL;

  if (!hypha_dbus_config1_call_get_sync (config, key, G_DBUS_CALL_FLAGS_NONE, -1, &boxed, NULL,
                                         error))
    return NULL;
  return g_variant_get_variant (boxed);
}

static gboolean
get (HyphaCtl *ctl, HyphaDBusConfig1 *config, char **words, GError **error)
{
  g_autoptr (GVariant) value = get_value (config, words[1], error);
  g_autofree char *printed = value ? print (value) : NULL;

  if (value == NULL)
    return FALSE;
  if (ctl->json)
    hypha_ctl_print_json (value);
  else
    puts (printed);
  return TRUE;
}

static const char *
example_of (const GVariantType *type)
{
  static const char *const examples[][2] = {
    { "s", "'web1'" },
    { "u", "1000" },
    { "b", "true" },
    { "as", "['tcp://192.0.2.1:4974', 'unix:///run/hypha/node']" },
    { "a{ss}", "{'unix:///run/vm.sock': 'vm'}" },
    { "a{su}", "{'tcp': 20}" },
    { "a{sa{sv}}", "{'ssh': {'target': <'tcp://127.0.0.1:22'>}}" },
    { "aa{sv}", "[{'local': <'tcp://127.0.0.1:8080'>}]" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (examples); i++) {
    if (g_variant_type_equal (type, (const GVariantType *) examples[i][0]))
      return examples[i][1];
  }
  return "";
}

/* What is in the settings is typed; people need not be when it is a word. */
static GVariant *
parse (const char *key, const GVariantType *type, const char *text, GError **error)
{
  g_autoptr (GError) reason = NULL;
  GVariant *value = g_variant_parse (type, text, NULL, NULL, &reason);
  g_autofree char *wanted = NULL;
  const char *example;

  if (value)
    return value;
  if (g_variant_type_equal (type, G_VARIANT_TYPE_STRING) &&
      (*text == '\0' || strchr ("\"'", *text) == NULL))
    return g_variant_ref_sink (g_variant_new_string (text));
  wanted = g_variant_type_dup_string (type);
  example = example_of (type);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               *example ? _ ("%s = %s: it is not of the type %s, such as %s: %s")
                        : _ ("%s = %s: it is not of the type %s%s: %s"),
               key, text, wanted, example, reason->message);
  return NULL;
}

static gboolean
set (HyphaCtl *ctl, HyphaDBusConfig1 *config, char **words, GError **error)
{
  g_autoptr (GVariant) before = get_value (config, words[1], error);
  g_autoptr (GVariant) value = NULL;

  if (before == NULL)
    return FALSE;
  value = parse (words[1], g_variant_get_type (before), words[2], error);
  return value && hypha_dbus_config1_call_set_sync (config, words[1], g_variant_new_variant (value),
                                                    G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
}

static gboolean
reset (HyphaCtl *ctl, HyphaDBusConfig1 *config, char **words, GError **error)
{
  return hypha_dbus_config1_call_reset_sync (config, words[1], G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                                             error);
}

/* ---- which of them ---- */

static const struct {
  const char *name;
  gboolean (*run) (HyphaCtl *ctl, HyphaDBusConfig1 *config, char **words, GError **error);
} forms[] = {
  { "list", list },
  { "get", get },
  { "set", set },
  { "reset", reset },
};

gboolean
hypha_verb_config (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (HyphaDBusConfig1) config = words ? hypha_ctl_get_config (ctl, error) : NULL;

  for (gsize i = 0; config && i < G_N_ELEMENTS (forms); i++) {
    if (!g_str_equal (forms[i].name, words[0]))
      continue;
    if (forms[i].run (ctl, config, words, error))
      return TRUE;
    hypha_client_clean_error (error);
  }
  return FALSE;
}
