/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/identity.h"
#include "link/key-file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  char *folder; /* of the test */
  char *path;   /* of the key, in a folder of its own */
} Place;

static void
place_set_up (Place *place, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  place->folder = g_dir_make_tmp ("hypha-identity-XXXXXX", &error);
  g_assert_no_error (error);
  place->path = g_build_filename (place->folder, "keys", "identity.pem", NULL);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (!g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    dir = g_dir_open (path, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    remove_tree (child);
  }
  g_assert_no_errno (g_remove (path));
}

static void
place_tear_down (Place *place, gconstpointer data)
{
  remove_tree (place->folder);
  g_free (place->folder);
  g_free (place->path);
}

static HyphaIdentity *
open_key (const char *path)
{
  g_autoptr (GError) error = NULL;
  HyphaIdentity *identity = hypha_identity_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (identity);
  return identity;
}

G_GNUC_PRINTF (2, 3)
static void
assert_refused (const char *path, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *expected = NULL;
  va_list args;

  va_start (args, format);
  expected = g_strdup_vprintf (format, args);
  va_end (args);
  g_assert_null (hypha_identity_open (path, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_IDENTITY);
  if (strstr (error->message, expected) == NULL)
    g_test_message ("\"%s\" does not say \"%s\"", error->message, expected);
  g_assert_nonnull (strstr (error->message, expected));
}

static mode_t
mode_of (const char *path)
{
  GStatBuf info;

  g_assert_no_errno (g_lstat (path, &info));
  return info.st_mode & 07777;
}

static void
write_key (Place *place, const char *text, gssize length)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autoptr (GError) error = NULL;

  g_mkdir (folder, 0700);
  g_file_set_contents_full (place->path, text, length, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                            &error);
  g_assert_no_error (error);
}

static void
test_first_start (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *pem = NULL;
  g_autoptr (HyphaIdentity) identity = NULL;
  g_autoptr (GDir) dir = NULL;
  guint n = 0;
  mode_t mask = umask (0);

  identity = open_key (place->path);
  umask (mask);
  g_assert_cmpuint (mode_of (place->path), ==, 0600);
  g_assert_cmpuint (mode_of (folder), ==, 0700);
  g_assert_true (g_file_get_contents (place->path, &pem, NULL, NULL));
  g_assert_true (g_str_has_prefix (pem, "-----BEGIN PRIVATE KEY-----\n"));
  g_assert_true (hypha_node_id_is_usable (hypha_identity_get_id (identity)));
  dir = g_dir_open (folder, 0, NULL);
  while (g_dir_read_name (dir) != NULL)
    n++;
  g_assert_cmpuint (n, ==, 2); /* the key and its lock: no temporary file */
}

static void
test_umask_cannot_take_the_key_away (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *lock = g_strconcat (place->path, ".lock", NULL);
  g_autoptr (HyphaIdentity) identity = NULL;
  mode_t mask;

  g_assert_no_errno (g_mkdir (folder, 0700));
  mask = umask (0777);
  identity = open_key (place->path);
  umask (mask);
  g_assert_cmpuint (mode_of (place->path), ==, 0600);
  g_assert_cmpuint (mode_of (lock), ==, 0600);
}

static void
test_same_key_again (Place *place, gconstpointer data)
{
  const guint8 message[] = "message";
  guint8 signature[HYPHA_SIGNATURE_BYTES];
  HyphaIdentity *first = open_key (place->path);
  HyphaNodeId id = *hypha_identity_get_id (first);
  g_autoptr (HyphaIdentity) second = NULL;

  hypha_identity_unref (first);
  second = open_key (place->path);
  g_assert_true (hypha_node_id_equal (&id, hypha_identity_get_id (second)));
  g_assert_true (hypha_identity_sign (second, message, sizeof message, signature, NULL));
  g_assert_true (hypha_node_id_verify (&id, message, sizeof message, signature));
}

static void
test_strict_modes_pass (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autoptr (HyphaIdentity) identity = NULL;

  hypha_identity_unref (open_key (place->path));
  g_assert_no_errno (g_chmod (place->path, 0400));
  identity = open_key (place->path);
  g_assert_no_errno (g_chmod (folder, 0700));
}

static void
test_loose_file (Place *place, gconstpointer data)
{
  const mode_t modes[] = { 0640, 0604, 0620, 0602, 0644, 0700, 04600 };

  hypha_identity_unref (open_key (place->path));
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_assert_no_errno (g_chmod (place->path, (int) modes[i]));
    assert_refused (place->path, "has mode %04o, looser than 0600: chmod 600 '%s'", modes[i],
                    place->path);
  }
  g_assert_no_errno (g_chmod (place->path, 0600));
  hypha_identity_unref (open_key (place->path));
}

static void
test_loose_folder (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  const mode_t modes[] = { 0750, 0705, 0710, 0701, 0777 };

  hypha_identity_unref (open_key (place->path));
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_assert_no_errno (g_chmod (folder, (int) modes[i]));
    assert_refused (place->path, "chmod 700 '%s'", folder);
  }
}

static void
test_owner (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);

  if (geteuid () != 0) {
    g_test_skip ("only root can give a file away");
    return;
  }
  hypha_identity_unref (open_key (place->path));
  g_assert_no_errno (chown (place->path, 12345, (gid_t) -1));
  assert_refused (place->path, "belongs to user 12345, not to user 0 who runs this: chown 0 '%s'",
                  place->path);
  g_assert_no_errno (chown (place->path, 0, (gid_t) -1));
  g_assert_no_errno (chown (folder, 12345, (gid_t) -1));
  assert_refused (place->path, "chown 0 '%s'", folder);
}

static void
test_symlink (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *link = g_build_filename (folder, "link.pem", NULL);
  g_autofree char *dangling = g_build_filename (folder, "dangling.pem", NULL);

  hypha_identity_unref (open_key (place->path));
  g_assert_no_errno (symlink (place->path, link));
  assert_refused (link, "is a symbolic link");
  g_assert_no_errno (symlink ("nowhere", dangling));
  assert_refused (dangling, "--identity");
}

/* systemd makes StateDirectory= such a link; what counts is where it leads. */
static void
test_folder_may_be_symlink (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *link = g_build_filename (place->folder, "link", NULL);
  g_autofree char *path = g_build_filename (link, "identity.pem", NULL);

  hypha_identity_unref (open_key (place->path));
  g_assert_no_errno (symlink (folder, link));
  hypha_identity_unref (open_key (path));
  g_assert_no_errno (g_chmod (folder, 0755));
  assert_refused (path, "chmod 700");
}

static void
test_not_a_file (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *slash = g_strconcat (folder, "/", NULL);

  g_assert_no_errno (g_mkdir (folder, 0700));
  g_assert_no_errno (g_mkdir (place->path, 0700));
  assert_refused (place->path, "is not a regular file");
  g_assert_no_errno (g_rmdir (place->path));
  g_assert_no_errno (mkfifo (place->path, 0600)); /* and nobody waits for its other end */
  assert_refused (place->path, "is not a regular file");
  assert_refused (slash, "is a folder");
  assert_refused ("", "is a folder");
}

static void
test_garbage (Place *place, gconstpointer data)
{
  g_autofree char *large = g_strnfill (HYPHA_KEY_FILE_MAX, 'x');
  g_autofree char *mend = g_strdup_printf ("mv '%s' '%s.old'", place->path, place->path);

  write_key (place, "garbage\n", -1);
  assert_refused (place->path, "holds no unencrypted key in PKCS#8");
  assert_refused (place->path, "%s", mend);
  write_key (place, "", 0);
  assert_refused (place->path, "is empty");
  write_key (place, large, HYPHA_KEY_FILE_MAX);
  assert_refused (place->path, "is too large");
  write_key (place, "-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n", -1);
  assert_refused (place->path, "holds no unencrypted key");
}

static void
test_truncated (Place *place, gconstpointer data)
{
  g_autofree char *pem = NULL;
  const char *end;

  hypha_identity_unref (open_key (place->path));
  g_assert_true (g_file_get_contents (place->path, &pem, NULL, NULL));
  end = strstr (pem, "-----END");
  g_assert_nonnull (end);
  for (gsize n = 0; n <= (gsize) (end - pem); n++) {
    write_key (place, pem, (gssize) n);
    assert_refused (place->path, "The file");
  }
}

static void
export_key (Place *place, gnutls_pk_algorithm_t algorithm, guint bits, const char *password)
{
  gnutls_x509_privkey_t key;
  gnutls_datum_t pem;
  guint flags = password != NULL ? GNUTLS_PKCS_PBES2_AES_256 : GNUTLS_PKCS_PLAIN;

  g_assert_cmpint (gnutls_x509_privkey_init (&key), >=, 0);
  g_assert_cmpint (gnutls_x509_privkey_generate (key, algorithm, bits, 0), >=, 0);
  g_assert_cmpint (
      gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, password, flags, &pem), >=, 0);
  write_key (place, (const char *) pem.data, (gssize) pem.size);
  gnutls_free (pem.data);
  gnutls_x509_privkey_deinit (key);
}

static void
test_other_key_types (Place *place, gconstpointer data)
{
  export_key (place, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), NULL);
  assert_refused (place->path, "instead of Ed25519");
  export_key (place, GNUTLS_PK_EDDSA_ED448, 0, NULL);
  assert_refused (place->path, "instead of Ed25519");
  export_key (place, GNUTLS_PK_EDDSA_ED25519, 0, "secret");
  assert_refused (place->path, "holds no unencrypted key");
  export_key (place, GNUTLS_PK_EDDSA_ED25519, 0, NULL);
  hypha_identity_unref (open_key (place->path));
}

static void
test_second_holder (Place *place, gconstpointer data)
{
  g_autofree char *lock = g_strconcat (place->path, ".lock", NULL);
  HyphaIdentity *first = open_key (place->path), *again = hypha_identity_ref (first);

  assert_refused (place->path, "is held by process %ld (%s)", (long) getpid (),
                  program_invocation_short_name);
  hypha_identity_unref (again);
  assert_refused (place->path, "is held by process %ld", (long) getpid ());
  g_assert_cmpuint (mode_of (lock), ==, 0600);

  /* Whatever is in there: it is no reason to take a held key. (Written in place: the lock
   * is on this very file.) */
  g_assert_true (
      g_file_set_contents_full (lock, "\xff\n\x1b[m", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  assert_refused (place->path, "is held by another process");
  hypha_identity_unref (first);
  hypha_identity_unref (open_key (place->path));
}

static void
test_leftovers_of_a_crash (Place *place, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (place->path);
  g_autofree char *half = g_strconcat (place->path, ".new", NULL);
  g_autofree char *lock = g_strconcat (place->path, ".lock", NULL);

  g_assert_no_errno (g_mkdir (folder, 0700));
  g_assert_true (g_file_set_contents (half, "-----BEGIN", -1, NULL));
  g_assert_true (
      g_file_set_contents_full (lock, "1 init\n", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  hypha_identity_unref (open_key (place->path));
  g_assert_false (g_file_test (half, G_FILE_TEST_EXISTS));
  hypha_identity_unref (open_key (place->path));
}

static void
test_folder_cannot_be_made (Place *place, gconstpointer data)
{
  g_autofree char *file = g_build_filename (place->folder, "file", NULL);
  g_autofree char *path = g_build_filename (file, "below", "identity.pem", NULL);

  g_assert_true (g_file_set_contents (file, "", 0, NULL));
  assert_refused (path, "Cannot make the folder");
}

static void
test_generate (void)
{
  g_autoptr (HyphaIdentity) a = hypha_identity_generate (NULL), b = hypha_identity_generate (NULL);

  g_assert_false (hypha_node_id_equal (hypha_identity_get_id (a), hypha_identity_get_id (b)));
  g_assert_true (hypha_node_id_is_usable (hypha_identity_get_id (a)));
}

static gpointer
sign_often (gpointer data)
{
  HyphaIdentity *identity = data;
  guint good = 0;

  for (guint i = 0; i < 50; i++) {
    guint8 signature[HYPHA_SIGNATURE_BYTES];
    const guint8 message[] = { (guint8) i, 1, 2 };

    good +=
        hypha_identity_sign (identity, message, sizeof message, signature, NULL) &&
        hypha_node_id_verify (hypha_identity_get_id (identity), message, sizeof message, signature);
  }
  hypha_identity_unref (identity);
  return GUINT_TO_POINTER (good);
}

static void
test_threads (void)
{
  HyphaIdentity *identity = hypha_identity_generate (NULL);
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("sign", sign_often, hypha_identity_ref (identity));
  hypha_identity_unref (identity);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpuint (GPOINTER_TO_UINT (g_thread_join (threads[i])), ==, 50);
}

static void
test_verify (void)
{
  g_autoptr (HyphaIdentity) a = hypha_identity_generate (NULL), b = hypha_identity_generate (NULL);
  guint8 message[] = "a message of some length", signature[HYPHA_SIGNATURE_BYTES];
  const HyphaNodeId *id = hypha_identity_get_id (a);

  g_assert_true (hypha_identity_sign (a, message, sizeof message, signature, NULL));
  g_assert_true (hypha_node_id_verify (id, message, sizeof message, signature));
  g_assert_false (
      hypha_node_id_verify (hypha_identity_get_id (b), message, sizeof message, signature));
  g_assert_false (hypha_node_id_verify (id, message, sizeof message - 1, signature));
  for (guint bit = 0; bit < sizeof signature * 8; bit++) {
    signature[bit / 8] ^= (guint8) (1u << bit % 8);
    g_assert_false (hypha_node_id_verify (id, message, sizeof message, signature));
    signature[bit / 8] ^= (guint8) (1u << bit % 8);
  }
  for (guint bit = 0; bit < sizeof message * 8; bit++) {
    message[bit / 8] ^= (guint8) (1u << bit % 8);
    g_assert_false (hypha_node_id_verify (id, message, sizeof message, signature));
    message[bit / 8] ^= (guint8) (1u << bit % 8);
  }
  g_assert_true (hypha_node_id_verify (id, message, sizeof message, signature));
}

/* S and S + L are the same number to whoever forgets to look: then a signature has two spellings.
 */
static void
test_verify_is_strict_about_s (void)
{
  static const guint8 order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                    0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
  g_autoptr (HyphaIdentity) a = hypha_identity_generate (NULL);
  guint8 signature[HYPHA_SIGNATURE_BYTES];
  guint carry = 0;

  g_assert_true (hypha_identity_sign (a, (const guint8 *) "m", 1, signature, NULL));
  for (guint i = 0; i < 32; i++) {
    carry += (guint) signature[32 + i] + order[i];
    signature[32 + i] = (guint8) carry;
    carry >>= 8;
  }
  g_assert_false (
      hypha_node_id_verify (hypha_identity_get_id (a), (const guint8 *) "m", 1, signature));
}

/* RFC 8032, section 7.1, test 2. */
static void
test_known_signature (void)
{
  HyphaNodeId id = { { 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a,
                       0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
                       0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c } };
  const guint8 signature[] = {
    0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40,
    0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda,
    0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c,
    0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00,
  };

  g_assert_true (hypha_node_id_is_usable (&id));
  g_assert_true (hypha_node_id_verify (&id, (const guint8 *) "\x72", 1, signature));
  g_assert_false (hypha_node_id_verify (&id, (const guint8 *) "\x73", 1, signature));
}

/* All y of the eight points, as written in the literature. */
static const char *low_order[] = {
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
};

static HyphaNodeId
from_hex (const char *hex)
{
  HyphaNodeId id;

  for (guint i = 0; i < sizeof id.bytes; i++)
    id.bytes[i] =
        (guint8) (g_ascii_xdigit_value (hex[2 * i]) << 4 | g_ascii_xdigit_value (hex[2 * i + 1]));
  return id;
}

static void
test_low_order (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (low_order); i++) {
    HyphaNodeId id = from_hex (low_order[i]);

    g_assert_false (hypha_node_id_is_usable (&id));
    id.bytes[31] ^= 0x80;
    g_assert_false (hypha_node_id_is_usable (&id));
    id.bytes[31] ^= 0x80;
    id.bytes[15] ^= 1;
    g_assert_true (hypha_node_id_is_usable (&id));
  }
}

static void
test_not_reduced (void)
{
  HyphaNodeId id = from_hex ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

  for (guint low = 0xed; low <= 0xff; low++) {
    id.bytes[0] = (guint8) low;
    g_assert_false (hypha_node_id_is_usable (&id));
    id.bytes[31] ^= 0x80;
    g_assert_false (hypha_node_id_is_usable (&id));
    id.bytes[31] ^= 0x80;
  }
  id.bytes[0] = 0xeb; /* p - 2 */
  g_assert_true (hypha_node_id_is_usable (&id));
  id.bytes[0] = 0xed;
  id.bytes[31] = 0x7e;
  g_assert_true (hypha_node_id_is_usable (&id));
  id.bytes[31] = 0x7f;
  id.bytes[30] = 0xfe;
  g_assert_true (hypha_node_id_is_usable (&id));
}

/* With the neutral point as a key this signature fits every message; GnuTLS takes it. */
static void
test_low_order_signs_nothing (void)
{
  HyphaNodeId id = { { 1 } };
  const guint8 signature[HYPHA_SIGNATURE_BYTES] = { 1 };

  g_assert_false (hypha_node_id_verify (&id, (const guint8 *) "anything", 8, signature));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add (path, Place, NULL, place_set_up, test, place_tear_down)
  ADD ("/identity/open/made-on-first-start", test_first_start);
  ADD ("/identity/open/umask-cannot-take-the-key-away", test_umask_cannot_take_the_key_away);
  ADD ("/identity/open/same-key-again", test_same_key_again);
  ADD ("/identity/open/stricter-modes-pass", test_strict_modes_pass);
  ADD ("/identity/open/folder-may-be-symlink", test_folder_may_be_symlink);
  ADD ("/identity/open/leftovers-of-a-crash", test_leftovers_of_a_crash);
  ADD ("/identity/refuses/loose-file", test_loose_file);
  ADD ("/identity/refuses/loose-folder", test_loose_folder);
  ADD ("/identity/refuses/somebody-elses", test_owner);
  ADD ("/identity/refuses/symlink", test_symlink);
  ADD ("/identity/refuses/what-is-no-file", test_not_a_file);
  ADD ("/identity/refuses/garbage", test_garbage);
  ADD ("/identity/refuses/truncated", test_truncated);
  ADD ("/identity/refuses/other-key-types", test_other_key_types);
  ADD ("/identity/refuses/second-holder", test_second_holder);
  ADD ("/identity/refuses/folder-that-cannot-be-made", test_folder_cannot_be_made);
#undef ADD
  g_test_add_func ("/identity/generate/differs", test_generate);
  g_test_add_func ("/identity/sign/from-several-threads", test_threads);
  g_test_add_func ("/identity/verify/altered-is-refused", test_verify);
  g_test_add_func ("/identity/verify/known-signature", test_known_signature);
  g_test_add_func ("/identity/verify/strict-about-s", test_verify_is_strict_about_s);
  g_test_add_func ("/identity/key/low-order-refused", test_low_order);
  g_test_add_func ("/identity/key/not-reduced-refused", test_not_reduced);
  g_test_add_func ("/identity/key/low-order-signs-nothing", test_low_order_signs_nothing);
  return g_test_run ();
}
