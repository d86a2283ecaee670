/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two nodes meet, and bytes go there and back: over a stream to a service, over one to a program
 * behind a socket, and over a direct one; or over many streams at once, which nobody reads for a
 * while. */

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

/* ---- both sides ---- */

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

/* ---- many at once ---- */

#define MANY 150               /* more than a small chunk has room for in a RESUME */
#define BYTES_EACH (16 * 1024) /* more than a stream may always have under way */

typedef struct {
  GAsyncResult *opened, *written, *read;
  HyphaStream *stream;
  guint8 in[BYTES_EACH];
} One;

typedef struct {
  One ones[MANY];
  GCancellable *end;
  guint8 out[BYTES_EACH];
} Many;

static void
on_one_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  One *self = user_data;

  self->written = g_object_ref (result);
  hypha_stream_close_write (self->stream, NULL);
}

static gboolean
all_opened (gpointer data)
{
  Many *self = data;
  guint n = 0;

  while (n < MANY && self->ones[n].opened != NULL)
    n++;
  return n == MANY;
}

static gboolean
all_read (gpointer data)
{
  Many *self = data;
  guint n = 0;

  while (n < MANY && self->ones[n].read != NULL)
    n++;
  return n == MANY;
}

static gboolean
all_written (gpointer data)
{
  Many *self = data;
  guint n = 0;

  while (n < MANY && (self->ones[n].stream == NULL || self->ones[n].written != NULL))
    n++;
  return n == MANY;
}

static gboolean
open_many (Many *self, HyphaPeer *peer, GError **error)
{
  gboolean passed = TRUE;

  for (guint i = 0; i < MANY; i++)
    hypha_peer_open_stream_async (peer, "echo", TIMEOUT_MS, NULL, keep_result,
                                  &self->ones[i].opened);
  g_assert_true (scenario_wait (all_opened, self, "the streams", NULL));
  for (guint i = 0; i < MANY; i++) {
    One *one = &self->ones[i];

    one->stream = hypha_peer_open_stream_finish (peer, one->opened, passed ? error : NULL);
    passed = passed && one->stream != NULL;
  }
  return passed;
}

static void
write_many (Many *self)
{
  for (gsize i = 0; i < BYTES_EACH; i++)
    self->out[i] = (guint8) (i * 31 + (i >> 8));
  for (guint i = 0; i < MANY; i++)
    if (self->ones[i].stream != NULL)
      g_output_stream_write_all_async (
          g_io_stream_get_output_stream (G_IO_STREAM (self->ones[i].stream)), self->out, BYTES_EACH,
          G_PRIORITY_DEFAULT, self->end, on_one_written, &self->ones[i]);
}

/* So many bytes of each, from AT on. */
static gboolean
read_many (Many *self, gsize at, gsize length, GError **error)
{
  gboolean passed = TRUE;

  for (guint i = 0; i < MANY; i++)
    g_input_stream_read_all_async (
        g_io_stream_get_input_stream (G_IO_STREAM (self->ones[i].stream)), self->ones[i].in + at,
        length, G_PRIORITY_DEFAULT, NULL, keep_result, &self->ones[i].read);
  g_assert_true (scenario_wait (all_read, self, "the bytes of all streams", NULL));
  for (guint i = 0; i < MANY; i++) {
    One *one = &self->ones[i];
    gsize got;
    gboolean read =
        g_input_stream_read_all_finish (g_io_stream_get_input_stream (G_IO_STREAM (one->stream)),
                                        one->read, &got, passed ? error : NULL);

    g_clear_object (&one->read);
    g_assert_cmpmem (one->in + at, got, self->out + at, got);
    if (passed && read && got < length)
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "stream %u ended early", i);
    passed = passed && read && got == length;
  }
  return passed;
}

static void
many_free (Many *self)
{
  g_cancellable_cancel (self->end);
  g_assert_true (scenario_wait (all_written, self, "the end of writing", NULL));
  for (guint i = 0; i < MANY; i++) {
    g_clear_object (&self->ones[i].opened);
    g_clear_object (&self->ones[i].written);
    g_clear_object (&self->ones[i].stream);
  }
  g_object_unref (self->end);
  g_free (self);
}

/* They lie unread while another link comes up, over which both sides tell of all of them. */
static gboolean
exchange_many (World *world, HyphaPeer *peer, GError **error)
{
  Many *self = g_new0 (Many, 1);
  g_autoptr (HyphaPeer) again = NULL;
  gboolean passed;

  self->end = g_cancellable_new ();
  passed = open_many (self, peer, error);
  write_many (self);
  passed = passed && read_many (self, 0, 1, error) &&
           meet (world, "tcp://127.0.0.1:0", &again, error) &&
           read_many (self, 1, BYTES_EACH - 1, error);
  many_free (self);
  return passed;
}

/* ---- one after the other ---- */

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
scenario_many (const char *folder, GError **error)
{
  g_autofree char *endpoint = g_strdup_printf ("unix://%s/link", folder);
  World world = { 0 };
  g_autoptr (HyphaPeer) peer = NULL;
  gboolean passed = world_up (&world, folder, error) && meet (&world, endpoint, &peer, error) &&
                    exchange_many (&world, peer, error);

  g_clear_object (&peer);
  world_down (&world);
  return passed;
}

gboolean
scenario_tls (const char *folder, GError **error)
{
  return run (folder, "tcp://127.0.0.1:0", FALSE, error);
}
