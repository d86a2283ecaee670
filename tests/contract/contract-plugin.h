/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The process in which a plug-in is loaded: for one test, or to look what it is. It is given the
 * plug-in's file, alone in a directory, and the contract's (nullable). */

/* How such a process ends where there is nothing to test. */
enum {
  CONTRACT_PLUGIN_REFUSED = 3, /* the last line printed says why */
  CONTRACT_PLUGIN_UNAVAILABLE = 4,
};

/* Prints the names of the tests that are for it, a line each. */
int contract_plugin_describe (const char *file, const char *contract);
/* Runs one. */
int contract_plugin_test (const char *file, const char *contract, const char *test);

G_END_DECLS
