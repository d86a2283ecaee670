/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "program/manifest.h"

G_BEGIN_DECLS

/* A plug-in that is a manifest, as its files are now: the manifest and the program that it names.
 * What is in use may be older. */
typedef struct _HyphaProgramFile HyphaProgramFile;

HyphaProgramFile *hypha_program_file_new (const char *path);
void hypha_program_file_free (HyphaProgramFile *self);

gboolean hypha_program_file_look (HyphaProgramFile *self, int directory, const char *file,
                                  const char *name, GError **error);
/* Whether the program is another one than when it was looked at, or asked for. UNSETTLED: it may be
 * written to now, and is to be asked for again soon. */
gboolean hypha_program_file_has_changed (HyphaProgramFile *self, gboolean *unsettled);

/* What is in use; NULL: nothing was, ever. */
const HyphaProgramManifest *hypha_program_file_get_manifest (HyphaProgramFile *self);
gboolean hypha_program_file_has_news (HyphaProgramFile *self);
HyphaProgramManifest *hypha_program_file_take_news (HyphaProgramFile *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaProgramFile, hypha_program_file_free)

G_END_DECLS
