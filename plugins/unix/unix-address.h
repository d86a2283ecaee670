/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/un.h>
#include <hypha-plugin.h>

G_BEGIN_DECLS

/* One less than sun_path holds: a path ends with a NUL, an abstract name begins with one. */
#define UNIX_NAME_MAX (sizeof (((struct sockaddr_un *) NULL)->sun_path) - 1)

/* What stands behind "unix:": the path of a socket file, or a name in the abstract namespace. */
typedef struct {
  gboolean abstract;
  char name[UNIX_NAME_MAX + 1]; /* an absolute path; or the name without '@' */
} UnixAddress;

gboolean unix_address_parse (HyphaEndpoint *endpoint, UnixAddress *self, GError **error);
HyphaEndpoint *unix_address_to_endpoint (const UnixAddress *self, HyphaEndpoint *options_of);
socklen_t unix_address_to_sockaddr (const UnixAddress *self, struct sockaddr_un *out);
/* FALSE: it has no name, or one that no endpoint can write. */
gboolean unix_address_from_sockaddr (UnixAddress *self, const struct sockaddr_un *sockaddr,
                                     socklen_t length);

G_END_DECLS
