/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* Starts a program with STREAMS for its standard input and output and WORDS for its standard
 * error, and nothing else of this process that is open. It is terminated when the thread that
 * started it ends. Its process id, to be waited for; -1: an error. */
GPid ssh_spawn (const char *const *argv, int streams, int words, GError **error);

G_END_DECLS
