/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "loader/loader.h"
#include "node/node-link-private.h"

G_BEGIN_DECLS

/* One endpoint that is dialled, until it is no longer wanted: connects, hands the channel on, waits
 * with a back-off that doubles from 1 s to 60 s, and tries again. Main thread; counted by
 * reference. */
typedef struct _HyphaDialler HyphaDialler;

typedef enum {
  HYPHA_DIALLER_WAITING, /* for the back-off, or for a transport */
  HYPHA_DIALLER_TRYING,  /* connecting, or shaking hands */
  HYPHA_DIALLER_UP,      /* its link lives */
  HYPHA_DIALLER_TWIN,    /* another link to the same place lives, and will do */
} HyphaDiallerState;

typedef struct {
  /* A channel is there: shake hands. WANTED: nullable. TLS: begin with it, whatever the channel. */
  void (*connected) (HyphaDialler *dialler, HyphaChannel *channel, const HyphaNodeId *wanted,
                     gboolean tls, gpointer user_data);
  void (*changed) (HyphaDialler *dialler, gpointer user_data);
  /* FALSE: the transport of ENDPOINT is not for this node, and the error says why. Nullable. */
  gboolean (*may_use) (HyphaEndpoint *endpoint, gpointer user_data, GError **error);
} HyphaDiallerEvents;

/* URI is checked for its form only: its transport may come later. PERMANENT: wanted by the
 * settings; others end with their first failure. */
HyphaDialler *hypha_dialler_new (HyphaLoader *loader, const char *uri, gboolean permanent,
                                 const HyphaDiallerEvents *events, gpointer user_data,
                                 GError **error);
HyphaDialler *hypha_dialler_ref (HyphaDialler *self);
void hypha_dialler_unref (HyphaDialler *self);
void hypha_dialler_start (HyphaDialler *self, guint delay_ms);
void hypha_dialler_stop (HyphaDialler *self); /* waiters get an error; no event follows */
/* Now rather than after the back-off: the world has changed (a transport came, an id is trusted, a
 * twin is gone). */
void hypha_dialler_hurry (HyphaDialler *self);
/* Completes when the link is up, or with what went wrong. */
void hypha_dialler_await (HyphaDialler *self, GTask *task);
/* TASK, which waits, is answered by its cancellable. */
void hypha_dialler_await_no_more (HyphaDialler *self, GTask *task);

const char *hypha_dialler_get_uri (HyphaDialler *self);
HyphaEndpoint *hypha_dialler_get_endpoint (
    HyphaDialler *self); /* canonical once its transport was there */
HyphaDiallerState hypha_dialler_get_state (HyphaDialler *self);
const char *hypha_dialler_get_trouble (HyphaDialler *self); /* NULL: none */
const HyphaNodeId *hypha_dialler_get_peer (
    HyphaDialler *self); /* who answered last, or is wanted; NULL: not known */
HyphaNodeLink *hypha_dialler_get_link (HyphaDialler *self); /* its own, or the twin */
gboolean hypha_dialler_is_permanent (HyphaDialler *self);
void hypha_dialler_set_permanent (HyphaDialler *self, gboolean permanent);
/* Wanted by a transport alone. */
gboolean hypha_dialler_is_suggested (HyphaDialler *self);
void hypha_dialler_set_suggested (HyphaDialler *self, gboolean suggested);
gboolean hypha_dialler_is_unwanted (
    HyphaDialler *self); /* not permanent, never up, and nobody waits */
void hypha_dialler_expect (HyphaDialler *self, const HyphaNodeId *id);
gboolean hypha_dialler_is_spent (
    HyphaDialler *self); /* not permanent, and failed without ever having been up */

/* What became of the channel. */
void hypha_dialler_met (HyphaDialler *self,
                        const HyphaNodeId *id); /* the other's identity is known */
void hypha_dialler_adopted (HyphaDialler *self,
                            HyphaNodeLink *link); /* it is a link now, not up yet */
void hypha_dialler_link_up (HyphaDialler *self);
void hypha_dialler_failed (HyphaDialler *self, const GError *error, gboolean tls_required);
void hypha_dialler_rest (
    HyphaDialler *self, HyphaNodeLink *twin); /* TWIN lives, so this endpoint counts as connected */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaDialler, hypha_dialler_unref)

G_END_DECLS
