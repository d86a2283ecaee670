/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-tls.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define AT_ONCE 4 /* of each side: the pool has 10 threads */
#define LOOK_MS 250
/* How long it may be the turn of one who comes; who goes has a deadline. It is looked at now and
 * then, and only what is counted: where this machine is so busy that what came lies unread, or
 * that looks are late, he has longer. Where others wait it is so little that one address, with its
 * 16 places, holds them up for less than the 10 s that they have. */
#define MAX_LOOKS (5000 / LOOK_MS)
#define CROWDED_LOOKS (2000 / LOOK_MS)

/* One handshake: the data of its task. */
typedef struct {
  HyphaLoop *loop;
  WebsocketGate *gate;
  GCancellable *cancellable; /* of the handshake alone */
  gulong follow;             /* the caller's */
  GSource *waiting;          /* for its turn, or for the caller to give up */
  GSource *deadline;
  GSocket *socket;
  guint looks; /* at which it was the other end's turn */
  gboolean overdue;
} Handshake;

static void
handshake_free (gpointer data)
{
  Handshake *self = data;

  g_object_unref (self->cancellable);
  g_object_unref (self->socket);
  hypha_loop_release (self->loop);
  g_free (self);
}

static void start_next (WebsocketGate *gate);

static void
on_shaken (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Handshake *self = g_task_get_task_data (task);
  GError *error = NULL;

  g_cancellable_disconnect (g_task_get_cancellable (task), self->follow);
  websocket_clear_source (&self->deadline);
  self->gate->running--;
  start_next (self->gate);
  if (g_tls_connection_handshake_finish (G_TLS_CONNECTION (source), result, &error))
    g_task_return_boolean (task, TRUE);
  else if (self->overdue) {
    g_clear_error (&error);
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                             _ ("TLS was not there within %d ms"), (int) self->looks * LOOK_MS);
  } else
    g_task_return_error (task, error);
}

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  g_cancellable_cancel (data);
}

/* A few who stall keep nobody out for long. */
static gboolean
on_look (gpointer data)
{
  Handshake *self = data;
  guint most = g_queue_is_empty (&self->gate->waiting) ? MAX_LOOKS : CROWDED_LOOKS;

  if (g_socket_get_available_bytes (self->socket) <= 0)
    self->looks++;
  if (self->looks < most)
    return G_SOURCE_CONTINUE;
  self->overdue = TRUE;
  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

static void
start_next (WebsocketGate *gate)
{
  while (gate->running < AT_ONCE && !g_queue_is_empty (&gate->waiting)) {
    GTask *task = g_queue_pop_head (&gate->waiting);
    Handshake *self = g_task_get_task_data (task);

    websocket_clear_source (&self->waiting);
    gate->running++;
    if (G_IS_TLS_SERVER_CONNECTION (g_task_get_source_object (task)))
      self->deadline = websocket_add_timeout (LOOK_MS, on_look, self);
    self->follow = g_cancellable_connect (g_task_get_cancellable (task), G_CALLBACK (on_cancelled),
                                          self->cancellable, NULL);
    g_tls_connection_handshake_async (g_task_get_source_object (task), G_PRIORITY_DEFAULT,
                                      self->cancellable, on_shaken, task);
  }
}

static gboolean
on_given_up (GCancellable *cancellable, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Handshake *self = g_task_get_task_data (task);

  g_queue_remove (&self->gate->waiting, task);
  websocket_clear_source (&self->waiting);
  g_task_return_error_if_cancelled (task);
  return G_SOURCE_REMOVE;
}

void
websocket_tls_handshake_async (HyphaLoop *loop, GTlsConnection *connection,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  GTask *task = g_task_new (connection, cancellable, callback, user_data);
  Handshake *self = g_new0 (Handshake, 1);
  g_autoptr (GSocketConnection) base = NULL;

  g_task_set_source_tag (task, websocket_tls_handshake_async);
  self->loop = hypha_loop_ref (loop);
  self->gate = G_IS_TLS_SERVER_CONNECTION (connection) ? &websocket_state_get (loop)->coming
                                                       : &websocket_state_get (loop)->going;
  self->cancellable = g_cancellable_new ();
  g_object_get (connection, "base-io-stream", &base, NULL);
  self->socket = g_object_ref (g_socket_connection_get_socket (base));
  g_task_set_task_data (task, self, handshake_free);
  g_queue_push_tail (&self->gate->waiting, task);
  self->waiting =
      websocket_attach (g_cancellable_source_new (cancellable), G_SOURCE_FUNC (on_given_up), task);
  start_next (self->gate);
}

gboolean
websocket_tls_handshake_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
is_same_time (const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

GTlsDatabase *
websocket_tls_read_trusted (HyphaLoop *loop, const char *path, GError **error)
{
  WebsocketTrust *trust = &websocket_state_get (loop)->trust;
  GStatBuf info = { 0 };

  /* What is not there is told by who reads it. */
  if (g_stat (path, &info) == 0 && trust->database != NULL && g_str_equal (trust->path, path) &&
      is_same_time (&info.st_mtim, &trust->changed))
    return g_object_ref (trust->database);
  g_clear_object (&trust->database);
  g_free (trust->path);
  trust->path = g_strdup (path);
  trust->changed = info.st_mtim;
  trust->database = g_tls_file_database_new (path, error);
  return trust->database != NULL ? g_object_ref (trust->database) : NULL;
}

GIOStream *
websocket_tls_new_client (GSocketConnection *connection, GSocketConnectable *server,
                          GTlsDatabase *database, GError **error)
{
  GTlsBackend *backend = g_tls_backend_get_default ();
  g_autoptr (GTlsDatabase) trusted =
      database != NULL ? g_object_ref (database) : g_tls_backend_get_default_database (backend);

  return g_initable_new (g_tls_backend_get_client_connection_type (backend), NULL, error,
                         "base-io-stream", connection, "server-identity", server, "database",
                         trusted, NULL);
}

GIOStream *
websocket_tls_new_server (GSocketConnection *connection, GTlsCertificate *certificate,
                          GError **error)
{
  return g_initable_new (g_tls_backend_get_server_connection_type (g_tls_backend_get_default ()),
                         NULL, error, "base-io-stream", connection, "certificate", certificate,
                         "database", NULL, NULL);
}
