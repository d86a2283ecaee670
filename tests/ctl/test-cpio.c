/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Archives, as a kernel would read them. */

#include "ctl/cpio.h"

#include <string.h>
#include <sys/stat.h>

#define HEAD 110
#define FIELDS 13

enum { INO, MODE, UID, GID, NLINK, MTIME, SIZE, MAJOR, MINOR, RMAJOR, RMINOR, NAME, CHECK };

typedef struct {
  guint fields[FIELDS];
  const char *name;
  const char *data;
} Entry;

/* Moves AT behind the entry that begins there. */
static Entry
read_entry (GBytes *bytes, gsize *at)
{
  gsize length;
  const char *all = g_bytes_get_data (bytes, &length);
  const char *head = all + *at;
  Entry entry;

  g_assert_cmpuint (*at % 4, ==, 0);
  g_assert_cmpuint (*at + HEAD, <=, length);
  g_assert_cmpmem (head, 6, "070701", 6);
  for (guint i = 0; i < FIELDS; i++) {
    g_autofree char *digits = g_strndup (head + 6 + 8 * i, 8);

    entry.fields[i] = (guint) g_ascii_strtoull (digits, NULL, 16);
  }
  entry.name = head + HEAD;
  g_assert_cmpuint (strlen (entry.name) + 1, ==, entry.fields[NAME]);
  *at = (*at + HEAD + entry.fields[NAME] + 3) & ~(gsize) 3;
  entry.data = all + *at;
  *at = (*at + entry.fields[SIZE] + 3) & ~(gsize) 3;
  g_assert_cmpuint (*at, <=, length);
  return entry;
}

static void
assert_entry (GBytes *bytes, gsize *at, const char *name, guint mode, const char *data)
{
  Entry entry = read_entry (bytes, at);

  g_assert_cmpstr (entry.name, ==, name);
  g_assert_cmpuint (entry.fields[MODE], ==, mode);
  g_assert_cmpuint (entry.fields[UID] + entry.fields[GID] + entry.fields[MTIME], ==, 0);
  g_assert_cmpmem (entry.data, entry.fields[SIZE], data, strlen (data));
}

static void
test_kernel_reads_it (void)
{
  g_autoptr (HyphaCpio) cpio = hypha_cpio_new ();
  g_autoptr (GBytes) content = g_bytes_new_static ("12345", 5);
  g_autoptr (GBytes) bytes = NULL;
  gsize at = 0;

  hypha_cpio_add_folder (cpio, "opt/x/secret", 0700);
  hypha_cpio_add_file (cpio, "opt/x/secret/key", 0600, content);
  hypha_cpio_add_text (cpio, "opt/x/run", 0755, "#!/bin/sh\n");
  hypha_cpio_add_link (cpio, "etc/run", "../opt/x/run");
  g_assert_true (hypha_cpio_has (cpio, "opt/x"));
  g_assert_false (hypha_cpio_has (cpio, "opt/y"));
  bytes = hypha_cpio_end (cpio);

  assert_entry (bytes, &at, "opt", S_IFDIR | 0755, "");
  assert_entry (bytes, &at, "opt/x", S_IFDIR | 0755, "");
  assert_entry (bytes, &at, "opt/x/secret", S_IFDIR | 0700, "");
  assert_entry (bytes, &at, "opt/x/secret/key", S_IFREG | 0600, "12345");
  assert_entry (bytes, &at, "opt/x/run", S_IFREG | 0755, "#!/bin/sh\n");
  assert_entry (bytes, &at, "etc", S_IFDIR | 0755, "");
  assert_entry (bytes, &at, "etc/run", S_IFLNK | 0777, "../opt/x/run");
  assert_entry (bytes, &at, "TRAILER!!!", 0, "");
  g_assert_cmpuint (at, ==, g_bytes_get_size (bytes));
}

static void
test_files_are_different_files (void)
{
  g_autoptr (HyphaCpio) cpio = hypha_cpio_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GBytes) bytes = NULL;
  gsize at = 0;

  for (guint i = 0; i < 5; i++) {
    g_autofree char *path = g_strdup_printf ("%u", i);

    hypha_cpio_add_text (cpio, path, 0644, "same");
  }
  bytes = hypha_cpio_end (cpio);
  for (guint i = 0; i < 5; i++)
    g_assert_true (g_hash_table_add (seen, GUINT_TO_POINTER (read_entry (bytes, &at).fields[INO])));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cpio/kernel-reads-it", test_kernel_reads_it);
  g_test_add_func ("/cpio/files-are-different-files", test_files_are_different_files);
  return g_test_run ();
}
