/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "certificate.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

static int
set_names (gnutls_x509_crt_t crt)
{
  struct in_addr ipv4 = { htonl (INADDR_LOOPBACK) };
  struct in6_addr ipv6 = IN6ADDR_LOOPBACK_INIT;
  int code = gnutls_x509_crt_set_subject_alt_name (crt, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                                   GNUTLS_FSAN_SET);

  if (code == 0)
    code = gnutls_x509_crt_set_subject_alt_name (crt, GNUTLS_SAN_IPADDRESS, &ipv4, sizeof ipv4,
                                                 GNUTLS_FSAN_APPEND);
  if (code == 0)
    code = gnutls_x509_crt_set_subject_alt_name (crt, GNUTLS_SAN_IPADDRESS, &ipv6, sizeof ipv6,
                                                 GNUTLS_FSAN_APPEND);
  return code;
}

static int
fill (gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
  const guint8 serial = 1;
  const char *wrong = NULL;
  int code = gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA,
                                           GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);

  if (code == 0)
    code = gnutls_x509_crt_set_version (crt, 3);
  if (code == 0)
    code = gnutls_x509_crt_set_serial (crt, &serial, sizeof serial);
  if (code == 0)
    code = gnutls_x509_crt_set_dn (crt, "CN=localhost", &wrong);
  if (code == 0)
    code = gnutls_x509_crt_set_activation_time (crt, time (NULL) - 60);
  if (code == 0)
    code = gnutls_x509_crt_set_expiration_time (crt, time (NULL) + 24 * 60 * 60);
  if (code == 0)
    code = set_names (crt);
  if (code == 0)
    code = gnutls_x509_crt_set_basic_constraints (crt, 1, -1);
  if (code == 0)
    code = gnutls_x509_crt_set_key (crt, key);
  if (code == 0)
    code = gnutls_x509_crt_sign2 (crt, crt, key, GNUTLS_DIG_SHA256, 0);
  return code;
}

static gboolean
write_file (const char *path, const char *suffix, const gnutls_datum_t *text, GError **error)
{
  g_autofree char *name = g_strconcat (path, suffix, NULL);

  return g_file_set_contents_full (name, (const char *) text->data, (gssize) text->size,
                                   G_FILE_SET_CONTENTS_NONE, 0600, error);
}

gboolean
certificate_write (const char *path, GError **error)
{
  gnutls_x509_crt_t crt = NULL;
  gnutls_x509_privkey_t key = NULL;
  gnutls_datum_t certificate = { NULL, 0 }, secret = { NULL, 0 };
  gboolean good = FALSE;
  int code = gnutls_x509_crt_init (&crt);

  if (code == 0)
    code = gnutls_x509_privkey_init (&key);
  if (code == 0)
    code = fill (crt, key);
  if (code == 0)
    code = gnutls_x509_crt_export2 (crt, GNUTLS_X509_FMT_PEM, &certificate);
  if (code == 0)
    code = gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                              &secret);
  if (code == 0)
    good =
        write_file (path, ".crt", &certificate, error) && write_file (path, ".key", &secret, error);
  else
    g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, gnutls_strerror (code));
  gnutls_free (certificate.data);
  gnutls_free (secret.data);
  gnutls_x509_privkey_deinit (key);
  gnutls_x509_crt_deinit (crt);
  return good;
}
