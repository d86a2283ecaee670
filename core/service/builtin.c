/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/builtin.h"

#include <sys/socket.h>
#include <unistd.h>

#include "io/copier.h"

struct _HyphaBuiltins {
  HyphaWorker *worker; /* NULL until it is needed */
  GHashTable *copiers; /* set of HyphaCopier; the worker's */
};

typedef struct {
  HyphaBuiltins *builtins;
  int fd;
  gboolean echo;
} Order;

static void
done (HyphaCopier *copier, guint64 bytes, const GError *error, gpointer user_data)
{
  HyphaBuiltins *self = user_data;

  g_hash_table_remove (self->copiers, copier);
}

static void
start (gpointer data)
{
  g_autofree Order *order = data;
  HyphaBuiltins *self = order->builtins;
  g_autoptr (GError) error = NULL;
  HyphaCopier *copier = hypha_copier_start (self->worker, order->fd, order->echo ? order->fd : -1,
                                            done, self, &error);

  if (copier != NULL)
    g_hash_table_add (self->copiers, copier);
  else
    g_warning ("a stream to %s could not be served: %s", order->echo ? "echo" : "discard",
               error->message);
}

static void
serve (HyphaBuiltins *self, HyphaIncoming *incoming, gboolean echo)
{
  Order *order;
  int fds[2];

  if (self->worker == NULL)
    self->worker = hypha_worker_new ("hypha-builtin", NULL);
  if (self->worker == NULL ||
      socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
    return;
  }
  order = g_new (Order, 1);
  order->builtins = self;
  order->fd = fds[1];
  order->echo = echo;
  hypha_worker_post (self->worker, start, order);
  hypha_incoming_accept (incoming, fds[0], NULL);
}

void
hypha_builtins_echo (HyphaBuiltins *self, HyphaIncoming *incoming)
{
  serve (self, incoming, TRUE);
}

void
hypha_builtins_discard (HyphaBuiltins *self, HyphaIncoming *incoming)
{
  serve (self, incoming, FALSE);
}

HyphaBuiltins *
hypha_builtins_new (void)
{
  HyphaBuiltins *self = g_new0 (HyphaBuiltins, 1);

  self->copiers = g_hash_table_new (NULL, NULL);
  return self;
}

static void
end (gpointer data)
{
  HyphaBuiltins *self = data;
  GHashTableIter iter;
  HyphaCopier *copier;

  g_hash_table_iter_init (&iter, self->copiers);
  while (g_hash_table_iter_next (&iter, (gpointer *) &copier, NULL))
    hypha_copier_cancel (copier);
}

void
hypha_builtins_free (HyphaBuiltins *self)
{
  if (self->worker != NULL) {
    hypha_worker_post (self->worker, end, self);
    hypha_worker_free (self->worker);
  }
  g_hash_table_unref (self->copiers);
  g_free (self);
}
