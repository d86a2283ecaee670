/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/frame.h"
#include "loader/loader.h"
#include "node/early-tokens.h"
#include "node/node-peer.h"

G_BEGIN_DECLS

/* Direct streams on their way: a fresh channel beside the link, which shows a token that was given
 * over the session, and whose descriptor the programs at both ends get. Whoever dialled the link
 * dials the channel. A stream of the session goes with it until both ends have it: over that the
 * acceptor says whether its service takes the stream. Main thread. */

/* Those of a node: the tokens that it waits for. */
typedef struct _HyphaDirects HyphaDirects;
/* One of them, at either end. */
typedef struct _HyphaDirect HyphaDirect;

/* How many of one peer may be on their way at once, and how long for. */
#define HYPHA_DIRECTS_MAX 64
#define HYPHA_DIRECT_TIMEOUT_MS 10000

/* Once. FD is the caller's; -1: ERROR says why. DIRECT may be freed. */
typedef void (*HyphaDirectFunc) (HyphaDirect *direct, int fd, const GError *error,
                                 gpointer user_data);
/* Once, of the opener: say the OPEN now at the latest. If this end dials, the token has been shown,
 * or will be when the other end has answered. */
typedef void (*HyphaDirectTriedFunc) (gpointer user_data);
HyphaDirects *hypha_directs_new (HyphaLoader *loader, HyphaTokenRefusedFunc refused,
                                 gpointer user_data);
void hypha_directs_free (HyphaDirects *self);                          /* none is left */
void hypha_directs_set_timeout (HyphaDirects *self, guint timeout_ms); /* of those that come */
/* LINK (taken), parked, has shown a token. It is held for a moment if that is not expected yet. A
 * token is good for one look. */
void hypha_directs_shown (HyphaDirects *self, HyphaLink *link);
guint hypha_directs_n_early (HyphaDirects *self); /* that are held */

/* FALSE: LINK (nullable) is none beside which a direct stream can be: NOT_SUPPORTED or OFFLINE. */
gboolean hypha_direct_check_link (HyphaNodeLink *link, GError **error);

/* The opener's. FUNC is called when the channel is there and the peer has taken the stream. BUSY,
 * or as above. */
HyphaDirect *hypha_direct_new_opening (HyphaDirects *directs, HyphaNodePeer *peer, GError **error);
const guint8 *hypha_direct_get_ticket (HyphaDirect *self);
/* Of either end. FUNC and TRIED (NULL for the acceptor) may be called from within. */
void hypha_direct_start (HyphaDirect *self, HyphaDirectFunc func, HyphaDirectTriedFunc tried,
                         gpointer user_data);
void hypha_direct_accepted (HyphaDirect *self);              /* the session's stream was */
void hypha_direct_answered (HyphaDirect *self, guint8 code); /* over that; 0: it is taken */

/* The acceptor's: FUNC is called when the channel is there, or cannot be. Answer then, over the
 * session's stream. */
HyphaDirect *hypha_direct_new_answering (HyphaDirects *directs, HyphaNodePeer *peer,
                                         const guint8 *ticket, GError **error);

void hypha_direct_free (HyphaDirect *self); /* FUNC is not called any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaDirect, hypha_direct_free)

G_END_DECLS
