/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* Some bytes to a service that sends everything back, and how long that takes. */
#define HYPHA_PROBE_BYTES 64

gboolean hypha_probe_send (HyphaStream *stream, int number, int timeout_ms, guint64 *rtt,
                           GError **error);
void hypha_probe_finish (HyphaStream *stream, int timeout_ms);
/* FALSE: the deadline (us, monotonic) has passed. */
gboolean hypha_probe_wait_fd (int fd, short events, gint64 deadline);
/* What carries the probes now. */
void hypha_probe_ask_link (HyphaClientPeer *client_peer, char **transport, guint64 *rtt);

G_END_DECLS
