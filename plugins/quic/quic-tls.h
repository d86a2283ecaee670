/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-compat.h"
#include <hypha-plugin.h>

G_BEGIN_DECLS

#define QUIC_BINDING_BYTES 32
#define QUIC_SECRET_BYTES 32

/* The TLS of one connection, which REF leads to; NULL: this machine's GnuTLS cannot do it. Free it
 * by gnutls_deinit(). */
gnutls_session_t quic_tls_new (gboolean client, ngtcp2_crypto_conn_ref *ref, GError **error);
/* After the handshake: whether the other end has chosen, or offered, what Hypha speaks. */
gboolean quic_tls_has_agreed (gnutls_session_t session);
/* What names this connection and no other, the same at both ends (RFC 9266). */
GBytes *quic_tls_get_binding (gnutls_session_t session);
/* For tests with programs that are no Hypha nodes; NULL: it is as ever. */
void quic_tls_set_alpn (const char *alpn);
guint quic_tls_get_side_streams (
    void); /* how many such want to open beside the one; none carries */

/* Of this process. */
const guint8 *quic_tls_get_secret (void);
/* For resets by whoever listens as NAME, which is the same when he has been started anew: so the
 * other end learns at once that nobody knows of the connection any more. */
void quic_tls_make_reset_secret (const void *name, gsize size, guint8 secret[QUIC_SECRET_BYTES]);
void quic_tls_random (void *bytes, gsize size);

G_END_DECLS
