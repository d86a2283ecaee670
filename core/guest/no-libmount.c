/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GIO asks libmount which file systems are mounted, for those who list them. This program never
 * does, and Debian has no libmount to link statically: here, nothing can be read. */
#include <libmount.h>

struct libmnt_table *
mnt_new_table (void)
{
  return NULL;
}

void
mnt_free_table (struct libmnt_table *table)
{
}

int
mnt_table_parse_fstab (struct libmnt_table *table, const char *path)
{
  return -1;
}

int
mnt_table_parse_mtab (struct libmnt_table *table, const char *path)
{
  return -1;
}

int
mnt_table_next_fs (struct libmnt_table *table, struct libmnt_iter *iter, struct libmnt_fs **fs)
{
  return 1; /* there is no other */
}

struct libmnt_iter *
mnt_new_iter (int direction)
{
  return NULL;
}

void
mnt_free_iter (struct libmnt_iter *iter)
{
}

const char *
mnt_fs_get_fstype (struct libmnt_fs *fs)
{
  return NULL;
}

const char *
mnt_fs_get_options (struct libmnt_fs *fs)
{
  return NULL;
}

char *
mnt_fs_strdup_options (struct libmnt_fs *fs)
{
  return NULL;
}

const char *
mnt_fs_get_root (struct libmnt_fs *fs)
{
  return NULL;
}

const char *
mnt_fs_get_source (struct libmnt_fs *fs)
{
  return NULL;
}

const char *
mnt_fs_get_target (struct libmnt_fs *fs)
{
  return NULL;
}

const struct libmnt_optmap *
mnt_get_builtin_optmap (int id)
{
  return NULL;
}

int
mnt_optstr_get_flags (const char *options, unsigned long *flags, const struct libmnt_optmap *map)
{
  return -1;
}

const char *
mnt_get_fstab_path (void)
{
  return "/etc/fstab";
}

int
mnt_has_regular_mtab (const char **path, int *writable)
{
  return 0;
}
