/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ngtcp2 as of 1.0, also upon 0.12: what was renamed, and what comes in another shape. */

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#if NGTCP2_VERSION_NUM < 0x010000

typedef ngtcp2_connection_close_error ngtcp2_ccerr;

#define NGTCP2_CCERR_TYPE_APPLICATION NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION
#define ngtcp2_ccerr_default ngtcp2_connection_close_error_default
#define ngtcp2_ccerr_set_application_error ngtcp2_connection_close_error_set_application_error
#define ngtcp2_ccerr_set_transport_error ngtcp2_connection_close_error_set_transport_error
#define ngtcp2_ccerr_set_liberr ngtcp2_connection_close_error_set_transport_error_liberr
#define ngtcp2_ccerr_set_tls_alert ngtcp2_connection_close_error_set_transport_error_tls_alert
#define ngtcp2_conn_in_closing_period ngtcp2_conn_is_in_closing_period
#define ngtcp2_conn_in_draining_period ngtcp2_conn_is_in_draining_period

#define QUIC_TOKEN(header) ((header)->token.base)
#define QUIC_TOKEN_LENGTH(header) ((header)->token.len)
#define QUIC_CONGESTION NGTCP2_CC_ALGO_BBR2

static inline void
quic_compat_get_close (ngtcp2_conn *conn, ngtcp2_ccerr *error)
{
  ngtcp2_conn_get_connection_close_error (conn, error);
}

static inline void
quic_compat_set_token (ngtcp2_settings *settings, const ngtcp2_pkt_hd *header)
{
  settings->token = header->token;
}

/* It is told all the same. */
#define quic_compat_set_original(params, cid) ((params)->original_dcid = (cid))

#else

#define QUIC_TOKEN(header) ((header)->token)
#define QUIC_TOKEN_LENGTH(header) ((header)->tokenlen)
#define QUIC_CONGESTION NGTCP2_CC_ALGO_BBR

static inline void
quic_compat_get_close (ngtcp2_conn *conn, ngtcp2_ccerr *error)
{
  *error = *ngtcp2_conn_get_ccerr (conn);
}

static inline void
quic_compat_set_token (ngtcp2_settings *settings, const ngtcp2_pkt_hd *header)
{
  settings->token = header->token;
  settings->tokenlen = header->tokenlen;
  settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
}

#define quic_compat_set_original(params, cid) \
  ((params)->original_dcid = (cid), (params)->original_dcid_present = 1)

#endif
