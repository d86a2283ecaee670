/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Real links over sockets, and mallory in between, or in the place of one of them. */

#include "refusals.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>

#include "../link/link-end.h"
#include "link/tls.h"

/* A link, and mallory's end of its channel. */
typedef struct {
  HyphaWorker *worker;
  HyphaNonceClock clock;
  End end;
  int fd;
  HyphaTls *tls;
} Victim;

static void
victim_start (Victim *self, gboolean initiator, gboolean tls, gboolean accept_plain,
              gint64 first_byte, gint64 all)
{
  HyphaLinkParameters p = end_parameters (initiator ? alice : bob, initiator, tls, &self->clock);
  int fds[2];

  self->worker = new_worker (initiator ? "alice" : "bob");
  p.accept_plain = accept_plain;
  if (first_byte > 0)
    p.limits.first_byte_timeout = first_byte;
  if (all > 0)
    p.limits.handshake_timeout = all;
  make_pair (fds);
  self->fd = fds[0];
  end_init (&self->end, self->worker, fds[1], &p, NULL);
  end_go (&self->end);
}

static void
victim_hang_up (Victim *self)
{
  g_clear_pointer (&self->tls, hypha_tls_free);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
}

/* It has to fail before it is established. */
static void
victim_check (Victim *self, const Refusal *row, gboolean initiator)
{
  gate_wait (&self->end.closed, 1);
  g_assert_cmpuint (gate_count (&self->end.established), ==, 0);
  refusal_check (row, initiator, self->end.error, "");
  victim_hang_up (self);
  end_clear (&self->end);
  free_worker (self->worker);
}

static void
wait_for (int fd, short events)
{
  struct pollfd one = { .fd = fd, .events = events };

  g_assert_cmpint (poll (&one, 1, 20000), >, 0);
}

static void
speak_tls (Victim *self, gboolean client)
{
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result;

  self->tls = hypha_tls_new (self->fd, client, &error);
  g_assert_no_error (error);
  while ((result = hypha_tls_handshake (self->tls, &error)) != HYPHA_TLS_DONE) {
    g_assert_no_error (error);
    wait_for (self->fd, result == HYPHA_TLS_AGAIN_READ ? POLLIN : POLLOUT);
  }
}

/* ---- a relay ---- */

/* What is there to be read, to the other one: > 0. 0: nothing any more; < 0: nothing yet. */
static int
pass_on (Victim *from, Victim *to)
{
  guint8 buffer[4096];
  gssize n;
  gsize got, taken;

  if (from->tls != NULL) {
    HyphaTlsResult result = hypha_tls_read (from->tls, buffer, sizeof buffer, &got, NULL);

    n = result == HYPHA_TLS_DONE ? (gssize) got : result == HYPHA_TLS_AGAIN_READ ? -1 : 0;
  } else {
    n = recv (from->fd, buffer, sizeof buffer, 0);
  }
  if (n <= 0)
    return n < 0 && (from->tls != NULL || errno == EAGAIN) ? -1 : 0;
  if (to->tls == NULL) {
    send (to->fd, buffer, (gsize) n, MSG_NOSIGNAL);
  } else {
    hypha_tls_write (to->tls, buffer, (gsize) n, &taken, NULL);
    hypha_tls_flush (to->tls, NULL);
  }
  return 1;
}

/* Between alice, who sees the class FROM, and bob, who sees TO. */
void
attack_relay_link (const Refusal *row)
{
  Victim i = { 0 }, r = { 0 };
  struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
  int to_r = 1, to_i = 1;

  victim_start (&i, TRUE, row->from == HYPHA_LINK_TLS, TRUE, 0, 0);
  victim_start (&r, FALSE, FALSE, TRUE, 0, 0);
  if (row->from == HYPHA_LINK_TLS)
    speak_tls (&i, FALSE);
  if (row->to == HYPHA_LINK_TLS)
    speak_tls (&r, TRUE);
  while (to_r != 0 && to_i != 0) {
    fds[0].fd = i.fd;
    fds[1].fd = r.fd;
    /* What TLS holds, poll does not know of. */
    if (to_r < 0 && to_i < 0)
      g_assert_cmpint (poll (fds, 2, 20000), >, 0);
    to_r = pass_on (&i, &r);
    to_i = pass_on (&r, &i);
  }
  victim_hang_up (&i); /* one of them has gone; the other hears of it as of a connection's end */
  victim_hang_up (&r);
  victim_check (&i, row, TRUE);
  victim_check (&r, row, FALSE);
}

/* ---- TLS that is not ours ---- */

static void
make_certificate (gnutls_certificate_credentials_t credentials)
{
  gnutls_x509_crt_t certificate;
  gnutls_x509_privkey_t key;

  gnutls_x509_privkey_init (&key);
  gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA,
                                GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
  gnutls_x509_crt_init (&certificate);
  gnutls_x509_crt_set_version (certificate, 3);
  gnutls_x509_crt_set_serial (certificate, "\1", 1);
  gnutls_x509_crt_set_activation_time (certificate, 0);
  gnutls_x509_crt_set_expiration_time (certificate, (time_t) -1);
  gnutls_x509_crt_set_key (certificate, key);
  gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
  gnutls_certificate_set_x509_key (credentials, &certificate, 1, key);
  gnutls_x509_crt_deinit (certificate);
  gnutls_x509_privkey_deinit (key);
}

/* FROM: to alice, as a server, or to bob, as a client. TO: version 2 or 3. STEP: ALPN. */
void
attack_foreign_tls (const Refusal *row)
{
  static const char *const protocols[] = { "hypha/1", "h2", NULL };
  const gboolean to_alice = row->from == 0;
  const char *protocol = protocols[row->step];
  gnutls_certificate_credentials_t credentials;
  gnutls_session_t session;
  Victim victim = { 0 };
  int result;

  victim_start (&victim, to_alice, to_alice, TRUE, 0, 0);
  gnutls_init (&session,
               (to_alice ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
  result = gnutls_priority_set_direct (
      session, row->to == 2 ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL:-VERS-ALL:+VERS-TLS1.3",
      NULL);
  g_assert_cmpint (result, ==, 0);
  gnutls_certificate_allocate_credentials (&credentials);
  if (to_alice)
    make_certificate (credentials);
  gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE, credentials);
  if (protocol != NULL) {
    gnutls_datum_t alpn = { (unsigned char *) protocol, (guint) strlen (protocol) };

    gnutls_alpn_set_protocols (session, &alpn, 1, 0);
  }
  gnutls_transport_set_int (session, victim.fd);
  while ((result = gnutls_handshake (session)) < 0 && !gnutls_error_is_fatal (result))
    if (result == GNUTLS_E_AGAIN)
      wait_for (victim.fd, gnutls_record_get_direction (session) ? POLLOUT : POLLIN);
  if (result < 0)
    victim_hang_up (&victim);
  victim_check (&victim, row, to_alice);
  gnutls_deinit (session);
  gnutls_certificate_free_credentials (credentials);
}

/* ---- TLS that is taken away ---- */

/* FROM 0: alice begins TLS, and is answered in the open, with message STEP. 1: bob, who takes TLS
 * only, is spoken to in the open, by alice's own plain link. */
void
attack_strip_tls (const Refusal *row)
{
  Victim i = { 0 };

  if (row->from == 1) {
    Victim r = { 0 };

    victim_start (&i, TRUE, FALSE, TRUE, 0, 0);
    victim_start (&r, FALSE, FALSE, FALSE, 0, 0);
    wait_for (i.fd, POLLIN);
    pass_on (&i, &r);
    wait_for (r.fd, POLLIN);
    pass_on (&r, &i);
    victim_check (&i, row, TRUE);
    victim_check (&r, row, FALSE);
    return;
  }
  {
    const HyphaMessage reply = { .type = row->step == REPLY ? HYPHA_MESSAGE_REPLY
                                                            : HYPHA_MESSAGE_REJECT,
                                 .version_max = 1,
                                 .code = HYPHA_REJECT_VERSION,
                                 .id = *hypha_identity_get_id (bob) };
    g_autoptr (GBytes) bytes = make (&reply);
    gsize length;
    const guint8 *data = g_bytes_get_data (bytes, &length);

    victim_start (&i, TRUE, TRUE, TRUE, 0, 0);
    wait_for (i.fd, POLLIN);
    g_assert_cmpint (send (i.fd, data, length, MSG_NOSIGNAL), ==, length);
    victim_check (&i, row, TRUE);
  }
}

/* ---- bytes that drip ---- */

/* To bob: nothing at all, or byte by byte HELLO (STEP HELLO), a preamble (REPLY), a TLS record
 * (AUTH); to alice (FROM 1), a REPLY. Each byte comes well before the deadline. */
void
attack_drip (const Refusal *row)
{
  const HyphaMessage reply = { .type = HYPHA_MESSAGE_REPLY, .version_max = 1 };
  const HyphaMessage hello = hello_message ();
  guint8 bytes[HYPHA_MESSAGE_MAX] = "DIRECT/1";
  const gsize most = row->to;
  Victim victim = { 0 };

  if (row->step == AUTH)
    memcpy (bytes, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11);
  else if (row->step == HELLO)
    hypha_message_write (row->from == 1 ? &reply : &hello, bytes);
  victim_start (&victim, row->from == 1, FALSE, TRUE, 40000, 150000);
  for (gsize at = 0; gate_count (&victim.end.closed) == 0; at++) {
    struct pollfd fd = { .fd = victim.fd, .events = POLLRDHUP };

    if (at < most)
      send (victim.fd, bytes + at, 1, MSG_NOSIGNAL);
    poll (&fd, 1, 10); /* the pace of the drops */
  }
  victim_check (&victim, row, row->from == 1);
}
