/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-routes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS (RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)
#define MESSAGES_AT_ONCE 64

typedef struct {
  HyphaLoopWatch watch;
  GPtrArray *clients; /* of QuicRoutesClient */
} Routes;

/* What has changed is not asked: where packets leave from is found out by asking the kernel. */
static void
ready (gpointer owner, guint32 events)
{
  Routes *self = owner;
  g_autoptr (GPtrArray) clients = g_ptr_array_copy (self->clients, NULL, NULL);
  guint8 buffer[8192];
  gboolean heard = FALSE;

  for (guint i = 0; i < MESSAGES_AT_ONCE; i++) {
    gssize got = recv (self->watch.fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
      break;
    /* That some were lost is news, too. */
    heard = TRUE;
  }
  for (guint i = 0; heard && i < clients->len; i++) {
    QuicRoutesClient *client = clients->pdata[i];

    client->changed (client->owner);
  }
}

static void
routes_free (gpointer routes)
{
  Routes *self = routes;

  close (self->watch.fd);
  g_ptr_array_unref (self->clients);
  g_free (self);
}

static Routes *
routes_new (HyphaLoop *loop)
{
  const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = GROUPS };
  int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  Routes *self;

  if (fd < 0)
    return NULL;
  self = g_new0 (Routes, 1);
  self->watch = (HyphaLoopWatch){ .fd = fd, .ready = ready, .owner = self };
  self->clients = g_ptr_array_new ();
  if (bind (fd, (const struct sockaddr *) &address, sizeof address) < 0 ||
      !hypha_loop_watch (loop, &self->watch, EPOLLIN))
    g_clear_pointer (&self, routes_free);
  return self;
}

gboolean
quic_routes_join (HyphaLoop *loop, QuicRoutesClient *client)
{
  gpointer *slot = &quic_state_get (loop)->routes;
  Routes *self = *slot != NULL ? *slot : routes_new (loop);

  if (self == NULL)
    return FALSE;
  *slot = self;
  g_ptr_array_add (self->clients, client);
  return TRUE;
}

void
quic_routes_leave (HyphaLoop *loop, QuicRoutesClient *client)
{
  gpointer *slot = &quic_state_get (loop)->routes;
  Routes *self = *slot;

  if (self == NULL)
    return;
  g_ptr_array_remove_fast (self->clients, client);
  if (self->clients->len > 0)
    return;
  hypha_loop_unwatch (loop, &self->watch);
  *slot = NULL;
  hypha_loop_call (loop, routes_free, self);
}
