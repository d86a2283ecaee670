/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/socket.h>

G_BEGIN_DECLS

/* Listens on ADDRESS, fills the queue of connections and accepts none: whoever connects from now on
 * gets no answer. The descriptors go into HELD (of int); ADDRESS becomes what was bound. */
void silent_listen (struct sockaddr *address, socklen_t *length, GArray *held);

/* The same on a port of 127.0.0.1 or ::1, or a socket of datagrams that nobody reads: FORMAT, with
 * a %u for the port. */
char *silent_inet (int family, int type, const char *format, GArray *held);

G_END_DECLS
