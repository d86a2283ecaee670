/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* Where a peer may be: an endpoint, or a pattern of endpoints, with the user id that the kernel has
 * to tell. Immutable once it is in use. */
typedef struct _HyphaPlace HyphaPlace;

/* SCHEME:REST[?uid=N]. In REST, '*' stands for one or more characters other than '/' and ':'. Other
 * options of an endpoint may stand beside uid, and mean nothing here. */
HyphaPlace *hypha_place_parse (const char *text, GError **error);
void hypha_place_free (HyphaPlace *self);
const char *hypha_place_to_string (HyphaPlace *self); /* as it was parsed */
HyphaEndpoint *hypha_place_get_endpoint (HyphaPlace *self);
gboolean hypha_place_has_uid (HyphaPlace *self);
gboolean hypha_place_has_options (HyphaPlace *self); /* other than uid */

/* From now on it is spelled as TRANSPORT spells it, less its options. */
gboolean hypha_place_spell (HyphaPlace *self, HyphaTransport *transport, GError **error);

/* Is ENDPOINT, as its transport spells it, or one of the pattern's? Of uid and of options, nothing
 * is asked. */
gboolean hypha_place_covers (HyphaPlace *self, HyphaEndpoint *endpoint);
/* Is the other end of CHANNEL here? DIALLED: what was dialled, NULL: they dialled. Whoever dials
 * comes from a port that nobody chose: then an endpoint without '*' is held against scheme and
 * host. */
gboolean hypha_place_holds (HyphaPlace *self, HyphaChannel *channel, HyphaEndpoint *dialled);
/* Likewise for a trust rule: kernel or hypervisor has to vouch for what is compared, and all of the
 * address is compared. */
gboolean hypha_place_vouches (HyphaPlace *self, HyphaChannel *channel);
/* What is left of the pattern once the other end of CHANNEL is known: one host, one uid. */
char *hypha_place_bind (HyphaPlace *self, HyphaChannel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPlace, hypha_place_free)

G_END_DECLS
