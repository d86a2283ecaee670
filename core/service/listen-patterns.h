/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"

G_BEGIN_DECLS

/* Where peers may have this node listen: patterns of endpoints, as trust rules have them, which may
 * carry the options with which it listens there. */

/* At least one, each well spelled: INVALID_SETTING. */
gboolean hypha_listen_patterns_check (const char *const *patterns, HyphaLoader *loader,
                                      GError **error);
/* To free: what is to be listened on for LOCAL, of a forward to TARGET: as the transport spells it,
 * with the options of the pattern that has it. NULL: none has it, or it is no endpoint of a
 * transport that is here. */
char *hypha_listen_patterns_find (const char *const *patterns, HyphaLoader *loader,
                                  const char *local, const char *target, GError **error);

G_END_DECLS
