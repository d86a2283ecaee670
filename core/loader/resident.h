/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* The code of a plug-in, once it is in this process: for ever. Shared by all loaders of the
 * process, for the types that it registers are, too. */
typedef struct {
  char *symbol; /* from the name of the file */
  char *path;   /* NULL: it is built into this program, and there is no copy */
  GBytes *copy; /* what was loaded */
  int fd; /* of the copy: its number must not be used again, for the dynamic linker knows the code
             by it */
  const HyphaPlugin *plugin;
} HyphaResident;

const HyphaResident *hypha_resident_load (int fd, const char *name, const char *path,
                                          GError **error);
const HyphaResident *hypha_resident_add_built_in (const HyphaPlugin *plugin);

G_END_DECLS
