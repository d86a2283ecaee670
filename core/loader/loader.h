/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

typedef enum {
  HYPHA_MODULE_READY,       /* loaded, its transport works here */
  HYPHA_MODULE_DISABLED,    /* by disabled-transports; by the file's name: not even opened */
  HYPHA_MODULE_UNAVAILABLE, /* loaded, but probe says it cannot work here */
  HYPHA_MODULE_REFUSED,     /* not opened: owner, mode, ELF, magic, ABI; or its scheme is taken */
  HYPHA_MODULE_FAILED,      /* create failed, or the plug-in broke its contract */
  HYPHA_MODULE_STALE,       /* changed while loaded (works on), or taken away (does not) */
} HyphaModuleState;

const char *hypha_module_state_to_string (HyphaModuleState state);

/* One file found in a plug-in directory, for as long as it is there, and for ever if it has served:
 * its code stays loaded; or a plug-in that is built in. Properties: name, version ("" until known),
 * path, state (u), reason ("" or a sentence with what mends it); notify is emitted. */
#define HYPHA_TYPE_MODULE (hypha_module_get_type ())
G_DECLARE_FINAL_TYPE (HyphaModule, hypha_module, HYPHA, MODULE, GObject)

/* Of the plug-in; before it is known, from the file's name. */
const char *hypha_module_get_name (HyphaModule *self);
const char *hypha_module_get_version (HyphaModule *self);
const char *hypha_module_get_path (HyphaModule *self);
HyphaModuleState hypha_module_get_state (HyphaModule *self);
const char *hypha_module_get_reason (HyphaModule *self);
/* The transport while it is to be used: READY, UNAVAILABLE, or STALE and still there; NULL
 * otherwise. */
HyphaTransport *hypha_module_get_transport (HyphaModule *self);
GVariant *hypha_module_dup_details (HyphaModule *self); /* a{sv} of the last probe */

/* All modules, as a GListModel of HyphaModule in order of path. Watches the directories (a file is
 * taken up once it is whole: within two seconds). Signals: transport-added (HyphaModule),
 * transport-removed (HyphaModule): it may make no more channels, its listeners must go. During
 * transport-removed hypha_module_get_transport() still tells it, lookup does not. A handler may
 * call the loader. The same module may be added again later (its file is back, or its rival gone).
 * Whether an added transport is available changes by notify::state. */
#define HYPHA_TYPE_LOADER (hypha_loader_get_type ())
G_DECLARE_FINAL_TYPE (HyphaLoader, hypha_loader, HYPHA, LOADER, GObject)

/* DIRECTORIES in order of search; those that do not exist yet are watched for. */
HyphaLoader *hypha_loader_new (const char *const *directories);
/* A plug-in that is part of this program: before the start. */
void hypha_loader_add_built_in (HyphaLoader *self, const HyphaPlugin *plugin);
/* HYPHA_PLUGIN_PATH, the system's directory, the user's. USER_DIRECTORY: search $XDG_DATA_HOME,
 * too. */
char **hypha_loader_default_directories (gboolean user_directory);
/* disabled-transports, takes effect at once. */
void hypha_loader_set_disabled (HyphaLoader *self, const char *const *schemes);
/* transport-options, a{sa{sv}}, by scheme: wrong ones are told (whole set stays as it was for that
 * transport). */
gboolean hypha_loader_set_options (HyphaLoader *self, GVariant *options, GError **error);
void hypha_loader_start (HyphaLoader *self); /* the first scan, at once, then watching */

/* For SCHEME or a spelling of it: NO_TRANSPORT (naming what there is), UNAVAILABLE (with the
 * reason; it is probed anew first). */
HyphaTransport *hypha_loader_lookup (HyphaLoader *self, const char *scheme, GError **error);
/* Parses, finds the transport (available or not) and makes ENDPOINT canonical. TRANSPORT (nullable,
 * not owned). */
HyphaEndpoint *hypha_loader_parse_endpoint (HyphaLoader *self, const char *uri,
                                            HyphaTransport **transport, GError **error);
/* As far as can be judged now: canonical if its transport is here, else as it stands, for that may
 * still come. */
HyphaEndpoint *hypha_loader_check_endpoint (HyphaLoader *self, const char *uri, GError **error);
/* The same of one that is to carry a link: not by a transport that may lose some of it. */
HyphaEndpoint *hypha_loader_check_link_endpoint (HyphaLoader *self, const char *uri,
                                                 GError **error);

G_END_DECLS
