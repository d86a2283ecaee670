/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* As a peer: the node itself. */
#define HYPHA_CTL_SELF "self"

typedef struct {
  gboolean persist, reverse;
} HyphaCtlForwardOptions;

/* Asks the node for a forward. PATH (nullable): of its object. */
gboolean hypha_ctl_call_add_forward (HyphaCtl *ctl, const char *local, const char *peer,
                                     const char *target, const HyphaCtlForwardOptions *options,
                                     char **path, GError **error);
/* The same for a peer that is there, and prints the forward. */
gboolean hypha_ctl_add_forward (HyphaCtl *ctl, const char *local, const char *peer,
                                const char *target, const HyphaCtlForwardOptions *options,
                                GError **error);

G_END_DECLS
