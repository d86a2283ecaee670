/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "unix-address.h"

G_BEGIN_DECLS

/* The socket file that a listener made: it removes this one and no other. */
typedef struct {
  dev_t device;
  ino_t inode;
} UnixFile;

/* A listening socket on ADDRESS; a socket file gets MODE, and what a dead daemon left there is
 * replaced. -1: ADDRESS_IN_USE (the message says by whom), PERMISSION_DENIED, FAILED; or
 * G_IO_ERROR_BUSY: another process holds the lock on the directory (it is about to listen there),
 * so ask again a little later. FILE is set for a path. */
int unix_bind (const UnixAddress *address, const char *display, mode_t mode, UnixFile *file,
               GError **error);

/* Call it while the socket still listens: then nobody can have put another in its place. */
void unix_unlink (const UnixAddress *address, const UnixFile *file);

G_END_DECLS
