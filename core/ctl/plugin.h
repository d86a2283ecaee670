/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

#define HYPHA_CTL_LANGUAGE "c"

/* Writes the folder NAME into DIRECTORY (nullable), from the templates of LANGUAGE. */
gboolean hypha_ctl_new_plugin (HyphaCtl *ctl, const char *name, const char *directory,
                               const char *language, GError **error);

/* Runs the contract over FILE; what is NULL is left out. */
typedef struct {
  char *contract;
  char **only;
  gint64 bytes;
} HyphaCtlCheckOptions;

gboolean hypha_ctl_check_plugin (HyphaCtl *ctl, const char *file,
                                 const HyphaCtlCheckOptions *options, GError **error);

G_END_DECLS
