/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "link/identity.h"
#include "private-folder.h"

/* A key file. First byte: bits 0 to 3: its mode is 0600 (0), 0400, 0640, ...; bit 4: the rest of
 * the input is what lies in the lock, not in the file, and there is no file; bit 5: somebody holds
 * the lock; bit 6: a half-written file lies beside it. */

static const mode_t modes[] = { 0600, 0400, 0640, 0604, 0602, 0700, 04600, 0000 };

static void
put (const char *path, const guint8 *data, gsize length, mode_t mode)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, length), ==, (gssize) length);
  g_assert_cmpint (fchmod (fd, mode), ==, 0);
  close (fd);
}

static int
hold (const char *lock)
{
  struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  int fd = open (lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  g_assert_cmpint (fcntl (fd, F_OFD_SETLK, &all), ==, 0);
  return fd;
}

/* It is a key, and the same one at any time. */
static void
check_identity (HyphaIdentity *identity, HyphaNodeId *id)
{
  static const guint8 message[] = "signed";
  guint8 signature[HYPHA_SIGNATURE_BYTES];
  g_autoptr (GError) error = NULL;

  *id = *hypha_identity_get_id (identity);
  g_assert_true (hypha_node_id_is_usable (id));
  hypha_identity_sign (identity, message, sizeof message, signature, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_node_id_verify (id, message, sizeof message, signature));
}

static void
check_file (const char *path, const guint8 *data, gsize length)
{
  g_autofree char *contents = NULL;
  gsize found;

  g_assert_true (g_file_get_contents (path, &contents, &found, NULL));
  g_assert_cmpmem (contents, found, data, length);
}

static gboolean
open_it (const char *path, HyphaNodeId *id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaIdentity) identity = hypha_identity_open (path, &error);

  if (identity == NULL) {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_IDENTITY);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    g_assert_cmpuint (strlen (error->message), <, 4096);
    return FALSE;
  }
  g_assert_no_error (error);
  check_identity (identity, id);
  return TRUE;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  guint how = fuzz_u8 (&input);
  mode_t mode = modes[how & 7];
  g_autofree char *path = g_build_filename (private_folder (), "key.pem", NULL);
  g_autofree char *lock = g_strconcat (path, ".lock", NULL);
  g_autofree char *half = g_strconcat (path, ".new", NULL);
  gboolean in_lock = (how & 16) != 0, good;
  HyphaNodeId first, second;
  int holder = -1;

  unlink (path);
  unlink (lock);
  put (in_lock ? lock : path, input.p, input.left, in_lock ? 0600 : mode);
  if (how & 64)
    put (half, (const guint8 *) "half", 4, 0644);
  if (how & 32)
    holder = hold (lock);
  good = open_it (path, &first);
  g_assert_true (holder < 0 || !good);
  if (good && !in_lock)
    g_assert_cmpuint (mode & 0177, ==, 0);
  if (!in_lock && mode & 0400)
    check_file (path, input.p, input.left);
  if (holder >= 0)
    close (holder);
  if (good) {
    g_assert_true (open_it (path, &second));
    g_assert_true (hypha_node_id_equal (&first, &second));
  }
  unlink (half);
  return 0;
}
