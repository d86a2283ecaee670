/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "loader/loader.h"

G_BEGIN_DECLS

/* One endpoint that is listened on, until it is no longer wanted: opens it, opens it again when
 * that failed or its transport came back. Main thread; counted by reference. */
typedef struct _HyphaDoor HyphaDoor;

typedef struct {
  void (*knocked) (HyphaDoor *door, HyphaChannel *channel, gpointer user_data);
  void (*changed) (HyphaDoor *door, gpointer user_data); /* open, or not */
  /* Where the node listens already by a socket that was handed over, if that is ENDPOINT: then this
   * door has nothing to do. NULL: it does not. Nullable. */
  const char *(*held) (HyphaDoor *door, HyphaEndpoint *endpoint, gpointer user_data);
  /* FALSE: the transport of ENDPOINT is not for this node, and the error says why. Nullable. */
  gboolean (*may_use) (HyphaEndpoint *endpoint, gpointer user_data, GError **error);
  /* It cannot be opened, and the reason is a new one. NULL: it is logged. */
  void (*troubled) (HyphaDoor *door, const char *trouble, gpointer user_data);
  /* Whoever knocks is to become a link: no transport does that may lose what it carries. */
  gboolean for_links;
} HyphaDoorEvents;

HyphaDoor *hypha_door_new (HyphaLoader *loader, const char *uri, gboolean permanent,
                           const HyphaDoorEvents *events, gpointer user_data, GError **error);
/* Listens on FD (taken), which somebody else has bound, by whatever transport takes it. NAME is
 * what people call it until one did; it is the URI of this door. */
HyphaDoor *hypha_door_new_adopted (HyphaLoader *loader, int fd, const char *name,
                                   const HyphaDoorEvents *events, gpointer user_data);
HyphaDoor *hypha_door_ref (HyphaDoor *self);
void hypha_door_unref (HyphaDoor *self);
void hypha_door_open (HyphaDoor *self);  /* now; does nothing while it is open or opening */
void hypha_door_close (HyphaDoor *self); /* for good */
/* Completes with the bound endpoint (a string) once open, or with what went wrong; then the door is
 * closed if it is not permanent. */
void hypha_door_await (HyphaDoor *self, GTask *task);
/* TASK, which waits, is answered by its cancellable. */
void hypha_door_await_no_more (HyphaDoor *self, GTask *task);
/* Not permanent, never open, and nobody waits. */
gboolean hypha_door_is_unwanted (HyphaDoor *self);

const char *hypha_door_get_uri (HyphaDoor *self);
const char *hypha_door_get_bound (HyphaDoor *self);   /* NULL: not open */
const char *hypha_door_get_trouble (HyphaDoor *self); /* NULL: none */
gboolean hypha_door_is_opening (HyphaDoor *self);     /* for the first time */
gboolean hypha_door_is_adopted (HyphaDoor *self);
gboolean hypha_door_is_permanent (HyphaDoor *self);
void hypha_door_set_permanent (HyphaDoor *self, gboolean permanent);
gboolean hypha_door_is_spent (HyphaDoor *self); /* not permanent, and failed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaDoor, hypha_door_unref)

G_END_DECLS
