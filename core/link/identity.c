/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/identity.h"
#include "link/key-file.h"

#include <glib/gi18n-lib.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <string.h>

struct _HyphaIdentity {
  _Atomic guint ref_count;
  HyphaNodeId id;
  gnutls_privkey_t key;
  HyphaKeyFile *file; /* NULL: in memory */
};

typedef struct gnutls_x509_privkey_int Key;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Key, gnutls_x509_privkey_deinit)

static gboolean
check (int result, const char *doing, GError **error)
{
  if (result < 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_IDENTITY, _ ("Cannot %s: %s"), doing,
                 gnutls_strerror (result));
  return result >= 0;
}

/* The public key, as the other nodes know it. */
static gboolean
read_id (gnutls_x509_privkey_t key, HyphaNodeId *id, GError **error)
{
  gnutls_ecc_curve_t curve;
  gnutls_datum_t x = { NULL, 0 };
  gboolean good;

  if (!check (gnutls_x509_privkey_export_ecc_raw (key, &curve, &x, NULL, NULL),
              _ ("tell the public key"), error))
    return FALSE;
  good = curve == GNUTLS_ECC_CURVE_ED25519 && x.size == sizeof id->bytes;
  if (good)
    memcpy (id->bytes, x.data, sizeof id->bytes);
  else
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_IDENTITY,
                         _ ("The key is not an Ed25519 key"));
  gnutls_free (x.data);
  return good;
}

/* Takes KEY and FILE, if all goes well. */
static HyphaIdentity *
identity_new (Key **key, HyphaKeyFile **file, GError **error)
{
  g_autoptr (HyphaIdentity) self = g_new0 (HyphaIdentity, 1);

  atomic_init (&self->ref_count, 1);
  if (!read_id (*key, &self->id, error) ||
      !check (gnutls_privkey_init (&self->key), _ ("hold the key"), error) ||
      !check (gnutls_privkey_import_x509 (self->key, *key, GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE),
              _ ("hold the key"), error))
    return NULL;
  *key = NULL;
  if (file != NULL)
    self->file = g_steal_pointer (file);
  return g_steal_pointer (&self);
}

static Key *
generate_key (GError **error)
{
  g_autoptr (Key) key = NULL;

  if (!check (gnutls_x509_privkey_init (&key), _ ("make a key"), error) ||
      !check (gnutls_x509_privkey_generate (key, GNUTLS_PK_EDDSA_ED25519, 0, 0), _ ("make a key"),
              error))
    return NULL;
  return g_steal_pointer (&key);
}

/**
 * hypha_identity_generate:
 * @error: return location for an error
 *
 * Makes a key pair that lies in memory alone.
 *
 * Returns: (transfer full) (nullable): the identity, or %NULL with %HYPHA_ERROR_IDENTITY
 */
HyphaIdentity *
hypha_identity_generate (GError **error)
{
  g_autoptr (Key) key = generate_key (error);

  return key != NULL ? identity_new (&key, NULL, error) : NULL;
}

static Key *
parse_key (HyphaKeyFile *file, char *text, gsize length, GError **error)
{
  const gnutls_datum_t data = { (guint8 *) text, (guint) length };
  g_autoptr (Key) key = NULL;
  g_autofree char *why = NULL;
  int result;

  if (!check (gnutls_x509_privkey_init (&key), _ ("read a key"), error))
    return NULL;
  result =
      gnutls_x509_privkey_import_pkcs8 (key, &data, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
  if (result < 0)
    why = g_strdup_printf (_ ("holds no unencrypted key in PKCS#8 and PEM (%s)"),
                           gnutls_strerror (result));
  else if ((result = gnutls_x509_privkey_get_pk_algorithm (key)) != GNUTLS_PK_EDDSA_ED25519)
    why = g_strdup_printf (_ ("holds a key of type %s instead of Ed25519"),
                           gnutls_pk_algorithm_get_name ((gnutls_pk_algorithm_t) result));
  if (why != NULL) {
    hypha_key_file_refuse (file, why, error);
    return NULL;
  }
  return g_steal_pointer (&key);
}

static Key *
create_key (HyphaKeyFile *file, GError **error)
{
  g_autoptr (Key) key = generate_key (error);
  gnutls_datum_t pem = { NULL, 0 };
  gboolean written;

  if (key == NULL || !check (gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL,
                                                                GNUTLS_PKCS_PLAIN, &pem),
                             _ ("write the key down"), error))
    return NULL;
  written = hypha_key_file_create (file, pem.data, pem.size, error);
  gnutls_memset (pem.data, 0, pem.size);
  gnutls_free (pem.data);
  return written ? g_steal_pointer (&key) : NULL;
}

/**
 * hypha_identity_open:
 * @path: (type filename): the key file: PKCS#8, PEM, not encrypted
 * @error: return location for an error
 *
 * Reads the key of this node, or makes one where there is none. Holds the lock beside it until it
 * is freed.
 *
 * Returns: (transfer full) (nullable): the identity, or %NULL with %HYPHA_ERROR_IDENTITY: the file
 * or its folder is open to others or somebody else's, or no key, or another process holds it. The
 * message says what to do
 */
HyphaIdentity *
hypha_identity_open (const char *path, GError **error)
{
  g_autoptr (HyphaKeyFile) file = hypha_key_file_lock (path, error);
  g_autoptr (Key) key = NULL;
  char text[HYPHA_KEY_FILE_MAX];
  gssize length;

  if (file == NULL)
    return NULL;
  length = hypha_key_file_read (file, text, error);
  if (length == 0)
    key = create_key (file, error);
  else if (length > 0)
    key = parse_key (file, text, (gsize) length, error);
  gnutls_memset (text, 0, sizeof text);
  return key != NULL ? identity_new (&key, &file, error) : NULL;
}

/**
 * hypha_identity_ref:
 * @self: an identity
 *
 * Returns: (transfer full): @self, with one reference more
 */
HyphaIdentity *
hypha_identity_ref (HyphaIdentity *self)
{
  atomic_fetch_add_explicit (&self->ref_count, 1, memory_order_relaxed);
  return self;
}

/**
 * hypha_identity_unref:
 * @self: (transfer full): an identity
 *
 * Gives a reference back. With the last one the secret is wiped, then the lock goes.
 */
void
hypha_identity_unref (HyphaIdentity *self)
{
  if (atomic_fetch_sub_explicit (&self->ref_count, 1, memory_order_acq_rel) != 1)
    return;
  if (self->key != NULL)
    gnutls_privkey_deinit (self->key);
  g_clear_pointer (&self->file, hypha_key_file_free);
  g_free (self);
}

/**
 * hypha_identity_get_id:
 * @self: an identity
 *
 * Returns: (transfer none): the public key
 */
const HyphaNodeId *
hypha_identity_get_id (HyphaIdentity *self)
{
  return &self->id;
}

/**
 * hypha_identity_sign:
 * @self: an identity
 * @data: (array length=length): what to sign
 * @length: bytes of @data
 * @signature: (out caller-allocates): the signature
 * @error: return location for an error
 *
 * Signs. May be called on several threads at once: the key is only read.
 *
 * Returns: %FALSE with %HYPHA_ERROR_IDENTITY
 */
gboolean
hypha_identity_sign (HyphaIdentity *self, const guint8 *data, gsize length,
                     guint8 signature[HYPHA_SIGNATURE_BYTES], GError **error)
{
  const gnutls_datum_t message = { (guint8 *) data, (guint) length };
  gnutls_datum_t made = { NULL, 0 };

  g_return_val_if_fail (length <= G_MAXUINT, FALSE);
  if (!check (gnutls_privkey_sign_data2 (self->key, GNUTLS_SIGN_EDDSA_ED25519, 0, &message, &made),
              _ ("sign with the node's key"), error))
    return FALSE;
  g_assert (made.size == HYPHA_SIGNATURE_BYTES);
  memcpy (signature, made.data, HYPHA_SIGNATURE_BYTES);
  gnutls_free (made.data);
  return TRUE;
}
