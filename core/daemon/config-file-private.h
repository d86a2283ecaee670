/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/config-file.h"
#include "hypha-inspect.h"

G_BEGIN_DECLS

/* For the files named config-*.c alone. */

typedef struct {
  GVariant *value; /* NULL: wrong */
  guint line;
} HyphaConfigFileEntry;

struct _HyphaConfigFile {
  char *group;
  GSettingsSchema *schema;
  char *text; /* as it is in the file */
  gsize length;
  gboolean in_group;   /* only while parsing */
  guint last_line;     /* of the group, that is no comment; 0: there is no group */
  GHashTable *entries; /* key to HyphaConfigFileEntry */
  GPtrArray *faults;   /* HyphaConfigFileFault */
  gboolean unreadable; /* not text: what keys it has nobody knows */
  gboolean loaded;     /* from a file; STAMP tells which */
  HyphaStamp stamp;
};

G_END_DECLS
