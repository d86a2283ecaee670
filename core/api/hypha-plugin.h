/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For authors of transports: everything a plug-in may include. */

#include "hypha-api.h"
#include "hypha-base-transport.h"
#include "hypha-bell.h"
#include "hypha-inet-address.h"
#include "hypha-loop.h"
#include "hypha-options.h"
#include "hypha-socket.h"

G_BEGIN_DECLS

/**
 * HYPHA_PLUGIN_MAGIC:
 *
 * What every plug-in begins with: "HYPH".
 */
#define HYPHA_PLUGIN_MAGIC 0x48595048u

/**
 * HYPHA_PLUGIN_ABI_MAJOR:
 *
 * The version of what is between plug-ins and their host: a plug-in of another one is refused.
 */
#define HYPHA_PLUGIN_ABI_MAJOR 1

/**
 * HYPHA_PLUGIN_ABI_MINOR:
 *
 * Rises with what is added compatibly: a plug-in with a newer one than its host's is refused.
 */
#define HYPHA_PLUGIN_ABI_MINOR 2

/**
 * HyphaPlugin:
 * @magic: `HYPHA_PLUGIN_MAGIC`
 * @size: the size of this structure in bytes, as the plug-in knew it
 * @abi_major: `HYPHA_PLUGIN_ABI_MAJOR`, as the plug-in knew it
 * @abi_minor: `HYPHA_PLUGIN_ABI_MINOR`, as the plug-in knew it
 * @priority: where two claim one scheme, the higher wins; Hypha's own have 0
 * @name: its name, which is that of its file without `.so`
 * @version: its version, for people
 * @description: what it is, in a few words
 * @license: its licence, as an SPDX identifier
 * @create: makes the transport (transfer full), or fails and says why; does no I/O
 *
 * What a module exports, as constant data: read before anything of the module is called.
 */
typedef struct {
  guint32 magic;
  guint32 size;
  guint16 abi_major;
  guint16 abi_minor;
  gint32 priority;
  const char *name;
  const char *version;
  const char *description;
  const char *license;
  HyphaTransport *(*create) (GError **error);
} HyphaPlugin;

/**
 * HYPHA_PLUGIN_SYMBOL_PREFIX:
 *
 * How the symbol of a plug-in begins; its name follows, `-` becoming `_`.
 */
#define HYPHA_PLUGIN_SYMBOL_PREFIX "hypha_plugin_"

/**
 * HYPHA_DEFINE_PLUGIN:
 * @SYMBOL: the name again, `-` becoming `_`, not in quotes
 * @NAME: [field@Hypha.Plugin.name]
 * @VERSION: [field@Hypha.Plugin.version]
 * @DESCRIPTION: [field@Hypha.Plugin.description]
 * @LICENSE: [field@Hypha.Plugin.license]
 * @PRIORITY: [field@Hypha.Plugin.priority]
 * @CREATE: [field@Hypha.Plugin.create]
 *
 * Defines and exports the [struct@Hypha.Plugin] of a module:
 *
 * ```c
 * HYPHA_DEFINE_PLUGIN (tcp, "tcp", "1.0", "TCP over IPv4 and IPv6", "LGPL-2.1-or-later", 0,
 *                      hypha_tcp_create);
 * ```
 */
#define HYPHA_DEFINE_PLUGIN(SYMBOL, NAME, VERSION, DESCRIPTION, LICENSE, PRIORITY, CREATE) \
  extern const HyphaPlugin hypha_plugin_##SYMBOL;                                          \
  __attribute__ ((visibility ("default"))) const HyphaPlugin hypha_plugin_##SYMBOL = {     \
    .magic = HYPHA_PLUGIN_MAGIC,                                                           \
    .size = sizeof (HyphaPlugin),                                                          \
    .abi_major = HYPHA_PLUGIN_ABI_MAJOR,                                                   \
    .abi_minor = HYPHA_PLUGIN_ABI_MINOR,                                                   \
    .priority = (PRIORITY),                                                                \
    .name = (NAME),                                                                        \
    .version = (VERSION),                                                                  \
    .description = (DESCRIPTION),                                                          \
    .license = (LICENSE),                                                                  \
    .create = (CREATE),                                                                    \
  }

G_END_DECLS
