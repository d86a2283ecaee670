/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-tls.h"

#include <glib/gi18n-lib.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Written out in full, so that neither a newer GnuTLS nor the system's configuration adds anything
 * to it. */
#define PRIORITY                                                                        \
  "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519:" \
  "+GROUP-SECP256R1:+SIGN-ECDSA-SECP256R1-SHA256:+CTYPE-X509:%DISABLE_TLS13_COMPAT_MODE"
#define ALPN "hypha/1"
#define BINDING_LABEL "EXPORTER-Channel-Binding"

#define RESET_LABEL "hypha/1 quic reset"

#define HANDSHAKE_MAX 4096 /* bytes of one handshake message: before anybody is authenticated */

static _Atomic (const char *) alpn = ALPN;

/* One self-signed certificate a process: it proves nothing and is not looked at. What counts is the
 * binding, which both nodes sign. */
static struct {
  pthread_once_t once;
  gnutls_certificate_credentials_t client, server;
  guint8 secret[QUIC_SECRET_BYTES];
  int failed; /* a code of GnuTLS */
} credentials = { .once = PTHREAD_ONCE_INIT };

static int
make_certificate (gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
  const guint8 serial = 1;
  int result;

  result = gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
  if (result < 0)
    return result;
  gnutls_x509_crt_set_version (certificate, 3);
  gnutls_x509_crt_set_serial (certificate, &serial, sizeof serial);
  gnutls_x509_crt_set_activation_time (certificate, 0);
  gnutls_x509_crt_set_expiration_time (certificate, (time_t) -1);
  gnutls_x509_crt_set_dn_by_oid (certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "hypha", 5);
  gnutls_x509_crt_set_key (certificate, key);
  return gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
}

static int
make_server_credentials (void)
{
  gnutls_x509_crt_t certificate = NULL;
  gnutls_x509_privkey_t key = NULL;
  int result;

  result = gnutls_certificate_allocate_credentials (&credentials.server);
  if (result >= 0)
    result = gnutls_x509_crt_init (&certificate);
  if (result >= 0)
    result = gnutls_x509_privkey_init (&key);
  if (result >= 0)
    result = make_certificate (certificate, key);
  if (result >= 0)
    result = gnutls_certificate_set_x509_key (credentials.server, &certificate, 1, key);
  gnutls_x509_privkey_deinit (key);
  gnutls_x509_crt_deinit (certificate);
  return result;
}

static void
make_credentials (void)
{
  credentials.failed = gnutls_certificate_allocate_credentials (&credentials.client);
  if (credentials.failed >= 0)
    credentials.failed = make_server_credentials ();
  if (credentials.failed >= 0)
    credentials.failed = gnutls_rnd (GNUTLS_RND_KEY, credentials.secret, sizeof credentials.secret);
}

void
quic_tls_set_alpn (const char *other)
{
  atomic_store (&alpn, other != NULL ? other : ALPN);
}

guint
quic_tls_get_side_streams (void)
{
  return strcmp (atomic_load (&alpn), ALPN) != 0 ? 3 : 0;
}

static int
set_up (gnutls_session_t session, gboolean client, ngtcp2_crypto_conn_ref *ref)
{
  const char *name = atomic_load (&alpn);
  const gnutls_datum_t protocol = { (unsigned char *) name, (unsigned) strlen (name) };
  int result;

  result = gnutls_priority_set_direct (session, PRIORITY, NULL);
  if (result < 0)
    return result;
  result = gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE,
                                   client ? credentials.client : credentials.server);
  if (result < 0)
    return result;
  if ((client ? ngtcp2_crypto_gnutls_configure_client_session (session)
              : ngtcp2_crypto_gnutls_configure_server_session (session)) != 0)
    return GNUTLS_E_INTERNAL_ERROR;
  gnutls_handshake_set_timeout (session, 0); /* the deadline is the caller's */
  gnutls_handshake_set_max_packet_length (session, HANDSHAKE_MAX);
  gnutls_session_set_ptr (session, ref);
  return gnutls_alpn_set_protocols (session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
}

gnutls_session_t
quic_tls_new (gboolean client, ngtcp2_crypto_conn_ref *ref, GError **error)
{
  gnutls_session_t session = NULL;
  int result;

  pthread_once (&credentials.once, make_credentials);
  result = credentials.failed;
  if (result >= 0)
    result = gnutls_init (&session, (client ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK |
                                        GNUTLS_NO_TICKETS | GNUTLS_KEY_SHARE_TOP);
  if (result >= 0)
    result = set_up (session, client, ref);
  if (result >= 0)
    return session;
  if (session != NULL)
    gnutls_deinit (session);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("Cannot set up TLS 1.3: %s; is it switched off in the configuration of GnuTLS?"),
               gnutls_strerror (result));
  return NULL;
}

gboolean
quic_tls_has_agreed (gnutls_session_t session)
{
  const char *name = atomic_load (&alpn);
  gnutls_datum_t chosen = { NULL, 0 };

  /* That it is mandatory binds a peer that sends it at all. */
  return gnutls_protocol_get_version (session) == GNUTLS_TLS1_3 &&
         gnutls_alpn_get_selected_protocol (session, &chosen) >= 0 &&
         chosen.size == strlen (name) && memcmp (chosen.data, name, chosen.size) == 0;
}

GBytes *
quic_tls_get_binding (gnutls_session_t session)
{
  char binding[QUIC_BINDING_BYTES];
  int result = gnutls_prf_rfc5705 (session, sizeof BINDING_LABEL - 1, BINDING_LABEL, 0, NULL,
                                   sizeof binding, binding);

  return result >= 0 ? g_bytes_new (binding, sizeof binding) : NULL;
}

const guint8 *
quic_tls_get_secret (void)
{
  pthread_once (&credentials.once, make_credentials);
  return credentials.secret;
}

void
quic_tls_make_reset_secret (const void *name, gsize size, guint8 secret[QUIC_SECRET_BYTES])
{
  g_autofree char *machine = NULL;
  g_autoptr (GByteArray) text = g_byte_array_new ();
  const guint32 uid = (guint32) getuid ();
  gsize length;

  memcpy (secret, quic_tls_get_secret (), QUIC_SECRET_BYTES);
  if (!g_file_get_contents ("/etc/machine-id", &machine, &length, NULL) || length < 32)
    return;
  g_byte_array_append (text, (const guint8 *) RESET_LABEL, sizeof RESET_LABEL);
  g_byte_array_append (text, (const guint8 *) &uid, sizeof uid);
  g_byte_array_append (text, name, (guint) size);
  gnutls_hmac_fast (GNUTLS_MAC_SHA256, machine, length, text->data, text->len, secret);
}

/* Without randomness there is no security: GnuTLS says so only where the kernel has none. */
void
quic_tls_random (void *bytes, gsize size)
{
  if (gnutls_rnd (GNUTLS_RND_NONCE, bytes, size) < 0)
    g_error ("the kernel gives no random numbers");
}
