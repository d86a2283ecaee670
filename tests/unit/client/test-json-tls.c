/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/socket.h>

/* TLS has a message in part when it says that it would block, and its next write is that of the
 * same bytes, whatever it is given. */

/* A certificate and its key, in PEM. */
static GTlsCertificate *
make_certificate (void)
{
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  gnutls_datum_t pem[2] = { 0 };
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  GTlsCertificate *made;

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
  gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_PEM, &pem[0]);
  gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem[1]);
  text = g_strconcat ((char *) pem[0].data, (char *) pem[1].data, NULL);
  made = g_tls_certificate_new_from_pem (text, -1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (pem); i++)
    gnutls_free (pem[i].data);
  gnutls_x509_crt_deinit (certificate);
  gnutls_x509_privkey_deinit (key);
  return made;
}

static GIOStream *
make_connection (int fd)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);

  g_assert_no_error (error);
  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

static gboolean
accept_any (GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags flags,
            gpointer data)
{
  return TRUE;
}

static void
on_handshake (GObject *connection, GAsyncResult *result, gpointer left)
{
  g_autoptr (GError) error = NULL;

  g_tls_connection_handshake_finish (G_TLS_CONNECTION (connection), result, &error);
  g_assert_no_error (error);
  --*(guint *) left;
}

/* Two channels, each upon an end of a connection. */
static void
connect_channels (HyphaJsonChannel *channels[2])
{
  g_autoptr (GTlsCertificate) certificate = make_certificate ();
  GIOStream *ends[2];
  guint left = G_N_ELEMENTS (ends);
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    g_autoptr (GIOStream) base = make_connection (fds[i]);
    g_autoptr (GError) error = NULL;

    ends[i] = i == 0 ? g_tls_client_connection_new (base, NULL, &error)
                     : g_tls_server_connection_new (base, certificate, &error);
    g_assert_no_error (error);
    g_signal_connect (ends[i], "accept-certificate", G_CALLBACK (accept_any), NULL);
    g_tls_connection_handshake_async (G_TLS_CONNECTION (ends[i]), G_PRIORITY_DEFAULT, NULL,
                                      on_handshake, &left);
  }
  while (left > 0)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    channels[i] = hypha_json_channel_new (ends[i], HYPHA_JSON_FRAMING_LENGTH);
    g_object_unref (ends[i]);
  }
}

static gboolean
send_number (HyphaJsonChannel *channel, gint64 number, GError **error)
{
  g_autofree char *text = g_strdup_printf ("[%" G_GINT64_FORMAT ",\"%01000d\"]", number, 0);
  g_autoptr (JsonNode) message = json_from_string (text, NULL);

  return hypha_json_channel_send (channel, message, NULL, error);
}

/* Or -1. */
static gint64
receive_number (HyphaJsonChannel *channel)
{
  g_autoptr (JsonNode) message = hypha_json_channel_receive (channel, NULL, NULL);

  return message != NULL ? json_array_get_int_element (json_node_get_array (message), 0) : -1;
}

static void
test_message_that_is_held_was_begun (void)
{
  HyphaJsonChannel *channels[2];
  g_autoptr (GError) error = NULL;
  gint64 sent = 0;

  connect_channels (channels);
  hypha_json_channel_set_timeout (channels[0], 20);
  hypha_json_channel_set_timeout (channels[1], 200);
  while (send_number (channels[0], sent, &error))
    sent++;
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_clear_error (&error);
  for (gint64 i = 0; i < sent; i++)
    g_assert_cmpint (receive_number (channels[1]), ==, i);
  /* There is room. Another message would be taken for the one that was given up, and lost. */
  g_assert_false (send_number (channels[0], sent + 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_nonnull (strstr (error->message, "nothing more can be sent"));
  for (guint i = 0; i < G_N_ELEMENTS (channels); i++)
    g_object_unref (channels[i]);
}

static void
test_messages_come_whole (void)
{
  HyphaJsonChannel *channels[2];

  connect_channels (channels);
  for (gint64 i = 0; i < 50; i++) {
    g_autoptr (GError) error = NULL;

    g_assert_true (send_number (channels[0], i, &error));
    g_assert_no_error (error);
    g_assert_cmpint (receive_number (channels[1]), ==, i);
  }
  for (guint i = 0; i < G_N_ELEMENTS (channels); i++)
    g_object_unref (channels[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!g_tls_backend_supports_tls (g_tls_backend_get_default ())) {
    g_print ("1..0 # SKIP GIO has no TLS here: glib-networking is not installed\n");
    return 0;
  }
  g_test_add_func ("/json-tls/messages-come-whole", test_messages_come_whole);
  g_test_add_func ("/json-tls/message-that-is-held-was-begun", test_message_that_is_held_was_begun);
  return g_test_run ();
}
