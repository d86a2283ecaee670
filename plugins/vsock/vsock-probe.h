/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vsock-address.h"

G_BEGIN_DECLS

#define VSOCK_DEVICE_PATH "/dev/vsock"
#define VSOCK_MODULE_PATH "/sys/module/vsock"

/* Whether vsock can be used here, and DETAILS about it:
 *   stream, seqpacket (b)  the kinds of socket that the kernel has
 *   loopback (b)           CID 1 works
 *   guests (b)             virtual machines of this one can be reached
 *   local-cid (u)          its own, as its hypervisor sees it
 *   local-cid-unknown (s)  in place of that: why it is not known, and what to do
 * Nothing is sent. */
gboolean vsock_probe (const char *device, const char *module, GVariantDict *details,
                      GError **error);

/* Whether a socket can be bound to CID; on any port, and only for a moment. */
gboolean vsock_has_cid (guint32 cid);

/* What CODE means where a vsock socket could not be opened, or the device at DEVICE could not; and
 * what to do. To free. */
char *vsock_explain_family (int code, const char *module);
char *vsock_explain_device (int code, const char *device);

G_END_DECLS
