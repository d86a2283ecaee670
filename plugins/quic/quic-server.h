/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-connection.h"

G_BEGIN_DECLS

/* A socket with the connections that come by it, told apart by their ids. */
typedef struct _QuicServer QuicServer;

#define QUIC_DEFAULT_CONNECTIONS 1024
#define QUIC_MAX_CONNECTIONS 4096

/* Above so many unfinished handshakes, who comes has to show that he hears what is sent to him. */
#define QUIC_RETRY_ABOVE 32

/* For tests, which have no thousands of sockets: unfinished handshakes in all; 0: it is as ever. */
void quic_server_set_max_unfinished (guint max);

/* CHANNEL is taken. Called on the loop, until quic_server_close() has returned. */
typedef void (*QuicServerKnocked) (HyphaChannel *channel, gpointer user_data);

/* Any thread. FD is bound to LOCAL, and taken; -1: one that was closed, and has connections still,
 * listens again, if there is one for LOCAL. NULL without ERROR: there is none. */
QuicServer *quic_server_listen (int fd, const QuicAddress *local, guint max,
                                QuicServerKnocked knocked, gpointer user_data, GError **error);
/* Takes nobody in any more. The address is free when it returns; but if there are connections still
 * they keep it, and quic_server_listen() may have it back. */
void quic_server_close (QuicServer *self);

G_END_DECLS
