/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For authors of transports: everything a plug-in may include. */

#include "hypha.h"
#include "hypha-operations.h"
#include "hypha-socket.h"

G_BEGIN_DECLS

#define HYPHA_PLUGIN_MAGIC 0x48595048u /* "HYPH" */
#define HYPHA_PLUGIN_ABI_MAJOR 1
#define HYPHA_PLUGIN_ABI_MINOR 0

/* What a module exports, as constant data: read before anything of the module is called. */
typedef struct {
  guint32 magic;
  guint32 size; /* of this structure, as the plug-in knew it */
  guint16 abi_major;
  guint16 abi_minor;
  gint32 priority; /* where two claim one scheme, the higher wins; ours have 0 */
  const char *name;
  const char *version;
  const char *description;
  const char *license;                        /* SPDX */
  HyphaTransport *(*create) (GError **error); /* does no I/O */
} HyphaPlugin;

/* The symbol of plug-in NAME, whose file is NAME.so: hypha_plugin_NAME, '-' becoming '_'. */
#define HYPHA_PLUGIN_SYMBOL_PREFIX "hypha_plugin_"

/* HYPHA_DEFINE_PLUGIN (tcp, "tcp", "1.0", "TCP over IPv4 and IPv6", "LGPL-2.1-or-later", 0,
 * hypha_tcp_create) */
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
