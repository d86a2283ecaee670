/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service/port-set.h"

G_BEGIN_DECLS

/* The TCP ports of this machine on which others than this process listen, so that whoever connects
 * to the loopback's own address reaches them. Main thread; nothing here waits. */
typedef struct _HyphaPorts HyphaPorts;

HyphaPorts *hypha_ports_new (void);
void hypha_ports_free (HyphaPorts *self);
/* Asks the kernel. UNAVAILABLE: it does not tell. */
gboolean hypha_ports_look (HyphaPorts *self, HyphaPortSet *ports, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPorts, hypha_ports_free)

/* ---- what the kernel says, for tests and fuzzers ---- */

typedef struct {
  guint16 port;
  guint32 inode;
} HyphaPortsSocket;

/* Adds to SOCKETS (of HyphaPortsSocket) those of LENGTH bytes of messages that count. DONE: the
 * kernel has said all. */
gboolean hypha_ports_parse (const void *bytes, gsize length, GArray *sockets, gboolean *done,
                            GError **error);

G_END_DECLS
