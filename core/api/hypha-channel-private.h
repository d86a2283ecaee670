/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Internal: not installed, not exported. */

#include "hypha-channel.h"

G_BEGIN_DECLS

/* Whether CHANNEL, which may be anything, is what a transport of SCHEME (nullable) may hand over.
 * If not: HYPHA_ERROR_PLUGIN, which names the scheme and the breach. */
gboolean hypha_channel_check (HyphaChannel *channel, const char *scheme, GError **error);

G_END_DECLS
