/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/module-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <unistd.h>
#include "hypha-inspect.h"
#include "loader/program-file.h"
#include "program/transport.h"
#include "loader/resident.h"

#define MAX_NAME 64
/* In place of a path: programs ask for it, so it is the same in every language. */
#define BUILT_IN "%s (built in)"

struct _HyphaModule {
  GObject parent;

  char *path;    /* as the kernel knows it; NULL: it is built into this program */
  char *display; /* as people may read it */
  char *name;
  HyphaModuleState state;
  char *reason;

  const HyphaResident *resident; /* not owned; NULL: its code was never loaded */
  HyphaProgramFile *program;     /* owned; NULL: it is no program */
  HyphaTransport *transport;     /* owned; NULL unless created */
  gboolean present;              /* the file is there */
  gboolean active;               /* its transport is to be used */
  gboolean served;               /* it once was */
  char *flaw;                    /* why the file as it is now is not what is in use, or never was */

  GVariant *options; /* a{sv} last tried; NULL: none */
  char *options_flaw;
  gboolean available;
  char *unavailable_reason;
  GVariant *details; /* a{sv} */
};

enum { PROP_NAME = 1, PROP_VERSION, PROP_PATH, PROP_STATE, PROP_REASON, N_PROPS };

static GParamSpec *props[N_PROPS];

enum { CHANGED, N_SIGNALS };

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaModule, hypha_module, G_TYPE_OBJECT)

/**
 * hypha_module_state_to_string:
 *
 * Returns: (transfer none): the word of D-Bus and of people for @state */
const char *
hypha_module_state_to_string (HyphaModuleState state)
{
  static const char *const words[] = {
    [HYPHA_MODULE_READY] = "ready",
    [HYPHA_MODULE_DISABLED] = "disabled",
    [HYPHA_MODULE_UNAVAILABLE] = "unavailable",
    [HYPHA_MODULE_REFUSED] = "refused",
    [HYPHA_MODULE_FAILED] = "failed",
    [HYPHA_MODULE_STALE] = "stale",
  };

  g_return_val_if_fail ((guint) state < G_N_ELEMENTS (words), NULL);
  return words[state];
}

static void
hypha_module_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaModule *self = HYPHA_MODULE (object);

  switch (id) {
  case PROP_NAME:
    g_value_set_string (value, hypha_module_get_name (self));
    break;
  case PROP_VERSION:
    g_value_set_string (value, hypha_module_get_version (self));
    break;
  case PROP_PATH:
    g_value_set_string (value, self->display);
    break;
  case PROP_STATE:
    g_value_set_uint (value, self->state);
    break;
  case PROP_REASON:
    g_value_set_string (value, self->reason);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_module_dispose (GObject *object)
{
  hypha_module_stop (HYPHA_MODULE (object));
  G_OBJECT_CLASS (hypha_module_parent_class)->dispose (object);
}

static void
hypha_module_finalize (GObject *object)
{
  HyphaModule *self = HYPHA_MODULE (object);

  g_clear_pointer (&self->program, hypha_program_file_free);
  g_free (self->path);
  g_free (self->display);
  g_free (self->name);
  g_free (self->reason);
  g_free (self->flaw);
  g_free (self->options_flaw);
  g_free (self->unavailable_reason);
  g_clear_pointer (&self->options, g_variant_unref);
  g_clear_pointer (&self->details, g_variant_unref);
  G_OBJECT_CLASS (hypha_module_parent_class)->finalize (object);
}

static void
hypha_module_class_init (HyphaModuleClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->get_property = hypha_module_get_property;
  object_class->dispose = hypha_module_dispose;
  object_class->finalize = hypha_module_finalize;
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, "", flags);
  props[PROP_VERSION] = g_param_spec_string ("version", NULL, NULL, "", flags);
  props[PROP_PATH] = g_param_spec_string ("path", NULL, NULL, "", flags);
  props[PROP_STATE] =
      g_param_spec_uint ("state", NULL, NULL, 0, G_MAXUINT, HYPHA_MODULE_REFUSED, flags);
  props[PROP_REASON] = g_param_spec_string ("reason", NULL, NULL, "", flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  /* Whether it is available may be another answer now: it is to be probed. */
  signals[CHANGED] = g_signal_new ("changed", HYPHA_TYPE_MODULE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 0);
}

static void
hypha_module_init (HyphaModule *self)
{
  self->state = HYPHA_MODULE_REFUSED;
  self->reason = g_strdup ("");
  self->available = TRUE;
}

HyphaModule *
hypha_module_new (const char *path)
{
  HyphaModule *self = g_object_new (HYPHA_TYPE_MODULE, NULL);
  g_autofree char *base = g_path_get_basename (path);

  self->path = g_strdup (path);
  self->display = g_filename_display_name (path);
  if (g_str_has_suffix (base, HYPHA_PROGRAM_SUFFIX))
    self->program = hypha_program_file_new (path);
  *strrchr (base, '.') = '\0';
  self->name = g_filename_display_name (base);
  return self;
}

/* A name from which the symbol can be made. */
static gboolean
name_is_valid (const char *name)
{
  gsize length = strlen (name);

  return length > 0 && length <= MAX_NAME &&
         strspn (name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             length;
}

/* What is asked before the file is opened. NAME is that of the file without SUFFIX. */
static gboolean
may_be_opened (HyphaModule *self, const char *name, const char *suffix, const char *distrust,
               GError **error)
{
  g_autofree char *quoted = hypha_inspect_quote (self->path);

  if (!name_is_valid (name))
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
        _ ("%s cannot be a plug-in's name (letters, digits, '-' and '_', at most %d): mv %s "
           "NAME%s"),
        self->display, MAX_NAME, quoted, suffix);
  else if (distrust != NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s is not opened, for %s"),
                 self->display, distrust);
  return name_is_valid (name) && distrust == NULL;
}

/* Everything that is checked before the code comes into this process, then the code. */
static const HyphaResident *
load (HyphaModule *self, int directory, const char *file, const char *distrust, GError **error)
{
  g_autofree char *name = g_strndup (file, strlen (file) - strlen (".so"));
  g_auto (HyphaFd) fd = -1;
  int copy;

  if (!may_be_opened (self, name, ".so", distrust, error))
    return NULL;
  fd = hypha_inspect_open_file (directory, file, self->path, error);
  if (fd < 0)
    return NULL;
  copy = hypha_inspect_copy (fd, file, self->path, error);
  return copy < 0 ? NULL : hypha_resident_load (copy, name, self->path, error);
}

/* Returns NULL, or how TRANSPORT breaks the contract of HyphaTransport. */
static const char *
find_breach (HyphaTransport *transport)
{
  const HyphaTransportInterface *iface;

  if (!HYPHA_IS_TRANSPORT (transport))
    return _ ("what it created is no HyphaTransport");
  iface = HYPHA_TRANSPORT_GET_IFACE (transport);
  if (iface->get_schemes == NULL || iface->parse == NULL || iface->get_link_cost == NULL ||
      iface->connect_async == NULL || iface->connect_finish == NULL ||
      iface->listen_async == NULL || iface->listen_finish == NULL)
    return _ ("its transport leaves out functions that are not optional");
  if (hypha_transport_get_schemes (transport)[0] == NULL)
    return _ ("its transport has no valid list of schemes");
  return NULL;
}

static HyphaTransport *
create (const HyphaPlugin *plugin, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (HyphaTransport) transport = plugin->create (&failure);
  const char *breach;

  if (transport == NULL && failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (transport == NULL)
    breach = _ ("it failed without saying why");
  else if (failure != NULL)
    breach = _ ("it succeeded and failed at once");
  else
    breach = find_breach (transport);
  if (breach == NULL)
    return g_steal_pointer (&transport);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s, which its author has to mend"),
               breach);
  return NULL;
}

static void
create_transport (HyphaModule *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *quoted = NULL;
  g_autofree char *message = NULL;

  self->transport = create (self->resident->plugin, &error);
  if (self->transport != NULL)
    return;
  message = g_utf8_make_valid (error->message, -1);
  if (self->path == NULL) {
    self->flaw =
        g_strdup_printf (_ ("%s could not create its transport: %s"), self->display, message);
    return;
  }
  quoted = hypha_inspect_quote (self->path);
  self->flaw = g_strdup_printf (_ ("%s could not create its transport: %s; to try again: touch %s"),
                                self->display, message, quoted);
}

/* hypha_module_new_built_in:
 * A plug-in that is part of this program: it is there from the start, and for ever. */
HyphaModule *
hypha_module_new_built_in (const HyphaPlugin *plugin)
{
  HyphaModule *self = g_object_new (HYPHA_TYPE_MODULE, NULL);

  self->name = g_strdup (plugin->name);
  self->display = g_strdup_printf (BUILT_IN, plugin->name);
  self->resident = hypha_resident_add_built_in (plugin);
  self->present = TRUE;
  create_transport (self);
  return self;
}

/* ---- programs ---- */

static void
on_program_changed (HyphaProgramTransport *transport, HyphaModule *self)
{
  if (HYPHA_TRANSPORT (transport) != self->transport)
    return;
  g_signal_emit (self, signals[CHANGED], 0);
  /* Its details are no property, and whoever shows them looks at all of it. */
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_REASON]);
}

gboolean
hypha_module_has_news (HyphaModule *self)
{
  return self->program != NULL && hypha_program_file_has_news (self->program);
}

/* hypha_module_renew:
 * Takes up what has been found of a program, which can be ended and started anew as no code can
 * that is in this process. It must not be active. */
void
hypha_module_renew (HyphaModule *self)
{
  hypha_module_stop (self);
  self->transport = hypha_program_transport_new (hypha_program_file_take_news (self->program));
  g_signal_connect_object (self->transport, "changed", G_CALLBACK (on_program_changed), self, 0);
  /* None of it has been told to this one. */
  g_clear_pointer (&self->options, g_variant_unref);
  g_clear_pointer (&self->options_flaw, g_free);
  g_clear_pointer (&self->unavailable_reason, g_free);
  g_clear_pointer (&self->details, g_variant_unref);
  self->available = TRUE;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_NAME]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_VERSION]);
}

/* The program behind a manifest is a file of its own, that the manifest's says nothing of. */
gboolean
hypha_module_has_changed (HyphaModule *self, gboolean *unsettled)
{
  return self->program != NULL && self->present &&
         hypha_program_file_has_changed (self->program, unsettled);
}

static void
find_program (HyphaModule *self, int directory, const char *file, const char *distrust)
{
  g_autofree char *name = g_strndup (file, strlen (file) - strlen (HYPHA_PROGRAM_SUFFIX));
  g_autoptr (GError) error = NULL;

  if (!may_be_opened (self, name, HYPHA_PROGRAM_SUFFIX, distrust, &error) ||
      !hypha_program_file_look (self->program, directory, file, name, &error))
    self->flaw = g_strdup (error->message);
  else if (hypha_module_has_news (self) && !self->active)
    hypha_module_renew (self);
}

/* hypha_module_found:
 * @directory: that holds the file @name
 * @distrust: (nullable): why nothing in it is to be trusted
 * @disabled: the code is not to be loaded unless it already is
 *
 * Loads the file, or, if its code has been loaded, sees whether it is still the same.
 * hypha_module_settle() makes the outcome known.
 *
 * Returns: %FALSE if the file is not whole yet */
gboolean
hypha_module_found (HyphaModule *self, int directory, const char *name, const char *distrust,
                    gboolean disabled)
{
  g_autoptr (GError) error = NULL;
  const HyphaResident *resident;

  self->present = TRUE;
  g_clear_pointer (&self->flaw, g_free);
  if (!hypha_module_has_code (self) && disabled)
    return TRUE;
  if (self->program != NULL) {
    find_program (self, directory, name, distrust);
    return TRUE;
  }
  resident = load (self, directory, name, distrust, &error);
  if (resident == NULL) {
    self->flaw = g_strdup (error->message);
    return !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT);
  }
  if (self->resident == NULL) {
    self->resident = resident;
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_NAME]);
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_VERSION]);
  }
  if (self->transport == NULL)
    create_transport (self);
  return TRUE;
}

void
hypha_module_gone (HyphaModule *self)
{
  self->present = FALSE;
}

/* hypha_module_stop:
 * The end of its transport, whoever still holds the module. */
void
hypha_module_stop (HyphaModule *self)
{
  self->active = FALSE;
  if (self->transport != NULL)
    hypha_transport_stop (self->transport);
  g_clear_object (&self->transport);
}

gboolean
hypha_module_has_code (HyphaModule *self)
{
  return self->resident != NULL ||
         (self->program != NULL && hypha_program_file_get_manifest (self->program) != NULL);
}

gboolean
hypha_module_is_present (HyphaModule *self)
{
  return self->present;
}

int
hypha_module_get_priority (HyphaModule *self)
{
  const HyphaProgramManifest *manifest =
      self->program != NULL ? hypha_program_file_get_manifest (self->program) : NULL;

  if (manifest != NULL)
    return manifest->priority;
  return self->resident != NULL ? self->resident->plugin->priority : 0;
}

const char *const *
hypha_module_get_schemes (HyphaModule *self)
{
  return self->transport != NULL ? hypha_transport_get_schemes (self->transport) : NULL;
}

/* Is one of NAMES the plug-in's, or one of its schemes? */
gboolean
hypha_module_is_called (HyphaModule *self, const char *const *names)
{
  const char *const *schemes = hypha_module_get_schemes (self);

  if (g_strv_contains (names, self->name))
    return TRUE;
  for (guint i = 0; schemes != NULL && schemes[i] != NULL; i++)
    if (g_strv_contains (names, schemes[i]))
      return TRUE;
  return FALSE;
}

gboolean
hypha_module_is_active (HyphaModule *self)
{
  return self->active;
}

void
hypha_module_set_active (HyphaModule *self, gboolean active)
{
  self->active = active;
  self->served |= active;
  if (self->program == NULL)
    return;
  if (!active)
    hypha_program_transport_rest (HYPHA_PROGRAM_TRANSPORT (self->transport));
  else /* another transport than before, perhaps, in the same state */
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_VERSION]);
}

/* hypha_module_is_lasting:
 * Returns: whether it stays when its file is gone: what has served is code of this process for
 * ever. A program has ended. */
gboolean
hypha_module_is_lasting (HyphaModule *self)
{
  return self->served && self->resident != NULL;
}

gboolean
hypha_module_is_available (HyphaModule *self)
{
  return self->available;
}

/* hypha_module_configure:
 * @options: (nullable): a{sv}; %NULL as if empty
 *
 * Hands the transport its options, unless it has them already. An error is remembered as the
 * module's reason. */
gboolean
hypha_module_configure (HyphaModule *self, GVariant *options, GError **error)
{
  g_autoptr (GVariant) wanted =
      g_variant_ref_sink (options != NULL ? options : g_variant_new ("a{sv}", NULL));
  g_autoptr (GError) failure = NULL;
  gboolean same = self->options != NULL ? g_variant_equal (self->options, wanted)
                                        : g_variant_n_children (wanted) == 0;

  if (same && self->options_flaw == NULL)
    return TRUE;
  g_clear_pointer (&self->options_flaw, g_free);
  g_clear_pointer (&self->options, g_variant_unref);
  self->options = g_variant_ref (wanted);
  if (hypha_transport_configure (self->transport, wanted, &failure))
    return TRUE;
  self->options_flaw = g_utf8_make_valid (failure->message, -1);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* hypha_module_probe:
 * Asks the transport whether it can work here, and keeps the answer; the error says why not. */
gboolean
hypha_module_probe (HyphaModule *self, GError **error)
{
  g_autoptr (GVariantDict) details = g_variant_dict_new (NULL);
  g_autoptr (GError) failure = NULL;

  self->available = hypha_transport_probe (self->transport, details, &failure);
  g_clear_pointer (&self->details, g_variant_unref);
  self->details = g_variant_ref_sink (g_variant_dict_end (details));
  g_clear_pointer (&self->unavailable_reason, g_free);
  if (self->available)
    return TRUE;
  self->unavailable_reason = g_utf8_make_valid (failure->message, -1);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static void
set_state (HyphaModule *self, HyphaModuleState state, GLogLevelFlags level, char *reason)
{
  g_autofree char *owned = reason;
  gboolean state_differs = state != self->state;

  if (!state_differs && g_str_equal (reason, self->reason))
    return;
  self->state = state;
  g_free (self->reason);
  self->reason = g_steal_pointer (&owned);
  if (*self->reason != '\0')
    g_log (G_LOG_DOMAIN, level, "Plug-in %s (%s): %s", self->name,
           hypha_module_state_to_string (state), self->reason);
  else
    g_info ("Plug-in %s (%s)", self->name, hypha_module_state_to_string (state));
  g_object_freeze_notify (G_OBJECT (self));
  if (state_differs)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_REASON]);
  g_object_thaw_notify (G_OBJECT (self));
}

static char *
disabled_reason (HyphaModule *self)
{
  const char *const *schemes = hypha_module_get_schemes (self);

  return g_strdup_printf (
      _ ("%s is switched off: take \"%s\" out of the setting disabled-transports"), self->display,
      schemes != NULL ? schemes[0] : self->name);
}

static char *
rival_reason (HyphaModule *self, HyphaModule *rival, const char *scheme)
{
  g_autofree char *quoted = NULL;

  if (rival->path == NULL)
    return g_strdup_printf (
        _ ("%s (priority %d) claims the scheme %s, which %s (priority %d) has; to use this one "
           "instead, give it a higher priority"),
        self->display, hypha_module_get_priority (self), scheme, rival->display,
        hypha_module_get_priority (rival));
  quoted = hypha_inspect_quote (rival->path);
  return g_strdup_printf (
      _ ("%s (priority %d) claims the scheme %s, which %s (priority %d) has; to "
         "use this one instead: mv %s %s.off"),
      self->display, hypha_module_get_priority (self), scheme, rival->display,
      hypha_module_get_priority (rival), quoted, quoted);
}

static char *
gone_reason (HyphaModule *self)
{
  g_autofree char *quoted = hypha_inspect_quote (self->path);

  return g_strdup_printf (
      _ ("%s was taken away while it was loaded; to use it again, put it back: cp SOURCE %s"),
      self->display, quoted);
}

static char *
flaw_reason (HyphaModule *self)
{
  return g_strdup_printf (_ ("%s has changed since it was loaded, and the old code works on: %s"),
                          self->display, self->flaw);
}

static char *
options_reason (HyphaModule *self)
{
  return g_strdup_printf (
      _ ("%s does not take its entry in the setting transport-options and goes on "
         "with the options it had: %s"),
      self->display, self->options_flaw);
}

/* hypha_module_settle:
 * @rival: (nullable): another module that has @scheme, which this one claims, too
 *
 * Makes state and reason what they have to be now. */
void
hypha_module_settle (HyphaModule *self, gboolean disabled, HyphaModule *rival, const char *scheme)
{
  /* What cannot be used on this machine says so when somebody uses it, and who has the lower
   * priority is meant to give way. A program that wants another transport need not hear of it. */
  const GLogLevelFlags told = G_LOG_LEVEL_MESSAGE, untold = G_LOG_LEVEL_INFO;

  if (self->resident != NULL && !self->present)
    set_state (self, HYPHA_MODULE_STALE, told, gone_reason (self));
  else if (disabled)
    set_state (self, HYPHA_MODULE_DISABLED, told, disabled_reason (self));
  else if (!hypha_module_has_code (self))
    set_state (self, HYPHA_MODULE_REFUSED, told, g_strdup (self->flaw != NULL ? self->flaw : ""));
  else if (self->transport == NULL)
    set_state (self, HYPHA_MODULE_FAILED, told, g_strdup (self->flaw != NULL ? self->flaw : ""));
  else if (rival != NULL)
    set_state (self, HYPHA_MODULE_REFUSED,
               hypha_module_get_priority (rival) > hypha_module_get_priority (self) ? untold : told,
               rival_reason (self, rival, scheme));
  else if (self->flaw != NULL)
    set_state (self, HYPHA_MODULE_STALE, told, flaw_reason (self));
  else if (!self->available)
    set_state (self, HYPHA_MODULE_UNAVAILABLE, untold, g_strdup (self->unavailable_reason));
  else
    set_state (self, HYPHA_MODULE_READY, told,
               self->options_flaw != NULL ? options_reason (self) : g_strdup (""));
}

/**
 * hypha_module_get_name:
 *
 * Returns: (transfer none): the plug-in's name; before it is known, that of the file without its
 * suffix
 */
const char *
hypha_module_get_name (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  return self->resident != NULL ? self->resident->plugin->name : self->name;
}

/**
 * hypha_module_get_version:
 *
 * Returns: (transfer none): the version of the code in use; "" until it is known */
const char *
hypha_module_get_version (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  if (self->program != NULL && hypha_module_has_code (self))
    return hypha_program_file_get_manifest (self->program)->version;
  return self->resident != NULL ? self->resident->plugin->version : "";
}

/**
 * hypha_module_get_path:
 *
 * Returns: (transfer none): the file, in UTF-8, for people; of one that is built in, its name and
 * that it is */
const char *
hypha_module_get_path (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  return self->display;
}

HyphaModuleState
hypha_module_get_state (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), HYPHA_MODULE_FAILED);
  return self->state;
}

/**
 * hypha_module_get_reason:
 *
 * Returns: (transfer none): "", or why the module is in its state and what mends it */
const char *
hypha_module_get_reason (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  return self->reason;
}

/**
 * hypha_module_get_transport:
 *
 * Returns: (transfer none) (nullable): the transport, as long as it is to be used: between the
 * loader's transport-added and the end of its transport-removed */
HyphaTransport *
hypha_module_get_transport (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  return self->active ? self->transport : NULL;
}

/**
 * hypha_module_dup_details:
 *
 * Returns: (transfer full): a{sv}, what the transport told of itself when it was last probed; empty
 * before */
GVariant *
hypha_module_dup_details (HyphaModule *self)
{
  g_return_val_if_fail (HYPHA_IS_MODULE (self), NULL);
  return self->details != NULL ? g_variant_ref (self->details)
                               : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
}
