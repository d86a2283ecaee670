/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>
#include "program/manifest.h"

G_BEGIN_DECLS

/* Endpoints of a transport that is a program: its manifest says what they look like, and the
 * program is not asked. */

HyphaEndpoint *hypha_program_endpoint_parse (HyphaProgramManifest *manifest,
                                             HyphaEndpoint *endpoint, GError **error);
/* What the program says; NULL with an error that is the end of a sentence. */
HyphaEndpoint *hypha_program_endpoint_read (HyphaProgramManifest *manifest, const char *uri,
                                            GError **error);
/* NULL: what it says is not fit for a name. */
const char *hypha_program_endpoint_check_host (const char *host);

G_END_DECLS
