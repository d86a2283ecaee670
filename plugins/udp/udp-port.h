/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "udp-flow.h"

G_BEGIN_DECLS

/* A socket for datagrams with its flows: one that listens has a flow for each way by which they
 * come, one that is connected has one flow, and ends with it. */
typedef struct _UdpPort UdpPort;

#define UDP_DEFAULT_FLOWS 256
#define UDP_MAX_FLOWS 1024

/* The thread on which datagrams move: one for the process, there while anything is open. */
HyphaLoop *udp_port_acquire_loop (GError **error);

/* A new flow; FD is taken. Called on the loop, until udp_port_close() has returned. */
typedef void (*UdpPortKnocked) (int fd, const UdpWay *way, gpointer user_data);

/* What both do takes FD, also on failure. DISPLAY is how the log calls it; IDLE as for a flow. */
UdpPort *udp_port_listen (int fd, const char *display, gint64 idle, guint max_flows,
                          UdpPortKnocked knocked, gpointer user_data, GError **error);
/* FD is connected; STREAM, one end of a socketpair, is taken, too. It frees itself. */
gboolean udp_port_join (int fd, int stream, const char *display, gint64 idle, GError **error);
/* Of one that listens; any thread. The address is free when it returns, and its flows end. */
void udp_port_close (UdpPort *self);

G_END_DECLS
