/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/entry.h"
#include "copy/events.h"
#include "copy/place.h"

G_BEGIN_DECLS

/* Takes a tree from a socket and puts it where it belongs. Blocks. TRUE: everything that the sender
 * has was told, and what is not there was told as a problem. COUNTS: what there is of it. */
gboolean hypha_copy_receive (int socket, const HyphaCopyDestination *destination,
                             const HyphaCopyEvents *events, gpointer user_data,
                             HyphaCopyCounts *counts, GError **error);

G_END_DECLS
