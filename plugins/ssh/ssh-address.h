/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What stands in ssh://[USER@]HOST[:PORT][/]. */
typedef struct {
  char *user;   /* NULL: whom the user's configuration says */
  char *host;   /* as ssh is given it: a name of the user's configuration, or an address */
  gboolean ip6; /* the host is an IPv6 address, and has brackets in print */
  guint16 port; /* 0: which the user's configuration says */
} SshAddress;

SshAddress *ssh_address_parse (HyphaEndpoint *endpoint, GError **error);
void ssh_address_free (SshAddress *self);
/* Canonical, with the options of OPTIONS_OF (nullable). */
HyphaEndpoint *ssh_address_to_endpoint (const SshAddress *self, HyphaEndpoint *options_of);
/* What people type to try it by hand. */
char *ssh_address_dup_command (const SshAddress *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SshAddress, ssh_address_free)

G_END_DECLS
