/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/copier.h"
#include "io/hard-close.h"

struct _HyphaBuiltins {
  grefcount ref_count;
  HyphaWorker *worker; /* NULL until it is needed */
  GHashTable *copiers; /* set of HyphaCopier; the worker's */
  GHashTable *bridges; /* set of Bridge; likewise */
};

/* Two sockets, each of which is copied to the other. The copiers have descriptors of their own. */
typedef struct {
  HyphaBuiltins *builtins;
  int fds[2];
  HyphaCopier *copiers[2];  /* NULL: done */
  guint64 bytes[2];         /* of those that are */
  GError *error;            /* the first; nullable */
  HyphaBuiltinsJoined func; /* NULL: nobody is told */
  gpointer user_data;
  GMainContext *context; /* of FUNC */
} Bridge;

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

static gboolean
has_worker (HyphaBuiltins *self, GError **error)
{
  if (self->worker == NULL)
    self->worker = hypha_worker_new ("hypha-builtin", error);
  return self->worker != NULL;
}

/* The peer's socket, or one that leads to the peer; -1: there is none to be had, or nobody to serve
 * it, and INCOMING was refused. What it lacks is no limit of streams: the opener is sent to the
 * log. EMPTY: what it was taken out of, to be let go when INCOMING is answered. */
static int
take_fd (HyphaBuiltins *self, HyphaIncoming *incoming, HyphaStream **empty)
{
  g_autoptr (GError) error = NULL;
  int fd = -1;

  if (has_worker (self, &error))
    *empty = hypha_incoming_make_stream (incoming, &error);
  if (*empty != NULL)
    fd = hypha_stream_steal_fd (*empty);
  if (fd < 0) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming),
               error != NULL ? error->message : g_strerror (errno));
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
  }
  return fd;
}

static void
serve (HyphaBuiltins *self, HyphaIncoming *incoming, gboolean echo)
{
  g_autoptr (HyphaStream) empty = NULL;
  int fd = take_fd (self, incoming, &empty);
  Order *order;

  if (fd < 0)
    return;
  order = g_new (Order, 1);
  order->builtins = self;
  order->fd = fd;
  order->echo = echo;
  /* First what the opener waits for. */
  hypha_incoming_accept_made (incoming);
  hypha_worker_post (self->worker, start, order);
}

/* ---- bridges ---- */

/* FUNC has been told, or nobody is. */
static void
bridge_clear (gpointer data)
{
  Bridge *bridge = data;

  g_clear_error (&bridge->error);
  g_clear_pointer (&bridge->context, g_main_context_unref);
  g_free (bridge);
}

static gboolean
tell_joined (gpointer data)
{
  Bridge *bridge = data;

  bridge->func (bridge->bytes[0], bridge->bytes[1], bridge->error, bridge->user_data);
  return G_SOURCE_REMOVE;
}

static void
bridge_free (Bridge *bridge, gboolean hard)
{
  g_hash_table_remove (bridge->builtins->bridges, bridge);
  for (guint i = 0; i < 2; i++) {
    if (bridge->copiers[i] != NULL) {
      bridge->bytes[i] = hypha_copier_get_bytes (bridge->copiers[i]);
      hypha_copier_cancel (bridge->copiers[i]);
    }
    if (hard)
      hypha_hard_close (bridge->fds[i]);
    else
      hypha_soft_close (bridge->fds[i]);
  }
  if (hard && bridge->error == NULL)
    bridge->error =
        g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node has stopped"));
  if (bridge->func != NULL) {
    g_autoptr (GSource) source = g_idle_source_new ();

    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, tell_joined, bridge, bridge_clear);
    g_source_attach (source, bridge->context);
  } else {
    bridge_clear (bridge);
  }
}

static gboolean
is_unix (int fd)
{
  int domain = -1;
  socklen_t length = sizeof domain;

  return getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

static void
copied (HyphaCopier *copier, guint64 bytes, const GError *error, gpointer user_data)
{
  Bridge *bridge = user_data;
  guint which = bridge->copiers[0] == copier ? 0 : 1;

  bridge->copiers[which] = NULL;
  bridge->bytes[which] = bytes;
  if (error != NULL && bridge->error == NULL)
    bridge->error = g_error_copy (error);
  /* Whoever has closed without reading all may still have sent something, which goes on its way; on
   * a Unix socket, that is all that a reset says. */
  if (error != NULL && error->code != HYPHA_ERROR_GONE && !is_unix (bridge->fds[which])) {
    bridge_free (bridge, TRUE);
  } else if (bridge->copiers[!which] == NULL) {
    bridge_free (bridge, FALSE);
  } else if (error != NULL) {
    shutdown (bridge->fds[!which], SHUT_WR);
    shutdown (bridge->fds[which], SHUT_RD); /* who still writes there is to learn of it */
  }
}

static int
copy_of (int fd)
{
  return fcntl (fd, F_DUPFD_CLOEXEC, 3);
}

static HyphaCopier *
start_copier (Bridge *bridge, int from, int to, GError **error)
{
  int from_copy = copy_of (from), to_copy = copy_of (to);

  if (from_copy >= 0 && to_copy >= 0)
    return hypha_copier_start (bridge->builtins->worker, from_copy, to_copy, copied, bridge, error);
  if (from_copy >= 0)
    close (from_copy);
  if (to_copy >= 0)
    close (to_copy);
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_BUSY, _ ("there are no more descriptors"));
  return NULL;
}

static void
start_bridge (gpointer data)
{
  Bridge *bridge = data;
  g_autoptr (GError) error = NULL;

  g_hash_table_add (bridge->builtins->bridges, bridge);
  /* The end of this process is none of what goes over it. */
  for (guint i = 0; i < 2; i++)
    hypha_hard_close_later (bridge->fds[i]);
  for (guint i = 0; i < 2 && error == NULL; i++)
    bridge->copiers[i] = start_copier (bridge, bridge->fds[i], bridge->fds[!i], &error);
  if (error == NULL)
    return;
  if (bridge->func == NULL)
    g_warning ("a direct stream could not be led to its target: %s", error->message);
  bridge->error = g_steal_pointer (&error);
  bridge_free (bridge, TRUE);
}

/* Both are taken. */
static Bridge *
bridge_new (HyphaBuiltins *self, int one, int other)
{
  Bridge *bridge = g_new0 (Bridge, 1);

  bridge->builtins = self;
  bridge->fds[0] = one;
  bridge->fds[1] = other;
  return bridge;
}

void
hypha_builtins_bridge (HyphaBuiltins *self, HyphaIncoming *incoming, int target)
{
  g_autoptr (HyphaStream) empty = NULL;
  int fd = take_fd (self, incoming, &empty);

  if (fd < 0) {
    hypha_hard_close (target);
    return;
  }
  hypha_worker_post (self->worker, start_bridge, bridge_new (self, fd, target));
  hypha_incoming_accept_made (incoming);
}

gboolean
hypha_builtins_join (HyphaBuiltins *self, int a, int b, HyphaBuiltinsJoined func,
                     gpointer user_data, GError **error)
{
  Bridge *bridge;

  if (!has_worker (self, error)) {
    hypha_hard_close (a);
    hypha_hard_close (b);
    return FALSE;
  }
  bridge = bridge_new (self, a, b);
  bridge->func = func;
  bridge->user_data = user_data;
  bridge->context = g_main_context_ref_thread_default ();
  hypha_worker_post (self->worker, start_bridge, bridge);
  return TRUE;
}

/* ---- life ---- */

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

  g_ref_count_init (&self->ref_count);
  self->copiers = g_hash_table_new (NULL, NULL);
  self->bridges = g_hash_table_new (NULL, NULL);
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
  while (g_hash_table_size (self->bridges) > 0) {
    Bridge *bridge;

    g_hash_table_iter_init (&iter, self->bridges);
    g_hash_table_iter_next (&iter, (gpointer *) &bridge, NULL);
    bridge_free (bridge, TRUE);
  }
}

HyphaBuiltins *
hypha_builtins_ref (HyphaBuiltins *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
hypha_builtins_unref (HyphaBuiltins *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  if (self->worker != NULL) {
    hypha_worker_post (self->worker, end, self);
    hypha_worker_free (self->worker);
  }
  g_hash_table_unref (self->copiers);
  g_hash_table_unref (self->bridges);
  g_free (self);
}
