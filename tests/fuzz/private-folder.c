/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "private-folder.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *folder;

static void
take_away (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    g_unlink (path);
  }
  g_rmdir (folder);
  g_clear_pointer (&folder, g_free);
}

const char *
private_folder (void)
{
  const char *parent = g_getenv ("TMPDIR");

  if (folder != NULL)
    return folder;
  if (parent == NULL)
    parent = access ("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : g_get_tmp_dir ();
  folder = g_build_filename (parent, "hypha-fuzz-XXXXXX", NULL);
  if (g_mkdtemp (folder) == NULL)
    g_error ("cannot make a folder in %s", parent);
  atexit (take_away);
  return folder;
}
