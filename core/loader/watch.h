/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Tells when something that may concern plug-ins has changed in one of the directories that are
 * watched. Between begin and end all of them are named anew; those not named again are forgotten.
 */
typedef struct _HyphaWatch HyphaWatch;

HyphaWatch *hypha_watch_new (GSourceFunc changed, gpointer user_data);
void hypha_watch_free (HyphaWatch *self);
void hypha_watch_begin (HyphaWatch *self);
void hypha_watch_entry (HyphaWatch *self, int directory, const char *name); /* one entry of it */
void hypha_watch_files (HyphaWatch *self, int directory); /* all of them, and what is in them */
void hypha_watch_end (HyphaWatch *self);
gboolean hypha_watch_is_blind (
    HyphaWatch *self); /* the kernel does not tell of all: look again now and then */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaWatch, hypha_watch_free)

G_END_DECLS
