/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/receiver.h"
#include "private-folder.h"

#include "hypha-error.h"

/* First byte: bit 0: what comes gets a name; bit 1: there is a tree already. Then what the sender
 * of a tree says. Beside the destination lies what nobody may touch. */

/* What is said back has to fit into a socket that nobody reads from. */
#define MOST_BYTES 2048

static char *top, *destination, *outside, *secret;

static int
take_away (const char *path, const struct stat *st, int type, struct FTW *where)
{
  return where->level > 0 ? remove (path) : 0;
}

/* Before the folder itself goes. */
static void
take_world_away (void)
{
  nftw (top, take_away, 16, FTW_DEPTH | FTW_PHYS);
  g_rmdir (top);
}

static void
make_world (void)
{
  top = g_build_filename (private_folder (), "copy", NULL);
  destination = g_build_filename (top, "in", NULL);
  outside = g_build_filename (top, "out", NULL);
  secret = g_build_filename (outside, "secret", NULL);
  g_assert_cmpint (g_mkdir_with_parents (destination, 0700), ==, 0);
  g_assert_cmpint (g_mkdir_with_parents (outside, 0700), ==, 0);
  g_assert_true (g_file_set_contents (secret, "secret", -1, NULL));
  atexit (take_world_away);
}

static void
make_tree (void)
{
  g_autofree char *way = g_build_filename (destination, "way", NULL);
  g_autofree char *folder = g_build_filename (destination, "d", NULL);
  g_autofree char *part = g_build_filename (destination, ".f.hypha-part", NULL);
  g_autofree char *hard = g_build_filename (destination, "hard", NULL);

  g_assert_cmpint (symlink ("../out", way), ==, 0);
  g_assert_cmpint (mkdir (folder, 0500), ==, 0);
  g_assert_true (g_file_set_contents (part, "fffff", -1, NULL));
  g_assert_cmpint (link (secret, hard), ==, 0);
}

static guint
count (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Neither is anything new there, nor is what was there another. */
static void
check_outside (void)
{
  g_autofree char *contents = NULL;
  struct stat st;

  g_assert_cmpuint (count (top), ==, 2);
  g_assert_cmpuint (count (outside), ==, 1);
  g_assert_true (g_file_get_contents (secret, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "secret");
  g_assert_cmpint (stat (outside, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0700);
}

static void
on_file (const char *path, guint64 size, gpointer user_data)
{
}

static void
on_moved (guint64 position, gpointer user_data)
{
}

static void
on_problem (const char *sentence, gboolean far, gpointer user_data)
{
  g_assert_nonnull (sentence);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const HyphaCopyEvents events = { .file = on_file,
                                          .moved = on_moved,
                                          .problem = on_problem };
  HyphaCopyDestination where = { .fd = -1, .shown = destination };
  HyphaCopyCounts counts;
  g_autoptr (GError) error = NULL;
  gboolean done;
  int ends[2];

  if (size < 1 || size > MOST_BYTES)
    return 0;
  if (top == NULL)
    make_world ();
  if (data[0] & 2)
    make_tree ();
  where.shown = destination;
  where.name = data[0] & 1 ? (char *) "name" : NULL;
  where.fd = open (destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  g_assert_cmpint (send (ends[0], data + 1, size - 1, 0), ==, (gssize) size - 1);
  shutdown (ends[0], SHUT_WR);
  done = hypha_copy_receive (ends[1], &where, &events, NULL, &counts, &error);
  g_assert_cmpint (done, ==, error == NULL);
  g_assert_true (done || error->domain == HYPHA_ERROR);
  close (ends[0]);
  close (ends[1]);
  close (where.fd);
  check_outside ();
  nftw (destination, take_away, 16, FTW_DEPTH | FTW_PHYS);
  return 0;
}
