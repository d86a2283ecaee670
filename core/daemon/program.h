/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* hyphad. BUILT_IN (nullable, NULL-terminated): the plug-ins that the program has, and then no
 * others. */
int hypha_daemon_main (int argc, char **argv, const HyphaPlugin *const *built_in);

G_END_DECLS
