/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* A command that a peer runs, joined with the standard streams and signals of this process. */

/* STREAM leads to the service exec, where REQUEST (JSON) is said. STATUS is what to exit with, also
 * when it fails. Waits for the end. */
gboolean hypha_remote_run (HyphaStream *stream, const char *request, gboolean with_terminal,
                           int *status, GError **error);
/* How a stream to the agent ended that said nothing more. (transfer full) */
GError *hypha_remote_find_end (HyphaStream *stream);

G_END_DECLS
