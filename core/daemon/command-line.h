/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/bus.h"

G_BEGIN_DECLS

/* What hyphad was told when it was started. */
typedef struct {
  HyphaBus bus;
  char *config;   /* NULL: the default of this bus */
  char *identity; /* never NULL */
  char **listen, **peers;
  gboolean print_config, version;
} HyphaCommandLine;

gboolean hypha_command_line_parse (HyphaCommandLine *self, int *argc, char ***argv, GError **error);
void hypha_command_line_clear (HyphaCommandLine *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCommandLine, hypha_command_line_clear)

G_END_DECLS
