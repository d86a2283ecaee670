/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket files of listeners. Internal: not installed, not exported. */

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/* The socket file that a listener made: it removes this one and no other. */
typedef struct {
  dev_t device;
  ino_t inode;
} HyphaUnixFile;

/* A listening socket on ADDRESS; a socket file gets MODE, and what a dead daemon left there is
 * replaced. -1: ADDRESS_IN_USE (the message says by whom), PERMISSION_DENIED, FAILED; or
 * G_IO_ERROR_BUSY: another process holds the lock on the directory (it is about to listen there),
 * so ask again a little later. FILE is set for a path. */
int hypha_unix_bind (GUnixSocketAddress *address, const char *display, mode_t mode,
                     HyphaUnixFile *file, GError **error);

/* Call it while the socket still listens: then nobody can have put another in its place.
 * An abstract name has no file. */
void hypha_unix_unlink (GUnixSocketAddress *address, const HyphaUnixFile *file);

G_END_DECLS
