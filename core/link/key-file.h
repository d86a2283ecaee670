/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The file that a secret key lies in, and the lock beside it: who may read it, who holds it, how it
 * comes to be. It knows nothing of keys. All errors are HYPHA_ERROR_IDENTITY and name what mends
 * them. */
typedef struct _HyphaKeyFile HyphaKeyFile;

#define HYPHA_KEY_FILE_MAX 16384 /* a key has 119 bytes, but people may write remarks around it */

/* Makes the folder where there is none, checks it, and locks PATH.lock until freed. */
HyphaKeyFile *hypha_key_file_lock (const char *path, GError **error);
void hypha_key_file_free (HyphaKeyFile *self);
/* Reads it whole into BUFFER. Returns how many bytes, 0 if there is no such file, -1 with an error.
 * The caller wipes BUFFER. */
gssize hypha_key_file_read (HyphaKeyFile *self, char buffer[HYPHA_KEY_FILE_MAX], GError **error);
/* Makes it, with mode 0600: all of it is there after a crash, or nothing. */
gboolean hypha_key_file_create (HyphaKeyFile *self, const void *data, gsize length, GError **error);
/* An error: the file is none that a key can be read from; WHY ends the sentence "The file PATH
 * ...". Returns FALSE. */
gboolean hypha_key_file_refuse (HyphaKeyFile *self, const char *why, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaKeyFile, hypha_key_file_free)

G_END_DECLS
