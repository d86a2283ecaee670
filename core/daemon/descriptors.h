/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

gboolean hypha_descriptors_check (GDBusMethodInvocation *invocation, GError **error);

G_END_DECLS
