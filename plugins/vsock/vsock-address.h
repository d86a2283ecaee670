/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>
/* Wants what hypha-plugin.h includes. */
#include <linux/vm_sockets.h>

G_BEGIN_DECLS

/* What stands behind "vsock:". */
typedef struct {
  guint32 cid;  /* VMADDR_CID_ANY: every one that this machine has */
  guint32 port; /* 0: the kernel chooses */
} VsockAddress;

gboolean vsock_address_parse (HyphaEndpoint *endpoint, VsockAddress *self, GError **error);
HyphaEndpoint *vsock_address_to_endpoint (const VsockAddress *self, HyphaEndpoint *options_of);
void vsock_address_to_sockaddr (const VsockAddress *self, struct sockaddr_vm *out);
void vsock_address_from_sockaddr (VsockAddress *self, const struct sockaddr_vm *sockaddr);

/* Whether it takes a privilege to listen there. */
gboolean vsock_address_is_privileged (const VsockAddress *self);

G_END_DECLS
