/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two nodes meet, and bytes go there and back: over a stream to a service, over one to a program
 * behind a socket, and over a direct one. */

#include "scenario.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include "node/node.h"
#include "service/services.h"

#define BYTES 300000 /* more than one window, and than one chunk */
#define TIMEOUT_MS 10000

typedef struct {
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
} Side;

typedef struct {
  Side near, far;
  char *program; /* the socket of one behind a service of the far side */
  GSocketService *listening;
} World;

/* ---- waiting ---- */

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **place = user_data;

  *place = g_object_ref (result);
}

static gboolean
has_come (gpointer data)
{
  GAsyncResult **place = data;

  return *place != NULL;
}

/* ---- two nodes ---- */

static gboolean
side_up (Side *self, const char *name, GError **error)
{
  static const char *const directories[] = { HYPHA_TEST_TCP_DIR, HYPHA_TEST_UNIX_DIR, NULL };

  self->identity = hypha_identity_generate (error);
  if (self->identity == NULL)
    return FALSE;
  self->loader = hypha_loader_new (directories);
  hypha_loader_start (self->loader);
  self->node = hypha_node_new (self->identity, self->loader, 2, error);
  if (self->node == NULL || !hypha_node_set_name (self->node, name, error))
    return FALSE;
  self->services = hypha_services_new (self->node);
  return TRUE;
}

static void
side_down (Side *self)
{
  if (self->node != NULL)
    hypha_node_stop (self->node);
  g_clear_object (&self->services);
  if (self->node != NULL)
    g_assert_finalize_object (g_steal_pointer (&self->node));
  g_clear_object (&self->loader);
  g_clear_pointer (&self->identity, hypha_identity_unref);
}

static gboolean
trust (Side *self, Side *other, const char *name, GError **error)
{
  g_autofree char *id = hypha_node_id_to_string (hypha_identity_get_id (other->identity));

  return hypha_node_trust (self->node, id, name, error);
}

/* ---- what each program of the far side does: all that comes goes back ---- */

static void
on_spliced (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GIOStream) both G_GNUC_UNUSED = user_data;

  g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, NULL);
}

static void
send_back (GIOStream *both)
{
  g_output_stream_splice_async (g_io_stream_get_output_stream (both),
                                g_io_stream_get_input_stream (both),
                                G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, G_PRIORITY_DEFAULT, NULL,
                                on_spliced, g_object_ref (both));
}

static gboolean
on_connection (GSocketService *listening, GSocketConnection *connection, GObject *source,
               gpointer user_data)
{
  send_back (G_IO_STREAM (connection));
  return TRUE;
}

/* ---- what the near side does ---- */

typedef struct {
  HyphaStream *stream;
  GAsyncResult *written, *read;
  guint8 *out, *in;
} Exchange;

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Exchange *self = user_data;

  self->written = g_object_ref (result);
  hypha_stream_close_write (self->stream, NULL);
}

static gboolean
both_ways (gpointer data)
{
  Exchange *self = data;

  return self->written != NULL && self->read != NULL;
}

/* Whatever came back has to be what was sent; a stream that fails says so. */
static gboolean
compare (Exchange *self, GError **error)
{
  gsize length;
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (self->stream));
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (self->stream));
  gboolean written = g_output_stream_write_all_finish (output, self->written, NULL, error);
  gboolean read =
      g_input_stream_read_all_finish (input, self->read, &length, written ? error : NULL);

  g_assert_cmpmem (self->in, length, self->out, length);
  if (!written || !read)
    return FALSE;
  if (length == BYTES)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "only %zu bytes came back", length);
  return FALSE;
}

/* A stream that was cut looks finished until it is asked. */
static gboolean
ended_well (HyphaStream *stream, GError **error)
{
  g_autoptr (GAsyncResult) ended = NULL;

  hypha_stream_wait_end_async (stream, NULL, keep_result, &ended);
  return scenario_wait (has_come, &ended, "the end of the stream", error) &&
         hypha_stream_wait_end_finish (stream, ended, NULL, NULL, error);
}

static gboolean
exchange (HyphaStream *stream, GError **error)
{
  g_autofree guint8 *out = g_malloc (BYTES), *in = g_malloc (BYTES);
  Exchange self = { .stream = stream, .out = out, .in = in };
  g_autoptr (GError) mismatch = NULL;
  gboolean waited, passed = FALSE;

  for (gsize i = 0; i < BYTES; i++)
    out[i] = (guint8) (i * 31 + (i >> 8));
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (stream)), out, BYTES,
                                   G_PRIORITY_DEFAULT, NULL, on_written, &self);
  g_input_stream_read_all_async (g_io_stream_get_input_stream (G_IO_STREAM (stream)), in, BYTES,
                                 G_PRIORITY_DEFAULT, NULL, keep_result, &self.read);
  waited = scenario_wait (both_ways, &self, "the bytes", error);
  g_assert_true (waited); /* what is under way has our memory */
  passed = compare (&self, &mismatch);
  g_clear_object (&self.written);
  g_clear_object (&self.read);
  /* How the stream ended says more than that its bytes are missing. */
  if (!ended_well (stream, error))
    return FALSE;
  if (!passed)
    g_propagate_error (error, g_steal_pointer (&mismatch));
  return passed;
}

static gboolean
open_and_exchange (HyphaPeer *peer, const char *service, GError **error)
{
  g_autoptr (GAsyncResult) opened = NULL;
  g_autoptr (HyphaStream) stream = NULL;

  hypha_peer_open_stream_async (peer, service, TIMEOUT_MS, NULL, keep_result, &opened);
  if (!scenario_wait (has_come, &opened, "the stream", error))
    return FALSE;
  stream = hypha_peer_open_stream_finish (peer, opened, error);
  return stream != NULL && exchange (stream, error);
}

static gboolean
open_direct_and_exchange (HyphaPeer *peer, const char *service, GError **error)
{
  g_autoptr (GAsyncResult) opened = NULL;
  g_autoptr (HyphaStream) stream = NULL;

  hypha_peer_open_direct_async (peer, service, TIMEOUT_MS, NULL, keep_result, &opened);
  if (!scenario_wait (has_come, &opened, "the direct stream", error))
    return FALSE;
  stream = hypha_peer_open_direct_finish (peer, opened, error);
  return stream != NULL && exchange (stream, error);
}

/* ---- all of it ---- */

static gboolean
world_up (World *self, const char *folder, GError **error)
{
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GVariant) services = NULL;
  g_autofree char *target = NULL;

  self->program = g_build_filename (folder, "program", NULL);
  target = g_strdup_printf ("unix://%s", self->program);
  address = g_unix_socket_address_new (self->program);
  self->listening = g_socket_service_new ();
  g_signal_connect (self->listening, "incoming", G_CALLBACK (on_connection), NULL);
  if (!g_socket_listener_add_address (G_SOCKET_LISTENER (self->listening), address,
                                      G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL,
                                      error) ||
      !side_up (&self->near, "near", error) || !side_up (&self->far, "far", error) ||
      !trust (&self->near, &self->far, "far", error) ||
      !trust (&self->far, &self->near, "near", error))
    return FALSE;
  services = g_variant_ref_sink (g_variant_new_parsed ("{'program': {'target': <%s>}}", target));
  return hypha_services_configure (self->far.services, services, error);
}

static void
world_down (World *self)
{
  side_down (&self->near);
  side_down (&self->far);
  if (self->listening != NULL)
    g_socket_service_stop (self->listening);
  if (self->listening != NULL)
    g_socket_listener_close (G_SOCKET_LISTENER (self->listening));
  g_clear_object (&self->listening);
  g_unlink (self->program);
  g_free (self->program);
}

static gboolean
meet (World *self, const char *endpoint, HyphaPeer **peer, GError **error)
{
  g_autoptr (GAsyncResult) listening = NULL, connected = NULL;
  g_autofree char *bound = NULL;

  hypha_node_listen_async (self->far.node, endpoint, NULL, NULL, keep_result, &listening);
  if (!scenario_wait (has_come, &listening, "listening", error))
    return FALSE;
  bound = hypha_node_listen_finish (self->far.node, listening, error);
  if (bound == NULL)
    return FALSE;
  hypha_node_connect_async (self->near.node, bound, NULL, NULL, keep_result, &connected);
  if (!scenario_wait (has_come, &connected, "connecting", error))
    return FALSE;
  *peer = hypha_node_connect_finish (self->near.node, connected, error);
  return *peer != NULL;
}

static gboolean
run (const char *folder, const char *endpoint, gboolean direct, GError **error)
{
  World world = { 0 };
  g_autoptr (HyphaPeer) peer = NULL;
  gboolean passed = world_up (&world, folder, error) && meet (&world, endpoint, &peer, error) &&
                    open_and_exchange (peer, "echo", error) &&
                    open_and_exchange (peer, "program", error) &&
                    (!direct || (open_direct_and_exchange (peer, "echo", error) &&
                                 open_direct_and_exchange (peer, "program", error)));

  g_clear_object (&peer);
  world_down (&world);
  return passed;
}

gboolean
scenario_plain (const char *folder, GError **error)
{
  g_autofree char *endpoint = g_strdup_printf ("unix://%s/link", folder);

  return run (folder, endpoint, TRUE, error);
}

gboolean
scenario_tls (const char *folder, GError **error)
{
  return run (folder, "tcp://127.0.0.1:0", FALSE, error);
}
