/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-connection-private.h"

#include <glib/gi18n-lib.h>
#include <stdatomic.h>

/* Until there is a channel: whoever comes has so long. */
#define ACCEPT_WITHIN (5 * NGTCP2_SECONDS)
#define OTHER_IDS 7
/* Addresses on the way are forgotten after 30 s of silence, by those who keep them for the shortest
 * time. */
#define IDLE (30 * NGTCP2_SECONDS)

static _Atomic guint64 other_idle;

void
quic_connection_set_idle (guint64 idle)
{
  atomic_store (&other_idle, idle);
}

/* ---- what ngtcp2 tells ---- */

static ngtcp2_conn *
get_conn (ngtcp2_crypto_conn_ref *ref)
{
  return ((QuicConnection *) ref->user_data)->conn;
}

static void
on_random (uint8_t *bytes, size_t size, const ngtcp2_rand_ctx *context)
{
  quic_tls_random (bytes, size);
}

static int
on_completed (ngtcp2_conn *conn, void *user_data)
{
  QuicConnection *self = user_data;

  self->completed = TRUE;
  self->disagreed = !quic_tls_has_agreed (self->session);
  return self->disagreed ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_stream_open (ngtcp2_conn *conn, int64_t stream, void *user_data)
{
  QuicConnection *self = user_data;

  if (!self->client && self->writer.stream < 0 && ngtcp2_is_bidi_stream (stream)) {
    self->writer.stream = stream;
    self->writer.announced = TRUE;
  }
  return 0;
}

static int
on_stream_data (ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset,
                const uint8_t *data, size_t size, void *user_data, void *stream_data)
{
  QuicConnection *self = user_data;

  if (stream == self->writer.stream)
    quic_pipe_deliver (&self->pipe, data, size, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
  else
    ngtcp2_conn_extend_max_offset (conn, size);
  return 0;
}

static int
on_acked (ngtcp2_conn *conn, int64_t stream, uint64_t offset, uint64_t size, void *user_data,
          void *stream_data)
{
  QuicConnection *self = user_data;

  if (stream == self->writer.stream)
    quic_pipe_acked (&self->pipe, offset, size);
  return 0;
}

static int
on_stream_reset (ngtcp2_conn *conn, int64_t stream, uint64_t size, uint64_t code, void *user_data,
                 void *stream_data)
{
  QuicConnection *self = user_data;

  if (stream == self->writer.stream)
    self->reset = TRUE;
  return 0;
}

static int
on_stateless_reset (ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user_data)
{
  ((QuicConnection *) user_data)->reset = TRUE;
  return 0;
}

static int
on_new_id (ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t size, void *user_data)
{
  QuicConnection *self = user_data;

  id->datalen = size;
  quic_tls_random (id->data, size);
  if (ngtcp2_crypto_generate_stateless_reset_token (token, self->secret, QUIC_SECRET_BYTES, id) !=
      0)
    return NGTCP2_ERR_CALLBACK_FAILURE;
  self->events->add_id (self->port, self, id);
  return 0;
}

static int
on_old_id (ngtcp2_conn *conn, const ngtcp2_cid *id, void *user_data)
{
  QuicConnection *self = user_data;

  self->events->remove_id (self->port, self, id);
  return 0;
}

static const ngtcp2_callbacks callbacks = {
  .client_initial = ngtcp2_crypto_client_initial_cb,
  .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
  .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
  .handshake_completed = on_completed,
  .encrypt = ngtcp2_crypto_encrypt_cb,
  .decrypt = ngtcp2_crypto_decrypt_cb,
  .hp_mask = ngtcp2_crypto_hp_mask_cb,
  .recv_stream_data = on_stream_data,
  .acked_stream_data_offset = on_acked,
  .stream_open = on_stream_open,
  .stream_reset = on_stream_reset,
  .recv_stateless_reset = on_stateless_reset,
  .recv_retry = ngtcp2_crypto_recv_retry_cb,
  .rand = on_random,
  .get_new_connection_id = on_new_id,
  .remove_connection_id = on_old_id,
  .update_key = ngtcp2_crypto_update_key_cb,
  .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
  .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
  .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
  .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* ---- its beginning ---- */

static QuicConnection *
connection_new (HyphaLoop *loop, gboolean client, const QuicPath *path, HyphaEndpoint *remote,
                const QuicConnectionEvents *events, gpointer port, GError **error)
{
  QuicConnection *self = g_new0 (QuicConnection, 1);

  self->loop = loop;
  self->timer = (HyphaLoopTimer){ .fire = quic_connection_fire, .owner = self };
  self->path = *path;
  self->remote = remote != NULL ? hypha_endpoint_ref (remote) : NULL;
  self->client = client;
  self->events = events;
  self->port = port;
  self->ids = g_ptr_array_new ();
  self->ref = (ngtcp2_crypto_conn_ref){ get_conn, self };
  self->pipe.watch.fd = -1;
  self->writer.pipe = &self->pipe;
  self->writer.stream = -1;
  self->deadline = HYPHA_LOOP_NEVER;
  self->secret = quic_tls_get_secret ();
  self->fate = quic_fate_new ();
  self->session = quic_tls_new (client, &self->ref, error);
  if (self->session == NULL)
    g_clear_pointer (&self, quic_connection_free);
  return self;
}

static void
set_defaults (QuicConnection *self, ngtcp2_settings *settings, ngtcp2_transport_params *params)
{
  guint64 idle_now = atomic_load (&other_idle);

  ngtcp2_settings_default (settings);
  settings->cc_algo = QUIC_CONGESTION;
  settings->initial_ts = quic_connection_touch (self, hypha_loop_now ());
  ngtcp2_transport_params_default (params);
  params->initial_max_stream_data_bidi_local = QUIC_FIRST_WINDOW;
  params->initial_max_stream_data_bidi_remote = QUIC_FIRST_WINDOW;
  params->initial_max_data = QUIC_FIRST_WINDOW;
  params->initial_max_streams_uni = quic_tls_get_side_streams ();
  params->max_idle_timeout = self->idle = idle_now != 0 ? idle_now : IDLE;
  params->active_connection_id_limit = OTHER_IDS;
}

static void
make_id (ngtcp2_cid *id)
{
  id->datalen = QUIC_ID_BYTES;
  quic_tls_random (id->data, id->datalen);
}

/* NULL, and SELF is freed, unless RESULT is 0. */
static QuicConnection *
start (QuicConnection *self, const ngtcp2_cid *id, int result, GError **error)
{
  if (result != 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("QUIC: %s"), ngtcp2_strerror (result));
    quic_connection_free (self);
    return NULL;
  }
  ngtcp2_conn_set_tls_native_handle (self->conn, self->session);
  self->writer.conn = self->conn;
  self->events->add_id (self->port, self, id);
  quic_connection_hurry (self);
  return self;
}

QuicConnection *
quic_connection_connect (HyphaLoop *loop, const QuicPath *path, HyphaEndpoint *remote,
                         const QuicConnectionEvents *events, gpointer port, GError **error)
{
  QuicConnection *self = connection_new (loop, TRUE, path, remote, events, port, error);
  ngtcp2_path way = quic_path_get (path);
  ngtcp2_settings settings;
  ngtcp2_transport_params params;
  ngtcp2_cid id, other;

  if (self == NULL)
    return NULL;
  set_defaults (self, &settings, &params);
  /* The deadline is the caller's. */
  settings.handshake_timeout = UINT64_MAX;
  make_id (&id);
  make_id (&other);
  return start (self, &id,
                ngtcp2_conn_client_new (&self->conn, &other, &id, &way, NGTCP2_PROTO_VER_V1,
                                        &callbacks, &settings, &params, NULL, self),
                error);
}

QuicConnection *
quic_connection_accept (HyphaLoop *loop, const QuicPath *path, const ngtcp2_pkt_hd *header,
                        const ngtcp2_cid *original, const guint8 *secret,
                        const QuicConnectionEvents *events, gpointer port, GError **error)
{
  QuicConnection *self = connection_new (loop, FALSE, path, NULL, events, port, error);
  ngtcp2_path way = quic_path_get (path);
  ngtcp2_settings settings;
  ngtcp2_transport_params params;
  ngtcp2_cid id;

  if (self == NULL)
    return NULL;
  set_defaults (self, &settings, &params);
  make_id (&id);
  params.initial_max_streams_bidi = 1;
  quic_compat_set_original (&params, original != NULL ? *original : header->dcid);
  if (original != NULL) {
    params.retry_scid = header->dcid;
    params.retry_scid_present = 1;
    quic_compat_set_token (&settings, header);
  }
  params.stateless_reset_token_present =
      ngtcp2_crypto_generate_stateless_reset_token (params.stateless_reset_token, secret,
                                                    QUIC_SECRET_BYTES, &id) == 0;
  self->secret = secret;
  self->deadline = hypha_loop_now () + ACCEPT_WITHIN;
  return start (self, &id,
                ngtcp2_conn_server_new (&self->conn, &header->scid, &id, &way, header->version,
                                        &callbacks, &settings, &params, NULL, self),
                error);
}

void
quic_connection_free (gpointer connection)
{
  QuicConnection *self = connection;

  hypha_loop_set_timer (self->loop, &self->timer, HYPHA_LOOP_NEVER);
  quic_pipe_close (&self->pipe);
  quic_writer_clear (&self->writer);
  if (self->conn != NULL)
    ngtcp2_conn_del (self->conn);
  if (self->session != NULL)
    gnutls_deinit (self->session);
  /* Only now does nobody refer to what was sent. */
  quic_pipe_clear (&self->pipe);
  quic_fate_unref (self->fate);
  g_ptr_array_unref (self->ids);
  g_clear_pointer (&self->remote, hypha_endpoint_unref);
  g_free (self);
}
