/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <hypha.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/tls.h"

/* Two ends over a socketpair on one thread: whoever has something to do is called in turn. */
typedef struct {
  int fds[2];
  HyphaTls *client, *server;
  gnutls_session_t foreign; /* somebody else's TLS, in the place of one of the two */
  gnutls_certificate_credentials_t credentials;
} Fixture;

static void
setup (Fixture *self, gconstpointer data)
{
  int result = socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, self->fds);

  g_assert_cmpint (result, ==, 0);
}

static void
teardown (Fixture *self, gconstpointer data)
{
  g_clear_pointer (&self->client, hypha_tls_free);
  g_clear_pointer (&self->server, hypha_tls_free);
  if (self->foreign != NULL)
    gnutls_deinit (self->foreign);
  if (self->credentials != NULL)
    gnutls_certificate_free_credentials (self->credentials);
  for (guint i = 0; i < 2; i++)
    if (self->fds[i] >= 0)
      close (self->fds[i]);
}

static HyphaTls *
new_tls (int fd, gboolean client)
{
  g_autoptr (GError) error = NULL;
  HyphaTls *tls = hypha_tls_new (fd, client, &error);

  g_assert_no_error (error);
  g_assert_nonnull (tls);
  return tls;
}

static gboolean
is_again (HyphaTlsResult result)
{
  return result == HYPHA_TLS_AGAIN_READ || result == HYPHA_TLS_AGAIN_WRITE;
}

static void
connect_both (Fixture *self)
{
  HyphaTlsResult client = HYPHA_TLS_AGAIN_READ, server = HYPHA_TLS_AGAIN_READ;
  g_autoptr (GError) error = NULL;

  self->client = new_tls (self->fds[0], TRUE);
  self->server = new_tls (self->fds[1], FALSE);
  for (guint i = 0; i < 100 && (is_again (client) || is_again (server)); i++) {
    if (is_again (client))
      client = hypha_tls_handshake (self->client, &error);
    g_assert_no_error (error);
    if (is_again (server))
      server = hypha_tls_handshake (self->server, &error);
    g_assert_no_error (error);
  }
  g_assert_cmpint (client, ==, HYPHA_TLS_DONE);
  g_assert_cmpint (server, ==, HYPHA_TLS_DONE);
}

static void
test_binding (Fixture *self, gconstpointer data)
{
  guint8 client[32] = { 0 }, server[32] = { 1 };
  guint8 other[32];
  Fixture again = { 0 };

  connect_both (self);
  hypha_tls_get_binding (self->client, client);
  hypha_tls_get_binding (self->server, server);
  g_assert_cmpmem (client, 32, server, 32);

  setup (&again, NULL);
  connect_both (&again);
  hypha_tls_get_binding (again.client, other);
  g_assert_cmpint (memcmp (client, other, 32), !=, 0);
  teardown (&again, NULL);
}

/* Others' TLS */

typedef struct {
  const char *priority;
  const char *alpn; /* NULL: none */
  gboolean we_are_client;
} Foreign;

static void
make_foreign (Fixture *self, const Foreign *foreign)
{
  gboolean client = !foreign->we_are_client;
  int result;

  gnutls_init (&self->foreign, (client ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK);
  result = gnutls_priority_set_direct (self->foreign, foreign->priority, NULL);
  g_assert_cmpint (result, ==, 0);
  gnutls_certificate_allocate_credentials (&self->credentials);
  if (!client) {
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
    result = gnutls_certificate_set_x509_key (self->credentials, &certificate, 1, key);
    g_assert_cmpint (result, ==, 0);
    gnutls_x509_crt_deinit (certificate);
    gnutls_x509_privkey_deinit (key);
  }
  gnutls_credentials_set (self->foreign, GNUTLS_CRD_CERTIFICATE, self->credentials);
  if (foreign->alpn != NULL) {
    gnutls_datum_t alpn = { (unsigned char *) foreign->alpn, (guint) strlen (foreign->alpn) };

    gnutls_alpn_set_protocols (self->foreign, &alpn, 1, 0);
  }
  gnutls_transport_set_int (self->foreign, self->fds[0]);
}

/* Runs our end against the foreign one and returns our result. */
static HyphaTlsResult
meet_foreign (Fixture *self, const Foreign *foreign, GError **error)
{
  HyphaTlsResult ours = HYPHA_TLS_AGAIN_READ;
  int theirs = GNUTLS_E_AGAIN;

  make_foreign (self, foreign);
  self->server = new_tls (self->fds[1], foreign->we_are_client);
  for (guint i = 0; i < 100 && is_again (ours); i++) {
    if (theirs < 0 && !gnutls_error_is_fatal (theirs))
      theirs = gnutls_handshake (self->foreign);
    if (theirs < 0 && gnutls_error_is_fatal (theirs))
      shutdown (self->fds[0], SHUT_WR);
    ours = hypha_tls_handshake (self->server, error);
  }
  return ours;
}

static void
test_foreign_accepted (Fixture *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  guint8 byte;

  /* The counterpart of those of tests/unit/node/test-refusals.c, where one thing differs. */
  g_assert_cmpint (meet_foreign (self, data, &error), ==, HYPHA_TLS_DONE);
  g_assert_no_error (error);
  gnutls_record_recv (self->foreign, &byte, 1);
  g_assert_cmpuint (gnutls_session_get_flags (self->foreign) & GNUTLS_SFLAGS_SESSION_TICKET, ==, 0);
}

static void
test_garbage (Fixture *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result;

  self->server = new_tls (self->fds[1], FALSE);
  g_assert_cmpint (write (self->fds[0], "\x16 is not enough for a ClientHello", 34), ==, 34);
  result = hypha_tls_handshake (self->server, &error);
  g_assert_cmpint (result, ==, HYPHA_TLS_ERROR);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE);
}

/* Data */

static guint8
byte_at (gsize offset)
{
  return (guint8) (offset * 37 + (offset >> 11));
}

#define TOTAL (6 * 1024 * 1024 + 777)

static gsize
write_some (HyphaTls *tls, gsize sent)
{
  guint8 record[16384];
  gsize max = MIN (hypha_tls_record_max (tls), sizeof record), n;
  gsize length = MIN (TOTAL - sent, 1 + (sent * 7919) % max);
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result;

  for (gsize i = 0; i < length; i++)
    record[i] = byte_at (sent + i);
  result = hypha_tls_write (tls, record, length, &n, &error);
  g_assert_no_error (error);
  if (result == HYPHA_TLS_DONE)
    g_assert_cmpuint (n, ==, length);
  else
    g_assert_cmpint (result, ==, HYPHA_TLS_AGAIN_WRITE);
  return sent + n;
}

static gsize
read_some (HyphaTls *tls, gsize received)
{
  guint8 buffer[10000];
  gsize n;
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result = hypha_tls_read (tls, buffer, sizeof buffer, &n, &error);

  g_assert_no_error (error);
  if (result != HYPHA_TLS_DONE)
    g_assert_cmpint (result, ==, HYPHA_TLS_AGAIN_READ);
  for (gsize i = 0; i < n; i++)
    if (buffer[i] != byte_at (received + i))
      g_error ("byte %zu is wrong", received + i);
  return received + n;
}

static void
test_transfer (Fixture *self, gconstpointer data)
{
  gsize sent = 0, received = 0;
  gsize stalls = 0;
  int size = 4096; /* small, so that the kernel takes part of a record */

  setsockopt (self->fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  connect_both (self);
  while (received < TOTAL) {
    gsize before = sent;

    if (sent < TOTAL)
      sent = write_some (self->client, sent);
    else
      hypha_tls_flush (self->client, NULL);
    if (sent == before) {
      stalls++;
      for (guint i = 0; i < 5; i++)
        received = read_some (self->server, received);
    }
  }
  g_assert_cmpuint (received, ==, TOTAL);
  g_assert_cmpuint (stalls, >, 10);
  g_assert_cmpint (hypha_tls_flush (self->client, NULL), ==, HYPHA_TLS_DONE);
}

static void
test_gathers (Fixture *self, gconstpointer data)
{
  struct pollfd fd = { .events = POLLIN };
  gsize n;

  connect_both (self);
  fd.fd = self->fds[1];
  g_assert_cmpint (hypha_tls_write (self->client, "abc", 3, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_cmpint (poll (&fd, 1, 0), ==, 0);
  g_assert_cmpint (hypha_tls_write (self->client, "def", 3, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_cmpint (hypha_tls_flush (self->client, NULL), ==, HYPHA_TLS_DONE);
  g_assert_cmpint (poll (&fd, 1, 0), ==, 1);
}

static void
test_read_beyond_epoll (Fixture *self, gconstpointer data)
{
  struct pollfd fd = { .events = POLLIN };
  char buffer[2];
  gsize n;

  connect_both (self);
  hypha_tls_write (self->client, "abc", 3, &n, NULL);
  hypha_tls_write (self->client, "d", 1, &n, NULL);
  hypha_tls_flush (self->client, NULL);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  fd.fd = self->fds[1];
  g_assert_cmpint (poll (&fd, 1, 0), ==, 0); /* the kernel has nothing left */
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_cmpmem (buffer, n, "c", 1);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_cmpmem (buffer, n, "d", 1);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_AGAIN_READ);
}

/* Whoever waits for epoll once it is drained must miss nothing. */
static void
test_drained (Fixture *self, gconstpointer data)
{
  char buffer[4];
  gsize n;

  connect_both (self);
  hypha_tls_write (self->client, "abc", 3, &n, NULL);
  hypha_tls_write (self->client, "d", 1, &n, NULL);
  hypha_tls_flush (self->client, NULL);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_false (hypha_tls_is_drained (self->server)); /* c is there, decrypted */
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_false (hypha_tls_is_drained (self->server)); /* d is there, not decrypted */
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_true (hypha_tls_is_drained (self->server));

  hypha_tls_write (self->client, "e", 1, &n, NULL);
  hypha_tls_bye (self->client);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_DONE);
  g_assert_false (hypha_tls_is_drained (self->server)); /* the end is there */
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 2, &n, NULL), ==, HYPHA_TLS_EOF);
}

static void
test_bye (Fixture *self, gconstpointer data)
{
  char byte;
  gsize n;
  g_autoptr (GError) error = NULL;

  connect_both (self);
  hypha_tls_bye (self->client);
  g_assert_cmpint (hypha_tls_read (self->server, &byte, 1, &n, &error), ==, HYPHA_TLS_EOF);
  g_assert_no_error (error);
}

/* DATA: how many bytes of a record arrive before the cut. */
static void
test_cut (Fixture *self, gconstpointer data)
{
  gsize length = GPOINTER_TO_SIZE (data), n;
  char record[100] = { 23, 3, 3, 0, 90 }; /* application data, 90 bytes to follow */
  char byte;
  g_autoptr (GError) error = NULL;

  connect_both (self);
  g_assert_cmpint (write (self->fds[0], record, length), ==, length);
  close (self->fds[0]);
  self->fds[0] = -1;
  g_assert_cmpint (hypha_tls_read (self->server, &byte, 1, &n, &error), ==, HYPHA_TLS_ERROR);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
  g_test_message ("%s", error->message);
}

static void
test_tampered (Fixture *self, gconstpointer data)
{
  char record[95] = { 23, 3, 3, 0, 90 };
  char byte;
  gsize n;
  g_autoptr (GError) error = NULL;

  connect_both (self);
  g_assert_cmpint (write (self->fds[0], record, sizeof record), ==, sizeof record);
  g_assert_cmpint (hypha_tls_read (self->server, &byte, 1, &n, &error), ==, HYPHA_TLS_ERROR);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
}

static void
test_key_update (Fixture *self, gconstpointer data)
{
  static const Foreign foreign = { "NORMAL:-VERS-ALL:+VERS-TLS1.3", "hypha/1", FALSE };
  g_autoptr (GError) error = NULL;
  char buffer[8];
  gssize result;
  gsize n;

  g_assert_cmpint (meet_foreign (self, &foreign, &error), ==, HYPHA_TLS_DONE);
  gnutls_session_key_update (self->foreign, GNUTLS_KU_PEER);
  gnutls_record_send (self->foreign, "after", 5);
  g_assert_cmpint (hypha_tls_read (self->server, buffer, 8, &n, &error), ==, HYPHA_TLS_DONE);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, n, "after", 5);
  hypha_tls_write (self->server, "back", 4, &n, NULL);
  hypha_tls_flush (self->server, NULL);
  do
    result = gnutls_record_recv (self->foreign, buffer, 8);
  while (result == GNUTLS_E_AGAIN);
  g_assert_cmpint (result, ==, 4);
}

static const Foreign stranger = { "NORMAL:-VERS-ALL:+VERS-TLS1.3", "hypha/1", FALSE };

static void
send_empty (Fixture *self, guint n)
{
  for (guint i = 0; i < n; i++) {
    gssize result = gnutls_record_send2 (self->foreign, "", 0, 1, 0);

    g_assert_cmpint (result, ==, 0);
  }
}

static void
test_empty_in_between (Fixture *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (meet_foreign (self, &stranger, &error), ==, HYPHA_TLS_DONE);
  for (guint i = 0; i < 20; i++) {
    char byte = 0;
    gsize n;

    send_empty (self, 10);
    gnutls_record_send (self->foreign, "x", 1);
    g_assert_cmpint (hypha_tls_read (self->server, &byte, 1, &n, &error), ==, HYPHA_TLS_DONE);
    g_assert_no_error (error);
    g_assert_cmpint (byte, ==, 'x');
  }
}

/* One call must not go on for as long as a stranger likes. */
static void
test_empty_flood (Fixture *self, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char byte;
  gsize n;

  g_assert_cmpint (meet_foreign (self, &stranger, &error), ==, HYPHA_TLS_DONE);
  send_empty (self, 100);
  gnutls_record_send (self->foreign, "x", 1);
  g_assert_cmpint (hypha_tls_read (self->server, &byte, 1, &n, &error), ==, HYPHA_TLS_ERROR);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_test_message ("%s", error->message);
}

#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static const Foreign good_client = { TLS13, "hypha/1", FALSE };
static const Foreign good_server = { TLS13, "hypha/1", TRUE };

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC, DATA) g_test_add ("/tls/" NAME, Fixture, DATA, setup, FUNC, teardown)
  ADD ("binding/equal-at-both-ends-and-unlike-others", test_binding, NULL);
  ADD ("handshake/other-client-accepted-without-tickets", test_foreign_accepted, &good_client);
  ADD ("handshake/other-server-accepted", test_foreign_accepted, &good_server);
  ADD ("handshake/garbage-refused", test_garbage, NULL);
  ADD ("data/large-transfer-with-partial-writes", test_transfer, NULL);
  ADD ("data/gathered-until-flush", test_gathers, NULL);
  ADD ("data/read-beyond-what-epoll-tells", test_read_beyond_epoll, NULL);
  ADD ("data/drained-only-when-nothing-is-left", test_drained, NULL);
  ADD ("data/empty-records-in-between", test_empty_in_between, NULL);
  ADD ("data/nothing-but-empty-records-is-an-error", test_empty_flood, NULL);
  ADD ("data/key-update-goes-on", test_key_update, NULL);
  ADD ("end/bye-is-eof", test_bye, NULL);
  ADD ("end/cut-is-an-error", test_cut, GSIZE_TO_POINTER (0));
  ADD ("end/cut-in-a-header-is-an-error", test_cut, GSIZE_TO_POINTER (3));
  ADD ("end/cut-in-a-record-is-an-error", test_cut, GSIZE_TO_POINTER (50));
  ADD ("end/tampered-record-is-an-error", test_tampered, NULL);
#undef ADD
  return g_test_run ();
}
