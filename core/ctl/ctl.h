/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* What every verb is given. */
typedef struct {
  HyphaBus bus;
  gboolean json;
  gboolean quiet;      /* nobody sits there to be asked for a password */
  HyphaClient *client; /* made for the first who needs it */
  int status;          /* what to exit with if a verb succeeds: 0, unless it sets this */
  int failure;         /* and if not; 0: what is usual for the error */
  GArray *options;     /* NULL, or a verb tells its options (GOptionEntry) here and does nothing */
} HyphaCtl;

void hypha_ctl_clear (HyphaCtl *self);

/* NULL with an error that says how to start a node. */
HyphaClient *hypha_ctl_get_client (HyphaCtl *self, GError **error);
HyphaDBusNode1 *hypha_ctl_get_node (HyphaCtl *self, GError **error);
HyphaDBusConfig1 *hypha_ctl_get_config (HyphaCtl *self, GError **error); /* (transfer full) */
HyphaClientPeer *hypha_ctl_find_peer (HyphaCtl *self, const char *text, GError **error);
/* Of one kind, sorted by path: GDBusObject. */
GPtrArray *hypha_ctl_list (HyphaCtl *self, const char *folder, GError **error);
/* How people call the peer whose object is at PATH: its name, else the beginning of its id. */
char *hypha_ctl_dup_peer_name (HyphaCtl *self, const char *path);

/* For verbs that do one thing after the other: a callback that keeps the result at USER_DATA
 * (GAsyncResult **), and the wait for it. */
void hypha_ctl_on_done (GObject *source, GAsyncResult *result, gpointer user_data);
GAsyncResult *hypha_ctl_wait_for (GAsyncResult **result);
/* From here on, what would end the process sets INTERRUPTED and wakes the main context. */
void hypha_ctl_catch_signals (gboolean *interrupted);

/* Waits for both, for the verbs that do one thing after the other. */
HyphaStream *hypha_ctl_open_stream (HyphaClientPeer *peer, const char *service, gboolean direct,
                                    guint timeout_ms, GError **error);
gboolean hypha_ctl_wait_end (HyphaStream *stream, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCtl, hypha_ctl_clear)

G_END_DECLS
