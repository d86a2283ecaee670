/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vsock-address.h"

G_BEGIN_DECLS

/* How much the kernel holds of what one channel has received and nobody has read, in bytes: the
 * other end cannot write more than that ahead. */
typedef struct {
  guint64 size;
  guint64 max; /* at least size: what the kernel cuts size to */
} VsockBuffers;

/* What fails here costs speed, never a byte. */
void vsock_socket_set_buffers (int fd, const VsockBuffers *buffers);

/* A socket from which ADDRESS is to be dialled, whose own deadline comes after TIMEOUT_MS. -1:
 * UNAVAILABLE, FAILED. */
int vsock_socket_for_dialling (const VsockAddress *address, const char *display, guint timeout_ms,
                               const VsockBuffers *buffers, GError **error);

/* A listening socket on ADDRESS; BOUND is where, with the port that the kernel chose. -1:
 * ADDRESS_IN_USE, PERMISSION_DENIED, UNAVAILABLE, FAILED. */
int vsock_socket_listen (const VsockAddress *address, const char *display,
                         const VsockBuffers *buffers, VsockAddress *bound, GError **error);

G_END_DECLS
