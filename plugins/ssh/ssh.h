/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define SSH_TYPE_TRANSPORT (ssh_transport_get_type ())
G_DECLARE_FINAL_TYPE (SshTransport, ssh_transport, SSH, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_ssh;

G_END_DECLS
