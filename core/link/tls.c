/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/tls.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* Written out in full, so that neither a newer GnuTLS nor the system's configuration adds anything
 * to it. */
#define PRIORITY                                                                        \
  "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519:" \
  "+GROUP-SECP256R1:+SIGN-ECDSA-SECP256R1-SHA256:+CTYPE-X509"
#define ALPN "hypha/1"
#define BINDING_LABEL "EXPORTER-Channel-Binding"

#define HANDSHAKE_MAX 4096  /* bytes of one handshake message: before anybody is authenticated */
#define IN_SIZE (64 * 1024) /* read from the kernel at a time */
#define OUT_MAX (64 * 1024) /* gathered before the kernel gets it */
#define EMPTY_MAX 32        /* messages without a byte of data, in a row: more are an attack */

struct _HyphaTls {
  gnutls_session_t session;
  int fd;
  gboolean
      complete; /* GnuTLS has finished the handshake; its last message may still have to go out */
  guint8 *in;   /* ciphertext read and not yet looked at; NULL: none */
  gsize in_at, in_length;
  gboolean in_short; /* the kernel had no more than that when it was read */
  guint8 *out;       /* ciphertext that the kernel has not taken; NULL: none */
  gsize out_at, out_length, out_size;
  guint64 sent;   /* bytes that the kernel has taken */
  int wire_errno; /* what the descriptor said last */
  gboolean cut;   /* it has ended */
  guint empty;    /* messages without data since the last byte */
};

/* One self-signed certificate a process: it proves nothing and is not looked at. What counts is the
 * binding, which both nodes sign. */
static struct {
  pthread_once_t once;
  gnutls_certificate_credentials_t client, server;
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
}

/* An idle link holds no buffer. */
static void
drop_in (HyphaTls *self)
{
  g_clear_pointer (&self->in, g_free);
  self->in_at = self->in_length = 0;
}

static ssize_t
fail (HyphaTls *self, int number)
{
  self->wire_errno = number;
  gnutls_transport_set_errno (self->session, number);
  return -1;
}

static ssize_t
pull (gnutls_transport_ptr_t data, void *buffer, size_t size)
{
  HyphaTls *self = data;
  gsize n;

  if (self->in_at == self->in_length) {
    gssize got;

    if (self->in == NULL)
      self->in = g_try_malloc (IN_SIZE);
    self->in_at = self->in_length = 0;
    if (self->in == NULL)
      return fail (self, ENOMEM);
    got = recv (self->fd, self->in, IN_SIZE, 0);
    if (got <= 0) {
      self->wire_errno = got < 0 ? errno : 0;
      self->cut = got == 0;
      drop_in (self);
      if (got < 0)
        gnutls_transport_set_errno (self->session, self->wire_errno);
      return got;
    }
    self->in_length = (gsize) got;
    self->in_short = got < IN_SIZE;
  }
  n = MIN (size, self->in_length - self->in_at);
  memcpy (buffer, self->in + self->in_at, n);
  self->in_at += n;
  return (ssize_t) n;
}

static gboolean
make_room (HyphaTls *self, gsize size)
{
  const gsize first = size < 4096 ? 4096 : OUT_MAX + OUT_MAX / 2;
  const gsize wanted =
      self->out == NULL ? MAX (size, first) : MAX (self->out_length + size, 2 * self->out_size);
  guint8 *out;

  if (self->out != NULL && size <= self->out_size - self->out_length)
    return TRUE;
  out = g_try_realloc (self->out, wanted);
  if (out == NULL)
    return FALSE;
  self->out = out;
  self->out_size = wanted;
  return TRUE;
}

static void
drop_out (HyphaTls *self)
{
  g_clear_pointer (&self->out, g_free);
  self->out_at = self->out_length = self->out_size = 0;
}

/* Refuses for good or not at all, so that GnuTLS never holds a half-sent record: hypha_tls_write
 * bounds what is gathered. */
static ssize_t
push (gnutls_transport_ptr_t data, const void *bytes, size_t size)
{
  HyphaTls *self = data;

  if (!make_room (self, size))
    return fail (self, ENOMEM);
  memcpy (self->out + self->out_length, bytes, size);
  self->out_length += size;
  return (ssize_t) size;
}

static void
set_error (HyphaTls *self, const char *what, int result, GError **error)
{
  HyphaError code = self->complete ? HYPHA_ERROR_FAILED : HYPHA_ERROR_HANDSHAKE;

  if (result == GNUTLS_E_FATAL_ALERT_RECEIVED) {
    g_set_error (error, HYPHA_ERROR, code, _ ("%s: the other end answered with the alert “%s”"),
                 what, gnutls_alert_get_name (gnutls_alert_get (self->session)));
  } else if (result == GNUTLS_E_PREMATURE_TERMINATION) {
    g_set_error (error, HYPHA_ERROR, code, _ ("%s: the connection was cut without a close_notify"),
                 what);
  } else if ((result == GNUTLS_E_PULL_ERROR || result == GNUTLS_E_PUSH_ERROR) &&
             self->wire_errno != 0) {
    g_set_error (error, HYPHA_ERROR, code, "%s: %s", what, g_strerror (self->wire_errno));
  } else {
    g_set_error (error, HYPHA_ERROR, self->complete ? HYPHA_ERROR_PROTOCOL : code, "%s: %s", what,
                 gnutls_strerror (result));
  }
}

static int
set_up (HyphaTls *self, gboolean client)
{
  static const gnutls_datum_t alpn = { (unsigned char *) ALPN, sizeof ALPN - 1 };
  int result;

  pthread_once (&credentials.once, make_credentials);
  if (credentials.failed < 0)
    return credentials.failed;
  /* One key share is enough: every node knows X25519. */
  result = gnutls_init (&self->session, (client ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK |
                                            GNUTLS_NO_TICKETS | GNUTLS_KEY_SHARE_TOP);
  if (result < 0)
    return result;
  result = gnutls_priority_set_direct (self->session, PRIORITY, NULL);
  if (result < 0)
    return result;
  result = gnutls_credentials_set (self->session, GNUTLS_CRD_CERTIFICATE,
                                   client ? credentials.client : credentials.server);
  if (result < 0)
    return result;
  gnutls_handshake_set_timeout (self->session, 0); /* the deadline is the caller's */
  gnutls_handshake_set_max_packet_length (self->session, HANDSHAKE_MAX);
  gnutls_transport_set_ptr (self->session, self);
  gnutls_transport_set_pull_function (self->session, pull);
  gnutls_transport_set_push_function (self->session, push);
  return gnutls_alpn_set_protocols (self->session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
}

/**
 * hypha_tls_new: (skip)
 * @fd: a connected, non-blocking socket, borrowed
 * @client: whether this end begins
 * @error: return location for a #GError
 *
 * Returns: (transfer full) (nullable): TLS upon @fd, or %NULL with %HYPHA_ERROR_FAILED if GnuTLS
 * cannot do what is needed on this machine
 */
HyphaTls *
hypha_tls_new (int fd, gboolean client, GError **error)
{
  g_autoptr (HyphaTls) self = g_new0 (HyphaTls, 1);
  int result;

  self->fd = fd;
  result = set_up (self, client);
  if (result < 0) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
        _ ("Cannot set up TLS 1.3: %s; is it switched off in the configuration of GnuTLS?"),
        gnutls_strerror (result));
    return NULL;
  }
  return g_steal_pointer (&self);
}

void
hypha_tls_free (HyphaTls *self)
{
  if (self->session != NULL)
    gnutls_deinit (self->session);
  g_free (self->out);
  g_free (self->in);
  g_free (self);
}

/**
 * hypha_tls_flush: (skip)
 * @self: a TLS connection
 * @error: return location for a #GError
 *
 * Hands what was gathered to the kernel.
 *
 * Returns: %HYPHA_TLS_DONE, %HYPHA_TLS_AGAIN_WRITE if some of it is left, or %HYPHA_TLS_ERROR
 */
HyphaTlsResult
hypha_tls_flush (HyphaTls *self, GError **error)
{
  while (self->out != NULL) {
    gssize n =
        send (self->fd, self->out + self->out_at, self->out_length - self->out_at, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return HYPHA_TLS_AGAIN_WRITE;
    if (n < 0) {
      self->wire_errno = errno;
      set_error (self, _ ("Cannot write"), GNUTLS_E_PUSH_ERROR, error);
      return HYPHA_TLS_ERROR;
    }
    self->out_at += (gsize) n;
    self->sent += (gsize) n;
    if (self->out_at == self->out_length)
      drop_out (self);
  }
  return HYPHA_TLS_DONE;
}

static gboolean
is_passing (int result)
{
  return result == GNUTLS_E_INTERRUPTED || result == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

static gboolean
check_agreement (HyphaTls *self, GError **error)
{
  gnutls_datum_t chosen = { NULL, 0 };

  if (gnutls_protocol_get_version (self->session) != GNUTLS_TLS1_3) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                 _ ("TLS: the other end does not speak TLS 1.3"));
    return FALSE;
  }
  /* That ALPN is mandatory binds a peer that sends it at all. */
  if (gnutls_alpn_get_selected_protocol (self->session, &chosen) < 0 ||
      chosen.size != sizeof ALPN - 1 || memcmp (chosen.data, ALPN, chosen.size) != 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                 _ ("TLS: the other end does not speak %s: is it a Hypha node?"), ALPN);
    return FALSE;
  }
  return TRUE;
}

/**
 * hypha_tls_handshake: (skip)
 * @self: a TLS connection
 * @error: return location for a #GError
 *
 * To be called again when the descriptor is ready for what the result says.
 *
 * Returns: %HYPHA_TLS_DONE, one of the two AGAINs, or %HYPHA_TLS_ERROR with %HYPHA_ERROR_HANDSHAKE
 */
HyphaTlsResult
hypha_tls_handshake (HyphaTls *self, GError **error)
{
  HyphaTlsResult flushed;
  int result = 0;

  if (!self->complete) {
    do
      result = gnutls_handshake (self->session);
    while (is_passing (result));
    if (result == GNUTLS_E_AGAIN && self->cut)
      result = GNUTLS_E_PREMATURE_TERMINATION;
    if (result < 0 && result != GNUTLS_E_AGAIN) {
      gnutls_alert_send_appropriate (self->session, result);
      hypha_tls_flush (self, NULL);
      set_error (self, _ ("TLS handshake"), result, error);
      return HYPHA_TLS_ERROR;
    }
    if (result >= 0 && !check_agreement (self, error))
      return HYPHA_TLS_ERROR;
  }
  flushed = hypha_tls_flush (self, error);
  self->complete = self->complete || result >= 0;
  if (flushed == HYPHA_TLS_DONE && !self->complete)
    return HYPHA_TLS_AGAIN_READ;
  return flushed;
}

/**
 * hypha_tls_get_binding: (skip)
 * @self: a TLS connection after its handshake
 * @binding: (out caller-allocates): what names this connection and no other, the same at both ends
 * (RFC 9266)
 */
void
hypha_tls_get_binding (HyphaTls *self, guint8 binding[32])
{
  int result = gnutls_prf_rfc5705 (self->session, sizeof BINDING_LABEL - 1, BINDING_LABEL, 0, NULL,
                                   32, (char *) binding);

  g_assert (result >= 0);
}

/**
 * hypha_tls_is_drained: (skip)
 * @self: a TLS connection from which bytes were read just now
 *
 * Returns: whether that was all there was, here and in the kernel: epoll tells when more has come,
 * and reading on would only be told to wait
 */
gboolean
hypha_tls_is_drained (HyphaTls *self)
{
  return self->in_short && self->in_at == self->in_length &&
         gnutls_record_check_pending (self->session) == 0;
}

HyphaTlsResult
hypha_tls_read (HyphaTls *self, void *buffer, gsize size, gsize *n, GError **error)
{
  gssize result;

  *n = 0;
  /* After a message of the TLS layer itself, GnuTLS says AGAIN although there may be more at hand.
   * Whoever sends nothing else would keep this thread from everything, deadlines included. */
  do
    result = gnutls_record_recv (self->session, buffer, size);
  while (
      (is_passing ((int) result) || (result == GNUTLS_E_AGAIN && self->in_at < self->in_length)) &&
      ++self->empty <= EMPTY_MAX);
  if (self->empty > EMPTY_MAX)
    result = GNUTLS_E_TOO_MANY_EMPTY_PACKETS;
  /* In the middle of a record it says AGAIN to an end as well. */
  if (result == GNUTLS_E_AGAIN && self->cut)
    result = GNUTLS_E_PREMATURE_TERMINATION;
  if (result > 0) {
    self->empty = 0;
    *n = (gsize) result;
    if (hypha_tls_is_drained (self))
      drop_in (self);
    return HYPHA_TLS_DONE;
  }
  if (result == GNUTLS_E_AGAIN) {
    /* An answer of the TLS layer itself (a key update) waits for nobody's data. */
    return hypha_tls_flush (self, error) == HYPHA_TLS_ERROR ? HYPHA_TLS_ERROR
                                                            : HYPHA_TLS_AGAIN_READ;
  }
  if (result == 0)
    return HYPHA_TLS_EOF;
  set_error (self, _ ("Cannot read"), (int) result, error);
  return HYPHA_TLS_ERROR;
}

HyphaTlsResult
hypha_tls_write (HyphaTls *self, const void *data, gsize size, gsize *n, GError **error)
{
  gssize result;

  g_assert (size > 0 && size <= hypha_tls_record_max (self));
  *n = 0;
  if (self->out_length - self->out_at >= OUT_MAX) {
    HyphaTlsResult flushed = hypha_tls_flush (self, error);

    if (flushed != HYPHA_TLS_DONE)
      return flushed;
  }
  do
    result = gnutls_record_send (self->session, data, size);
  while (is_passing ((int) result));
  if (result < 0) {
    set_error (self, _ ("Cannot write"), (int) result, error);
    return HYPHA_TLS_ERROR;
  }
  *n = (gsize) result;
  return HYPHA_TLS_DONE;
}

gsize
hypha_tls_record_max (HyphaTls *self)
{
  return gnutls_record_get_max_size (self->session);
}

guint64
hypha_tls_get_sent (HyphaTls *self)
{
  return self->sent;
}

void
hypha_tls_bye (HyphaTls *self)
{
  if (self->complete)
    gnutls_bye (self->session, GNUTLS_SHUT_WR);
  hypha_tls_flush (self, NULL);
}
