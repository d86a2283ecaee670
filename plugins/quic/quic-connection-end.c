/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-connection-private.h"

#include <glib/gi18n-lib.h>

#define CLOSING_MAX (3 * NGTCP2_SECONDS)
/* Before the handshake, when nobody knows the way yet. */
#define CLOSING_EARLY (300 * NGTCP2_MILLISECONDS)
#define NO_APPLICATION_PROTOCOL 120 /* an alert of TLS */

/* Before the channel shows the end of file: whoever has read that finds the reason. */
static void
tell (QuicConnection *self, const GError *error)
{
  if (!self->opened) {
    g_autoptr (GError) unknown =
        error == NULL ? g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                                             _ ("the other end has ended the connection"))
                      : g_error_copy (error);

    self->events->failed (self->port, self, unknown);
  } else if (error != NULL)
    quic_fate_set (self->fate, error);
}

gboolean
quic_connection_send_farewell (QuicConnection *self)
{
  int reason;

  return self->farewell_size > 0 &&
         self->events->send (self->port, &self->path, self->farewell, self->farewell_size,
                             self->farewell_size, &reason) > 0;
}

static void
write_farewell (QuicConnection *self, const ngtcp2_ccerr *close, guint64 now)
{
  ngtcp2_path_storage storage;
  ngtcp2_pkt_info info;
  ngtcp2_ssize n;

  ngtcp2_path_storage_zero (&storage);
  n = ngtcp2_conn_write_connection_close (self->conn, &storage.path, &info, self->farewell,
                                          sizeof self->farewell, close, now);
  if (n <= 0)
    return;
  self->farewell_size = (gsize) n;
  quic_path_set (&self->path, &storage.path);
  quic_connection_send_farewell (self);
}

void
quic_connection_conclude (QuicConnection *self, GError *error, const ngtcp2_ccerr *close,
                          guint64 now)
{
  guint64 period =
      MIN (3 * ngtcp2_conn_get_pto (self->conn), self->completed ? CLOSING_MAX : CLOSING_EARLY);
  gboolean open = self->opened, well = error == NULL;

  if (self->over) {
    g_clear_error (&error);
    return;
  }
  tell (self, error);
  g_clear_error (&error);
  if (close != NULL)
    write_farewell (self, close, now);
  /* Nobody waits for who has never been there. */
  self->over_until = self->farewell_size > 0 && (open || !self->client) ? now + period : now;
  if (close == NULL && ngtcp2_conn_in_draining_period (self->conn))
    self->over_until = now + period;
  self->over = TRUE;
  quic_writer_clear (&self->writer);
  self->pipe.up_all = self->pipe.down_all = TRUE;
  /* What was all heard belongs to who reads it, however slowly: it ends when he has it, or is gone.
   * Of what was cut off, and is told so, the rest may be lost. */
  if (self->linger_until == 0)
    self->linger_until = well ? HYPHA_LOOP_NEVER : now + QUIC_LINGER;
  quic_connection_hurry (self);
}

void
quic_connection_conclude_well (QuicConnection *self, GError *error, guint64 now)
{
  ngtcp2_ccerr close;
  gboolean well = error == NULL && self->pipe.down_all && quic_pipe_is_heard (&self->pipe);
  guint64 code = well                             ? QUIC_END_WELL
                 : quic_pipe_is_cut (&self->pipe) ? QUIC_END_CUT
                                                  : QUIC_END_GONE;

  ngtcp2_ccerr_default (&close);
  ngtcp2_ccerr_set_application_error (&close, code, NULL, 0);
  quic_connection_conclude (self, error, &close, now);
}

static GError *
explain_refusal (const ngtcp2_ccerr *close)
{
  if (close->error_code == NGTCP2_CONNECTION_REFUSED)
    return g_error_new_literal (
        HYPHA_ERROR, HYPHA_ERROR_CONNECT,
        _ ("nobody listens there any more, or there are too many connections already"));
  if (close->error_code == (NGTCP2_CRYPTO_ERROR | NO_APPLICATION_PROTOCOL))
    return g_error_new_literal (
        HYPHA_ERROR, HYPHA_ERROR_CONNECT,
        _ ("what listens there does not speak hypha/1: is it a Hypha node?"));
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                      _ ("the other end has refused the connection, with error %#" PRIx64),
                      (guint64) close->error_code);
}

/* NULL: it ended well. */
static GError *
explain_close (QuicConnection *self)
{
  gboolean said = self->pipe.down_all, heard;
  ngtcp2_ccerr close;

  ngtcp2_ccerr_default (&close);
  quic_compat_get_close (self->conn, &close);
  if (!self->opened)
    return explain_refusal (&close);
  if (self->reset)
    return g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET,
                                _ ("the other end no longer knows of the connection"));
  /* What was written and has not been looked at yet is not heard either. */
  quic_pipe_pull (&self->pipe);
  heard = quic_pipe_is_heard (&self->pipe);
  /* What it says is believed against it only. */
  if (close.type == NGTCP2_CCERR_TYPE_APPLICATION && close.error_code != QUIC_END_CUT && said &&
      (heard || close.error_code == QUIC_END_WELL || self->pipe.hung_up ||
       quic_buffer_get_size (&self->pipe.up) == 0))
    return NULL;
  if (close.type == NGTCP2_CCERR_TYPE_APPLICATION || close.error_code == NGTCP2_NO_ERROR)
    return g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET,
                                _ ("the other end has closed the connection before everything was "
                                   "said and heard"));
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                      _ ("the other end has ended the connection, with error %#" PRIx64),
                      (guint64) close.error_code);
}

void
quic_connection_conclude_failed (QuicConnection *self, int failure, guint64 now)
{
  HyphaError code = self->opened ? HYPHA_ERROR_PROTOCOL : HYPHA_ERROR_CONNECT;
  GError *error = NULL;
  ngtcp2_ccerr close;

  ngtcp2_ccerr_default (&close);
  switch (failure) {
  case NGTCP2_ERR_DRAINING:
    quic_connection_conclude (self, explain_close (self), NULL, now);
    return;
  case NGTCP2_ERR_IDLE_CLOSE:
  case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    error = g_error_new (HYPHA_ERROR, self->opened ? HYPHA_ERROR_TIMED_OUT : HYPHA_ERROR_CONNECT,
                         _ ("nothing was heard of the other end for %u s"),
                         (guint) (self->idle / NGTCP2_SECONDS));
    quic_connection_conclude (self, error, NULL, now);
    return;
  case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    error = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                                 _ ("what listens there speaks other versions of QUIC only"));
    quic_connection_conclude (self, error, NULL, now);
    return;
  case NGTCP2_ERR_DROP_CONN:
  case NGTCP2_ERR_RETRY:
    quic_connection_conclude (self, NULL, NULL, now);
    return;
  case NGTCP2_ERR_CRYPTO:
    ngtcp2_ccerr_set_tls_alert (&close, ngtcp2_conn_get_tls_alert (self->conn), NULL, 0);
    break;
  default:
    if (self->disagreed)
      ngtcp2_ccerr_set_tls_alert (&close, NO_APPLICATION_PROTOCOL, NULL, 0);
    else
      ngtcp2_ccerr_set_liberr (&close, failure, NULL, 0);
    break;
  }
  if (close.error_code == (NGTCP2_CRYPTO_ERROR | NO_APPLICATION_PROTOCOL))
    error = explain_refusal (&close);
  else
    error = g_error_new (HYPHA_ERROR, code, _ ("QUIC: %s"), ngtcp2_strerror (failure));
  quic_connection_conclude (self, error, &close, now);
}
