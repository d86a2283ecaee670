/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/loader.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include "loader/module-private.h"
#include "loader/scanner.h"

struct _HyphaLoader {
  GObject parent;

  HyphaScanner *scanner;
  GPtrArray *order;    /* of HyphaModule, owned; as they were found */
  GHashTable *by_path; /* path -> HyphaModule, not owned */
  GPtrArray *list;     /* of HyphaModule, owned; by path, once their state is known */
  GHashTable *claims;  /* scheme -> HyphaModule; of active modules only */

  char **disabled;
  GVariant *options; /* a{sa{sv}} */
  gboolean started;
  gboolean settling;
  gboolean settle_again;
};

enum { TRANSPORT_ADDED, TRANSPORT_REMOVED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void hypha_loader_list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaLoader, hypha_loader, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL,
                                                      hypha_loader_list_model_init))

static GType
hypha_loader_get_item_type (GListModel *model)
{
  return HYPHA_TYPE_MODULE;
}

static guint
hypha_loader_get_n_items (GListModel *model)
{
  return HYPHA_LOADER (model)->list->len;
}

static gpointer
hypha_loader_get_item (GListModel *model, guint position)
{
  HyphaLoader *self = HYPHA_LOADER (model);

  return position < self->list->len ? g_object_ref (self->list->pdata[position]) : NULL;
}

static void
hypha_loader_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = hypha_loader_get_item_type;
  iface->get_n_items = hypha_loader_get_n_items;
  iface->get_item = hypha_loader_get_item;
}

static void
hypha_loader_dispose (GObject *object)
{
  HyphaLoader *self = HYPHA_LOADER (object);

  g_clear_pointer (&self->scanner, hypha_scanner_free);
  g_hash_table_remove_all (self->claims);
  g_hash_table_remove_all (self->by_path);
  for (guint i = 0; i < self->order->len; i++)
    hypha_module_stop (self->order->pdata[i]);
  g_ptr_array_set_size (self->list, 0);
  g_ptr_array_set_size (self->order, 0);
  G_OBJECT_CLASS (hypha_loader_parent_class)->dispose (object);
}

static void
hypha_loader_finalize (GObject *object)
{
  HyphaLoader *self = HYPHA_LOADER (object);

  g_hash_table_unref (self->claims);
  g_hash_table_unref (self->by_path);
  g_ptr_array_unref (self->order);
  g_ptr_array_unref (self->list);
  g_strfreev (self->disabled);
  g_variant_unref (self->options);
  G_OBJECT_CLASS (hypha_loader_parent_class)->finalize (object);
}

static void
hypha_loader_class_init (HyphaLoaderClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = hypha_loader_dispose;
  object_class->finalize = hypha_loader_finalize;
  /**
   * HyphaLoader::transport-added:
   * @module: whose transport is to be used from now on; it may be unavailable */
  signals[TRANSPORT_ADDED] = g_signal_new ("transport-added", HYPHA_TYPE_LOADER, G_SIGNAL_RUN_LAST,
                                           0, NULL, NULL, NULL, G_TYPE_NONE, 1, HYPHA_TYPE_MODULE);
  /**
   * HyphaLoader::transport-removed:
   * @module: whose transport is not to be used any more. Its listeners must be closed.
   * hypha_module_get_transport() still tells it to the handlers, hypha_loader_lookup() does not
   * find it any more. */
  signals[TRANSPORT_REMOVED] =
      g_signal_new ("transport-removed", HYPHA_TYPE_LOADER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 1, HYPHA_TYPE_MODULE);
}

static void
hypha_loader_init (HyphaLoader *self)
{
  self->list = g_ptr_array_new_with_free_func (g_object_unref);
  self->order = g_ptr_array_new_with_free_func (g_object_unref);
  self->by_path = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->claims = g_hash_table_new (g_str_hash, g_str_equal);
  self->disabled = g_new0 (char *, 1);
  self->options = g_variant_ref_sink (g_variant_new ("a{sa{sv}}", NULL));
}

static gboolean
is_disabled (HyphaLoader *self, HyphaModule *module)
{
  return hypha_module_is_called (module, (const char *const *) self->disabled);
}

/* Who gets which scheme. */
typedef struct {
  HyphaModule *module; /* owned */
  gboolean disabled;
  HyphaModule *rival; /* nullable; owned by another verdict */
  const char *scheme; /* that the rival has */
  gboolean stands;
} Verdict;

static void
verdict_free (Verdict *verdict)
{
  g_object_unref (verdict->module);
  g_free (verdict);
}

/* Equal ones stay as they were found: a newcomer takes nothing from who serves already. */
static int
compare_priority (gconstpointer a, gconstpointer b, gpointer user_data)
{
  GPtrArray *order = user_data;
  const Verdict *first = *(const Verdict *const *) a, *second = *(const Verdict *const *) b;
  int first_priority = hypha_module_get_priority (first->module);
  int second_priority = hypha_module_get_priority (second->module);
  guint first_place = 0, second_place = 0;

  if (first_priority != second_priority)
    return first_priority > second_priority ? -1 : 1;
  g_ptr_array_find (order, first->module, &first_place);
  g_ptr_array_find (order, second->module, &second_place);
  return first_place < second_place ? -1 : first_place > second_place;
}

static void
judge (Verdict *verdict, GHashTable *claims)
{
  const char *const *schemes = hypha_module_get_schemes (verdict->module);

  if (schemes == NULL || verdict->disabled || !hypha_module_is_present (verdict->module))
    return;
  for (guint i = 0; schemes[i] != NULL && verdict->rival == NULL; i++) {
    verdict->rival = g_hash_table_lookup (claims, schemes[i]);
    verdict->scheme = schemes[i];
  }
  verdict->stands = verdict->rival == NULL;
  for (guint i = 0; schemes[i] != NULL && verdict->stands; i++)
    g_hash_table_insert (claims, (gpointer) schemes[i], verdict->module);
}

static GPtrArray *
judge_all (HyphaLoader *self, GHashTable *claims)
{
  GPtrArray *verdicts =
      g_ptr_array_new_with_free_func ((GDestroyNotify) (void (*) (void)) verdict_free);

  for (guint i = 0; i < self->order->len; i++) {
    Verdict *verdict = g_new0 (Verdict, 1);

    verdict->module = g_object_ref (self->order->pdata[i]);
    verdict->disabled = is_disabled (self, verdict->module);
    g_ptr_array_add (verdicts, verdict);
  }
  g_ptr_array_sort_with_data (verdicts, compare_priority, self->order);
  for (guint i = 0; i < verdicts->len; i++)
    judge (verdicts->pdata[i], claims);
  return verdicts;
}

static GVariant *
options_of (HyphaLoader *self, HyphaModule *module)
{
  const char *const *schemes = hypha_module_get_schemes (module);

  return g_variant_lookup_value (self->options, schemes[0], G_VARIANT_TYPE_VARDICT);
}

static void
activate (HyphaLoader *self, HyphaModule *module)
{
  g_autoptr (GVariant) options = options_of (self, module);

  hypha_module_configure (module, options, NULL);
  hypha_module_probe (module, NULL);
  hypha_module_set_active (module, TRUE);
}

static void
list_module (HyphaLoader *self, HyphaModule *module)
{
  guint position = 0;

  if (g_ptr_array_find (self->list, module, NULL))
    return;
  while (position < self->list->len && strcmp (hypha_module_get_path (self->list->pdata[position]),
                                               hypha_module_get_path (module)) < 0)
    position++;
  g_ptr_array_insert (self->list, (int) position, g_object_ref (module));
  g_list_model_items_changed (G_LIST_MODEL (self), position, 0, 1);
}

static void
deactivate (HyphaLoader *self, HyphaModule *module)
{
  const char *const *schemes = hypha_module_get_schemes (module);

  for (guint i = 0; schemes[i] != NULL; i++)
    g_hash_table_remove (self->claims, schemes[i]);
  g_signal_emit (self, signals[TRANSPORT_REMOVED], 0, module);
  hypha_module_set_active (module, FALSE);
}

static gpointer
ref_module (gconstpointer module, gpointer user_data)
{
  return g_object_ref ((gpointer) module);
}

static gboolean
is_value (gpointer key, gpointer value, gpointer module)
{
  return value == module;
}

static void
forget (HyphaLoader *self, HyphaModule *module)
{
  guint position;

  g_hash_table_foreach_remove (self->by_path, is_value, module);
  if (g_ptr_array_find (self->list, module, &position)) {
    g_ptr_array_remove_index (self->list, position);
    g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
  }
  g_ptr_array_remove (self->order, module);
}

/* A file that is gone leaves nothing to tell, unless its code is for ever. */
static void
forget_gone (HyphaLoader *self)
{
  g_autoptr (GPtrArray) modules = g_ptr_array_copy (self->order, ref_module, NULL);

  g_ptr_array_set_free_func (modules, g_object_unref);
  for (guint i = modules->len; i-- > 0;) {
    HyphaModule *module = modules->pdata[i];

    if (hypha_module_is_present (module) || hypha_module_is_lasting (module))
      continue;
    if (hypha_module_is_active (module))
      deactivate (self, module);
    hypha_module_stop (module);
    forget (self, module);
  }
}

/* What has changed of programs ends, and is judged as one that comes. */
static void
renew (HyphaLoader *self)
{
  g_autoptr (GPtrArray) modules = g_ptr_array_copy (self->order, ref_module, NULL);

  g_ptr_array_set_free_func (modules, g_object_unref);
  for (guint i = 0; i < modules->len; i++) {
    HyphaModule *module = modules->pdata[i];

    if (!hypha_module_has_news (module))
      continue;
    if (hypha_module_is_active (module))
      deactivate (self, module);
    if (hypha_module_has_news (module))
      hypha_module_renew (module);
  }
}

/* Those that lose their scheme are told first, then those that get it: nobody sees two of them. */
static void
settle_once (HyphaLoader *self)
{
  GHashTable *claims = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) verdicts = NULL;
  g_autoptr (GPtrArray) added = g_ptr_array_new ();

  forget_gone (self);
  renew (self);
  verdicts = judge_all (self, claims);
  for (guint i = 0; i < verdicts->len; i++) {
    const Verdict *verdict = verdicts->pdata[i];

    if (!verdict->stands && hypha_module_is_active (verdict->module))
      deactivate (self, verdict->module);
  }
  for (guint i = 0; i < verdicts->len; i++) {
    const Verdict *verdict = verdicts->pdata[i];

    if (verdict->stands && !hypha_module_is_active (verdict->module)) {
      activate (self, verdict->module);
      g_ptr_array_add (added, verdict->module);
    }
  }
  g_hash_table_unref (self->claims);
  self->claims = claims;
  for (guint i = 0; i < verdicts->len; i++) {
    const Verdict *verdict = verdicts->pdata[i];

    hypha_module_settle (verdict->module, verdict->disabled, verdict->rival, verdict->scheme);
    list_module (self, verdict->module);
  }
  for (guint i = 0; i < added->len; i++)
    g_signal_emit (self, signals[TRANSPORT_ADDED], 0, added->pdata[i]);
}

/* A handler may change what is to be settled. */
static void
settle (HyphaLoader *self)
{
  self->settle_again = TRUE;
  if (self->settling)
    return;
  self->settling = TRUE;
  while (self->settle_again) {
    self->settle_again = FALSE;
    settle_once (self);
  }
  self->settling = FALSE;
}

static void
settle_module (HyphaLoader *self, HyphaModule *module)
{
  hypha_module_settle (module, is_disabled (self, module), NULL, NULL);
}

static void
on_module_changed (HyphaModule *module, HyphaLoader *self)
{
  if (!hypha_module_is_active (module))
    return;
  hypha_module_probe (module, NULL);
  settle_module (self, module);
}

static gboolean
on_found (gpointer owner, const char *path, int directory, const char *name, const char *distrust)
{
  HyphaLoader *self = owner;
  HyphaModule *module = g_hash_table_lookup (self->by_path, path);

  if (module == NULL) {
    module = hypha_module_new (path);
    g_ptr_array_add (self->order, module);
    g_hash_table_insert (self->by_path, g_strdup (path), module);
    g_signal_connect_object (module, "changed", G_CALLBACK (on_module_changed), self, 0);
  }
  return hypha_module_found (module, directory, name, distrust, is_disabled (self, module));
}

static void
on_gone (gpointer owner, const char *path)
{
  HyphaLoader *self = owner;

  hypha_module_gone (g_hash_table_lookup (self->by_path, path));
}

static void
on_scanned (gpointer owner)
{
  HyphaLoader *self = owner;
  gboolean again = FALSE, soon = FALSE;
  GHashTableIter iter;
  gpointer path, module;

  g_hash_table_iter_init (&iter, self->by_path);
  while (g_hash_table_iter_next (&iter, &path, &module)) {
    if (!hypha_module_has_changed (module, &soon))
      continue;
    hypha_scanner_recheck (self->scanner, path);
    again = TRUE;
  }
  if (soon)
    hypha_scanner_scan_soon (self->scanner);
  if (again)
    hypha_scanner_scan (self->scanner);
  else
    settle (self);
}

static const HyphaScannerEvents scanner_events = {
  .found = on_found,
  .gone = on_gone,
  .scanned = on_scanned,
};

/**
 * hypha_loader_new:
 * @directories: in order of search; those that do not exist yet are watched for
 *
 * Nothing is looked for before hypha_loader_start(). Main thread only.
 *
 * Returns: (transfer full): the loader */
HyphaLoader *
hypha_loader_new (const char *const *directories)
{
  HyphaLoader *self = g_object_new (HYPHA_TYPE_LOADER, NULL);

  self->scanner = hypha_scanner_new (directories, &scanner_events, G_OBJECT (self));
  return self;
}

/**
 * hypha_loader_add_built_in:
 * @plugin: of the same build as this program
 *
 * Adds a plug-in that is part of the program, and so there before all files; to be called before
 * hypha_loader_start(). A file that has its name is refused. */
void
hypha_loader_add_built_in (HyphaLoader *self, const HyphaPlugin *plugin)
{
  g_return_if_fail (HYPHA_IS_LOADER (self));
  g_return_if_fail (!self->started);
  g_ptr_array_add (self->order, hypha_module_new_built_in (plugin));
}

/**
 * hypha_loader_start:
 *
 * Loads what there is, at once, in sorted order, then follows what comes, changes and goes. */
void
hypha_loader_start (HyphaLoader *self)
{
  g_return_if_fail (HYPHA_IS_LOADER (self));
  g_return_if_fail (!self->started);
  self->started = TRUE;
  hypha_scanner_start (self->scanner);
}

/**
 * hypha_loader_set_disabled:
 * @schemes: schemes, in any spelling, or names of plug-ins
 *
 * Switches transports off, and all others on. Takes effect at once. A plug-in that is switched off
 * by its own name before it was found is not even opened. */
void
hypha_loader_set_disabled (HyphaLoader *self, const char *const *schemes)
{
  GHashTableIter iter;
  gpointer path, module;

  g_return_if_fail (HYPHA_IS_LOADER (self));
  g_strfreev (self->disabled);
  self->disabled = g_strdupv ((char **) schemes);
  g_hash_table_iter_init (&iter, self->by_path);
  while (g_hash_table_iter_next (&iter, &path, &module))
    if (!hypha_module_has_code (module) &&
        (hypha_module_get_state (module) == HYPHA_MODULE_DISABLED) != is_disabled (self, module))
      hypha_scanner_recheck (self->scanner, path);
  if (self->started)
    hypha_scanner_scan (self->scanner);
}

/* Active modules, kept alive while something is done to them. */
static GPtrArray *
list_active (HyphaLoader *self)
{
  GPtrArray *active = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < self->order->len; i++)
    if (hypha_module_is_active (self->order->pdata[i]))
      g_ptr_array_add (active, g_object_ref (self->order->pdata[i]));
  return active;
}

/**
 * hypha_loader_set_options:
 * @options: a{sa{sv}}, the options of each transport, by its scheme
 *
 * Hands each transport whose options have changed all of them at once. A transport that does not
 * take them keeps those that it had; all others get theirs. Options for a transport that is not
 * there are kept until it is.
 *
 * Returns: %FALSE with %HYPHA_ERROR_INVALID_SETTING that names every transport that said no, and
 * why, or with %HYPHA_ERROR_INVALID_ARGUMENT if @options is of another type */
gboolean
hypha_loader_set_options (HyphaLoader *self, GVariant *options, GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (options);
  g_autoptr (GPtrArray) active = NULL;
  g_autoptr (GString) wrong = g_string_new (NULL);

  g_return_val_if_fail (HYPHA_IS_LOADER (self), FALSE);
  if (!g_variant_is_of_type (owned, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("transport-options must be of the type a{sa{sv}}, not %s"),
                 g_variant_get_type_string (owned));
    return FALSE;
  }
  g_variant_unref (self->options);
  self->options = g_variant_ref (owned);
  active = list_active (self);
  for (guint i = 0; i < active->len; i++) {
    HyphaModule *module = active->pdata[i];
    g_autoptr (GVariant) own = options_of (self, module);
    g_autoptr (GError) failure = NULL;

    if (!hypha_module_configure (module, own, &failure))
      g_string_append_printf (wrong, "%s%s: %s", wrong->len > 0 ? "; " : "",
                              hypha_module_get_schemes (module)[0], failure->message);
    settle_module (self, module);
  }
  if (wrong->len == 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("Wrong transport-options for %s"), wrong->str);
  return FALSE;
}

static int
compare_words (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The canonical schemes that there are, for people. */
static char *
list_schemes (HyphaLoader *self)
{
  g_autoptr (GPtrArray) active = list_active (self);
  g_autoptr (GPtrArray) schemes = g_ptr_array_new ();

  for (guint i = 0; i < active->len; i++)
    g_ptr_array_add (schemes, (gpointer) hypha_module_get_schemes (active->pdata[i])[0]);
  g_ptr_array_sort (schemes, compare_words);
  g_ptr_array_add (schemes, NULL);
  return schemes->len > 1 ? g_strjoinv (", ", (char **) schemes->pdata) : g_strdup ("none");
}

static void
set_no_transport_error (HyphaLoader *self, const char *scheme, GError **error)
{
  const char *const wanted[] = { scheme, NULL };
  g_autofree char *schemes = list_schemes (self);
  g_autofree char *directory = NULL;

  for (guint i = 0; i < self->list->len; i++) {
    HyphaModule *module = self->list->pdata[i];

    if (!hypha_module_is_active (module) && hypha_module_is_called (module, wanted)) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                   _ ("There is no transport for \"%s\", since its plug-in is %s: %s"), scheme,
                   hypha_module_state_to_string (hypha_module_get_state (module)),
                   hypha_module_get_reason (module));
      return;
    }
  }
  if (hypha_scanner_get_directories (self->scanner)[0] != NULL)
    directory = g_filename_display_name (hypha_scanner_get_directories (self->scanner)[0]);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
               _ ("There is no transport for \"%s\" (there are: %s); put a plug-in for it into %s"),
               scheme, schemes, directory != NULL ? directory : _ ("a directory of plug-ins"));
}

static HyphaModule *
find (HyphaLoader *self, const char *scheme, GError **error)
{
  HyphaModule *module = g_hash_table_lookup (self->claims, scheme);

  if (module == NULL)
    set_no_transport_error (self, scheme, error);
  return module;
}

/**
 * hypha_loader_lookup:
 * @scheme: a scheme or one of its spellings
 *
 * Finds the transport that is to be used. One that could not work here is asked again first: its
 * device may have come.
 *
 * Returns: (transfer none): the transport, or %NULL with %HYPHA_ERROR_NO_TRANSPORT, which says what
 * there is, or %HYPHA_ERROR_UNAVAILABLE, which says why it cannot work here */
HyphaTransport *
hypha_loader_lookup (HyphaLoader *self, const char *scheme, GError **error)
{
  g_autoptr (GError) failure = NULL;
  HyphaModule *module;

  g_return_val_if_fail (HYPHA_IS_LOADER (self), NULL);
  g_return_val_if_fail (scheme != NULL, NULL);
  module = find (self, scheme, error);
  if (module == NULL)
    return NULL;
  if (!hypha_module_is_available (module)) {
    gboolean available = hypha_module_probe (module, &failure);

    settle_module (self, module);
    if (!available) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("%s cannot be used here: %s"),
                   scheme, failure->message);
      return NULL;
    }
  }
  return hypha_module_get_transport (module);
}

/**
 * hypha_loader_parse_endpoint:
 * @transport: (out) (optional) (transfer none): whose endpoint it is
 *
 * Parses an endpoint, in any spelling, and makes it canonical. The transport need not be available.
 *
 * Returns: (transfer full): the endpoint, or %NULL with %HYPHA_ERROR_INVALID_ENDPOINT, which names
 * the wrong part, or %HYPHA_ERROR_NO_TRANSPORT */
HyphaEndpoint *
hypha_loader_parse_endpoint (HyphaLoader *self, const char *uri, HyphaTransport **transport,
                             GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) canonical = NULL;
  HyphaModule *module;

  g_return_val_if_fail (HYPHA_IS_LOADER (self), NULL);
  g_return_val_if_fail (uri != NULL, NULL);
  endpoint = hypha_endpoint_parse (uri, error);
  if (endpoint == NULL)
    return NULL;
  module = find (self, hypha_endpoint_get_scheme (endpoint), error);
  if (module == NULL)
    return NULL;
  canonical = hypha_transport_parse (hypha_module_get_transport (module), endpoint, error);
  if (canonical != NULL && transport != NULL)
    *transport = hypha_module_get_transport (module);
  return g_steal_pointer (&canonical);
}

/**
 * hypha_loader_check_endpoint:
 * @self: a loader
 * @uri: an endpoint, in any spelling
 * @error: return location for a #GError
 *
 * Judges an endpoint that is to be used as soon as it can be: settings may name a transport whose
 * plug-in is dropped in later.
 *
 * Returns: (transfer full): the endpoint, canonical if its transport is here, or %NULL with
 * %HYPHA_ERROR_INVALID_ENDPOINT, which names the wrong part */
HyphaEndpoint *
hypha_loader_check_endpoint (HyphaLoader *self, const char *uri, GError **error)
{
  g_autoptr (GError) reason = NULL;
  HyphaEndpoint *endpoint = hypha_loader_parse_endpoint (self, uri, NULL, &reason);

  if (endpoint != NULL)
    return endpoint;
  if (g_error_matches (reason, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT))
    return hypha_endpoint_parse (uri, error);
  g_propagate_error (error, g_steal_pointer (&reason));
  return NULL;
}

/**
 * hypha_loader_check_link_endpoint:
 * @self: a loader
 * @uri: an endpoint, in any spelling
 * @error: return location for a #GError
 *
 * Judges an endpoint that is to carry a link as soon as it can: settings may name a transport whose
 * plug-in is dropped in later, so whoever dials or listens asks again.
 *
 * Returns: (transfer full): what hypha_loader_check_endpoint() gives, or %NULL also with
 * %HYPHA_ERROR_INVALID_ENDPOINT where its transport is lossy */
HyphaEndpoint *
hypha_loader_check_link_endpoint (HyphaLoader *self, const char *uri, GError **error)
{
  HyphaTransport *transport = NULL;
  g_autoptr (HyphaEndpoint) endpoint = hypha_loader_parse_endpoint (self, uri, &transport, NULL);

  if (endpoint == NULL)
    return hypha_loader_check_endpoint (self, uri, error);
  if (!hypha_transport_is_lossy (transport))
    return g_steal_pointer (&endpoint);
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
      _ ("%s: what the transport '%s' carries may be lost on the way: it does for forwards "
         "and services, not for links"),
      hypha_endpoint_to_string (endpoint), hypha_endpoint_get_scheme (endpoint));
  return NULL;
}
