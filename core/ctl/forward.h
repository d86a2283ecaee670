/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* Adds a forward, and prints it. */
gboolean hypha_ctl_add_forward (HyphaCtl *ctl, const char *local, const char *peer,
                                const char *target, gboolean persist, GError **error);

G_END_DECLS
